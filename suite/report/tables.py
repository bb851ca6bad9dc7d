"""Tables of scores with intervals and tests: per group, across tasks, on a terminal."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as RichTable
from rich.text import Text

from suite.report import formats, significance
from suite.report.formats import DASH, Block, Cell, percent
from suite.report.lines import Line, Table, file_words
from suite.report.resampling import RankInterval, rank_intervals

HEAD = (
    *("source", "score", "95 % over seeds", "95 % over clips", "seeds", "clips"),
    *("Δ untrained", "p (seeds)", "p (clips)", "samples seen", "parameters", "pre-training s"),
)
CSV_HEAD = (
    *("task", "task_version", "probe", "metric", "scale", "masking", "objective", "budget"),
    *("source", "control", "score", "seeds_low", "seeds_high", "clips_low", "clips_high"),
    *("folds_low", "folds_high", "seeds", "folds", "clips", "difference_to_untrained", "p_seeds"),
    *("p_clips", "among_best", "samples_seen", "parameters", "flops", "seconds", "run_ids"),
)
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
    return Block(title(table), HEAD, tuple(_cells(line) for line in table.lines), notes)


def reported(table: Table) -> Block | None:
    """Published anchors of the table's task as a block of their own; None where there are none."""
    found = anchors(table.group.task, table.group.metric)
    if not found:
        return None
    body = tuple(
        tuple(map(Cell, (a.system, percent(a.score), a.protocol, a.bias, a.citation))) for a in found
    )
    return Block("Reported elsewhere: other protocols, not comparable line by line", ANCHOR_HEAD, body)


def title(table: Table) -> str:
    """What a table compares, in words."""
    group = table.group
    parts = [f"{group.task}, {group.probe}, {group.metric} (%)", f"scale {group.scale}"]
    parts += [f"{noun} {name}" for noun, name in _how(table) if name != "-"]
    return ", ".join([*parts, f"{group.budget:,} samples seen"])


def _how(table: Table) -> list[tuple[str, str]]:
    return [("masking", table.group.masking), ("objective", table.group.objective)]


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
        *(group.task, group.task_version, group.probe, group.metric, group.scale, group.masking),
        *(group.objective, group.budget, line.label, line.control, round(line.score, 9), *bounds),
        *(len(line.seeds), len(line.folds), line.clips),
        *(None if v is None else round(v, 9) for v in (line.difference, line.p_seeds, line.p_clips)),
        *(line.among_best, round(line.mean("samples_seen")), round(line.mean("parameters"))),
        *(line.mean("flops"), round(line.mean("seconds"), 3)),
        " ".join(dict.fromkeys(row.run_id for row in line.rows)),
    ]


