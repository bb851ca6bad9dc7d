"""Images per second of sources made of others, beside the parts alone, on one core.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_mixture_speed.py --benchmark-enable``; the
reference is the parts alone, measured in the same run: what is below 1 is the price of blending.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import BLENDS, note

import generators
from suite.frontend import FrontEnd

FRONTEND = FrontEnd()
WIDE = {"height": 80, "width": 1024}  # the trainer's shape
CASES: list[tuple[str, dict[str, Any], dict[str, float]]] = [
    ("mixture", {"parts": {"noise": 1, "dead_leaves": 1}}, {"noise": 0.5, "dead_leaves": 0.5}),
    ("shuffled_patches", {"of": {"noise": {}}}, {"noise": 1.0}),
    ("phase_randomised", {"of": {"noise": {}}}, {"noise": 1.0}),
]
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


def seconds(source: Any, batch: int) -> float:
    """CPU seconds per image, the best of three batches."""
    source.images(range(batch), FRONTEND)
    spent = []
    for first in range(0, 3 * batch, batch):
        start = time.process_time()
        source.images(range(first, first + batch), FRONTEND)
        spent.append(time.process_time() - start)
    return min(spent) / batch


@pytest.mark.parametrize(("name", "fields", "parts"), CASES, ids=[case[0] for case in CASES])
def test_images_per_second(
    benchmark: Any, name: str, fields: dict[str, Any], parts: dict[str, float]
) -> None:
    batch = 16
    source = generators.create(name, **fields, **WIDE)
    source.images(range(batch), FRONTEND)  # measures the parts of a mixture
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.images(range(first, first + batch), FRONTEND)

    result = benchmark.pedantic(render, rounds=6, warmup_rounds=1)
    assert len(result) == batch
    if benchmark.stats is not None:  # None where benchmarks are disabled
        alone = 0.0
        for part, share in parts.items():
            shape = WIDE if part == "dead_leaves" else {}
            alone += share * seconds(generators.create(part, **shape), batch)
        note(benchmark, BLENDS, name, "80 x 1024", batch, reference=1 / alone, scaled=False)
