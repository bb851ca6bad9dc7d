"""Spoken words: Speech Commands (Warden, 2018) V2 and V1, and two collections in its layout."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task
from tasks.drawer import BadData, DataMissing
from tasks.layout import again, files_by_stem, root_of

V1_WORDS = (
    *("bed", "bird", "cat", "dog", "down", "eight", "five", "four", "go", "happy", "house", "left"),
    *("marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop", "three"),
    *("tree", "two", "up", "wow", "yes", "zero"),
)
V2_WORDS = tuple(sorted((*V1_WORDS, "backward", "follow", "forward", "learn", "visual")))
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"
BUCKETS = 2**27  # of the hash that the official lists were made by
RULE = (
    "the official lists, checked against the rule that made them: SHA-1 of the speaker modulo 2^27, "
    "the first tenth validates, the second tests"
)


@cache
def official_split(speaker: str) -> str:
    """train, valid or test by the rule of the official lists (spec evaluation.md 1.4)."""
    number = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16) % BUCKETS
    percent = number * (100.0 / (BUCKETS - 1))
    return "valid" if percent < 10.0 else "test" if percent < 20.0 else "train"


def padded_second(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples cut to [-1, 1] and padded with silence on the right to one second; longer is kept."""
    return np.pad(np.clip(samples, -1.0, 1.0), (0, max(0, rate - len(samples))))


