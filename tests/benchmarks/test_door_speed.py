"""How long a user waits for `sourcebench --help`.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_door_speed.py --benchmark-enable
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_table import DOOR, note
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
    note(benchmark, DOOR, "sourcebench --help", "answer", 1, bar=1 / BAR_SECONDS)
