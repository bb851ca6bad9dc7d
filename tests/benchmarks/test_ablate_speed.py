"""What a study costs beside its training: the overhead of a trial, and four workers on a journal.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_ablate_speed.py --benchmark-enable
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import tiny_runs
from benchmark_table import STUDIES, note
from pytest_benchmark.fixture import BenchmarkFixture
from trivial_studies import Arithmetic, grid, search

import tasks
from suite import compare
from suite.comparison import running
from suite.evaluate import evaluate
from suite.study import Place
from suite.trials import Training, make_trials

TRIALS = 8
OVERHEAD = 0.5  # seconds a trial, beside pre-training and evaluation
WORKERS, MANY, TOGETHER = 4, 400, 20.0  # 100 trials a worker; seconds


@pytest.mark.benchmark(group="studies")
def test_overhead_of_a_trial(
    benchmark: BenchmarkFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words to an experiment, rows published, score told: all but the two phases themselves."""
    run = tiny_runs.run(tmp_path)
    evaluate(run, [tasks.create("toy_count")], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    monkeypatch.setattr(compare, "run_cell", lambda cell, settings: run)
    asked = grid(
        axes={"ratio": {"word": "masking.ratio={}", "values": [0.75, 0.5]}},
        base=tuple(tiny_runs.words(tmp_path)),
        tasks=("toy_count",),
        probes=("knn@1",),
        seeds=TRIALS // 2,
    )
    settings = running(list(asked.base), asked.tasks, asked.probes)
    places = (Place(tmp_path / f"study{i}") for i in itertools.count())
    judge = Training(settings)
    benchmark.pedantic(lambda: make_trials(asked, next(places), judge), rounds=3, warmup_rounds=1)
    note(benchmark, STUDIES, "ablate", "trial, beside its run", TRIALS, bar=1 / OVERHEAD)


@pytest.mark.benchmark(group="studies")
def test_four_workers_on_a_journal(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """400 trials that cost nothing, processes started and ended."""
    asked = search(trials=MANY, sampler="random")
    judge, places = Arithmetic(tmp_path), (Place(tmp_path / f"study{i}") for i in itertools.count())
    benchmark.pedantic(
        lambda: make_trials(asked, next(places), judge, workers=WORKERS), rounds=2, warmup_rounds=0
    )
    note(benchmark, STUDIES, "ablate", "trial, of 4 workers x 100", MANY, bar=MANY / TOGETHER)
