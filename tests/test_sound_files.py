"""Every format, every layout, and decoding ahead in other processes: the same bits as from the cache.

.venv/bin/python -m pytest tests/test_sound_files.py
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

import generators
from generators.drawer import BadData, DataMissing, UsageError
from generators.real import decoding, readers
from generators.real.decoding import Crop, decode, decode_crop, resampled_length
from generators.real.formats import SUFFIXES_OF, suffixes
from generators.real.listing import list_files


def sound(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Noise with a slow swell: every place in it is different."""
    count = round(seconds * rate)
    swell = 0.4 + 0.3 * np.sin(np.arange(count) / (rate / 3))
    return (swell * np.random.default_rng(seed).uniform(-1, 1, count)).astype(np.float32)


def create(folder: Path, **fields: Any) -> Any:
    fields = {"seconds": 0.5, "cache": folder.parent / "cache", **fields}
    return generators.create("recordings", folder=folder, **fields)


# ---------------------------------------------------------------------------------------------------
# Formats

WRITTEN = [
    (name, suffix)
    for name in soundfile.available_formats()
    for suffix in SUFFIXES_OF.get(name, (f".{name.lower()}",))
]


@pytest.mark.parametrize(("name", "suffix"), WRITTEN, ids=[f"{n}{s}" for n, s in WRITTEN])
def test_every_format_with_a_suffix_is_found_and_decoded(
    tmp_path: Path, name: str, suffix: str
) -> None:
    rate = 8000 if name == "WVE" else 16000
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.float32)
    folder = tmp_path / "sounds"
    folder.mkdir()
    opus = {"subtype": "OPUS"} if suffix == ".opus" else {}
    subtype = opus or ({"subtype": "PCM_16"} if soundfile.default_subtype(name) is None else {})
    soundfile.write(folder / f"tone{suffix.upper()}", tone, rate, format=name, **subtype)
    own_rate = soundfile.info(folder / f"tone{suffix.upper()}").samplerate  # some formats have only one
    source = create(folder, seconds=1.0)
    assert source.files.names() == [f"tone{suffix.upper()}"]
    spectrum = np.abs(np.fft.rfft(source.sample(0).numpy() * np.hanning(16000)))
    assert abs(spectrum.argmax() - 440 * own_rate / rate) <= 1


