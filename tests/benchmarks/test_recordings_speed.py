"""Recordings on one core: files decoded, clips read from the cache, AudioSet's list opened.

Run with ``OMP_NUM_THREADS=1 SOURCEBENCH_DATA=... pytest tests/benchmarks/test_recordings_speed.py
--benchmark-enable``. Times are of the processor, so that a busy machine does not count; the bars are
150 files/s decoded and resampled, 5 000 clips/s from the cache, 5 s for two million rows.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from benchmark_table import RECORDINGS, note

import generators
from generators.real.decoding import Crop, decode, decode_crop
from generators.real.segments import read_segments

ROWS = 2_000_000
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.fixture
def files() -> list[Path]:
    """100 clips of ESC-50: 5 s of Ogg Vorbis at 16 kHz, as the collection here has them."""
    root = os.environ.get("SOURCEBENCH_DATA")
    if root is None:
        pytest.skip("set SOURCEBENCH_DATA to the folder that holds ESC-50-master")
    return sorted((Path(root) / "ESC-50-master" / "audio").iterdir())[::20]


@pytest.mark.parametrize("rate", [16000, 22050, 32000])
def test_files_decoded_whole_hashed_and_resampled(benchmark: Any, files: list[Path], rate: int) -> None:
    sounds = benchmark.pedantic(
        lambda: [decode(path, rate) for path in files], rounds=5, warmup_rounds=1
    )
    assert all(len(sound.pcm) == 5 * rate for sound in sounds)
    note(benchmark, RECORDINGS, "files decoded", f"5 s Ogg Vorbis to {rate} Hz", len(files), bar=150.0)


def test_clips_of_44_khz_stereo_flac(benchmark: Any, tmp_path: Path) -> None:
    """Ten seconds, as AudioSet's clips often lie on disk; there is no reference."""
    paths = [tmp_path / f"{number}.flac" for number in range(10)]
    for number, path in enumerate(paths):
        noise = np.random.default_rng(number).standard_normal((441000, 2)).cumsum(axis=0)
        soundfile.write(path, (noise / np.abs(noise).max()).astype(np.float32), 44100)
    crop = Crop(rate=16000, samples=163840, place=0.5, short="tile")
    benchmark.pedantic(lambda: [decode_crop(path, crop) for path in paths], rounds=5, warmup_rounds=1)
    note(benchmark, RECORDINGS, "files decoded", "10 s FLAC, 44.1 kHz stereo", len(paths))


@pytest.mark.parametrize(("seconds", "batch"), [(5.0, 64), (10.24, 16), (10.24, 64)])
def test_clips_from_the_cache(benchmark: Any, tmp_path: Path, seconds: float, batch: int) -> None:
    (tmp_path / "sounds").mkdir()
    for number in range(40):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 16000 * 12)
        soundfile.write(tmp_path / "sounds" / f"{number}.wav", noise.astype(np.float32), 16000)
    source = generators.create(
        "recordings", folder=tmp_path / "sounds", seconds=seconds, cache=tmp_path / "cache"
    )
    start = iter(range(0, 10**9, batch))

    def read() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    clips = benchmark.pedantic(read, rounds=30, warmup_rounds=5)
    assert clips.shape == (batch, round(16000 * seconds))
    note(benchmark, RECORDINGS, "cache", f"clip of {seconds} s, {batch} a batch", batch, bar=5000.0)


def test_two_million_rows_of_audioset(benchmark: Any, tmp_path: Path) -> None:
    row = b'--4gqARaEJE, 30.000, 40.000, "/m/068hy,/m/07q6cd_,/m/0bt9lr"\n'
    header = b"# YTID, start_seconds, end_seconds, positive_labels\n"
    rows = ROWS if benchmark.enabled else 1000
    (tmp_path / "list.csv").write_bytes(header + row * rows)
    segments = benchmark.pedantic(
        lambda: read_segments((tmp_path / "list.csv",)), rounds=3, warmup_rounds=1
    )
    assert len(segments) == rows
    note(benchmark, RECORDINGS, "AudioSet's list", "row", ROWS, bar=ROWS / 5.0)
