"""Scores of one source by objective and masking: a heat map a task, beside untrained weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from suite.report.lines import Line, Table

CELL = (0.62, 0.42)  # inches


def recipes_figure(tables: Sequence[Table]) -> Figure:
    """One panel per task: objectives down, maskings across, both best first by their mean.

    A frame marks what is not significantly worse than the best; of several configurations of a recipe
    the best is shown.
    """
    objectives = ordered((line.objective, line) for table in tables for line in trained(table))
    maskings = ordered((line.masking, line) for table in tables for line in trained(table))
    size = (1.6 + CELL[0] * (len(maskings) + 1.4), 1.3 + CELL[1] * len(objectives))
    figure, grid = plt.subplots(
        1,
        len(tables),
        figsize=(size[0] * len(tables), size[1]),
        squeeze=False,
        layout="constrained",
    )
    for axis, table in zip(grid[0], tables, strict=True):
        _panel(axis, table, objectives, maskings)
    figure.supxlabel("framed: not significantly worse than the best of its panel (5 %)", fontsize=7)
    return figure


def trained(table: Table) -> list[Line]:
    """The lines of a table that are recipes."""
    return [line for line in table.lines if not line.control]


def ordered(lines: Iterable[tuple[str, Line]]) -> list[str]:
    """Names by the mean score of their lines, best first."""
    scores: dict[str, list[float]] = defaultdict(list)
    for name, line in lines:
        scores[name].append(line.score)
    return sorted(scores, key=lambda name: (-float(np.mean(scores[name])), name))


def _panel(axis: Axes, table: Table, objectives: list[str], maskings: list[str]) -> None:
    best: dict[tuple[str, str], Line] = {}
    for line in reversed(table.lines):  # best last, so that it stays
        column = "untrained" if line.source == "untrained" else line.masking
        best[(line.objective, column)] = line
    columns = [*maskings, "untrained"]
    scores = np.array(
        [[_score(best.get((row, column))) for column in columns] for row in objectives], dtype=float
    )
    shades = mpl.colormaps["viridis"].with_extremes(bad="0.92")
    image = axis.imshow(scores, cmap=shades, aspect="auto")
    low, high = np.nanmin(scores), np.nanmax(scores)
    for i, row in enumerate(objectives):
        for j, column in enumerate(columns):
            if np.isnan(scores[i, j]):
                continue
            dark = scores[i, j] < (low + high) / 2
            colour = "white" if dark else "black"
            axis.text(j, i, f"{scores[i, j]:.1f}", ha="center", va="center", color=colour, fontsize=7)
            if best[(row, column)].among_best:
                frame = Rectangle(
                    (j - 0.46, i - 0.44), 0.92, 0.88, fill=False, edgecolor=colour, linewidth=1.2
                )
                axis.add_patch(frame)
    axis.axvline(len(maskings) - 0.5, color="white", linewidth=3)
    names = [name.replace("_", "\n", 1) for name in columns]
    axis.set_xticks(range(len(columns)), names, rotation=0, fontsize=6.5)
    axis.set_yticks(range(len(objectives)), objectives)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_title(f"{table.group.task_label}, {table.group.metric} (%)")
    axis.figure.colorbar(image, ax=axis, fraction=0.04, pad=0.02)


def _score(line: Line | None) -> float:
    return np.nan if line is None else 100 * line.score
