"""Recordings: what is read, what is refused, and that the cache survives two writers and a kill."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import generators
from generators.audio import content_hash, read_mono
from generators.drawer import BadData, DataMissing, UsageError


def tone(seconds: float, rate: int = 16000, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Three sound files of 1, 2 and 4 seconds."""
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for name, seconds, hertz in (("a.wav", 1, 300.0), ("deep/b.flac", 2, 500.0), ("c.ogg", 4, 700.0)):
        soundfile.write(folder / name, tone(seconds, hertz=hertz), 16000)
    (folder / "notes.txt").write_text("not a sound")
    return folder


def create(folder: Path, **fields: Any) -> Any:
    fields = {"seconds": 1.0, "cache": folder.parent / "cache", **fields}
    return generators.create("recordings", folder=folder, **fields)


def test_files_are_found_sorted_below_the_folder(sounds: Path) -> None:
    source = create(sounds)
    assert source.decoded.files == ["a.wav", "c.ogg", "deep/b.flac"]
    assert source.decoded.lengths.tolist() == [16000, 64000, 32000]


def test_a_crop_is_the_file_at_the_described_offset(sounds: Path) -> None:
    source = create(sounds, seconds=0.7)
    for index in range(12):
        facts, clip = source.describe(index), source.sample(index).numpy()
        sound, _ = read_mono(sounds / facts["file"])
        start = round(facts["offset_seconds"] * 16000)
        assert np.abs(clip - sound[start : start + len(clip)]).max() <= 0.51 / 32767


def test_the_level_is_left_alone(sounds: Path) -> None:
    assert float(create(sounds).batch(range(10)).abs().max()) < 0.6


def test_stereo_at_another_rate_becomes_mono_at_ours(tmp_path: Path) -> None:
    folder = tmp_path / "stereo"
    folder.mkdir()
    left = tone(3.0, rate=44100)
    soundfile.write(folder / "x.wav", np.stack([left, 0.2 * left], axis=1), 44100, subtype="FLOAT")
    source = create(folder, seconds=3.0)
    assert source.decoded.lengths.tolist() == [48000]
    middle = source.sample(0).numpy()[4000:-4000]
    expected = 0.6 * tone(3.0)[4000:-4000]
    assert np.abs(middle - expected).max() < 1e-3


def test_a_short_file_is_tiled_from_a_random_phase(sounds: Path) -> None:
    (sounds / "c.ogg").unlink()
    (sounds / "deep/b.flac").unlink()
    source = create(sounds, seconds=2.5)
    sound, _ = read_mono(sounds / "a.wav")
    phases = set()
    for index in range(5):
        clip = source.sample(index).numpy()
        phase = round(16000 * source.describe(index)["offset_seconds"])
        expected = np.tile(sound, 4)[phase : phase + len(clip)]
        assert np.abs(clip - expected).max() <= 0.51 / 32767
        phases.add(phase)
    assert len(phases) == 5


def test_a_short_file_is_padded_at_a_random_place(sounds: Path) -> None:
    (sounds / "c.ogg").unlink()
    (sounds / "deep/b.flac").unlink()
    source = create(sounds, seconds=2.5, short="pad")
    for index in range(5):
        clip = source.sample(index)
        place = -round(16000 * source.describe(index)["offset_seconds"])
        assert float(clip[:place].abs().sum() + clip[place + 16000 :].abs().sum()) == 0.0
        assert float(clip[place : place + 16000].abs().max()) > 0.4


@pytest.mark.parametrize(
    ("weighting", "shares"), [("file", (1 / 3, 1 / 3, 1 / 3)), ("duration", (1 / 7, 4 / 7, 2 / 7))]
)
def test_files_are_weighted_as_asked(sounds: Path, weighting: str, shares: tuple[float, ...]) -> None:
    drawn = create(sounds, weighting=weighting).parameters(torch.arange(4000))["file"]
    measured = torch.bincount(drawn, minlength=3) / 4000
    assert torch.allclose(measured, torch.tensor(shares), atol=0.03)


def test_a_manifest_is_relative_to_itself_and_keeps_its_columns(sounds: Path) -> None:
    (sounds / "manifest.csv").write_text("file,label\ndeep/b.flac,high\na.wav,low\n")
    for source in (
        create(sounds),
        generators.create(
            "recordings", manifest=sounds / "manifest.csv", seconds=1.0, cache=sounds.parent / "cache"
        ),
    ):
        assert source.decoded.files == ["a.wav", "deep/b.flac"]
        labels = {source.describe(i)["file"]: source.describe(i)["label"] for i in range(12)}
        assert labels == {"a.wav": "low", "deep/b.flac": "high"}


def test_a_manifest_without_a_file_column_is_refused(sounds: Path) -> None:
    (sounds / "manifest.csv").write_text("path\na.wav\n")
    with pytest.raises(BadData, match="no column 'file'"):
        _ = create(sounds).decoded


@pytest.mark.parametrize("fields", [{"folder": "nowhere"}, {"manifest": "nowhere.csv"}])
def test_a_missing_place_is_an_instruction(tmp_path: Path, fields: dict[str, str]) -> None:
    where = {key: tmp_path / value for key, value in fields.items()}
    with pytest.raises(DataMissing, match=r"Set source\."):
        _ = generators.create("recordings", **where).decoded


def test_a_listed_file_that_is_gone_is_named(sounds: Path) -> None:
    (sounds / "manifest.csv").write_text("file\na.wav\nlost.wav\n")
    with pytest.raises(DataMissing, match=r"lost\.wav"):
        _ = create(sounds).decoded