@dataclass(frozen=True)
class Overview:
    """One line per source, one column per task, for one probe, scale, masking, objective, budget.

    ``scores`` is ``(lines, tasks)`` with NaN where a source was not evaluated; ``standing`` gives the
    rank interval of the sources that have every task (others None).
    """

    key: tuple[str, str, str, str, int]  # probe, scale, masking, objective, budget
    tasks: tuple[str, ...]
    tables: tuple[str, ...]  # the name of each task's table
    labels: tuple[str, ...]
    controls: tuple[bool, ...]
    scores: np.ndarray
    best: np.ndarray  # bool (lines, tasks): among the best of that task's table
    borda: tuple[float, ...]
    standing: tuple[RankInterval | None, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return file_words("overview", *map(str, self.key))

    @property
    def title(self) -> str:
        probe, scale, masking, objective, budget = self.key
        how = "".join(f"{name}, " for name in (masking, objective) if name != "-")
        return f"All tasks, {probe}, scale {scale}, {how}{budget:,} samples seen (%)"


def overviews(tables: Sequence[Table]) -> list[Overview]:
    """Overviews across tasks, in a stable order."""
    related: dict[tuple[str, str, str, str, int], list[Table]] = defaultdict(list)
    for table in tables:
        g = table.group
        related[(g.probe, g.scale, g.masking, g.objective, g.budget)].append(table)
    return [_overview(key, related[key]) for key in sorted(related)]


def _overview(key: tuple[str, str, str, str, int], tables: Sequence[Table]) -> Overview:
    names = _question_names(tables)
    lines = [{line.label: line for line in table.lines} for table in tables]
    controls = {label: line.control for each in lines for label, line in each.items()}
    labels = sorted(controls)
    scores = np.array(
        [[each[label].score if label in each else np.nan for each in lines] for label in labels]
    ).reshape(len(labels), len(tables))
    best = np.array(
        [[label in each and each[label].among_best for each in lines] for label in labels], dtype=bool
    ).reshape(scores.shape)
    points = significance.borda([list(column) for column in scores.T])
    complete = np.flatnonzero(~np.isnan(scores).any(axis=1))  # never empty: see below
    standing: list[RankInterval | None] = [None] * len(labels)
    if complete.size:
        for position, found in zip(complete, rank_intervals(scores[complete].T), strict=True):
            standing[position] = found
    notes = [
        "Places are among the sources evaluated on every task; their 95 % interval and P(best) redraw "
        "the tasks. Borda points count a missing task as 0. Two aggregates, because they can disagree."
    ]
    if len(complete) > 2 and len(tables) > 1:
        _, p = significance.friedman(scores[complete].T)
        notes.append(
            f"Friedman test of equal sources over {len(tables)} tasks: p {formats.p_value(p)}."
        )
    if 2 <= len(complete) <= 20 and len(tables) > 1:
        distance = significance.nemenyi_distance(len(complete), len(tables))
        notes.append(f"Nemenyi: mean ranks closer than {distance:.2f} are not separable at 5 %.")
    order = sorted(range(len(labels)), key=lambda i: (-points[i], labels[i]))
    return Overview(
        key=key,
        tasks=names,
        tables=tuple(table.name for table in tables),
        labels=tuple(labels[i] for i in order),
        controls=tuple(controls[labels[i]] for i in order),
        scores=scores[order],
        best=best[order],
        borda=tuple(float(points[i]) for i in order),
        standing=tuple(standing[i] for i in order),
        notes=tuple(notes),
    )


def _question_names(tables: Sequence[Table]) -> tuple[str, ...]:
    # The shortest names that tell the columns apart: task, then metric, version, data.
    def attempt(*fields: str) -> list[str]:
        return [" ".join(str(getattr(table.group, name))[:12] for name in fields) for table in tables]

    for fields in (("task",), ("task", "metric"), ("task", "metric", "task_version")):
        if len(set(attempt(*fields))) == len(tables):
            return tuple(attempt(*fields))
    return tuple(attempt("task", "metric", "task_version", "split_hash", "data_hash"))


def overview_block(overview: Overview) -> Block:
    """An overview as cells."""
    head = ("source", *overview.tasks, "mean rank", "95 % of places", "P(best)", "Borda")
    body = []
    for i, label in enumerate(overview.labels):
        name = f"{label} (control)" if overview.controls[i] else label
        cells = [Cell(name)]
        for score, best in zip(overview.scores[i], overview.best[i], strict=True):
            cells.append(Cell(percent(float(score)), bold=bool(best)))
        place = overview.standing[i]
        words = (DASH, DASH, DASH) if place is None else _place(place)
        body.append((*cells, *map(Cell, words), Cell(f"{overview.borda[i]:.1f}")))
    return Block(overview.title, head, tuple(body), overview.notes)


def _place(place: RankInterval) -> tuple[str, str, str]:
    return f"{place.mean:.2f}", f"{place.low:.0f}{DASH}{place.high:.0f}", f"{place.best:.2f}"


def overview_values(overview: Overview) -> str:
    """An overview as CSV with fractions in full precision."""
    head = (
        "source",
        "control",
        *overview.tasks,
        "mean_rank",
        "place_low",
        "place_high",
        "p_best",
        "borda",
    )
    body = []
    for i, label in enumerate(overview.labels):
        place = overview.standing[i]
        numbers = [None] * 4 if place is None else [place.mean, place.low, place.high, place.best]
        rounded = [None if value is None else round(value, 9) for value in numbers]
        scores = [round(float(value), 9) for value in overview.scores[i]]
        body.append([label, overview.controls[i], *scores, *rounded, overview.borda[i]])
    return formats.comma_separated(head, body)


def files(summary: Sequence[Table], overviews: Sequence[Overview]) -> dict[str, str]:
    """Every table file by name: Markdown, CSV and LaTeX of each table, and an index of them all."""
    written: dict[str, str] = {}
    index = ["# Tables", ""]
    for overview in overviews:
        block = overview_block(overview)
        index.append(f"- [{block.title}]({overview.name}.md)")
        written[f"{overview.name}.md"] = formats.markdown([block])
        written[f"{overview.name}.csv"] = overview_values(overview)
        written[f"{overview.name}.tex"] = formats.latex(block)
    for table in summary:
        blocks = [block for block in (measured(table), reported(table)) if block is not None]
        index.append(f"- [{blocks[0].title}]({table.name}.md)")
        written[f"{table.name}.md"] = formats.markdown(blocks)
        written[f"{table.name}.csv"] = comma_separated(table)
        written[f"{table.name}.tex"] = "\n".join(formats.latex(block) for block in blocks)
    if not summary:
        index.append("No results yet. Type `sourcebench compare comparison=quick`, then")
        index.append("`sourcebench report`.")
    return {"index.md": "\n".join(index) + "\n", **written}


def terminal(tables: Sequence[Table]) -> list[RichTable]:
    """Tables for a terminal: score with its two intervals and the difference to untrained."""
    shown = []
    for table in tables:
        drawn = RichTable(title=title(table), caption=READING, title_justify="left")
        for position, name in enumerate(HEAD[:9]):
            drawn.add_column(name, justify="left" if position == 0 else "right", no_wrap=position > 0)
        for line in table.lines:
            cells = _cells(line)[:9]
            drawn.add_row(*(Text(cell.text, style="bold" if cell.bold else "") for cell in cells))
        shown.append(drawn)
    return shown
