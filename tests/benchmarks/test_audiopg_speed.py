"""AudioPG's clips and the sums of sines they are made of, per second on one core.

``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_audiopg_speed.py --benchmark-enable``. Reference
figures: specification, section 8.1, CPU time; the bars are 3 and 1.8 times those. Processor time is
measured, because the clock on the wall also counts what else the machine does. The reference's recipe
is measured too: on another machine, or a busy one, compare with what it does there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from benchmark_table import RECIPE, SOUNDS, note

import generators
from generators import dsp
from suite.frontend import FrontEnd

EVERY_KIND = ("harmonic", "fm", "square", "saw", "triangle", "white_noise", "pink_noise", "brown_noise")

# name, source, fields, with filter banks, the reference's clips per second, bar
CASES: list[tuple[str, str, dict[str, Any], bool, float | None, float]] = [
    ("faithful", "audiopg", {}, False, 127.0, 381.0),
    ("faithful-with-filter-banks", "audiopg", {}, True, 80.0, 144.0),
    ("clean", "audiopg_clean", {}, False, None, 100.0),
    ("every-kind", "audiopg", dict.fromkeys(EVERY_KIND, 1.0), False, None, 100.0),
    ("timbre-per-event", "audiopg", {"timbre_per_event": True}, False, None, 100.0),
]


pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


def measure(benchmark: Any, work: Callable[[], Any], rounds: int) -> Any:
    """Run ``work`` after two rounds of warming up."""
    return benchmark.pedantic(work, rounds=rounds, warmup_rounds=2)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_clips_per_second(benchmark: Any, case: tuple[Any, ...]) -> None:
    _, name, fields, banks, reference, bar = case
    source = generators.create(name, **fields)
    frontend = FrontEnd(family="kaldi", bands=128, frames=1024)
    start = iter(range(0, 10**9, 32))

    def render() -> torch.Tensor:
        first = next(start)
        clips = source.batch(range(first, first + 32))
        return frontend.log_mel(clips) if banks else clips

    assert len(measure(benchmark, render, 7)) == 32
    item = "clip of 10.24 s" + (" to filter banks" if banks else "")
    told = name if case[0].startswith("faithful") else f"{name}, {case[0]}"
    note(benchmark, SOUNDS, told, item, 32, reference=reference, bar=bar)


def recipe(rng: np.random.Generator) -> np.ndarray:
    """One clip as section 1.2 describes the released code: numpy in float64, one clip at a time."""
    rate, n = 16000, 163840
    time, f0, mode = np.linspace(0, 10.24, n, endpoint=False), rng.uniform(50, 2000), rng.integers(3)
    if mode == 0:
        base = np.zeros(n)
        for i in range(rng.integers(3, 16)):
            amplitude = (i + 1) ** -rng.uniform(0.5, 1.5) * rng.uniform(0.5, 1.2)
            frequency = f0 * (i + 1) * rng.uniform(0.995, 1.005)
            base += amplitude * np.sin(2 * np.pi * frequency * time + rng.uniform(0, 2 * np.pi))
    elif mode == 1:
        swing = rng.uniform(0.5, 8) * np.sin(2 * np.pi * f0 * rng.uniform(0.5, 3.14) * time)
        base = np.sin(2 * np.pi * f0 * time + swing)
    elif rng.random() < 0.5:
        base = 2 * (time * f0 - np.floor(time * f0 + 0.5))
    else:
        base = np.sign(np.sin(2 * np.pi * f0 * time))
    if rng.random() < 0.6:
        burst = rng.uniform(-1, 1, int(rng.uniform(0.01, 0.1) * rate)) * rng.uniform(0.5, 2)
        start = rng.integers(n - len(burst) + 1)
        base[start : start + len(burst)] += burst
    out, events = np.zeros(n), rng.integers(1, 6)
    for _ in range(events):
        length = int(rng.uniform(0.5, 10.24 / events) * rate)
        attack, decay = int(length * rng.uniform(0.01, 0.3)), int(length * rng.uniform(0.1, 0.4))
        lines = [np.linspace(0, 1, attack), np.linspace(1, 0.6, decay)]
        gain = np.concatenate([*lines, np.linspace(0.6, 0, length - attack - decay)])
        origin, place = rng.integers(n - length + 1, size=2)
        out[place : place + length] += base[origin : origin + length] * gain
    out = out.astype(np.float32)
    if rng.random() < 0.7:
        angle = 2 * np.pi * rng.uniform(200, 6000) / rate
        alpha, cosine = np.sin(angle) / (2 * 0.707), np.cos(angle)
        b = np.array([(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2], dtype=np.float32)
        a = np.array([1 + alpha, -2 * cosine, 1 - alpha], dtype=np.float32)
        out = scipy.signal.lfilter(b, a, out).clip(-1, 1)
    out = out + (rng.random(n, dtype=np.float32) * 2 - 1) * np.float32(rng.uniform(0.001, 0.02))
    return out / np.abs(out).max()


def test_the_recipe_of_the_reference_per_second(benchmark: Any) -> None:
    rng = np.random.default_rng(0)
    clips = measure(benchmark, lambda: [recipe(rng) for _ in range(32)], 7)
    assert all(len(clip) == 163840 for clip in clips)
    note(benchmark, SOUNDS, RECIPE, "clip of 10.24 s", 32, reference=127.0)


def test_sums_of_15_sines_per_second(benchmark: Any) -> None:
    """One clip of 10.24 s at a time into the same memory, as a renderer calls it."""
    generator = torch.Generator().manual_seed(0)
    random = torch.rand(3, 1, 15, generator=generator, dtype=torch.float64)
    step, amplitude, offset = random[0] * 0.5, random[1] + 0.5, random[2]
    out = torch.empty(1, 320, dsp.ROW)

    def work() -> torch.Tensor:
        for _ in range(100):
            dsp.sum_of_sines(step, amplitude, offset, 320, out)
        return out

    assert measure(benchmark, work, 9).abs().max() <= amplitude.sum()
    note(benchmark, SOUNDS, "sum of 15 sines", "clip of 10.24 s", 100, bar=1500.0)
