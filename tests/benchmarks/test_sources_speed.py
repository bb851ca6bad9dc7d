"""Items per second of every source on one core, beside the reference figures of the specification.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_sources_speed.py --benchmark-enable``; the
ratio to the reference (specification, section 8.1, CPU time) is in the saved ``extra_info``.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import generators

WIDE = {"height": 80, "width": 1024}  # the trainer's shape; five times the pixels of 128 x 128

# source, fields, batch, items per second of the reference (None: no reference)
CASES: list[tuple[str, dict[str, Any], int, float | None]] = [
    ("audiopg", {}, 32, 121.0),
    ("noise", {"colour": "white"}, 32, None),
    ("noise", {"colour": "pink"}, 16, None),
    ("dead_leaves", {"shape": "square"}, 32, 3.31),
    ("dead_leaves", {"shape": "oriented"}, 32, 3.01),
    ("dead_leaves", {"shape": "mixed"}, 32, 2.87),
    ("dead_leaves", {"shape": "square", **WIDE}, 8, None),
    ("dead_leaves", {"shape": "oriented", **WIDE}, 8, None),
    ("dead_leaves", {"shape": "mixed", **WIDE}, 8, None),
]


@pytest.mark.parametrize(
    ("name", "fields", "batch", "reference"),
    CASES,
    ids=["-".join([name, *map(str, fields.values())]) for name, fields, _, _ in CASES],
)
def test_items_per_second(
    benchmark: Any, name: str, fields: dict[str, Any], batch: int, reference: float | None
) -> None:
    source = generators.create(name, **fields)
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    result = benchmark.pedantic(render, rounds=6, warmup_rounds=1)
    assert len(result) == batch
    if benchmark.stats is not None:  # None where benchmarks are disabled
        rate = batch / benchmark.stats.stats.median
        benchmark.extra_info["items_per_second"] = round(rate, 1)
        benchmark.extra_info["threads"] = torch.get_num_threads()
        if reference is not None:
            benchmark.extra_info["reference_items_per_second"] = reference
            benchmark.extra_info["ratio"] = round(rate / reference, 1)
            print(f"\n{name} {fields}: {rate:.0f}/s, {rate / reference:.1f} x the reference")