def test_headerless_files_and_hidden_ones_are_no_sounds(tmp_path: Path) -> None:
    for name in ("a.wav", "._a.wav", "b.raw", "c.txt", ".hidden/d.wav", "e.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list_files(tmp_path, None, 16000).files == ["a.wav"]
    assert ".raw" not in suffixes()


# ---------------------------------------------------------------------------------------------------
# Layouts


@pytest.fixture
def esc(tmp_path: Path) -> Path:
    """Ten clips in five folds as ESC-50 has them, listed as .wav and stored as .flac."""
    base = tmp_path / "ESC"
    (base / "audio").mkdir(parents=True)
    (base / "meta").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(10):
        stem = f"{number % 5 + 1}-{1000 + number}-A-{number}"
        soundfile.write(base / "audio" / f"{stem}.flac", sound(0.6, seed=number), 16000)
        lines.append(f"{stem}.wav,{number % 5 + 1},{number},c{number},False,{1000 + number},A")
    (base / "meta" / "esc50.csv").write_text("\n".join(lines))
    return base


def test_folds_of_an_esc_layout(esc: Path) -> None:
    source = create(esc, folds=(1, "3"))
    assert source.files.names() == [f"audio/{n % 5 + 1}-{1000 + n}-A-{n}.flac" for n in (0, 5, 2, 7)]
    described = [source.describe(index) for index in range(20)]
    assert {each["fold"] for each in described} == {"1", "3"}
    assert all(each["file"].split("-")[1] == each["src_file"] for each in described)
    assert len(create(esc).files) == 10


def test_an_unknown_fold_is_answered_with_the_known_ones(esc: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no fold '6'.* Known: 1, 2, 3, 4, 5"):
        _ = create(esc, folds=(6,)).files
    soundfile.write(tmp_path / "a.wav", sound(0.6), 16000)
    with pytest.raises(UsageError, match="has no folds"):
        _ = create(tmp_path, folds=(1,)).files


def test_a_clip_that_the_esc_table_lists_in_vain_is_named(esc: Path) -> None:
    (esc / "audio" / "1-1000-A-0.flac").unlink()
    with pytest.raises(DataMissing, match=r"lists 1-1000-A-0\.wav"):
        _ = create(esc).files


@pytest.mark.parametrize(("wanted", "taken"), [(16000, 22050), (22050, 22050), (48000, 48000)])
def test_of_a_hear_task_one_sample_rate_is_read(tmp_path: Path, wanted: int, taken: int) -> None:
    base = tmp_path / "task"
    for rate in (8000, 22050, 48000):
        for split in ("train", "test"):
            (base / str(rate) / split).mkdir(parents=True)
            soundfile.write(base / str(rate) / split / "x.wav", sound(0.6, rate), rate)
    (base / "task_metadata.json").write_text(json.dumps({"splits": ["train", "test"]}))
    files = create(base, sample_rate=wanted).files
    assert files.names() == [f"{taken}/test/x.wav", f"{taken}/train/x.wav"]
    assert create(base, sample_rate=wanted, folds=("train",)).files.names() == [f"{taken}/train/x.wav"]


def test_a_manifest_with_a_row_cut_short_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,label\na.wav,x\nb.wav\n")
    with pytest.raises(BadData, match=r"line 3 has no value for column 'label'"):
        _ = create(tmp_path).files


# ---------------------------------------------------------------------------------------------------
# Crops of files

OWN_RATES = (16000, 44100, 48000, 22050, 11025, 8000)


@pytest.mark.parametrize("own_rate", OWN_RATES)
def test_the_resampled_length_is_known_beforehand(own_rate: int) -> None:
    for samples in [*range(1, 40), 441, 442, 443, 999, 44101]:
        made = soxr.resample(np.zeros(samples, np.float32), own_rate, 16000, quality="VHQ")
        assert resampled_length(samples, own_rate, 16000) == len(made), samples


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus", ".w64"])
@pytest.mark.parametrize("own_rate", [16000, 44100])
def test_a_part_of_a_long_file_has_the_bits_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, own_rate: int
) -> None:
    monkeypatch.setattr(decoding, "SMALL", 0)
    own_rate = 48000 if suffix == ".opus" and own_rate == 44100 else own_rate
    path = tmp_path / f"long{suffix}"
    coding = {"format": "OGG", "subtype": "OPUS"} if suffix == ".opus" else {}
    stereo = np.stack([sound(5, own_rate), sound(5, own_rate, seed=1)], axis=1)
    soundfile.write(path, stereo, own_rate, **coding)
    whole = decode(path, 16000).pcm
    read_whole = []
    monkeypatch.setattr(decoding, "decode", lambda *a: read_whole.append(1) or decode(*a))
    for place in (0.0, 0.1, 0.5, 0.777, 0.999999):
        crop = Crop(rate=16000, samples=16000, place=place, short="tile")
        start = int(place * (len(whole) - 16000 + 1))
        assert np.array_equal(decode_crop(path, crop).pcm, whole[start : start + 16000])
    assert bool(read_whole) == (suffix in (".mp3", ".opus"))  # the others jump


def test_a_long_file_that_is_cut_off_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "SMALL", 0)
    crop = Crop(rate=16000, samples=16000, place=0.9, short="tile")
    for suffix in (".wav", ".flac", ".ogg"):
        path = tmp_path / f"cut{suffix}"
        soundfile.write(path, sound(8), 16000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(BadData, match=rf"cut\{suffix}"):
            decode_crop(path, crop)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Twelve files of different formats, rates, channels and lengths around that of a clip."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    kinds = [(".wav", 44100, 2), (".flac", 48000, 1), (".ogg", 16000, 1), (".mp3", 22050, 2)]
    for number in range(12):
        suffix, rate, channels = kinds[number % 4]
        one = sound(0.2 + 0.15 * number, rate, seed=number)
        soundfile.write(folder / f"{number:02d}{suffix}", np.stack([one] * channels, axis=1), rate)
    return folder


@pytest.mark.parametrize("short", ["tile", "pad"])
@pytest.mark.parametrize("weighting", ["file", "duration"])
def test_decoded_ahead_or_once_the_bits_are_the_same(mixed: Path, short: str, weighting: str) -> None:
    once = create(mixed, short=short, weighting=weighting)
    ahead = create(mixed, short=short, weighting=weighting, decode="ahead", workers=2)
    expected = once.batch(range(40))
    ahead.expect(range(20))
    assert torch.equal(ahead.batch(range(40)), expected)  # half of them expected
    order = torch.randperm(40)
    ahead.expect(order)
    ahead.expect(order)  # again: nothing new
    assert torch.equal(ahead.batch(order), expected[order])
    assert [ahead.describe(i) for i in range(12)] == [once.describe(i) for i in range(12)]


def test_readers_go_with_their_source(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    begin = readers.start
    monkeypatch.setattr(readers, "start", lambda: children.append(begin()) or children[-1])
    source = create(mixed, decode="ahead", workers=2)
    source.expect(range(20))
    source.batch(range(20))
    assert len(children) == 2
    assert all(child.poll() is None for child in children)
    del source
    gc.collect()
    assert [child.wait(timeout=30) for child in children] == [0, 0]


ORPHAN = """
import os, sys, generators
from generators.real import readers
begin = readers.start
readers.start = lambda: (child := begin(), print(child.pid, flush=True))[0]
source = generators.create("recordings", folder=sys.argv[1], seconds=0.5, decode="ahead", workers=2)
source.expect(range(8))
source.batch(range(8))
print("ready", flush=True)
sys.stdin.read()
"""


def test_readers_end_when_their_process_is_killed(mixed: Path) -> None:
    command = [sys.executable, "-c", ORPHAN, str(mixed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        said = [worker.stdout.readline().strip() for _ in range(3)]
        children = [int(word) for word in said if word != "ready"]
        assert len(children) == 2
        worker.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}/cmdline").exists() and alive(child) for child in children):
        assert time.monotonic() < deadline, "a reader outlived the process that started it"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_file_that_ends_its_reader_is_named_and_the_next_one_is_read(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, generators.real.readers as readers\n"
        "respond = readers.respond\n"
        "def fatal(request):\n"
        "    os._exit(3) if request['path'].endswith('05.flac') else None\n"
        "    return respond(request)\n"
        "readers.respond = fatal\n"
        "readers.serve()\n"
    )
    monkeypatch.setattr(readers, "CODE", code)
    source = create(mixed, decode="ahead", workers=1)
    drawn = source.parameters(torch.arange(40))["file"].tolist()
    fatal, harmless = drawn.index(5), drawn.index(6)
    source.expect([fatal])
    with pytest.raises(BadData, match=r"05\.flac ended the process that decoded it \(exit status 3\)"):
        source.sample(fatal)
    source.expect([harmless])
    assert torch.equal(source.sample(harmless), create(mixed).sample(harmless))


# ---------------------------------------------------------------------------------------------------
# Broken files in the middle


def break_some(folder: Path) -> list[str]:
    """Spoil three of the files, two of them neighbours; their names."""
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[3]).write_bytes(b"not a sound" * 1000)
    (folder / names[4]).write_bytes((folder / names[4]).read_bytes()[:2000])
    (folder / names[11]).write_bytes(b"")
    return [names[3], names[4], names[11]]


def test_the_next_usable_file_stands_in_for_broken_ones(mixed: Path) -> None:
    whole = create(mixed)
    drawn = whole.parameters(torch.arange(40))["file"].tolist()
    bad = break_some(mixed)
    with pytest.warns(UserWarning, match="3 of 12 files"):
        once = create(mixed, on_error="skip").batch(range(40))
    ahead = create(mixed, on_error="skip", decode="ahead", workers=2)
    ahead.expect(range(40))
    with pytest.warns(UserWarning, match="The next file stands in for it"):
        assert torch.equal(ahead.batch(range(40)), once)
    assert set(ahead.facts()["unusable"]) == set(bad)
    assert {3, 4, 11} <= set(drawn)
    for index, number in enumerate(drawn):
        expected = {3: 5, 4: 5, 11: 0}.get(number, number)
        assert ahead.describe(index)["file"] == whole.files.name(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ahead.batch(range(40))  # one warning is enough


def test_a_broken_file_is_refused_by_name_when_it_is_met(mixed: Path) -> None:
    bad = break_some(mixed)
    source = create(mixed, decode="ahead", workers=1)
    drawn = source.parameters(torch.arange(40))["file"].tolist()
    good = [index for index, number in enumerate(drawn) if number not in (3, 4, 11)]
    broken = drawn.index(3)
    source.expect([*good, broken])
    assert source.batch(good).shape == (len(good), 8000)
    with pytest.raises(BadData, match=rf"{bad[0]} cannot be decoded .*source\.on_error=skip"):
        source.sample(broken)


def test_a_file_that_disappears_meanwhile_is_a_broken_one(mixed: Path) -> None:
    source = create(mixed, decode="ahead", on_error="skip")
    assert len(source.files) == 12
    (mixed / "00.wav").unlink()
    drawn = source.parameters(torch.arange(40))["file"].tolist()
    with pytest.warns(UserWarning, match=r"00\.wav is not there any more"):
        assert source.describe(drawn.index(0))["file"] == "01.flac"


def test_nothing_usable_is_refused_even_when_skipping(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(b"not a sound")
    source = create(folder, decode="ahead", on_error="skip")
    with (
        pytest.warns(UserWarning, match="stands in"),
        pytest.raises(BadData, match="none of the 2 files"),
    ):
        source.sample(0)


# ---------------------------------------------------------------------------------------------------
# The cache


def test_a_killed_build_goes_on_where_it_was(mixed: Path) -> None:
    code = (
        "import sys, generators, generators.real.sound_cache as sound_cache\n"
        "decode = sound_cache.decode\n"
        "def slow(path, rate):\n"
        "    if path.name.startswith('06'):\n"
        "        print('there', flush=True)\n"
        "        sys.stdin.read()\n"
        "    return decode(path, rate)\n"
        "sound_cache.decode = slow\n"
        "generators.create('recordings', folder=sys.argv[1], cache=sys.argv[2]).decoded\n"
    )
    cache = mixed.parent / "cache"
    command = [sys.executable, "-c", code, str(mixed), str(cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "there\n"
        worker.kill()
    (part,) = (cache / "recordings").glob("*.part")
    assert len((part / "journal.jsonl").read_text().splitlines()) == 6
    with (part / "samples.int16").open("ab") as file:
        file.write(b"half a file that no line vouches for")
    with (part / "journal.jsonl").open("a") as file:
        file.write('{"fault": "", "sha')
    decoded: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "generators.real.sound_cache.decode",
            lambda path, rate: decoded.append(path.name) or decode(path, rate),
        )
        continued = create(mixed).decoded
    assert (
        decoded
        == [f"{number:02d}{path.suffix}" for number, path in enumerate(sorted(mixed.iterdir()))][6:]
    )
    fresh = create(mixed, cache=mixed.parent / "fresh").decoded
    assert continued.hashes == fresh.hashes
    assert np.array_equal(continued.samples, fresh.samples)
    assert sorted(path.name for path in continued.folder.iterdir()) == ["index.npz", "samples.int16"]


def test_many_files_are_decoded_by_processes_in_order(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_some(mixed)
    with pytest.warns(UserWarning, match="3 of 12 files"):
        here = create(mixed, on_error="skip").decoded
    monkeypatch.setattr("generators.real.sound_cache.FEW", 0)
    with pytest.warns(UserWarning, match="3 of 12 files"):
        there = create(mixed, on_error="skip", cache=mixed.parent / "other", workers=2).decoded
    assert (here.hashes, here.faults) == (there.hashes, there.faults)
    assert np.array_equal(here.samples, there.samples)


@pytest.mark.skipif("SOURCEBENCH_DATA" not in os.environ, reason="set SOURCEBENCH_DATA")
def test_real_recordings_ahead_have_the_bits_of_the_cache(tmp_path: Path) -> None:
    folder = Path(os.environ["SOURCEBENCH_DATA"]) / "hear/tasks/ravdess_emotion-v1-mini"
    fields = {"folder": folder, "cache": tmp_path, "folds": ("fold02",), "seconds": 2.0}
    once = generators.create("recordings", **fields)
    ahead = generators.create("recordings", **fields, decode="ahead", workers=1)
    assert len(once.files) == 120
    ahead.expect(range(30))
    assert torch.equal(once.batch(range(30)), ahead.batch(range(30)))
