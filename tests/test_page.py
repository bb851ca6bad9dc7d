"""The page and the formats of the tables: complete, escaped, of one piece."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from rendered_results import PLAN, Page, summary_of, the_line, the_table
from rich.console import Console
from scipy import stats
from synthetic_results import SMALL, write_results, write_run

from suite.report import formats, overviews, palette, read_results, render, tables
from suite.rows import Row, add_rows, predictions_path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered results folder; tests that change something take their own."""
    results = tmp_path_factory.mktemp("results")
    write_results(results, PLAN)
    render(results)
    return results


def test_every_row_is_reachable_in_the_page(published: Path) -> None:
    page = Page((published / "leaderboard" / "index.html").read_text())
    assert len(page.ids) == len(set(page.ids))
    local = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert local <= set(page.ids)
    for row in read_results(published):
        assert f"run-{row.run_id}" in local
        assert f"{row.fold}: {100 * row.score:.1f} (n {row.n_test}" in page.text
        assert row.command in page.text
    for line in (line for table in summary_of(published) for line in table.lines):
        assert f"{100 * line.score:.1f}" in page.text


def test_partial_data_are_labelled_wherever_their_scores_are_shown(tmp_path: Path) -> None:
    (row,) = write_run(
        tmp_path,
        replace(SMALL, tasks=("toy_pitch",), probes=("linear@1",)),
        "audiopg",
        0.7,
        0,
        samples_seen=20_000,
    )
    other = replace(row, run_id="partial", partial=True, split_hash="less")
    add_rows(tmp_path / "rows" / "partial.jsonl", [other])
    render(tmp_path)
    page = (tmp_path / "leaderboard" / "index.html").read_text()
    assert page.count("toy_pitch (partial)") >= 3  # the table, the filter, the run's scores
    (found,) = (tmp_path / "tables").glob("toy_pitch.partial.*.md")
    text = found.read_text()
    assert text.startswith(r"## toy\_pitch (partial), linear@1")
    assert "not comparable with published scores" in text
    assert "Reported elsewhere" not in text


def test_the_page_is_one_file_that_fetches_nothing(published: Path) -> None:
    text = (published / "leaderboard" / "index.html").read_text()
    page = Page(text)
    assert not {"img", "link", "iframe"} & set(page.tags)
    assert page.loaded == []
    assert not re.search(r"https?://|@import|url\(", text)
    outside = [link for link in page.links if not link.startswith("#")]
    for link in outside:
        assert (published / "leaderboard" / unquote(link)).resolve().exists(), link
    assert "prefers-color-scheme: dark" in text
    assert {"thead", "tbody", "th", "button"} <= set(page.tags)


def test_what_a_row_says_is_escaped_in_the_page(tmp_path: Path) -> None:
    (row,) = write_run(
        tmp_path,
        replace(SMALL, tasks=("toy_pitch",), probes=("linear@1",)),
        "audiopg",
        0.7,
        0,
        samples_seen=20_000,
    )
    evil = "<script>alert('x')</script>&\"q\""
    changed = replace(row, source=evil, notes=(evil,), command=evil, config={evil: evil}, fold=evil)
    changed = replace(changed, task=evil, probe=evil, scale=evil, masking=evil, objective=evil)
    add_rows(tmp_path / "rows" / "evil.jsonl", [replace(changed, run_id=f"evil {evil}")])
    render(tmp_path)
    text = (tmp_path / "leaderboard" / "index.html").read_text()
    assert "<script>alert" not in text
    page = Page(text)
    assert page.tags.count("script") == 1
    assert page.text.count(evil) > 8


def test_latex_is_escaped_and_its_rows_have_equal_columns(published: Path) -> None:
    assert formats.escape_latex(r"a_b & 5% #1 {x} $y ~^\|") == (
        r"a\_b \& 5\% \#1 \{x\} \$y \textasciitilde{}\textasciicircum{}\textbackslash{}\textbar{}"
    )
    for path in (published / "tables").glob("*.tex"):
        text = path.read_text()
        for tabular in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, flags=re.DOTALL):
            lines = [line for line in tabular.splitlines() if line != r"\midrule"]
            assert all(line.endswith(r"\\") for line in lines)
            assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1
        assert not re.search(r"(?<!\\)_", re.sub(r"%.*", "", text))


