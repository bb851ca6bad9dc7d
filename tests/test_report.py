"""The report is a function of the rows, and every number in it follows from them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rendered_results import PLAN, Page, summary_of, the_line, the_table
from scipy import stats
from synthetic_results import SMALL, write_results

from generators.drawer import BadData, UsageError
from suite.report import read_results, render
from suite.report.lines import Line
from suite.rows import add_rows, predictions_path, read_predictions


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered results folder; tests that change something take their own."""
    results = tmp_path_factory.mktemp("results")
    write_results(results, PLAN)
    render(results)
    return results


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    write_results(tmp_path, replace(PLAN, tasks=("toy_pitch",), probes=("linear@1",)))

    def content() -> dict[Path, bytes]:
        out = render(tmp_path)
        return {path: path.read_bytes() for path in (*out.tables, *out.plots, out.page)}

    assert content() == content()


def test_another_process_renders_the_same_tables_and_page_without_torch(published: Path) -> None:
    files = [*sorted((published / "tables").iterdir()), published / "leaderboard" / "index.html"]
    before = {path: path.read_bytes() for path in files}
    script = (
        "import sys, pathlib, suite.report; suite.report.render(pathlib.Path(sys.argv[1])); "
        "assert not {'torch', 'hydra', 'soundfile', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(published)], check=True)
    assert {path: path.read_bytes() for path in files} == before


def test_scores_and_seed_intervals_equal_an_independent_computation(published: Path) -> None:
    rows = [json.loads(line) for path in (published / "rows").glob("*.jsonl") for line in path.open()]
    path = published / "tables" / "esc50.linear@1.accuracy.nano.random.mae.20000.csv"
    with path.open(newline="") as file:
        table = {line["source"]: line for line in csv.DictReader(file)}
    assert set(table) == {"audiopg", "dead_leaves", "fractals", "untrained", "noise", "mel_statistics"}
    for source in ("audiopg", "dead_leaves", "fractals"):
        seeds = [
            np.mean([r["score"] for r in rows if matches(r, source, seed)], dtype=float)
            for seed in range(3)
        ]
        assert float(table[source]["score"]) == pytest.approx(np.mean(seeds), abs=1e-9)
        low, high = stats.t.interval(0.95, 2, np.mean(seeds), stats.sem(seeds))
        assert float(table[source]["seeds_low"]) == pytest.approx(low, abs=1e-8)
        assert float(table[source]["seeds_high"]) == pytest.approx(high, abs=1e-8)
        assert table[source]["clips"] == "500"


def matches(row: dict[str, object], source: str, seed: int) -> bool:
    wanted = ("esc50", "linear@1", source, seed, 20_000)
    return (row["task"], row["probe"], row["source"], row["seed"], row["samples_seen"]) == wanted


def test_clip_intervals_equal_resampling_the_predictions_by_hand(published: Path) -> None:
    line = the_line(the_table(published, "toy_pitch"), "audiopg")
    correct = []
    for run_id in dict.fromkeys(row.run_id for row in line.rows):
        path = predictions_path(published / "predictions" / run_id, "toy_pitch", "linear@1", 20_000)
        found = read_predictions(path)
        correct.append(found.scores.argmax(axis=1) == found.target)
    by_recording = np.mean(correct, axis=0).reshape(25, 4).mean(axis=1)  # 25 groups of 4 clips
    draws = np.random.default_rng(0).integers(0, 25, (20_000, 25))
    expected = np.quantile(by_recording[draws].mean(axis=1), [0.025, 0.975])
    assert line.over_clips is not None
    assert (line.over_clips.low, line.over_clips.high) == pytest.approx(tuple(expected), abs=0.006)


def test_differences_to_untrained_are_tested_over_all_pairs_of_the_table(published: Path) -> None:
    table = the_table(published)
    audiopg, untrained = the_line(table, "audiopg"), the_line(table, "untrained")
    assert audiopg.difference == pytest.approx(audiopg.score - untrained.score)
    raw = [
        summaries_p(a, b) for i, a in enumerate(table.lines) for b in table.lines[i + 1 :]
    ]  # 6 lines, 15 pairs
    assert len(raw) == len(table.pairs) == 15
    order = sorted(raw)
    expected = max(
        min(1.0, p * (15 - i))
        for i, p in enumerate(order[: order.index(summaries_p(audiopg, untrained)) + 1])
    )
    assert audiopg.p_seeds == pytest.approx(expected)
    assert audiopg.p_clips is not None
    assert audiopg.p_clips < 0.01


def summaries_p(first: Line, second: Line) -> float:
    differences = (first.scores - second.scores).ravel()  # the same seeds, or one seed against three
    variance = (1 / differences.size + 1 / 4) * differences.var(ddof=1)
    statistic = differences.mean() / np.sqrt(variance)
    return float(2 * stats.t.sf(abs(statistic), differences.size - 1))


def test_bold_marks_the_best_and_what_is_not_worse(published: Path) -> None:
    table = the_table(published)
    bold = {line.source for line in table.lines if line.among_best}
    assert table.lines[0].source in bold
    assert bold == {"audiopg", "dead_leaves"}  # three points apart; fractals is twenty points below
    assert [line.score for line in table.lines] == sorted((x.score for x in table.lines), reverse=True)


def test_controls_stand_in_every_table_of_their_task_and_budget(tmp_path: Path) -> None:
    write_results(tmp_path, replace(SMALL, tasks=("toy_pitch",), probes=("linear@1",)))
    larger = replace(SMALL, tasks=("toy_pitch",), probes=("linear@1",), budget=80_000)
    write_results(tmp_path, larger, controls=False)
    eat = replace(larger, objective="eat", masking="block")
    write_results(tmp_path, eat, controls=False)
    found = [table for table in summary_of(tmp_path) if not table.group.source]
    assert [(t.group.objective, t.group.budget) for t in found] == [
        ("eat", 80_000),
        ("mae", 20_000),
        ("mae", 80_000),
    ]
    for table in found:
        assert {"untrained", "mel_statistics"} < {line.source for line in table.lines}
        budgets = {row.samples_seen for line in table.lines for row in line.rows}
        assert budgets == {0, table.group.budget}


def test_unequal_folds_have_their_accuracy_over_all_clips_beside(tmp_path: Path) -> None:
    plan = replace(SMALL, tasks=("esc50",), probes=("linear@1",), seeds=(0, 1))
    rows = write_results(tmp_path, plan, controls=False)
    assert all(line.pooled is None for table in summary_of(tmp_path) for line in table.lines)
    for path in (tmp_path / "rows").glob("*.jsonl"):
        own = [replace(row, n_test=200 * int(row.fold)) for row in rows if row.run_id == path.stem]
        add_rows(path, own)
    (table,) = summary_of(tmp_path)
    for line in table.lines:
        score = sum(row.score * row.n_test for row in line.rows) / sum(row.n_test for row in line.rows)
        assert line.pooled == pytest.approx(score)
        assert any(f"{line.label} {100 * score:.1f}" in note for note in table.notes)


def test_earlier_checkpoints_count_in_no_table(published: Path) -> None:
    assert {t.group.budget for t in summary_of(published)} == {20_000}
    assert {row.samples_seen for row in read_results(published)} == {0, 5_000, 10_000, 20_000}


def test_a_run_without_all_folds_is_left_out_and_named(tmp_path: Path) -> None:
    plan = replace(SMALL, tasks=("esc50",), probes=("linear@1",))
    write_results(tmp_path, plan)
    path = next((tmp_path / "rows").glob("audiopg-*-s0-*.jsonl"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    table = the_table(tmp_path)
    assert the_line(table, "audiopg").seeds == (1, 2)
    assert any(path.stem in note and "3 of 5 folds" in note for note in table.notes)


def test_a_table_with_no_complete_run_says_so(tmp_path: Path) -> None:
    plan = replace(
        SMALL, sources={"audiopg": 0.7}, seeds=(0, 1), tasks=("esc50",), probes=("linear@1",)
    )
    write_results(tmp_path, plan, controls=False)
    for number, path in enumerate(sorted((tmp_path / "rows").glob("*.jsonl"))):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:2] if number else lines[2:]))
    out = render(tmp_path)
    assert out.page.read_text().count("of 5 folds are evaluated") == 2


