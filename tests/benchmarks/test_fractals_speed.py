"""Fractals, contours and Julia sets per second on one core, beside the reference figures.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_fractals_speed.py --benchmark-enable``. CPU
time, as the reference figures of the specification's section 8.1 are. A category of FractalDB costs
its search once; here every category is known before the clock starts.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

import generators

PLAIN = {"colour": False, "background": False, "p_blur": 0.0}  # what the reference figure is of

# source, fields, batch, items per second of the reference (None: no reference)
CASES: list[tuple[str, dict[str, Any], int, float | None]] = [
    ("fractal_db", {"height": 362, "width": 362, "categories": 16}, 16, 0.28),
    (
        "fractal_db",
        {"height": 362, "width": 362, "categories": 16, "drawing": "point_gray"},
        16,
        6.38,
    ),
    ("contractive_fractals", {"height": 224, "width": 224, **PLAIN}, 32, 158.0),
    ("contractive_fractals", {"height": 224, "width": 224}, 32, None),
    ("visual_atom", {"height": 512, "width": 512}, 64, 9.7),
    ("rcdb", {"height": 512, "width": 512}, 64, 87.0),
    ("julia", {"height": 80, "width": 208}, 32, None),
]


@pytest.mark.parametrize(
    ("name", "fields", "batch", "reference"),
    CASES,
    ids=["-".join([name, *map(str, fields.values())]) for name, fields, _, _ in CASES],
)
def test_items_per_second(
    benchmark: Any, name: str, fields: dict[str, Any], batch: int, reference: float | None
) -> None:
    torch.set_num_threads(1)
    source = generators.create(name, **fields)
    source.parameters(torch.arange(400))
    start = iter(range(0, 10**9, batch))
    seconds: list[float] = []

    def render() -> torch.Tensor:
        first, before = next(start), time.process_time()
        pictures = source.batch(range(first, first + batch))
        seconds.append(time.process_time() - before)
        return pictures

    result = benchmark.pedantic(render, rounds=7, warmup_rounds=1)
    assert len(result) == batch
    if benchmark.stats is not None:  # None where benchmarks are disabled
        rate = batch / sorted(seconds[1:])[len(seconds[1:]) // 2]
        benchmark.extra_info["items_per_cpu_second"] = round(rate, 1)
        told = f"\n{name} {fields}: {rate:.0f} per CPU second"
        if reference is not None:
            benchmark.extra_info["reference_items_per_second"] = reference
            benchmark.extra_info["ratio"] = round(rate / reference, 1)
            told += f", {rate / reference:.1f} x the reference"
        print(told)