def test_markdown_rows_have_equal_columns_whatever_the_label() -> None:
    cells = (formats.Cell("a|b_c", bold=True), formats.Cell("1.0"))
    text = formats.markdown([formats.Block("t", ("x", "y"), (cells,))])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert r"**a\|b\_c**" in text


def test_published_anchors_are_apart_from_what_was_measured(published: Path) -> None:
    text = next((published / "tables").glob("esc50.linear*.md")).read_text()
    measured, reported = text.split("## Reported elsewhere")
    assert "90.6" not in measured
    assert re.search(r"AudioPG.*90\.6.*fold 1.*upper-biased.*2606\.14791", reported)
    assert "81.3" in reported
    for task in ("esc50", "fsd50k", "urbansound8k", "speech_commands"):
        metric = "macro_map" if task == "fsd50k" else "accuracy"
        for anchor in tables.anchors(task, metric):
            assert 0 < anchor.score <= 1
            assert anchor.protocol
            assert anchor.bias
            assert anchor.citation


def test_the_overview_ranks_sources_over_tasks(published: Path) -> None:
    (overview,) = [
        o for o in overviews.overviews(summary_of(published)) if o.setting.probe == "linear@1"
    ]
    assert overview.tasks == ("esc50", "toy_pitch")
    for label, scores in zip(overview.labels, overview.scores, strict=True):
        expected = [the_line(the_table(published, task), label).score for task in overview.tasks]
        assert list(scores) == pytest.approx(expected)
    expected_points = (len(overview.labels) - stats.rankdata(-overview.scores, axis=0)).sum(axis=1)
    assert overview.borda == pytest.approx(expected_points)


def test_the_terminal_shows_both_intervals(published: Path) -> None:
    table = the_table(published)
    console = Console(width=200, record=True)
    console.print(*tables.terminal([table]))
    text = console.export_text()
    line = the_line(table, "audiopg")
    assert formats.interval(line.over_seeds) in text
    assert formats.interval(line.over_clips) in text
    assert "mel_statistics (control)" in text


def test_figures_are_well_formed_and_hold_curves(published: Path) -> None:
    names = {path.name.split(".")[0] for path in (published / "plots").iterdir()}
    assert names == {"scores", "curves", "cost"}
    for path in (published / "plots").glob("*.svg"):
        text = path.read_text()
        ElementTree.fromstring(text)
        assert "esc50" in text
        assert "audiopg" in text
    assert all(p.with_suffix(".png").exists() for p in (published / "plots").glob("*.svg"))


def test_a_source_looks_the_same_everywhere() -> None:
    assert palette.colour("audiopg") == "#0072B2"
    assert palette.colour("my_own_source") == palette.colour("my_own_source")
    known = [*palette.SOURCES.values(), *palette.CONTROLS.values()]
    assert len({colour for colour, _ in known}) == len({marker for _, marker in known}) == len(known)


def test_many_labels_are_recomputed_on_every_draw(tmp_path: Path) -> None:
    from suite import metrics
    from suite.rows import Predictions, write_predictions

    (row,) = write_run(
        tmp_path,
        replace(SMALL, tasks=("toy_pitch",), probes=("linear@1",), clips=60),
        "audiopg",
        0.7,
        0,
        samples_seen=20_000,
    )
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, (60, 3)).astype(np.uint8)
    scores = (target + generator.normal(0, 0.7, target.shape)).astype(np.float16)
    names = np.array([str(i) for i in range(60)])
    stored = Predictions(
        clip=names,
        group=names,
        fold=np.full(60, "test"),
        target=target,
        scores=scores,
        classes=np.array(["a", "b", "c"]),
    )
    folder = tmp_path / "predictions" / row.run_id
    write_predictions(predictions_path(folder, "toy_pitch", "linear@1", 20_000), stored)
    score = metrics.METRICS["macro_map"](target, scores)
    many: Row = replace(row, metric="macro_map", score=score, n_test=60)
    (tmp_path / "rows" / f"{row.run_id}.jsonl").unlink()
    add_rows(tmp_path / "rows" / f"{row.run_id}.jsonl", [many])
    (table,) = summary_of(tmp_path)
    found = table.lines[0].over_clips
    assert found is not None
    assert found.low < score < found.high
    assert 0.02 < found.high - found.low < 0.4
    assert table.chance == pytest.approx(target.mean())
