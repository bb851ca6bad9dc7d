"""The official archives of every data set: where they are, how large, which checksum, which licence.

Sizes, checksums, licences and counts are those of spec evaluation.md 1.0-1.5; a field is None or empty
where it gives none, and nothing here is guessed. Unpacked sizes are computed from its counts and
durations as 16-bit sound.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.drawer import UsageError, neighbours

ZENODO = "https://zenodo.org/record"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One file to download."""

    name: str  # on disk
    urls: tuple[str, ...]  # of the same bytes, tried in order
    size: int | None = None  # bytes; None: not stated
    digests: tuple[str, ...] = ()  # "md5:..." and "sha256:...", all must hold; empty: none stated
    regenerated: bool = False  # the host packs it anew at times: another digest is a warning


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One folder of the data folder, the archives that it is unpacked from, and what it must hold."""

    name: str
    folder: str  # below the data folder
    licence: str
    page: str  # where a person reads about it
    archives: tuple[Archive, ...]
    download: int  # bytes of all archives together, about right unless ``exact``
    at_most: bool = False  # ``download`` is only known to be an upper bound
    unpacked: int  # bytes, about
    root: str = ""  # glob: where in the unpacked archives the folder's contents lie; "" for all of it
    holds: tuple[str, ...] = ()  # files and folders that must be there
    counts: tuple[tuple[str, int], ...] = ()  # how many files a glob must find

    @property
    def exact(self) -> bool:
        """Whether the size of every archive is stated; otherwise ``download`` is about right."""
        return all(archive.size is not None for archive in self.archives)

    @property
    def download_text(self) -> str:
        """How much is downloaded, for people."""
        kind = "" if self.exact else "at most " if self.at_most else "about "
        return f"{kind}{self.download / 1e9:.2f} GB"


def zenodo(record: int, name: str, md5: str = "") -> Archive:
    """A file of a Zenodo record."""
    digests = (f"md5:{md5}",) if md5 else ()
    return Archive(name=name, urls=(f"{ZENODO}/{record}/files/{name}",), digests=digests)


def speech_commands(name: str, size: int | None, *digests: str) -> Archive:
    """One of Google's archives; the second address is the same store under its plain name."""
    path = f"download.tensorflow.org/data/{name}"
    urls = (f"https://storage.googleapis.com/{path}", f"http://{path}")
    return Archive(name=name, urls=urls, size=size, digests=digests)


# Of Zenodo record 4060432. The audio is two split zips: .z01 ... .zip are one archive.
FSD50K_MD5 = {
    "FSD50K.dev_audio.z01": "faa7cf4cc076fc34a44a479a5ed862a3",
    "FSD50K.dev_audio.z02": "8f9b66153e68571164fb1315d00bc7bc",
    "FSD50K.dev_audio.z03": "1196ef47d267a993d30fa98af54b7159",
    "FSD50K.dev_audio.z04": "d088ac4e11ba53daf9f7574c11cccac9",
    "FSD50K.dev_audio.z05": "81356521aa159accd3c35de22da28c7f",
    "FSD50K.dev_audio.zip": "c480d119b8f7a7e32fdb58f3ea4d6c5a",
    "FSD50K.eval_audio.z01": "3090670eaeecc013ca1ff84fe4442aeb",
    "FSD50K.eval_audio.zip": "6fa47636c3a3ad5c7dfeba99f2637982",
    "FSD50K.ground_truth.zip": "ca27382c195e37d2269c4c866dd73485",
    "FSD50K.metadata.zip": "b9ea0c829a411c1d42adb9da539ed237",
    "FSD50K.doc.zip": "3516162b82dc2945d3e7feba0904e800",
}