def test_neither_or_both_of_folder_and_manifest_is_refused(tmp_path: Path) -> None:
    for fields in ({}, {"folder": tmp_path, "manifest": tmp_path / "m.csv"}):
        with pytest.raises(UsageError, match="not both"):
            generators.create("recordings", **fields)


def spoil(folder: Path) -> list[str]:
    """Add one bad file of each sort; their names."""
    soundfile.write(folder / "nan.wav", np.full(4000, np.nan, np.float32), 16000, subtype="FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "silent_zero_samples.wav", np.zeros(0, np.float32), 16000)
    (folder / "garbage.flac").write_bytes(b"this is not a sound" * 50)
    rng = np.random.default_rng(0).uniform(-0.5, 0.5, 40000).astype(np.float32)
    names = ["nan.wav", "empty.wav", "silent_zero_samples.wav", "garbage.flac"]
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff"):
        soundfile.write(folder / f"whole.{suffix}", rng, 16000)
        content = (folder / f"whole.{suffix}").read_bytes()
        (folder / f"whole.{suffix}").unlink()
        (folder / f"truncated.{suffix}").write_bytes(content[: len(content) // 2])
        names.append(f"truncated.{suffix}")
    return names


def test_bad_files_are_counted_named_and_refused(sounds: Path) -> None:
    bad = spoil(sounds)
    with pytest.raises(BadData, match=r"(?s)9 of 12 files .*source\.on_error=skip") as error:
        _ = create(sounds).decoded
    lines = str(error.value).splitlines()
    assert len(lines) == 8  # what, five files, how many more, the cure
    assert all(any(line.startswith(f"  {name} ") for name in bad) for line in lines[1:6])
    assert lines[6] == "  and 4 more"
    assert str(error.value).count("Replace") == 1
    with pytest.raises(BadData, match="9 of 12"):  # from the cache, the same answer
        _ = create(sounds).decoded


def test_bad_files_can_be_skipped_with_one_warning(sounds: Path) -> None:
    spoil(sounds)
    source = create(sounds, on_error="skip")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source.batch(range(4))
        source.batch(range(4))
    assert len([w for w in caught if "9 of 12" in str(w.message)]) == 1
    assert {source.describe(index)["file"] for index in range(40)} == {"a.wav", "c.ogg", "deep/b.flac"}


def test_a_folder_of_bad_files_only_is_refused_even_when_skipping(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(BadData, match="none of the 9 files"):
        _ = create(folder, on_error="skip").decoded


def test_content_hashes_are_those_of_the_decoded_files(sounds: Path) -> None:
    for name, digest in create(sounds).content_hashes:
        assert digest == content_hash(read_mono(sounds / name)[0])


def test_the_same_sound_elsewhere_has_the_same_identity(sounds: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for number, name in enumerate(("a.wav", "c.ogg", "deep/b.flac")):
        suffix = Path(name).suffix
        (other / f"{number}{suffix}").write_bytes((sounds / name).read_bytes())
    here, there = create(sounds), create(other, cache=tmp_path / "elsewhere")
    assert here.identity() == there.identity()
    assert torch.equal(here.batch(range(4)), there.batch(range(4)))
    (other / "0.wav").unlink()
    assert create(other).identity() != here.identity()


def test_a_changed_file_is_decoded_again(sounds: Path) -> None:
    before = create(sounds).identity()
    soundfile.write(sounds / "a.wav", tone(1.5), 16000)
    assert create(sounds).identity() != before


def test_a_second_start_decodes_nothing(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = create(sounds).batch(range(3))

    def refuse(*_: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("generators.real.sound_cache.decode", refuse)
    assert torch.equal(create(sounds).batch(range(3)), first)


def test_a_damaged_cache_says_what_to_delete(sounds: Path) -> None:
    folder = create(sounds).decoded.folder
    (folder / "samples.int16").write_bytes(b"12")
    with pytest.raises(BadData, match="rm -r"):
        _ = create(sounds).decoded


WORKER = """
import sys, generators
source = generators.create("recordings", folder=sys.argv[1], cache=sys.argv[2], seconds=1.0)
print(source.identity()["content"], float(source.batch(range(20)).double().sum()))
"""


def start(folder: Path, cache: Path, code: str = WORKER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(cache)], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_build_one_cache(sounds: Path, tmp_path: Path) -> None:
    cache = tmp_path / "shared"
    workers = [start(sounds, cache) for _ in range(2)]
    answers = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert answers[0] == answers[1] != ""
    assert len(list((cache / "recordings").glob("*/index.npz"))) == 1
    assert list((cache / "recordings").glob("*.part")) == []


SLOW_WORKER = """
import time, generators.real.sound_cache as sound_cache
decode = sound_cache.decode
def slow(path, rate):
    if path.name != "a.wav":
        print("reading", flush=True)
        time.sleep(60)
    return decode(path, rate)
sound_cache.decode = slow
"""


def test_a_kill_while_decoding_leaves_no_half_cache(sounds: Path, tmp_path: Path) -> None:
    cache = tmp_path / "killed"
    worker = start(sounds, cache, SLOW_WORKER + WORKER)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "reading\n"  # one file is written, the second is being read
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert list((cache / "recordings").glob("*/index.npz")) == []
    assert len(list((cache / "recordings").glob("*.part"))) == 1
    begin = time.monotonic()
    assert create(sounds, cache=cache).decoded.lengths.tolist() == [16000, 64000, 32000]
    assert time.monotonic() - begin < 30  # the dead process's lock does not hold
    assert list((cache / "recordings").glob("*.part")) == []
