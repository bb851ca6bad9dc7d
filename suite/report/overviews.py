"""All tasks side by side: one line per source, its place among the others, and two aggregates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suite.report import formats, significance
from suite.report.formats import DASH, Block, Cell, percent
from suite.report.lines import Setting, Table, file_words
from suite.report.resampling import RankInterval, rank_intervals


@dataclass(frozen=True)
class Overview:
    """One line per source or recipe, one column per task, for one setting.

    ``scores`` is ``(lines, tasks)`` with NaN where a source was not evaluated; ``standing`` gives the
    rank interval of the sources that have every task (others None).
    """

    setting: Setting
    tasks: tuple[str, ...]
    tables: tuple[str, ...]  # the name of each task's table
    labels: tuple[str, ...]
    families: tuple[str, ...]  # of each line, which name its colour
    controls: tuple[bool, ...]
    scores: np.ndarray
    best: np.ndarray  # bool (lines, tasks): among the best of that task's table
    borda: tuple[float, ...]
    standing: tuple[RankInterval | None, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return file_words("overview", self.setting.probe, *self.setting.words)

    @property
    def lines(self) -> str:
        """What a line is: a source or a recipe."""
        return "recipe" if self.setting.source else "source"

    @property
    def title(self) -> str:
        setting = self.setting
        return f"All tasks, {setting.probe}, scale {setting.scale}, {setting.recipe} (%)"


def overviews(tables: Sequence[Table]) -> list[Overview]:
    """Overviews across tasks, in a stable order; a single task has no across."""
    related: dict[Setting, list[Table]] = defaultdict(list)
    for table in tables:
        related[table.group.setting].append(table)
    return [_overview(key, related[key]) for key in sorted(related) if len(related[key]) > 1]


def _overview(setting: Setting, tables: Sequence[Table]) -> Overview:
    names = _question_names(tables)
    lines = [{line.label: line for line in table.lines} for table in tables]
    known = {label: line for each in lines for label, line in each.items()}
    labels = sorted(known)
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
        setting=setting,
        tasks=names,
        tables=tuple(table.name for table in tables),
        labels=tuple(labels[i] for i in order),
        families=tuple(known[labels[i]].family for i in order),
        controls=tuple(known[labels[i]].control for i in order),
        scores=scores[order],
        best=best[order],
        borda=tuple(float(points[i]) for i in order),
        standing=tuple(standing[i] for i in order),
        notes=tuple(notes),
    )


def _question_names(tables: Sequence[Table]) -> tuple[str, ...]:
    # The shortest names that tell the columns apart: task, then metric, version, data.
    def attempt(*fields: str) -> list[str]:
        return [
            " ".join(shown(getattr(table.group, name), name) for name in fields) for table in tables
        ]

    def shown(value: object, name: str) -> str:
        return str(value)[:12] if name.endswith("_hash") else str(value)

    for fields in (("task_label",), ("task_label", "metric"), ("task_label", "metric", "task_version")):
        if len(set(attempt(*fields))) == len(tables):
            return tuple(attempt(*fields))
    return tuple(attempt("task_label", "metric", "task_version", "split_hash", "data_hash"))


def overview_block(overview: Overview) -> Block:
    """An overview as cells."""
    head = (overview.lines, *overview.tasks, "mean rank", "95 % of places", "P(best)", "Borda")
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
        overview.lines,
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
