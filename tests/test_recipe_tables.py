"""Where a source met several recipes, one table and one heat map compare them.

.venv/bin/python -m pytest tests/test_recipe_tables.py
"""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from synthetic_results import Plan, write_run

from suite.report import read_results, render, summaries
from suite.report.heatmap import recipes_figure
from suite.report.lines import Table
from suite.rows import add_rows

PLAN = Plan(sources={}, seeds=(0, 1), tasks=("esc50",), probes=("linear@1",), clips=60)
SKILL = {  # of each recipe
    ("mae", "random"): 0.85,
    ("mae", "inverse_block"): 0.7,
    ("eat", "random"): 0.6,
    ("eat", "inverse_block"): 0.8,
}
UNTRAINED = {"mae": 0.3, "eat": 0.5}


def tables_of(results: Path) -> list[Table]:
    return summaries.summarise(read_results(results), lambda run: results / "predictions" / run)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("recipes")
    for ((objective, masking), skill), seed in product(SKILL.items(), PLAN.seeds):
        plan = replace(PLAN, objective=objective, masking=masking)
        write_run(results, plan, "audiopg", skill, seed, samples_seen=plan.budget)
    for (objective, skill), seed in product(UNTRAINED.items(), PLAN.seeds):
        write_run(results, replace(PLAN, objective=objective), "untrained", skill, seed, samples_seen=0)
    write_run(results, PLAN, "mel_statistics", 0.45, 0, samples_seen=0)
    return results


def test_one_table_holds_all_recipes_and_their_controls(published: Path) -> None:
    (table,) = tables_of(published)
    assert table.name == "esc50.linear@1.accuracy.nano.audiopg.20000"
    assert {line.label for line in table.lines} == {
        *(f"{objective}, {masking}" for objective, masking in SKILL),
        *("untrained, mae", "untrained, eat", "mel_statistics"),
    }
    assert table.lines[0].label == "mae, random"
    assert not table.notes


def test_a_recipe_is_held_against_untrained_weights_of_its_objective(published: Path) -> None:
    (table,) = tables_of(published)
    scores = {line.label: line.score for line in table.lines}
    for line in table.lines:
        if not line.control:
            own = scores[f"untrained, {line.objective}"]
            assert line.difference == pytest.approx(line.score - own)


def test_the_files_name_recipe_and_source(published: Path) -> None:
    render(published)
    name = "esc50.linear@1.accuracy.nano.audiopg.20000"
    assert (published / "tables" / f"{name}.md").read_text().splitlines()[2].startswith("| recipe |")
    with (published / "tables" / f"{name}.csv").open(newline="") as file:
        lines = {line["line"]: line for line in csv.DictReader(file)}
    chosen = lines["eat, inverse_block"]
    named = (chosen["source"], chosen["objective"], chosen["masking"])
    assert named == ("audiopg", "eat", "inverse_block")
    assert (published / "plots" / "recipes.linear@1.nano.audiopg.20000.svg").exists()


def test_the_heat_map_shows_every_score_best_first(published: Path) -> None:
    figure = recipes_figure(tables_of(published))
    axis = figure.axes[0]
    (table,) = tables_of(published)
    shown = {text.get_text() for text in axis.texts}
    assert shown == {f"{100 * line.score:.1f}" for line in table.lines if line.objective != "-"}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["mae", "eat"]
    columns = [label.get_text().replace("\n", "_") for label in axis.get_xticklabels()]
    assert columns == ["inverse_block", "random", "untrained"]


def test_sources_of_one_recipe_keep_a_table_of_their_own(published: Path, tmp_path: Path) -> None:
    for row_file in (published / "rows").glob("*.jsonl"):
        (tmp_path / "rows").mkdir(exist_ok=True)
        (tmp_path / "rows" / row_file.name).write_bytes(row_file.read_bytes())
    for seed in PLAN.seeds:
        write_run(tmp_path, PLAN, "dead_leaves", 0.6, seed, samples_seen=PLAN.budget)
    groups = [(table.group.source, table.group.objective) for table in tables_of(tmp_path)]
    assert sorted(groups) == [("", "mae"), ("audiopg", "")]


def test_a_regulariser_that_saw_labels_is_marked(published: Path) -> None:
    rows = [row for row in read_results(published) if row.objective in ("eat", "-")]
    marked = [
        replace(row, config={**row.config, "objective": {"name": "eat", "saw_labels": True}})
        for row in rows
        if not row.control
    ]
    labels = {
        line.label
        for table in summaries.summarise(marked, lambda run: published / "predictions" / run)
        for line in table.lines
    }
    assert labels == {"eat, random, saw labels", "eat, inverse_block, saw labels"}


def test_unpublished_recipes_are_left_blank(published: Path, tmp_path: Path) -> None:
    kept = [row for row in read_results(published) if (row.objective, row.masking) != ("eat", "random")]
    for run_id in {row.run_id for row in kept}:
        add_rows(tmp_path / "rows" / f"{run_id}.jsonl", [row for row in kept if row.run_id == run_id])
    shown = recipes_figure(tables_of(tmp_path)).axes[0].texts
    assert len(shown) == len(SKILL) - 1 + 1  # and the untrained weights of mae


def test_untrained_weights_of_an_older_configuration_are_replicates(tmp_path: Path) -> None:
    plan = replace(PLAN, seeds=(0,))
    write_run(tmp_path, plan, "audiopg", 0.7, 0, samples_seen=plan.budget)
    rows = write_run(tmp_path, plan, "untrained", 0.4, 0, samples_seen=0)
    rows += write_run(tmp_path, plan, "untrained", 0.4, 1, samples_seen=0)
    configs = (
        {"scale": {"width": 128, "samples_seen": 8}},
        {"scale": {"width": 128, "samples_seen": 9}, "encoder": {"stem": None}, "source": {"gain": 1}},
        {"scale": {"width": 64}},
    )

    def labels(older: int, newer: int) -> set[str]:
        for row in rows:
            row = replace(row, config=configs[older if row.seed == 0 else newer])
            add_rows(tmp_path / "rows" / f"{row.run_id}.jsonl", [row])
        (table,) = tables_of(tmp_path)
        return {line.label for line in table.lines} - {"audiopg"}

    assert labels(0, 1) == {"untrained"}
    assert labels(0, 2) == {"untrained (scale.width=128)", "untrained (scale.width=64)"}
