"""One task under several protocols: scores, places, and whether the order of encoders holds.

.venv/bin/python -m pytest tests/test_protocols.py
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_results import Plan, write_run

from suite.report import read_results, render, summaries
from suite.report.bumps import protocols_figure
from suite.report.protocols import Protocols, protocols, protocols_block
from suite.rows import add_rows, read_rows

PLAN = Plan(sources={}, seeds=(0,), tasks=("esc50",), clips=80)
SKILL = {  # of each source by probe: the last one turns the order round
    "linear@1": {"audiopg": 0.9, "dead_leaves": 0.7, "fractals": 0.5},
    "knn@1": {"audiopg": 0.8, "dead_leaves": 0.6, "fractals": 0.4},
    "hear-mlp@1": {"audiopg": 0.3, "dead_leaves": 0.5, "fractals": 0.7},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("protocols")
    for probe, skills in SKILL.items():
        plan = replace(PLAN, probes=(probe,))
        for source, skill in skills.items():
            write_run(place, plan, source, skill, 0, samples_seen=plan.budget)
        write_run(place, plan, "untrained", 0.2, 0, samples_seen=0)
    write_run(
        place, replace(PLAN, probes=("linear@1", "knn@1")), "mel_statistics", 0.45, 0, samples_seen=0
    )
    write_run(place, replace(PLAN, probes=("linear@1",)), "noise", 0.3, 0, samples_seen=PLAN.budget)
    return place


def found(results: Path) -> Protocols:
    rows = read_results(results)
    (one,) = protocols(summaries.summarise(rows, lambda run: results / "predictions" / run))
    return one


def test_places_are_among_the_encoders_that_have_every_protocol(results: Path) -> None:
    one = found(results)
    assert one.probes == ("hear-mlp@1", "knn@1", "linear@1")
    labels = [line.label for line in one.lines]
    assert labels[-1] == "mel_statistics"  # has two protocols of three
    assert "noise" not in labels  # has one: it says nothing of an order
    assert np.isnan(one.places[-1]).all()
    places = dict(zip(labels, one.places.tolist(), strict=True))
    assert places["audiopg"] == [3.0, 1.0, 1.0]
    assert places["fractals"] == [1.0, 3.0, 3.0]
    assert places["untrained"] == [4.0, 4.0, 4.0]


def test_agreement_is_kendall_s_tau(results: Path) -> None:
    one = found(results)
    expected = stats.kendalltau([3, 2, 1, 4], [1, 2, 3, 4]).statistic
    assert one.agreement["hear-mlp@1", "knn@1"] == pytest.approx(expected)
    assert one.agreement["knn@1", "linear@1"] == 1.0
    (note,) = [note for note in protocols_block(one).notes if "Kendall" in note]
    assert "most alike knn@1 and linear@1 1.00" in note


def test_two_protocols_are_no_comparison(tmp_path: Path) -> None:
    for source in ("audiopg", "dead_leaves", "fractals"):
        write_run(tmp_path, PLAN, source, 0.6, 0, samples_seen=PLAN.budget)
    rows = read_results(tmp_path)
    assert protocols(summaries.summarise(rows, lambda run: tmp_path / "predictions" / run)) == []


def test_it_is_rendered_as_table_figure_and_section(results: Path) -> None:
    rendered = render(results)
    names = {path.name for path in (*rendered.tables, *rendered.plots)}
    assert "protocols.esc50.nano.random.mae.20000.md" in names
    assert "protocols.nano.random.mae.20000.svg" in names
    table = results / "tables" / "protocols.esc50.nano.random.mae.20000.csv"
    rows = list(csv.DictReader(table.open()))
    assert float(next(row for row in rows if row["encoder"] == "audiopg")["linear@1"]) > 0.8
    assert "By protocol" in rendered.page.read_text()


def test_the_figure_shows_every_place_and_score(results: Path) -> None:
    one = found(results)
    (axis,) = protocols_figure([one]).axes
    texts = {text.get_text() for text in axis.texts}
    assert {"audiopg", "dead_leaves", "fractals", "untrained"} <= texts
    assert "mel_statistics" not in texts
    for score in one.scores[:4].ravel():
        assert f"{100 * score:.1f}" in texts
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first place on top


def test_an_encoder_is_not_told_by_its_label(results: Path, tmp_path: Path) -> None:
    """A second configuration under one protocol alone renames the first there, and nowhere else.

    Untrained weights are one encoder whichever run has them, and if an older row lacks a key.
    """
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = next((tmp_path / "rows").glob("audiopg-*.jsonl"))
    other = [
        replace(row, run_id="second", config={**row.config, "precision": "bfloat16"}, score=0.1)
        for row in read_rows(path)
        if row.probe == "linear@1"
    ]
    add_rows(tmp_path / "rows" / "second.jsonl", other)
    shutil.copytree(tmp_path / "predictions" / path.stem, tmp_path / "predictions" / "second")
    path = next((tmp_path / "rows").glob("untrained-*.jsonl"))
    older = [
        replace(row, run_id="older", config={"source": row.config["source"]})
        if row.probe == "knn@1"
        else row
        for row in read_rows(path)
    ]
    path.unlink()
    add_rows(path, older)
    shutil.copytree(tmp_path / "predictions" / path.stem, tmp_path / "predictions" / "older")
    one = found(tmp_path)
    assert one.scores[one.complete].shape == (4, 3)
    (audiopg,) = [line for line in one.lines if line.source == "audiopg"]
    assert {row.run_id for row in audiopg.rows} != {"second"}
