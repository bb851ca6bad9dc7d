"""How long a user waits for `sourcebench --help`.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_door_speed.py --benchmark-enable
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROOT = Path(__file__).resolve().parent.parent.parent
BAR_SECONDS = 0.5  # the design's promise


@pytest.mark.benchmark(group="door")
def test_help_answers(benchmark: BenchmarkFixture) -> None:
    command = [sys.executable, "-m", "suite", "--help"]
    done = benchmark.pedantic(
        subprocess.run, (command,), {"cwd": ROOT, "capture_output": True, "text": True}, rounds=5
    )
    assert done.returncode == 0
    assert "pretrain" in done.stdout
    if benchmark.stats is not None:  # None where benchmarks are disabled
        median = benchmark.stats.stats.median
        benchmark.extra_info.update(
            bar_seconds=BAR_SECONDS, seconds=median, of_bar=median / BAR_SECONDS
        )