# HEAR 2021.3 as prepared at 48 kHz, Zenodo record 6332517: the archives that the spec lists by name, so
# not beehive, gunshot, maestro and vox_lingua; it gives no checksum. Folder, clips, seconds, licence.
HEAR_RECORD = 6332517
HEAR = {
    "beijing_opera": ("beijing_opera-v1.0-hear2021-full", 236, 4.77, "CC BY 4.0"),
    "dcase2016_task2": ("dcase2016_task2-hear2021-full", 72, 120.0, "CC BY-NC"),
    "esc50": ("esc50-v2.0.0-full", 2000, 5.0, "CC BY-NC 3.0"),
    "fsd50k": ("fsd50k-v1.0-full", 51185, 7.62, "CC BY 4.0, each clip its own"),
    "libricount": ("libricount-v1.0.0-hear2021-full", 5720, 5.0, "CC BY 4.0"),
    "mridangam_stroke": ("mridangam_stroke-v1.5-full", 6977, 0.81, "CC BY 4.0"),
    "mridangam_tonic": ("mridangam_tonic-v1.5-full", 6977, 0.81, "CC BY 4.0"),
    "nsynth_pitch_50h": ("nsynth_pitch-v2.2.3-50h", 49060, 4.0, "CC BY 4.0"),
    "nsynth_pitch_5h": ("nsynth_pitch-v2.2.3-5h", 5000, 4.0, "CC BY 4.0"),
    "speech_commands_5h": ("speech_commands-v0.0.2-5h", 22890, 1.0, "CC BY 4.0"),
    "speech_commands_full": ("speech_commands-v0.0.2-full", 100503, 1.0, "CC BY 4.0"),
    "tfds_crema_d": ("tfds_crema_d-1.0.0-full", 7438, 5.0, "ODbL"),
    "tfds_gtzan": ("tfds_gtzan-1.0.0-full", 1000, 30.0, "none stated"),
    "tfds_gtzan_music_speech": ("tfds_gtzan_music_speech-1.0.0-full", 128, 30.0, "none stated"),
    "vocal_imitation": ("vocal_imitation-v1.1.3-full", 5601, 11.26, "CC BY 4.0"),
}
UNVERIFIED = ("beijing_opera", "dcase2016_task2", "mridangam_stroke", "mridangam_tonic")


def hear(name: str) -> DataSet:
    """One of HEAR's prepared tasks; the archive cannot be larger than the sound in it."""
    folder, clips, seconds, licence = HEAR[name]
    sound = round(clips * seconds * 48000 * 2)
    return DataSet(
        name=f"hear_{name}",
        folder=f"hear/tasks/{folder}",
        licence=f"{licence} (to be verified)" if name in UNVERIFIED else licence,
        page="https://hearbenchmark.com/hear-tasks.html",
        archives=(zenodo(HEAR_RECORD, f"hear2021-{folder}-48000.tar.gz"),),
        download=sound,
        at_most=True,
        unpacked=sound,
        root=f"**/tasks/{folder}",  # below hear-2021.x/ in some releases
        holds=("task_metadata.json", "labelvocabulary.csv", "48000"),
    )


