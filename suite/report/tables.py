"""Tables of scores with intervals and tests: per group, across tasks, on a terminal."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.box import SIMPLE
from rich.table import Table as RichTable
from rich.text import Text

from suite.report import ablation_tables, formats
from suite.report.ablations import Ablation
from suite.report.formats import Block, Cell, percent
from suite.report.lines import Line, Table
from suite.report.overviews import Overview, overview_block, overview_values
from suite.report.protocols import Protocols, protocols_block, protocols_values

HEAD = (
    *("source", "score", "95 % over seeds", "95 % over clips", "seeds", "clips"),
    *("Δ untrained", "p (seeds)", "p (clips)", "samples seen", "parameters", "pre-training s"),
)
CSV_HEAD = (
    *("task", "task_version", "probe", "metric", "scale", "masking", "objective", "budget"),
    *("line", "source", "control", "score", "seeds_low", "seeds_high", "clips_low", "clips_high"),
    *("folds_low", "folds_high", "seeds", "folds", "clips", "difference_to_untrained", "p_seeds"),
    *("p_clips", "pooled", "among_best", "samples_seen", "parameters", "flops", "seconds", "run_ids"),
)
IN_A_TERMINAL = (0, 1, 2, 3, 6, 7, 8)  # columns of HEAD that fit 80 characters
ANCHOR_HEAD = ("reported, not measured here", "score", "protocol", "bias", "citation")
READING = (
    "Score: mean over pre-training seeds of the mean over folds. Bold: the best, and everything not "
    "significantly worse than it (5 %, Holm over all pairs of this table, seeds and clips)."
)


@dataclass(frozen=True)
class Anchor:
    """One published number; ``score`` is a fraction, ``bias`` says why it may be too high."""

    system: str
    score: float
    protocol: str
    bias: str
    citation: str


def anchors(task: str, metric: str) -> list[Anchor]:
    """Published numbers of one task and metric, from ``anchors.csv`` beside this file."""
    path = Path(__file__).with_name("anchors.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["task"], row["metric"]) == (task, metric)]
    return [
        Anchor(
            system=row["system"],
            score=float(row["score"]),
            protocol=row["protocol"],
            bias=row["bias"],
            citation=row["citation"],
        )
        for row in rows
    ]


def measured(table: Table) -> Block:
    """The measured lines of one table."""
    notes = (READING, *table.notes)
    if table.chance is not None:
        notes = (f"Chance, from the frequencies of the labels: {percent(table.chance)}.", *notes)
    return Block(title(table), head(table), tuple(_cells(line) for line in table.lines), notes)


def head(table: Table) -> tuple[str, ...]:
    """The columns of a table: its lines are sources, or recipes."""
    return ("recipe" if table.group.source else "source", *HEAD[1:])


def reported(table: Table) -> Block | None:
    """Published anchors of the table's task as a block of their own; None where there are none.

    Partial data have none: a published number is of the complete release.
    """
    found = [] if table.group.partial else anchors(table.group.task, table.group.metric)
    if not found:
        return None
    body = tuple(
        tuple(map(Cell, (a.system, percent(a.score), a.protocol, a.bias, a.citation))) for a in found
    )
    return Block("Reported elsewhere: other protocols, not comparable line by line", ANCHOR_HEAD, body)


def title(table: Table) -> str:
    """What a table compares, in words."""
    group = table.group
    parts = [f"{group.task_label}, {group.probe_label}, {group.metric} (%)", f"scale {group.scale}"]
    parts += [f"{noun} {name}" for noun, name in _how(table) if name != "-"]
    return ", ".join([*parts, f"{group.budget:,} samples seen"])


def _how(table: Table) -> list[tuple[str, str]]:
    group = table.group
    if group.source:
        return [("source", group.source)]
    return [("masking", group.masking), ("objective", group.objective)]


def comma_separated(table: Table) -> str:
    """One table as CSV with fractions in full precision."""
    return formats.comma_separated(CSV_HEAD, [_values(table, line) for line in table.lines])


def _cells(line: Line) -> tuple[Cell, ...]:
    name = f"{line.label} (control)" if line.control else line.label
    numbers = (
        formats.interval(line.over_seeds),
        formats.interval(line.over_clips),
        *(str(len(line.seeds)), formats.count(line.clips)),
        percent(line.difference, signed=True),
        *(formats.p_value(line.p_seeds), formats.p_value(line.p_clips)),
        formats.count(line.mean("samples_seen")),
        formats.count(line.mean("parameters")),
        formats.count(line.mean("seconds")),
    )
    score = Cell(percent(line.score), bold=line.among_best)
    return (Cell(name, bold=line.among_best), score, *map(Cell, numbers))


def _values(table: Table, line: Line) -> list[Any]:
    group = table.group
    bounds: list[float | None] = []
    for found in (line.over_seeds, line.over_clips, line.over_folds):
        bounds += [None, None] if found is None else [round(found.low, 9), round(found.high, 9)]
    return [
        *(group.task_label, group.task_version, group.probe_label, group.metric, group.scale),
        *(group.masking or line.masking, group.objective or line.objective, group.budget),
        *(line.label, line.source, line.control, round(line.score, 9), *bounds),
        *(len(line.seeds), len(line.folds), line.clips),
        *(None if v is None else round(v, 9) for v in (line.difference, line.p_seeds, line.p_clips)),
        None if line.pooled is None else round(line.pooled, 9),
        *(line.among_best, round(line.mean("samples_seen")), round(line.mean("parameters"))),
        *(line.mean("flops"), round(line.mean("seconds"), 3)),
        " ".join(dict.fromkeys(row.run_id for row in line.rows)),
    ]


def files(
    summary: Sequence[Table],
    overviews: Sequence[Overview],
    protocols: Sequence[Protocols],
    ablations: Sequence[Ablation],
) -> dict[str, str]:
    """Every table file by name: Markdown, CSV and LaTeX of each table, and an index of them all."""
    written: dict[str, str] = {}
    index = ["# Tables", ""]
    for overview in overviews:
        block = overview_block(overview)
        index.append(f"- [{block.title}]({overview.name}.md)")
        written[f"{overview.name}.md"] = formats.markdown([block])
        written[f"{overview.name}.csv"] = overview_values(overview)
        written[f"{overview.name}.tex"] = formats.latex(block)
    for found in protocols:
        block = protocols_block(found)
        index.append(f"- [{block.title}]({found.name}.md)")
        written[f"{found.name}.md"] = formats.markdown([block])
        written[f"{found.name}.csv"] = protocols_values(found)
        written[f"{found.name}.tex"] = formats.latex(block)
    for table in summary:
        blocks = [block for block in (measured(table), reported(table)) if block is not None]
        index.append(f"- [{blocks[0].title}]({table.name}.md)")
        written[f"{table.name}.md"] = formats.markdown(blocks)
        written[f"{table.name}.csv"] = comma_separated(table)
        written[f"{table.name}.tex"] = "\n".join(formats.latex(block) for block in blocks)
    for study in ablations:
        index.append(f"- [{ablation_tables.title(study)}]({quote(study.name)}.md)")
        written |= ablation_tables.files(study)
    if not summary and not ablations:
        index.append("No results yet. Type `sourcebench compare comparison=quick`, then")
        index.append("`sourcebench report`.")
    return {"index.md": "\n".join(index) + "\n", **written}


def terminal(tables: Sequence[Table]) -> list[RichTable]:
    """Tables that fit 80 columns: score, its two intervals, the difference to untrained with its p."""
    shown = []
    names = {"95 % over seeds": "95 % seeds", "95 % over clips": "95 % clips"}
    for table in tables:
        drawn = RichTable(
            title=title(table), title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0)
        )
        for position in IN_A_TERMINAL:
            name = names.get(HEAD[position], head(table)[position])
            drawn.add_column(name, justify="left" if position == 0 else "right", no_wrap=position > 0)
        for line in table.lines:
            cells = [_cells(line)[position] for position in IN_A_TERMINAL]
            starred = [Text(cell.text, style="bold" if cell.bold else "") for cell in cells]
            starred[1].append(" *" if line.among_best else "  ")
            drawn.add_row(*starred)
        shown.append(drawn)
    return shown
