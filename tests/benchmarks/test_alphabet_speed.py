"""Clips of 10.24 s a second on one core, for every sound of the alphabet and what is made of them.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_alphabet_speed.py --benchmark-enable``. The
bar of the alphabet's sounds, rooms among them, is 100 clips/s. Time is the process's, so that other
work on the machine counts less.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import SOUNDS, note

import generators

BATCH = 32
BARS = {
    **dict.fromkeys(("plucked", "struck", "sweeps", "grains", "textures", "formants", "rooms"), 100.0),
    "scenes": None,  # made of other sounds
}
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize("name", BARS)
def test_clips_per_second(benchmark: Any, name: str) -> None:
    source = generators.create(name)
    start = iter(range(0, 10**9, BATCH))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + BATCH))

    result = benchmark.pedantic(render, rounds=7, warmup_rounds=1)
    assert len(result) == BATCH
    note(benchmark, SOUNDS, name, "clip of 10.24 s", BATCH, bar=BARS[name])