@dataclass(kw_only=True)
class SpeechCommands(Task, name="speech_commands"):
    """105,829 utterances of 35 words by 2,618 speakers, the official lists (V2, 35 classes); accuracy.

    ``data`` holds ``speech_commands_v0.02/`` as the archive unpacks it: a folder for each word and
    ``validation_list.txt`` and ``testing_list.txt``; whatever they do not list trains. The group is the
    speaker, and every clip's list is checked against the official hash of its speaker. Shorter clips
    are padded with silence to 1 s. Audio may be .wav, .flac or .ogg. Source: spec evaluation.md 1.4.
    """

    licence: ClassVar[str] = "CC BY 4.0"
    reference: ClassVar[str] = (
        "P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, "
        "arXiv:1804.03209, 2018"
    )
    url: ClassVar[str] = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
    download_bytes: ClassVar[int] = 2_428_923_189
    grouped_by: ClassVar[str] = "speaker"
    split_rule: ClassVar[str] = RULE
    hashed_speakers: ClassVar[bool] = True  # the lists follow :func:`official_split`
    official_counts: ClassVar[Mapping[str, int]] = {"train": 84_843, "valid": 9_981, "test": 11_005}
    folder: ClassVar[str] = "speech_commands_v0.02"
    words: ClassVar[tuple[str, ...]] = V2_WORDS

    @property
    def classes(self) -> tuple[str, ...]:
        """The words in alphabetical order."""
        return self.words

    @property
    def root(self) -> Path:
        """The folder of the words; raises :class:`DataMissing` where it is not there."""
        return root_of(self, *LISTS.values())

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; a clip's id is ``word/speaker_nohash_number``."""
        clips = self.utterances()
        clips["label"] = clips["word"].map(self.classes.index).astype("int64")
        return clips[["clip", "label", "fold", "group", "path"]].sort_values("clip", ignore_index=True)

    def utterances(self) -> pd.DataFrame:
        """Clip, word, fold, group (speaker) and path of every utterance below :attr:`root`.

        Raises :class:`BadData` naming the clip where a word, a name or a list is not the official one,
        and :class:`DataMissing` where a listed clip is not there.
        """
        root = self.root
        self.check_folders(root)
        listed = self.read_lists(root)
        rows = []
        for word in self.words:
            for stem, path in files_by_stem(root, word).items():
                clip, fold = f"{word}/{stem}", listed.pop(f"{word}/{stem}", "train")
                speaker, separator, number = stem.partition("_nohash_")
                if not separator or not speaker or not number.isdecimal():
                    raise BadData(
                        f"{root / path}: the name is not <speaker>_nohash_<number>.wav. Restore the "
                        "official release; speakers are told apart by it."
                    )
                if self.hashed_speakers and fold != official_split(speaker):
                    raise BadData(
                        f"task {self.name!r}: {clip} is in {fold} by the lists in {root}, but in "
                        f"{official_split(speaker)} by the official rule. Restore the official lists."
                    )
                rows.append((clip, word, fold, speaker, path))
        if listed and (not self.partial or not rows):
            clip, fold = next(iter(listed.items()))
            raise DataMissing(
                f"task {self.name!r}: {len(listed)} clips of the lists have no sound file; the first "
                f"is {clip} of {LISTS[fold]} in {root}. {again(self)}, or type "
                "partial=true to accept what is there: every row is then marked as partial."
            )
        return pd.DataFrame(rows, columns=["clip", "word", "fold", "group", "path"])

    def check_folders(self, root: Path) -> None:
        """Refuse words that the task does not know: the folder is another version's."""
        found = {path.name for path in root.iterdir() if path.is_dir()} - {NOISE}
        strange = sorted(name for name in found - set(self.words) if not name.startswith("."))
        if strange:
            raise BadData(
                f"task {self.name!r}: {root} has a folder {strange[0]!r}, which is none of its "
                f"{len(self.words)} words ({len(strange)} such folders). It is another version of the "
                f"data set: download {self.url}."
            )

    def read_lists(self, root: Path) -> dict[str, str]:
        """``valid`` or ``test`` by clip, from the two lists."""
        listed: dict[str, str] = {}
        for fold, name in LISTS.items():
            try:
                lines = (root / name).read_text(encoding="utf-8").splitlines()
            except UnicodeError as error:
                raise BadData(f"{root / name} is not text ({error}). Restore it.") from error
            for number, line in enumerate(filter(None, map(str.strip, lines)), start=1):
                clip = line.rpartition(".")[0]
                if line.partition("/")[0] not in self.words or clip.count("/") != 1:
                    raise BadData(
                        f"{root / name}, line {number}: {line!r} is not <word>/<file>.wav of one of "
                        f"the {len(self.words)} words. Restore the official list."
                    )
                if clip in listed:
                    raise BadData(
                        f"{root / name}, line {number}: {line} is listed more than once "
                        f"(before in {LISTS[listed[clip]]}). Restore the official lists."
                    )
                listed[clip] = fold
        return listed

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono of 1 s or more, and its sample rate."""
        path = Path(self.data or "") / self.folder / str(self.clips()["path"].iloc[position])
        samples, rate = read_mono(path)
        return padded_second(samples, rate), rate


@dataclass(kw_only=True)
class SpeechCommandsV1(SpeechCommands, name="speech_commands_v1"):
    """64,721 utterances of 30 words, the official lists (V1, 30 classes); accuracy.

    ``data`` holds ``speech_commands_v0.01/``. Not SUPERB's keyword spotting: that has 12 classes.
    """

    url: ClassVar[str] = "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz"
    download_bytes: ClassVar[int] = 1_489_000_000
    official_counts: ClassVar[Mapping[str, int]] = {"train": 51_088, "valid": 6_798, "test": 6_835}
    folder: ClassVar[str] = "speech_commands_v0.01"
    words: ClassVar[tuple[str, ...]] = V1_WORDS


KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
VALID_NOISE = "running_tap"  # its windows validate, those of the other noises train
TEST_SET = "../speech_commands_test_set_v0.02"  # the separate archive, from the words' folder


@dataclass(kw_only=True)
class SpeechCommands12(SpeechCommands, name="speech_commands_12"):
    """Ten keywords, unknown words and silence, with the test archive (V2, 12 classes); accuracy.

    ``data`` holds ``speech_commands_v0.02/`` and, beside it, ``speech_commands_test_set_v0.02/`` as the
    two archives unpack. Training and validation: the utterances of the lists but for the testing list
    (the 25 other words are ``_unknown_``), and silence: windows of 1 s every 0.5 s of the background
    noises, those of ``running_tap`` validate. Test: the 4,890 clips of the archive, whose silence is
    cut from the same noises officially. The same as TensorFlow Datasets and HEAR have it.
    """

    download_bytes: ClassVar[int] = 2_541_486_466
    official_counts: ClassVar[Mapping[str, int]] = {"train": 85_511, "valid": 10_102, "test": 4_890}

    @property
    def classes(self) -> tuple[str, ...]:
        return (*KEYWORDS, SILENCE, UNKNOWN)

    @property
    def root(self) -> Path:
        return root_of(self, *LISTS.values(), NOISE, TEST_SET)

    def read_clips(self) -> pd.DataFrame:
        """The clip table; silence is ``_background_noise_/<noise>@<window>`` and shares its file."""
        root = self.root
        spoken = self.utterances()
        spoken = spoken[spoken["fold"] != "test"]
        spoken["label"] = [
            self.classes.index(word if word in KEYWORDS else UNKNOWN) for word in spoken["word"]
        ]
        rows = [*self.silence(root), *self.tested(root)]
        columns = ["clip", "label", "fold", "group", "path"]
        clips = pd.concat([spoken[columns], pd.DataFrame(rows, columns=columns)])
        return clips.sort_values("clip", ignore_index=True)

    def silence(self, root: Path) -> list[tuple[str, int, str, str, str]]:
        """The windows of the background noises."""
        rows = []
        for stem, path in sorted(files_by_stem(root, NOISE).items()):
            samples, rate = read_mono(root / path)
            fold = "valid" if stem == VALID_NOISE else "train"
            for window in range(1 + (len(samples) - rate) // (rate // 2)):
                clip = f"{NOISE}/{stem}@{window:04d}"
                rows.append((clip, self.classes.index(SILENCE), fold, f"noise {stem}", path))
        return rows

    def tested(self, root: Path) -> list[tuple[str, int, str, str, str]]:
        """The clips of the separate archive."""
        rows = []
        for label, word in enumerate(self.classes):
            for stem, path in files_by_stem(root, f"{TEST_SET}/{word}").items():
                clip = f"test/{word}/{stem}"
                before, separator, _ = stem.partition("_nohash_")
                named = bool(separator) and word != SILENCE
                speaker = before.rpartition("_")[2] if named else clip
                if named and official_split(speaker) != "test":
                    raise BadData(
                        f"task {self.name!r}: speaker {speaker} of {root / path} is in "
                        f"{official_split(speaker)} by the official rule. Restore the test archive."
                    )
                rows.append((clip, label, "test", speaker, path))
        return rows

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: an utterance padded to 1 s, or its window of a noise."""
        clip = self.clips().iloc[position]
        if not str(clip["clip"]).startswith(f"{NOISE}/"):
            return super().waveform(position)
        samples, rate = read_mono(Path(self.data or "") / self.folder / str(clip["path"]))
        start = int(str(clip["clip"]).rpartition("@")[2]) * (rate // 2)
        return padded_second(samples[start : start + rate], rate), rate


@dataclass(kw_only=True)
class ArabicWords(SpeechCommands, name="speech_commands_arabic"):
    """720 utterances of 12 Arabic words by 30 speakers, in Speech Commands' layout; accuracy.

    Not Speech Commands: a part (12 of 40 words) of the Arabic Speech Commands data set under the
    English label names, complete as such; 432/144/144 clips by its authors' split of the speakers.
    """

    reference: ClassVar[str] = (
        "A. Ghandoura, F. Hjabo, O. Al Dakkak, Building and Benchmarking an Arabic Speech Commands "
        "Dataset for Small-Footprint Keyword Spotting, 2021"
    )
    url: ClassVar[str] = "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset"
    download_bytes: ClassVar[int] = 24_100_000
    split_rule: ClassVar[str] = ""
    split_hash: ClassVar[str] = "40f8dedc32c4d22d3f5ad59fcb19c16e52b2222c2cf7feacc4160ca367bd3a56"
    hashed_speakers: ClassVar[bool] = False
    official_counts: ClassVar[Mapping[str, int]] = {"train": 432, "valid": 144, "test": 144}
    folder: ClassVar[str] = "speech_commands_arabic/speech_commands_v0.02"
    words: ClassVar[tuple[str, ...]] = (
        *("backward", "down", "forward", "left", "no", "one", "right", "stop", "two", "up", "yes"),
        "zero",
    )


@dataclass(kw_only=True)
class SpokenDigits(SpeechCommands, name="speech_commands_fsdd"):
    """900 English digits by 6 speakers at 8 kHz, in Speech Commands' layout; accuracy.

    Not Speech Commands: a part (15 of 50 takes) of the Free Spoken Digit Dataset, split by speaker for
    this suite: 3 train, 1 validates, 2 test. That is not its authors' split, and harder.
    """

    licence: ClassVar[str] = "CC BY-SA 4.0"
    reference: ClassVar[str] = "Z. Jackson et al., Free Spoken Digit Dataset, 2018"
    url: ClassVar[str] = "https://github.com/Jakobovski/free-spoken-digit-dataset"
    download_bytes: ClassVar[int] = 7_300_000
    split_rule: ClassVar[str] = ""
    split_hash: ClassVar[str] = "4df28a353de7e1e381397ba7a2619f811ea3248575b82552d0173f018f1eb683"
    hashed_speakers: ClassVar[bool] = False
    official_counts: ClassVar[Mapping[str, int]] = {"train": 450, "valid": 150, "test": 300}
    folder: ClassVar[str] = "speech_commands_fsdd/speech_commands_v0.02"
    words: ClassVar[tuple[str, ...]] = (
        *("eight", "five", "four", "nine", "one", "seven", "six", "three", "two", "zero"),
    )
