"""Searches and confirmations in the report: what may be called better, and what may not.

.venv/bin/python -m pytest tests/test_ablation_confirmed.py
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_studies import FOLDS, FRESH, SEARCH, read_again
from matplotlib import pyplot as plt
from rich.console import Console
from scipy import stats
from synthetic_studies import (
    confirm,
    scale_of,
    write_search,
)

from suite.report import read_results
from suite.report.ablation_tables import facts, numbers
from suite.report.ablation_terminal import terminal
from suite.report.ablations import ablation
from suite.report.search_plots import slices_figure
from suite.report.significance import holm
from suite.rows import read_predictions, write_predictions
from suite.studies import FOLDER


def test_a_winner_that_is_better_on_fresh_seeds_is_called_so(tmp_path: Path) -> None:
    study = write_search(tmp_path, SEARCH, 16, pruned=(6, 7))
    before = read_again(tmp_path, study)
    assert before.verdict.startswith("Not confirmed: trial ")
    assert before.verdict.endswith("type: sourcebench ablate ablation=search confirm=5")
    assert "better" not in before.verdict
    found = read_again(tmp_path, confirm(tmp_path, SEARCH, study, questions=FRESH))
    (line,) = found.confirmed
    assert (line.decided, line.verdict) == (True, "better")
    assert line.contrast.seeds == (100, 101, 102)
    assert line.p_seeds == line.contrast.p_seeds  # decided beforehand: no correction
    assert found.verdict.startswith("Confirmed: with 3 fresh seeds trial ")
    assert "is better than the default by +" in found.verdict


def test_a_lucky_winner_is_not_called_better(tmp_path: Path) -> None:
    plan = replace(SEARCH, skill=lambda params: 0.6, cost=None)
    study = confirm(tmp_path, plan, write_search(tmp_path, plan, 16))
    found = read_again(tmp_path, study)
    assert [line.verdict for line in found.confirmed] == ["not significantly better"]
    assert found.verdict.startswith("Not significantly better: with 3 fresh seeds trial ")
    text = " ".join(note for block in (facts(found), *numbers(found)) for note in block.notes)
    assert "is better" not in text


def test_a_winner_that_is_worse_on_fresh_seeds_is_called_so(tmp_path: Path) -> None:
    plan = replace(SEARCH, skill=lambda params: 0.6, cost=None)
    study = write_search(tmp_path, plan, 8)
    worse = replace(plan, skill=lambda params: 0.6 if params == study.default else 0.3)
    found = read_again(tmp_path, confirm(tmp_path, worse, study, questions=FRESH))
    assert found.confirmed[0].verdict == "significantly worse"
    assert found.verdict.startswith("Significantly worse: ")


def test_a_confirmation_of_one_seed_proves_nothing(tmp_path: Path) -> None:
    study = write_search(tmp_path, SEARCH, 16)
    found = read_again(tmp_path, confirm(tmp_path, SEARCH, study, (100,), questions=FRESH))
    (line,) = found.confirmed
    assert max(line.p_seeds, line.p_clips) < 0.05
    assert line.verdict == "not significantly better"
    assert found.verdict.startswith("Not significantly better: with 1 fresh seed trial ")


def test_a_confirmation_of_an_earlier_winner_confirms_nothing(tmp_path: Path) -> None:
    study = confirm(tmp_path, SEARCH, write_search(tmp_path, SEARCH, 16), questions=FRESH)
    best = replace(study.complete[3], score=0.99)
    trials = tuple(best if trial.number == best.number else trial for trial in study.trials)
    found = read_again(tmp_path, replace(study, trials=trials))
    assert found.verdict.startswith(f"Not confirmed: trial {best.number} scored best, 99.0 %")
    assert "an earlier winner" in found.verdict


def test_where_the_default_is_best_there_is_nothing_to_confirm(tmp_path: Path) -> None:
    study = write_search(tmp_path, replace(SEARCH, skill=lambda params: 0.6), 6)
    first = replace(study.trials[0], score=0.99)
    found = read_again(tmp_path, replace(study, trials=(first, *study.trials[1:])))
    assert found.verdict.startswith("The default itself scored best (99.0 %)")
    assert read_again(tmp_path, replace(study, trials=())).verdict == "No trial has a score yet."


def test_a_fold_that_was_held_out_is_the_test_and_comes_first(tmp_path: Path) -> None:
    plan = replace(
        SEARCH,
        questions=replace(FOLDS, tasks=("esc50-without-1",), folds=4),
        score=("esc50-without-1", "linear@1"),
    )
    fresh = replace(FRESH, tasks=("esc50", "toy_pitch"), probes=("knn@1", "linear@1"))
    study = confirm(tmp_path, plan, write_search(tmp_path, plan, 16), questions=fresh)
    found = read_again(tmp_path, study)
    first, second, *others = found.confirmed
    assert (first.question.task, first.question.probe, first.decided) == ("esc50", "linear@1", True)
    assert first.clips == "fold 1, which the study never saw"
    assert (first.contrast.folds, first.contrast.clips) == (1, 120)
    assert second.clips == "all folds; the study saw all but 1"
    assert (second.question.probe, second.contrast.folds, second.contrast.clips) == ("linear@1", 5, 600)
    assert not any(line.decided for line in (second, *others))
    assert len(others) == 4  # knn on fold 1 and on all, toy_pitch by both probes
    corrected = [line.p_clips for line in (second, *others)]
    assert sorted(corrected) == pytest.approx(
        sorted(holm([line.contrast.p_clips for line in (second, *others)]))
    )
    # Fold 1 alone by hand: a paired t over the fresh seeds.
    confirmation = study.confirmation
    assert confirmation is not None
    rows = read_results(tmp_path / FOLDER / "search")
    fold = {(r.run_id, r.probe): r.score for r in rows if (r.task, r.fold) == ("esc50", "1")}
    differences = [
        fold[winner, "linear@1"] - fold[default, "linear@1"]
        for winner, default in zip(confirmation.winner, confirmation.default, strict=True)
    ]
    assert first.contrast.difference == pytest.approx(np.mean(differences))
    assert first.p_seeds == pytest.approx(stats.ttest_1samp(differences, 0.0).pvalue)


def test_a_test_set_that_was_held_out_is_one_line(tmp_path: Path) -> None:
    plan = replace(
        SEARCH,
        questions=replace(FOLDS, tasks=("esc50-without-test",), folds=4),
        score=("esc50-without-test", "linear@1"),
    )
    fresh = replace(FRESH, tasks=("esc50",), folds=1)
    study = confirm(tmp_path, plan, write_search(tmp_path, plan, 16), questions=fresh)
    folder = tmp_path / FOLDER / "search"
    rows = [replace(row, fold="test") if row.task == "esc50" else row for row in read_results(folder)]
    for path in folder.glob("predictions/*/esc50.*.npz"):
        answers = read_predictions(path)
        write_predictions(path, replace(answers, fold=np.full(len(answers.clip), "test")))
    (line,) = ablation(study, folder, rows).confirmed
    assert (line.clips, line.decided) == ("fold test, which the study never saw", True)


def test_a_search_shows_ten_trials_the_default_and_how_the_others_ended(tmp_path: Path) -> None:
    study = write_search(tmp_path, SEARCH, 24, pruned=(6, 7))
    found = read_again(tmp_path, study)
    assert found.trial_notes[0] == "24 trials: 21 complete, 2 given up early, 1 failed."
    (block,) = numbers(found)
    names = [row[0].text for row in block.body]
    ranked = sorted(study.complete, key=lambda trial: -(trial.score or 0.0))
    assert names[:10] == [
        f"{t.number} (default)" if t.number == 0 else f"{t.number}" for t in ranked[:10]
    ]
    assert "0 (default)" in names
    assert block.title == "search: best trials by esc50, linear@1, accuracy (%)"
    assert found.effects == ()
    assert found.figures == ["history", "slices", "pareto"]


def test_many_axes_are_said_in_words_on_a_terminal(tmp_path: Path) -> None:
    many = tuple(scale_of(f"share {i}", 0.0, 1.0, 0.5) for i in range(6))
    study = write_search(tmp_path, replace(SEARCH, axes=(*SEARCH.axes, *many)), 12)
    tables = [part for part in terminal(read_again(tmp_path, study)) if not isinstance(part, str)]
    console = Console(width=90, record=True, file=io.StringIO())
    console.print(tables[0])
    said = " ".join(console.export_text().split())
    best = max(study.complete, key=lambda trial: trial.score or 0.0)
    assert f"mask {best.params['mask']}, rate" in said
    assert "share 5" in said
    assert "…" not in said


def test_a_slice_shows_every_axis_with_ticks_that_can_be_read(tmp_path: Path) -> None:
    figure = slices_figure(write_search(tmp_path, SEARCH, 12))
    figure.canvas.draw()
    mask, rate, ratio = (axis for axis in figure.axes if axis.get_visible())
    assert [tick.get_text() for tick in mask.get_xticklabels()] == ["random", "blocks"]
    assert {"0.001", "0.01"} <= {tick.get_text() for tick in rate.get_xticklabels()}
    assert ratio.get_xlabel() == "ratio"
    plt.close(figure)
