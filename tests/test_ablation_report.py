"""Ablation studies as they are written down: tables, figures, the section of the page, verification.

.venv/bin/python -m pytest tests/test_ablation_report.py
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from known_studies import FOLDS, FRESH, GRID, SEARCH
from rendered_results import Page
from synthetic_results import write_results
from synthetic_studies import (
    choices,
    confirm,
    write_grid,
    write_search,
)

from suite.report import render
from suite.rows import add_rows, read_rows
from suite.studies import FILE, FOLDER, write_study
from suite.verify import verify


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
