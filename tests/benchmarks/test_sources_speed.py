"""Pictures per second on one core of noise, and of dead leaves at the trainer's shape.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_sources_speed.py --benchmark-enable``. No
reference has these shapes; those of the published sizes are in the other files.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import PATTERNS, SOUNDS, note

import generators

WIDE = {"height": 80, "width": 1024}  # the trainer's shape; five times the pixels of 128 x 128

CASES: list[tuple[str, dict[str, Any], int]] = [
    ("noise", {"colour": "white"}, 32),
    ("noise", {"colour": "pink"}, 16),
    ("dead_leaves", {"shape": "square", **WIDE}, 8),
    ("dead_leaves", {"shape": "oriented", **WIDE}, 8),
    ("dead_leaves", {"shape": "mixed", **WIDE}, 8),
]
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize(
    ("name", "fields", "batch"),
    CASES,
    ids=["-".join([name, *map(str, fields.values())]) for name, fields, _ in CASES],
)
def test_items_per_second(benchmark: Any, name: str, fields: dict[str, Any], batch: int) -> None:
    source = generators.create(name, **fields)
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    result = benchmark.pedantic(render, rounds=6, warmup_rounds=1)
    assert len(result) == batch
    if name == "noise":
        note(benchmark, SOUNDS, f"noise, {fields['colour']}", "clip of 10.24 s", batch)
    else:
        note(benchmark, PATTERNS, f"dead_leaves, {fields['shape']}", "80 x 1024", batch)
