"""Effects of an ablation's choices: they follow from rows and predictions, no claim is too many.

.venv/bin/python -m pytest tests/test_ablation_effects.py
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_studies import FOLDS, GRID, read_again
from scipy import stats
from synthetic_results import write_run
from synthetic_studies import (
    Params,
    StudyPlan,
    choices,
    write_cell,
    write_grid,
)

from suite import metrics, scoring
from suite.report import read_results
from suite.report.ablations import Ablation, ablation
from suite.report.contrasts import Pair, contrasts, of_folds
from suite.report.effects import Effect
from suite.report.interactions import front, interactions, not_additive
from suite.report.significance import holm
from suite.report.study_scores import Measured, Question
from suite.rows import EventPredictions, add_rows, read_rows
from suite.studies import FOLDER, Study, StudyTrial


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    results = tmp_path_factory.mktemp("grid")
    return results, write_grid(results, GRID)


def the_effect(found: Ablation, axis: str, choice: str) -> Effect:
    (effect,) = [e for e in found.effects[0].effects if (e.axis, e.choice) == (axis, choice)]
    return effect


def by_hand(results: Path, study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Blocks minus random, pair by pair: scores (seeds, pairs, folds) and clips (seeds, pairs, n)."""
    folder = results / FOLDER / study.name
    scores: dict[str, dict[str, float]] = {}
    for path in (folder / "rows").glob("*.jsonl"):
        for line in path.open():
            row = json.loads(line)
            scores.setdefault(row["run_id"], {})[row["fold"]] = row["score"]

    def of(mask: str, ratio: str, size: str | None, seed: int) -> tuple[list[float], np.ndarray]:
        params = {"mask": mask, "ratio": ratio} | ({} if size is None else {"size": size})
        (trial,) = [t for t in study.trials if t.params == params and t.seeds == (seed,)]
        (path,) = (folder / "predictions" / trial.runs[0]).glob("esc50*.npz")
        stored = np.load(path)
        right = (stored["scores"].argmax(axis=1) == stored["target"]).astype(float)
        return [scores[trial.runs[0]][str(fold)] for fold in range(1, 6)], right

    by_fold, by_clip = [], []
    for seed in GRID.seeds:
        firsts = [(r, of("blocks", r, s, seed)) for r in ("0.75", "0.6", "0.9") for s in ("2", "1")]
        seconds = {r: of("random", r, None, seed) for r in ("0.75", "0.6", "0.9")}
        by_fold.append([np.subtract(first[0], seconds[r][0]) for r, first in firsts])
        by_clip.append([first[1] - seconds[r][1] for r, first in firsts])
    return np.array(by_fold), np.array(by_clip)


def test_an_effect_equals_its_computation_by_hand(grid: tuple[Path, Study]) -> None:
    found = the_effect(read_again(*grid), "mask", "blocks")
    by_fold, by_clip = by_hand(*grid)
    assert by_fold.shape == (3, 6, 5)
    table = by_fold.mean(axis=1)  # (seeds, folds)
    error = np.sqrt((1 / 15 + 1 / 4) * table.var(ddof=1))
    half = stats.t.ppf(0.975, 14) * error
    contrast = found.contrast
    assert contrast.over_seeds is not None
    assert contrast.over_clips is not None
    assert contrast.difference == pytest.approx(table.mean())
    assert contrast.over_seeds.low == pytest.approx(table.mean() - half)
    assert contrast.over_seeds.high == pytest.approx(table.mean() + half)
    assert contrast.p_seeds == pytest.approx(2 * stats.t.sf(abs(table.mean()) / error, 14))
    assert (contrast.seeds, contrast.pairs, found.cells) == ((0, 1, 2), 18, 6)
    assert contrast.clips == 300
    groups = by_clip.mean(axis=(0, 1)).reshape(75, 4).mean(axis=1)  # recordings of four clips
    draws = np.random.default_rng(0).integers(0, 75, (20_000, 75))
    expected = np.quantile(groups[draws].mean(axis=1), [0.025, 0.975])
    bounds = (contrast.over_clips.low, contrast.over_clips.high)
    assert bounds == pytest.approx(tuple(expected), abs=0.004)


def test_a_conditional_axis_is_paired_where_it_applies(grid: tuple[Path, Study]) -> None:
    found = read_again(*grid)
    size = the_effect(found, "size", "1")
    assert (size.cells, size.contrast.pairs) == (3, 9)
    assert the_effect(found, "ratio", "0.6").cells == 3  # random, blocks of size 2, blocks of size 1
    assert any("stands in several pairs" in note for note in found.effects[0].notes)
    assert any("mask 6, ratio 3, size 3" in note for note in found.effects[0].notes)


