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
from benchmark_table import PATTERNS, note

import generators

PLAIN = {"colour": False, "background": False, "p_blur": 0.0}  # what the reference figure is of

# source, fields, batch, what is special, items per second of the reference and asked of ours
CASES: list[tuple[str, dict[str, Any], int, str, float | None, float | None]] = [
    ("fractal_db", {"height": 362, "width": 362, "categories": 16}, 16, "patch_gray", 0.28, 56.0),
    (
        "fractal_db",
        {"height": 362, "width": 362, "categories": 16, "drawing": "point_gray"},
        16,
        "point_gray",
        6.38,
        None,
    ),
    ("contractive_fractals", {"height": 224, "width": 224, **PLAIN}, 32, "graded patch", 158.0, 158.0),
    ("contractive_fractals", {"height": 224, "width": 224}, 32, "colour on clouds", None, None),
    ("visual_atom", {"height": 512, "width": 512}, 64, "", 9.7, 97.0),
    ("rcdb", {"height": 512, "width": 512}, 64, "", 87.0, 261.0),
    ("julia", {"height": 80, "width": 208}, 32, "", None, 50.0),
]
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize(
    ("name", "fields", "batch", "kind", "reference", "bar"),
    CASES,
    ids=["-".join([name, *map(str, fields.values())]) for name, fields, *_ in CASES],
)
def test_items_per_second(
    benchmark: Any,
    name: str,
    fields: dict[str, Any],
    batch: int,
    kind: str,
    reference: float | None,
    bar: float | None,
) -> None:
    source = generators.create(name, **fields)
    source.parameters(torch.arange(400))  # every category is searched before the clock starts
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    result = benchmark.pedantic(render, rounds=7, warmup_rounds=1)
    assert len(result) == batch
    item = f"{fields['height']} x {fields['width']} {kind}".rstrip()
    note(benchmark, PATTERNS, name, item, batch, reference=reference, bar=bar)
