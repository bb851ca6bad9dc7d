"""Pictures per CPU second of dead leaves and statistical images, beside the reference.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_statistical_speed.py --benchmark-enable``. The
reference figures are those of the specification, section 8.1 (CPU time), the bars multiples of them.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import PATTERNS, note

import generators

# source, side, batch, items per second of the reference, how many times that is wanted (None: no bar)
CASES: list[tuple[str, int, int, float | None, float | None]] = [
    ("dead_leaves", 128, 32, 3.31, 40),
    ("dead_leaves", 224, 16, 1.21, 40),
    ("dead_leaves", 256, 16, 0.95, 40),
    ("dead_leaves_oriented", 128, 32, 3.01, 40),
    ("dead_leaves_oriented", 224, 16, 0.95, 40),
    ("dead_leaves_oriented", 256, 16, 0.75, 40),
    ("dead_leaves_mixed", 128, 32, 2.87, 40),
    ("dead_leaves_mixed", 224, 16, 0.94, 40),
    ("dead_leaves_mixed", 256, 16, 0.68, 40),
    ("dead_leaves_textured", 128, 32, 2.87, 40),
    ("dead_leaves_textured", 224, 16, 0.94, 40),
    ("dead_leaves_textured", 256, 16, 0.68, 40),
    ("spectrum", 128, 32, 36.5, 20),
    ("spectrum", 256, 16, 7.3, 20),
    ("wmm", 128, 4, 3.51, 5),
    ("wmm", 256, 2, 0.91, None),
    ("spectrum_colour", 128, 16, 27.5, None),
    ("spectrum_colour", 256, 8, 6.1, None),
    ("spectrum_wmm", 128, 4, None, None),
    ("spectrum_colour_wmm", 128, 4, 3.14, 5),
    ("spectrum_colour_wmm", 256, 2, 0.77, None),
]
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize(
    ("name", "side", "batch", "reference", "wanted"),
    CASES,
    ids=[f"{name}-{side}" for name, side, _, _, _ in CASES],
)
def test_pictures_per_second(
    benchmark: Any, name: str, side: int, batch: int, reference: float | None, wanted: float | None
) -> None:
    if benchmark.disabled:
        side, batch = 32, 2  # only that it runs
    size = {"height": side, "width": side}
    if name.startswith("dead_leaves"):
        size["side"] = side
    source = generators.create(name, **size)
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        return source.batch(torch.arange(batch) + next(start))

    result = benchmark.pedantic(render, rounds=6, warmup_rounds=1)
    assert result.shape == (batch, side, side)
    bar = None if reference is None or wanted is None else wanted * reference
    note(benchmark, PATTERNS, name, f"{side} x {side}", batch, reference=reference, bar=bar)
