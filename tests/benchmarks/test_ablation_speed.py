"""How long the report of a study of a thousand trials takes: every table and figure of it.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_ablation_speed.py --benchmark-enable
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from benchmark_table import STUDIES, note
from pytest_benchmark.fixture import BenchmarkFixture
from synthetic_results import Plan
from synthetic_studies import StudyPlan, choices, confirm, scale_of, write_grid, write_search

from suite.report import Rendered, render

BAR_SECONDS = 10.0
TRIALS = 1000
FOLDS = Plan(sources={}, tasks=("esc50",), probes=("linear@1",), clips=400)  # as many as ESC-50 has
ESC50 = ("esc50", "linear@1")


def write(results: Path, design: str) -> None:
    """A grid of 500 cells and two seeds, or a search of 1,000 trials with a confirmed winner."""
    if design == "grid":
        tens = tuple(choices(name, *map(str, range(10))) for name in "ab")
        axes = (*tens, choices("c", *map(str, range(5))))
        write_grid(results, StudyPlan(axes=axes, questions=FOLDS, score=ESC50, seeds=(0, 1)))
        return
    ranges = tuple(scale_of(name, 0.1, 10.0, 1.0, log=True) for name in "abcd")
    plan = StudyPlan(axes=ranges, questions=FOLDS, score=ESC50, seeds=(0,), cost="flops")
    confirm(results, plan, write_search(results, plan, TRIALS))


@pytest.mark.parametrize("design", ["grid", "search"])
@pytest.mark.benchmark(group="ablation report", timer=time.process_time)
def test_a_study_of_a_thousand_trials_is_reported(
    benchmark: BenchmarkFixture, tmp_path: Path, design: str, one_thread: None
) -> None:
    write(tmp_path, design)
    rendered: Rendered = benchmark.pedantic(render, (tmp_path,), rounds=1)
    assert len(rendered.plots) == 2 * {"grid": 2, "search": 3}[design]
    note(
        benchmark,
        STUDIES,
        f"report of a {design}",
        f"study of {TRIALS:,} trials",
        1,
        bar=1 / BAR_SECONDS,
    )