_ALL = (
    DataSet(
        name="esc50",
        folder="ESC-50-master",
        licence="CC BY-NC 3.0 (ESC-10: CC BY)",
        page="https://github.com/karolpiczak/ESC-50",
        archives=(
            Archive(
                name="ESC-50-master.zip",
                urls=("https://github.com/karoldvl/ESC-50/archive/master.zip",),
                digests=("md5:7771e4b9d86d0945acce719c7a59305a",),
                regenerated=True,
            ),
        ),
        download=600_000_000,
        unpacked=2000 * 441_044,
        root="ESC-50-master",
        holds=("meta/esc50.csv", "audio"),
        counts=(("audio/*", 2000),),  # as .wav; the task reads .flac and .ogg too
    ),
    DataSet(
        name="urbansound8k",
        folder="UrbanSound8K",
        licence="CC BY-NC (3.0 by its README)",
        page=f"{ZENODO}/1203745",
        archives=(zenodo(1203745, "UrbanSound8K.tar.gz", "9aa69802bbf37fb986f71ec1483a196e"),),
        download=6_000_000_000,
        unpacked=7_000_000_000,
        root="UrbanSound8K",
        holds=("metadata/UrbanSound8K.csv", *(f"audio/fold{fold}" for fold in range(1, 11))),
        counts=(("audio/fold*/*.wav", 8732),),
    ),
    DataSet(
        name="fsd50k",
        folder="FSD50K",
        licence="CC BY 4.0, each clip its own",
        page=f"{ZENODO}/4060432",
        archives=tuple(zenodo(4060432, name, md5) for name, md5 in FSD50K_MD5.items()),
        download=25_000_000_000,
        unpacked=round(108.3 * 3600 * 44100 * 2),
        holds=(
            *(f"FSD50K.ground_truth/{name}.csv" for name in ("dev", "eval", "vocabulary")),
            "FSD50K.metadata/dev_clips_info_FSD50K.json",
            "FSD50K.metadata/eval_clips_info_FSD50K.json",
        ),
        counts=(("FSD50K.dev_audio/*.wav", 40966), ("FSD50K.eval_audio/*.wav", 10231)),
    ),
    DataSet(
        name="speech_commands_v0.02",
        folder="speech_commands_v0.02",
        licence="CC BY 4.0",
        page="https://arxiv.org/abs/1804.03209",
        archives=(
            speech_commands(
                "speech_commands_v0.02.tar.gz",
                2_428_923_189,
                "md5:6b74f3901214cb2c2934e98196829835",
                "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            ),
        ),
        download=2_428_923_189,
        unpacked=105_829 * 32_044,
        holds=("validation_list.txt", "testing_list.txt", "_background_noise_"),
        counts=(("[a-z]*/*.wav", 105_829), ("_background_noise_/*.wav", 6)),
    ),
    DataSet(
        name="speech_commands_test_set_v0.02",
        folder="speech_commands_test_set_v0.02",
        licence="CC BY 4.0",
        page="https://arxiv.org/abs/1804.03209",
        archives=(
            speech_commands(
                "speech_commands_test_set_v0.02.tar.gz",
                112_563_277,
                "md5:854c580ee90bff80c516491c84544e32",
                "sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
            ),
        ),
        download=112_563_277,
        unpacked=4890 * 32_044,
        counts=(("*/*.wav", 4890),),
    ),
    DataSet(
        name="speech_commands_v0.01",
        folder="speech_commands_v0.01",
        licence="CC BY 4.0",
        page="https://arxiv.org/abs/1804.03209",
        archives=(
            speech_commands(
                "speech_commands_v0.01.tar.gz",
                None,
                "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
            ),
        ),
        download=1_500_000_000,
        unpacked=64_721 * 32_044,
        holds=("validation_list.txt", "testing_list.txt", "_background_noise_"),
        counts=(("[a-z]*/*.wav", 64_721),),
    ),
    *(hear(name) for name in HEAR),
)

DATA_SETS: dict[str, DataSet] = {data_set.name: data_set for data_set in _ALL}

# Other names, of one data set or of several.
ALSO: dict[str, tuple[str, ...]] = {
    "esc10": ("esc50",),
    "us8k": ("urbansound8k",),
    "speech_commands": ("speech_commands_v0.02", "speech_commands_test_set_v0.02"),
    "speech_commands_12": ("speech_commands_v0.02", "speech_commands_test_set_v0.02"),
}


def named(names: list[str]) -> list[DataSet]:
    """The data sets of these names, each once; raises :class:`UsageError` with the nearest names."""
    found: dict[str, DataSet] = {}
    for name in names:
        if name not in DATA_SETS and name not in ALSO:
            raise UsageError(f"unknown data set {name!r}.{neighbours(name, [*DATA_SETS, *ALSO])}")
        found.update({part: DATA_SETS[part] for part in ALSO.get(name, (name,))})
    return list(found.values())


def of_folder(folder: str) -> str | None:
    """The name to fetch for a task's folder below the data folder; None where there is none."""
    names = [data_set.name for data_set in DATA_SETS.values() if data_set.folder == folder]
    return names[0] if names else None
