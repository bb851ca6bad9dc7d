"""Ablation studies in the report: differences follow from rows and predictions, no claim is too many.

.venv/bin/python -m pytest tests/test_ablation_report.py
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from rendered_results import Page
from scipy import stats
from synthetic_results import Plan, write_results, write_run
from synthetic_studies import (
    Params,
    StudyPlan,
    choices,
    confirm,
    scale_of,
    write_cell,
    write_grid,
    write_search,
)

from suite import metrics, scoring
from suite.report import read_results, render
from suite.report.ablation_tables import facts, numbers
from suite.report.ablations import Ablation, ablation
from suite.report.contrasts import Pair, contrasts, of_folds
from suite.report.effects import Effect
from suite.report.interactions import front, interactions, not_additive
from suite.report.significance import holm
from suite.report.study_scores import Measured, Question
from suite.rows import EventPredictions, add_rows, read_predictions, read_rows, write_predictions
from suite.studies import FILE, FOLDER, Study, StudyTrial, write_study
from suite.verify import verify

FOLDS = Plan(sources={}, tasks=("esc50",), probes=("linear@1",), clips=60)
ESC50 = ("esc50", "linear@1")


def planted(params: Params) -> float:
    """Blocks are far better than random masks, ratio 0.9 is far worse, the size changes nothing."""
    return 0.55 + 0.2 * (params["mask"] == "blocks") - 0.2 * (params["ratio"] == "0.9")


GRID = StudyPlan(
    name="grid",
    axes=(
        choices("mask", "random", "blocks"),
        choices("ratio", "0.75", "0.6", "0.9"),
        choices("size", "2", "1"),
    ),
    where={"size": ("mask", ("blocks",))},
    skill=planted,
    questions=FOLDS,
    score=ESC50,
    controls={"untrained": 0.25, "mel_statistics": 0.4},
)


def read_again(results: Path, study: Study) -> Ablation:
    folder = results / FOLDER / study.name
    return ablation(study, folder, read_results(folder))


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


def test_p_are_corrected_over_all_effects_of_a_question(grid: tuple[Path, Study]) -> None:
    effects = read_again(*grid).effects[0].effects
    assert len(effects) == 6  # mask, two ratios, size, two controls
    raw = [effect.contrast.p_seeds for effect in effects]
    assert [effect.p_seeds for effect in effects] == pytest.approx(list(holm(raw)))
    clips = [effect.contrast.p_clips for effect in effects]
    assert [effect.p_clips for effect in effects] == pytest.approx(list(holm(clips)))
    smallest = int(np.argmin(raw))
    assert effects[smallest].p_seeds == pytest.approx(min(1.0, 6 * raw[smallest]))


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


# ---------------------------------------------------------------------------------------------------
# Searches and confirmations

AXES = (
    choices("mask", "random", "blocks"),
    scale_of("rate", 1e-4, 1e-2, 1e-3, log=True),
    scale_of("ratio", 0.3, 0.9, 0.75),
)


def rate_matters(params: Params) -> float:
    return 0.5 + 0.15 * (1 + np.log10(params["rate"]) + 2)


SEARCH = StudyPlan(
    name="search",
    axes=AXES,
    skill=rate_matters,
    seeds=(0,),
    questions=FOLDS,
    score=ESC50,
    lost=frozenset({4}),
    cost="flops",
)
FRESH = replace(FOLDS, clips=120)


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


# ---------------------------------------------------------------------------------------------------
# What is written


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with two studies beside a comparison, rendered."""
    results = tmp_path_factory.mktemp("published")
    write_results(results, replace(FOLDS, sources={"audiopg": 0.7}, seeds=(0, 1)))
    study = write_grid(results, GRID)
    write_study(replace(study, importance={"mask": 0.7, "ratio": 0.3}), results / FOLDER / "grid")
    found = write_search(results, SEARCH, 16, pruned=(6,))
    confirm(results, SEARCH, found, questions=FRESH)
    render(results)
    return results


def test_rendering_twice_gives_the_same_bytes(published: Path) -> None:
    def content() -> dict[Path, bytes]:
        out = render(published)
        return {path: path.read_bytes() for path in (*out.tables, *out.plots, out.page)}

    assert content() == content()


def test_every_study_has_tables_figures_and_a_section(published: Path) -> None:
    index = (published / "tables" / "index.md").read_text()
    assert "[Ablation grid: An invented study.](ablation.grid.md)" in index
    plots = {path.stem for path in (published / "plots").glob("ablation.*.svg")}
    kinds = ("effects", "importance", "interaction")
    assert plots == {
        *(f"ablation.grid.{kind}" for kind in kinds),
        *(f"ablation.search.{kind}" for kind in ("history", "slices", "pareto")),
    }
    for path in (published / "plots").glob("ablation.*.svg"):
        ElementTree.fromstring(path.read_text())
        assert path.with_suffix(".png").stat().st_size > 5_000
    text = (published / "leaderboard" / "index.html").read_text()
    page = Page(text)
    assert "Ablations" in page.text
    assert "is better than the default" in page.text
    assert page.loaded == []
    outside = [link for link in page.links if not link.startswith("#")]
    assert any("ablation.grid.effects.svg" in link for link in outside)
    for link in outside:
        assert (published / "leaderboard" / unquote(link)).resolve().exists(), link