def test_p_are_corrected_over_the_choices_of_a_question_and_over_its_controls(
    grid: tuple[Path, Study],
) -> None:
    effects = read_again(*grid).effects[0].effects
    choices = [effect for effect in effects if not effect.control]
    controls = [effect for effect in effects if effect.control]
    assert (len(choices), len(controls)) == (4, 2)  # mask, two ratios, size
    for family in (choices, controls):
        raw = [effect.contrast.p_seeds for effect in family]
        assert [effect.p_seeds for effect in family] == pytest.approx(list(holm(raw)))
        clips = [effect.contrast.p_clips for effect in family]
        assert [effect.p_clips for effect in family] == pytest.approx(list(holm(clips)))
    smallest = min(choices, key=lambda effect: effect.contrast.p_seeds)
    assert smallest.p_seeds == pytest.approx(min(1.0, 4 * smallest.contrast.p_seeds))


def test_planted_effects_are_found_and_the_others_are_not(grid: tuple[Path, Study]) -> None:
    effects = read_again(*grid).effects[0].effects
    marked = {(effect.axis, effect.choice) for effect in effects if effect.significant}
    assert {("mask", "blocks"), ("ratio", "0.9"), ("control", "untrained")} <= marked
    assert not {("ratio", "0.6"), ("size", "1")} & marked


@pytest.mark.parametrize("folds", ["esc50", "toy_pitch"])
def test_a_study_of_nothing_shows_nothing(tmp_path: Path, folds: str) -> None:
    plan = StudyPlan(
        axes=(choices("a", *map(str, range(12))), choices("b", "x", "y")),
        questions=replace(FOLDS, tasks=(folds,), clips=40),
        score=(folds, "linear@1"),
    )
    found = read_again(tmp_path, write_grid(tmp_path, plan))
    assert len(found.effects[0].effects) == 12
    assert not [effect for effect in found.effects[0].effects if effect.significant]


def test_the_luck_of_a_seed_is_not_counted_once_for_each_cell(tmp_path: Path) -> None:
    question = Question("t", "linear@1", "accuracy", "", False, 1, "", "")
    pairs, scores, rows = [], {}, {}
    plan = replace(FOLDS, tasks=("toy_pitch",))
    (row,) = write_run(tmp_path, plan, "audiopg", 0.6, 0, samples_seen=plan.budget)
    for seed, luck in enumerate((0.03, 0.01, 0.04)):
        for cell in range(50):
            first, second = f"a{cell}-{seed}", f"b{cell}-{seed}"
            scores |= {first: np.array([0.5 + luck]), second: np.array([0.5])}
            rows |= {name: replace(row, run_id=name) for name in (first, second)}
            pairs.append(Pair(seed, first, second))
    asked = Measured(question, ("test",), scores, rows, (100,), ())
    notes: list[str] = []
    found = contrasts({"a": pairs}, asked, lambda run: tmp_path / "none" / run, notes)["a"]
    expected = stats.ttest_1samp([0.03, 0.01, 0.04], 0.0)
    assert found.p_seeds == pytest.approx(expected.pvalue)
    assert found.p_seeds > 0.05
    assert found.over_clips is None
    assert notes == [
        "No interval over clips where a run has no predictions: a0-0, a0-1, a0-2 and 297 more"
    ]


def test_one_seed_marks_nothing(tmp_path: Path) -> None:
    plan = replace(GRID, seeds=(0,), questions=replace(FOLDS, clips=100))
    found = read_again(tmp_path, write_grid(tmp_path, plan))
    effect = the_effect(found, "mask", "blocks")
    assert max(effect.p_seeds, effect.p_clips) < 0.05
    assert not effect.significant
    assert any(note.startswith("One seed gives") for note in found.effects[0].notes)


def test_missing_trials_are_said_and_left_out(tmp_path: Path) -> None:
    blocks = {"mask": "blocks", "ratio": "0.6", "size": "2"}
    whole = write_grid(tmp_path, GRID)
    (number,) = [t.number for t in whole.trials if t.params == blocks and t.seeds == (1,)]
    study = write_grid(tmp_path / "again", replace(GRID, lost=frozenset({number})))
    found = read_again(tmp_path / "again", study)
    mask = the_effect(found, "mask", "blocks").contrast
    assert (mask.pairs, mask.seeds) == (17, (0, 1, 2))
    assert found.trial_notes[0] == "27 trials: 26 complete, 1 failed."
    assert found.trial_notes[1].startswith(f"Missing: trial {number} (mask blocks, ratio 0.6, size 2; ")
    assert "NaN loss" in found.trial_notes[1]
    run, score = write_cell(tmp_path / "again", GRID, blocks, 1)
    again = StudyTrial(number=99, state="complete", params=blocks, seeds=(1,), runs=(run,), score=score)
    mended = read_again(tmp_path / "again", replace(study, trials=(*study.trials, again)))
    assert mended.trial_notes[1:] == ("1 failed and were made again.",)
    assert (
        the_effect(mended, "mask", "blocks").contrast
        == the_effect(read_again(tmp_path, whole), "mask", "blocks").contrast
    )


