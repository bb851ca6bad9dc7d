"""Clips of 10.24 s a second on one core, for every sound of the alphabet and what is made of them.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_alphabet_speed.py --benchmark-enable``. The
reference is AudioPG's waveform path (specification, section 8.1, CPU time); the bar of the alphabet's
sounds is 100 clips/s. Time is the process's, so that other work on the machine counts less.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

import generators

REFERENCE = 121.0  # clips a second of AudioPG's released waveform path
BATCH = 32
BARS = {
    **dict.fromkeys(("plucked", "struck", "sweeps", "grains", "textures", "formants"), 100.0),
    **dict.fromkeys(("rooms", "scenes"), None),  # made of other sounds
}


@pytest.mark.parametrize("name", BARS)
def test_clips_per_second(benchmark: Any, name: str) -> None:
    torch.set_num_threads(1)
    source = generators.create(name)
    start, seconds = iter(range(0, 10**9, BATCH)), []

    def render() -> torch.Tensor:
        first, before = next(start), time.process_time()
        clips = source.batch(range(first, first + BATCH))
        seconds.append(time.process_time() - before)
        return clips

    result = benchmark.pedantic(render, rounds=7, warmup_rounds=1)
    assert len(result) == BATCH
    if benchmark.stats is not None:  # None where benchmarks are disabled
        rate = BATCH / sorted(seconds[1:])[len(seconds[1:]) // 2]
        benchmark.extra_info["clips_per_cpu_second"] = round(rate, 1)
        benchmark.extra_info["bar"] = BARS[name]
        benchmark.extra_info["ratio"] = round(rate / REFERENCE, 2)
        told = "" if BARS[name] is None else f", bar {BARS[name]:.0f}"
        print(f"\n{name}: {rate:.0f}/s{told}; {rate / REFERENCE:.2f} x AudioPG's released path")
