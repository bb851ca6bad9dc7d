"""Pictures per second of CPU time of texture fields and spectral events, on one core.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_texture_speed.py --benchmark-enable``. The bar
is 50 pictures/s at 80 x 208; the specification (section 8.1) has one figure, of compiled code: colour
diamond-square backgrounds of 256 x 256, 1400/s.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import PATTERNS, note

import generators

BAR = 50.0

# source, fields, items per second of the reference (None: no reference)
CASES: list[tuple[str, dict[str, Any], float | None]] = [
    ("coloured_noise", {}, None),
    ("perlin", {}, None),
    ("worley", {}, None),
    ("diamond_square", {}, None),
    ("diamond_square", {"height": 256, "width": 256}, 1400.0),
    ("gray_scott", {}, None),
    ("tilings", {}, None),
    ("spectral_events", {}, None),
]
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize(
    ("name", "fields", "reference"),
    CASES,
    ids=["-".join([name, *map(str, fields.values())]) for name, fields, _ in CASES],
)
def test_pictures_per_second(
    benchmark: Any, name: str, fields: dict[str, Any], reference: float | None
) -> None:
    source, batch = generators.create(name, **fields), 32
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    result = benchmark.pedantic(render, rounds=7, warmup_rounds=1)
    assert len(result) == batch
    bar = BAR if reference is None else None
    item = " x ".join(str(fields.get(key, getattr(source, key))) for key in ("height", "width"))
    note(benchmark, PATTERNS, name, item, batch, reference=reference, bar=bar)