def test_a_run_without_its_folds_is_left_out_and_said(tmp_path: Path) -> None:
    study = write_grid(tmp_path, GRID)
    run = study.trials[0].runs[0]
    path = tmp_path / FOLDER / "grid" / "rows" / f"{run}.jsonl"
    rows = read_rows(path)
    path.unlink()
    add_rows(path, rows[1:])
    found = read_again(tmp_path, study)
    assert f"{run} is left out: 4 of 5 folds are evaluated" in found.effects[0].notes
    assert the_effect(found, "mask", "blocks").contrast.pairs == 16


def test_a_metric_that_is_no_mean_over_clips_is_recomputed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_grid(tmp_path, replace(GRID, seeds=(0, 1), controls={}))
    plain = the_effect(read_again(tmp_path, study), "mask", "blocks").contrast
    folder = tmp_path / FOLDER / "grid"
    monkeypatch.setitem(metrics.METRICS, "another", metrics.METRICS["accuracy"])
    rows = [replace(row, metric="another") for row in read_results(folder)]
    drawn = the_effect(ablation(study, folder, rows), "mask", "blocks").contrast
    assert plain.over_clips is not None
    assert drawn.over_clips is not None
    assert drawn.over_clips != plain.over_clips  # of a thousand draws, not of ten thousand
    assert drawn.over_clips.low == pytest.approx(plain.over_clips.low, abs=0.01)
    assert drawn.over_clips.high == pytest.approx(plain.over_clips.high, abs=0.01)


def test_event_answers_of_one_fold_count_as_they_did_among_all() -> None:
    generator = np.random.default_rng(0)
    frames = np.array([40, 30, 50, 20])
    answers = EventPredictions(
        clip=np.array(list("abcd")),
        group=np.array(list("abcd")),
        fold=np.array(["1", "2", "1", "2"]),
        classes=np.array(["x", "y"]),
        frames=frames,
        scores=generator.random((frames.sum(), 2)).astype(np.float16),
        times=np.array([0.08, 0.16]),
        threshold=np.array(0.5),
        median_ms=np.array([0.0, 300.0, 0.0, 300.0]),
        minimum_ms=np.array([0.0, 0.0, 0.0, 0.0]),
        event_clip=np.array([0, 1, 1, 2, 3]),
        event_label=np.array([0, 1, 0, 1, 0]),
        event_onset=np.array([0.3, 0.2, 1.0, 2.0, 0.5]),
        event_offset=np.array([1.3, 0.9, 2.0, 3.0, 1.5]),
    )
    for fold in ("1", "2"):
        inside = answers.fold == fold
        part = of_folds(answers, frozenset({fold}))
        assert isinstance(part, EventPredictions)
        assert part.clip.tolist() == answers.clip[inside].tolist()
        for metric in metrics.EVENT_METRICS:
            whole = scoring.counts(metric, answers)[inside]
            assert np.array_equal(scoring.counts(metric, part), whole), metric


def test_what_is_additive_does_not_interact() -> None:
    table = np.add.outer([0.1, 0.4, 0.2], [0.0, 0.3])
    assert not_additive(table) == 0.0
    assert not_additive(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(0.5)
    table[1, 1] = np.nan
    assert not_additive(table) == 0.0


def test_the_strongest_interaction_comes_first(tmp_path: Path) -> None:
    axes = tuple(choices(name, "x", "y") for name in "abc")

    def skill(params: Params) -> float:
        return 0.5 + 0.3 * (params["a"] == params["c"])

    plan = StudyPlan(axes=axes, skill=skill, seeds=(0, 1))
    found = interactions(write_grid(tmp_path, plan))
    assert (found[0].first, found[0].second) == ("a", "c")
    assert found[0].scores[0, 0] - found[0].scores[0, 1] == pytest.approx(0.3, abs=0.1)
    assert len(found) == 3


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    points = [(3.0, 0.5), (1.0, 0.4), (2.0, 0.6), (1.0, 0.3), (4.0, 0.6), (5.0, 0.9)]
    assert front(points) == [1, 2, 5]
