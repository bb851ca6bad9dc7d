"""Pictures per second of CPU time of procedural shaders, on one core.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_shader_speed.py --benchmark-enable``. The bar
is 50 pictures/s at 80 x 208; the specification (section 8.1) has no figure for shaders.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from benchmark_table import PATTERNS, note

import generators

BAR = 50.0
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize(
    "families", [None, ("solids",), ("warped_noise",)], ids=["all", "solids", "noise"]
)
def test_shaders_per_second(benchmark: Any, families: tuple[str, ...] | None) -> None:
    fields = {} if families is None else {"families": families}
    source, batch = generators.create("procshader", **fields), 32
    start = iter(range(0, 10**9, batch))

    def render() -> torch.Tensor:
        first = next(start)
        return source.batch(range(first, first + batch))

    result = benchmark.pedantic(render, rounds=7, warmup_rounds=1)
    assert len(result) == batch
    told = "procshader" if families is None else f"procshader, {families[0]} alone"
    note(benchmark, PATTERNS, told, "80 x 208", batch, bar=BAR)