def test_missing_predictions_are_named_and_leave_the_scores(tmp_path: Path) -> None:
    plan = replace(SMALL, tasks=("esc50",), probes=("linear@1",))
    write_results(tmp_path, plan)
    lost = next((tmp_path / "predictions").glob("audiopg-*-s0-*/*.npz"))
    lost.unlink()
    table = the_table(tmp_path)
    line = the_line(table, "audiopg")
    assert line.over_clips is None
    assert line.over_seeds is not None
    assert any(lost.parent.name in note for note in table.notes)


def test_two_configurations_of_one_source_are_two_lines(tmp_path: Path) -> None:
    plan = replace(SMALL, sources={"dead_leaves": 0.7}, tasks=("toy_pitch",), probes=("linear@1",))
    rows = write_results(tmp_path, plan)
    few = [
        replace(
            row, run_id=f"few{row.seed}", config=row.config | {"source": {"leaves": 3}, "device": "x"}
        )
        for row in rows
        if row.source == "dead_leaves"
    ]
    for row in few:
        add_rows(tmp_path / "rows" / f"{row.run_id}.jsonl", [row])
    labels = [line.label for line in the_table(tmp_path, "toy_pitch").lines]
    assert sum(label.startswith("dead_leaves (") for label in labels) == 2
    assert any("source.leaves=3" in label for label in labels)
    assert not any("device" in label for label in labels)


