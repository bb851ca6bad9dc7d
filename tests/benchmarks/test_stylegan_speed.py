"""Pictures per second of CPU time of untrained networks, on one core, against the reference.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_stylegan_speed.py --benchmark-enable``. The
figures are those of specification 8.1 (CPU time, 256 x 256 in colour). The bars: 1.5 times the
reference in the full form, 20 times in the lite form at the trainer's shape.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import PATTERNS, note

import generators

REFERENCE = {
    "stylegan_random": 1.33,
    "stylegan_high_frequency": 1.04,
    "stylegan_sparse": 1.41,
    "stylegan_oriented": 1.15,
}
FORMS: list[dict[str, Any]] = [
    {"form": "full"},
    {"form": "lite", "height": 80, "width": 208},
    {"form": "lite", "height": 80, "width": 1024},
]
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("fields", FORMS, ids=["-".join(map(str, f.values())) for f in FORMS])
def test_pictures_per_second(benchmark: Any, name: str, fields: dict[str, Any]) -> None:
    source, batch = generators.create(name, **fields), 2 if fields["form"] == "full" else 16
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    result = benchmark.pedantic(render, rounds=5, warmup_rounds=1)
    assert len(result) == batch
    height, width = fields.get("height", 256), fields.get("width", 256)
    wanted = 1.5 if fields["form"] == "full" else 20.0
    item = f"{height} x {width} {fields['form']}"
    bar = wanted * REFERENCE[name] if width < 1024 else None
    note(benchmark, PATTERNS, name, item, batch, reference=REFERENCE[name], bar=bar)