def test_the_table_for_machines_holds_every_number(published: Path) -> None:
    with (published / "tables" / "ablation.grid.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    study = json.loads((published / FOLDER / "grid" / FILE).read_text())
    assert sum(line["kind"] == "trial" for line in lines) == len(study["trials"])
    (blocks,) = [line for line in lines if (line["axis"], line["choice"]) == ("mask", "blocks")]
    assert float(blocks["difference"]) > 0.15
    assert blocks["significant"] == "True"
    assert float(blocks["seeds_low"]) < float(blocks["difference"]) < float(blocks["seeds_high"])
    assert len(blocks["run_ids"].split()) == 18
    shares = {line["axis"]: line["share"] for line in lines if line["kind"] == "importance"}
    assert shares == {"mask": "0.7", "ratio": "0.3"}


def test_significant_effects_are_bold_in_the_table(published: Path) -> None:
    text = (published / "tables" / "ablation.grid.md").read_text()
    (blocks,) = [line for line in text.splitlines() if line.startswith("| mask | **blocks**")]
    assert blocks.count("**") == 4
    assert "| ratio | 0.6 |" in text


def test_the_tables_of_a_study_that_is_gone_are_removed(tmp_path: Path) -> None:
    study = write_grid(tmp_path, replace(GRID, seeds=(0,)))
    render(tmp_path)
    assert (tmp_path / "tables" / "ablation.grid.md").exists()
    (tmp_path / FOLDER / study.name / FILE).unlink()
    render(tmp_path)
    assert not list(tmp_path.glob("tables/ablation.*"))
    assert not list(tmp_path.glob("plots/ablation.*"))


def test_what_a_study_says_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&|_\n%"
    plan = replace(GRID, seeds=(0,), axes=(choices("mask", "random", evil), *GRID.axes[1:]), where={})
    study = replace(write_grid(tmp_path, replace(plan, skill=lambda _: 0.5)), about=evil, command=evil)
    failed = replace(study.trials[0], number=77, state="fail", seeds=(9,), reason=evil)
    write_study(replace(study, trials=(*study.trials, failed)), tmp_path / FOLDER / "grid")
    render(tmp_path)
    text = (tmp_path / "leaderboard" / "index.html").read_text()
    assert "<script>alert" not in text
    assert Page(text).tags.count("script") == 1
    latex = (tmp_path / "tables" / "ablation.grid.tex").read_text()
    assert all(
        line.startswith("%") for line in latex.splitlines() if "alert" in line and "&" not in line
    )
    ElementTree.fromstring((tmp_path / "plots" / "ablation.grid.effects.svg").read_text())


def test_a_study_without_a_trial_that_ended_is_rendered(tmp_path: Path) -> None:
    study = write_grid(tmp_path, replace(GRID, controls={}, lost=frozenset(range(27))))
    waiting = tuple(replace(trial, state="waiting", reason="") for trial in study.trials)
    write_study(replace(study, trials=waiting), tmp_path / FOLDER / "grid")
    render(tmp_path)
    text = (tmp_path / "tables" / "ablation.grid.md").read_text()
    assert "No trial has a score yet." in text
    assert "27 trials: 27 waiting." in text


def test_verify_reads_the_rows_of_studies(tmp_path: Path) -> None:
    study = write_grid(tmp_path, replace(GRID, seeds=(0,)))
    found = verify(tmp_path)
    assert found.passed, found.findings
    assert found.rows == found.verified == 5 * (9 + 2)
    path = tmp_path / FOLDER / "grid" / "rows" / f"{study.trials[0].runs[0]}.jsonl"
    rows = read_rows(path)
    add_rows(path, [replace(rows[0], score=rows[0].score + 0.01)])
    kinds = [finding.kind for finding in verify(tmp_path).findings]
    assert kinds == ["score", "trial"]  # the row against its predictions, the trial against the row


def test_verify_finds_a_trial_whose_runs_do_not_say_its_score(tmp_path: Path) -> None:
    study = write_grid(tmp_path, replace(GRID, seeds=(0,)))
    first, second, *others = study.trials
    changed = (replace(first, score=0.9), replace(second, runs=("nowhere",)), *others)
    write_study(replace(study, trials=changed), tmp_path / FOLDER / "grid")
    said = [(finding.kind, finding.message) for finding in verify(tmp_path).findings]
    assert [kind for kind, _ in said] == ["trial", "trial"]
    assert "the study says 0.9" in said[0][1]
    assert "nowhere" in said[1][1]


# ---------------------------------------------------------------------------------------------------
# Interactions and the front


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