def test_two_versions_of_the_data_are_never_compared(tmp_path: Path) -> None:
    plan = replace(SMALL, sources={"audiopg": 0.7}, tasks=("toy_pitch",), probes=("linear@1",))
    rows = write_results(tmp_path, plan)
    for row in rows:
        if row.source == "audiopg" and row.seed == 0:
            path = tmp_path / "rows" / f"{row.run_id}.jsonl"
            add_rows(path, [replace(row, data_hash="e" * 64)])
    found = summary_of(tmp_path)
    assert len({table.name for table in found}) == len(found) == 2
    assert all(any("data" in note for note in table.notes) for table in found)


def test_empty_results_say_what_to_type(tmp_path: Path) -> None:
    out = render(tmp_path)
    assert out.rows == 0
    assert out.plots == ()
    for path in (*out.tables, out.page):
        assert "sourcebench compare comparison=quick" in path.read_text()
    Page(out.page.read_text())


def test_controls_alone_are_a_table_too(tmp_path: Path) -> None:
    write_results(tmp_path, replace(SMALL, sources={}, tasks=("toy_pitch",), probes=("linear@1",)))
    for path in (tmp_path / "rows").glob("noise-*"):
        path.unlink()
    found = summary_of(tmp_path)
    assert {line.source for table in found for line in table.lines} == {"untrained", "mel_statistics"}
    render(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        b"not json\n",
        b'{"run_id": "x"}\n',
        b"\xff\xfe\n",
        b"[1, 2]\n",
        b"{",
    ],
)
def test_a_malformed_rows_file_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "rows" / "broken.jsonl"
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(BadData, match=r"broken\.jsonl"):
        render(tmp_path)
    assert not (tmp_path / "tables").exists()


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    rows = write_results(tmp_path, replace(SMALL, sources={"audiopg": 0.7}), controls=False)
    path = tmp_path / "rows" / f"{rows[0].run_id}.jsonl"
    path.write_text(path.read_text().replace('"score": 0', '"score": NaN, "steps": 0', 1))
    with pytest.raises(BadData, match=re.escape(path.name)):
        read_results(tmp_path)


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file where a folder should be")
    with pytest.raises(UsageError, match=r"tables.*paths\.results"):
        render(tmp_path)


def test_tables_no_row_asks_for_are_removed_and_other_files_kept(tmp_path: Path) -> None:
    render(tmp_path)
    stale = tmp_path / "tables" / "esc50.old.csv"
    kept = tmp_path / "tables" / "notes.txt"
    stale.write_text("old")
    kept.write_text("mine")
    render(tmp_path)
    assert not stale.exists()
    assert kept.exists()
