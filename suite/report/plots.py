"""Figures for a paper: scores with intervals, learning curves, cost against score; SVG and PNG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # before pyplot is imported: figures are written, never shown

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from suite.report.bumps import protocols_figure
from suite.report.heatmap import recipes_figure
from suite.report.lines import Line, Setting, Table, file_words, interval_over_seeds
from suite.report.palette import colour, marker
from suite.report.panels import STYLE, legend, panels, saved
from suite.report.protocols import Protocols
from suite.rows import Row


def figures(
    tables: Sequence[Table], protocols: Sequence[Protocols], rows: Iterable[Row]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, {"svg": ..., "png": ...}) of every figure, in a stable order.

    ``rows`` are all rows, earlier checkpoints included: they are the learning curves.
    """
    earlier: dict[tuple[str, str, bool, str, str], dict[int, list[Row]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        asked = (row.run_id, row.task, row.partial, row.probe_label, row.metric)
        earlier[asked][row.samples_seen].append(row)
    related: dict[Setting, list[Table]] = defaultdict(list)
    for table in tables:
        related[table.group.setting].append(table)
    costs: dict[tuple[str, str, str, str], list[Table]] = defaultdict(list)
    with sns.axes_style("whitegrid"), mpl.rc_context(STYLE):
        for setting in sorted(related):
            name = file_words(setting.probe, *setting.words)
            yield f"scores.{name}", saved(scores_figure(related[setting]))
            if setting.source:
                yield f"recipes.{name}", saved(recipes_figure(related[setting]))
                continue
            costs[(setting.probe, setting.scale, setting.masking, setting.objective)] += related[
                setting
            ]
            curves = [_curves(table, earlier) for table in related[setting]]
            if any(len(points) > 1 for found in curves for points in found.values()):
                yield f"curves.{name}", saved(curves_figure(related[setting], curves))
        compared: dict[str, list[Protocols]] = defaultdict(list)
        for found in protocols:
            compared[found.setting_words].append(found)
        for words in sorted(compared):
            yield f"protocols.{words}", saved(protocols_figure(compared[words]))
        for shared in sorted(costs):
            lines = [line for table in costs[shared] for line in table.lines]
            if len({line.label for line in lines if line.mean("seconds") > 0}) > 1:
                name = file_words(*shared)
                yield f"cost.{name}", saved(cost_figure(costs[shared]))


def scores_figure(tables: Sequence[Table]) -> Figure:
    """One panel per task: a dot per seed, mean, 95 % over seeds (thick) and over clips (thin)."""
    means: dict[str, list[float]] = defaultdict(list)
    known: dict[str, Line] = {}
    for table in tables:
        for line in table.lines:
            means[line.label].append(line.score)
            known[line.label] = line
    # Sources above, controls below, each by their mean over tasks.
    order = sorted(known, key=lambda label: (known[label].control, -np.mean(means[label]), label))
    height = 1.0 + 0.24 * len(order)
    figure, axes = panels(len(tables), height, sharey=True)
    for axis, table in zip(axes, tables, strict=False):
        for line in table.lines:
            _score_row(axis, line, order.index(line.label))
        if table.chance is not None:
            axis.axvline(100 * table.chance, color="0.3", linestyle=(0, (1, 2)), linewidth=1)
        axis.set_yticks(range(len(order)), order)
        axis.set_ylim(len(order) - 0.4, -0.6)
        axis.set_title(table.group.task_label)
        axis.set_xlabel(f"{table.group.metric} (%)")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.grid(axis="y", visible=False)
        border = sum(not known[label].control for label in order) - 0.5
        if 0 < border < len(order) - 0.5:
            axis.axhline(border, color="0.75", linewidth=0.6)
    handles = [
        Line2D(
            [], [], color="0.3", marker="o", linewidth=2.6, markersize=5, label="mean, 95 % over seeds"
        ),
        Line2D([], [], color="0.3", marker="|", linewidth=0.8, markersize=5, label="95 % over clips"),
        Line2D([], [], color="0.3", marker="o", linewidth=0, alpha=0.4, markersize=3, label="one seed"),
        Line2D(
            [], [], color="0.3", marker="o", linewidth=0, mfc="white", markersize=5, label="control"
        ),
        Line2D([], [], color="0.3", linestyle=(0, (1, 2)), linewidth=1, label="chance"),
    ]
    legend(figure, handles)
    return figure


def curves_figure(
    tables: Sequence[Table], curves: Sequence[dict[str, dict[int, np.ndarray]]]
) -> Figure:
    """One panel per task: score against samples seen, untrained weights at 0; 95 % over seeds."""
    figure, axes = panels(len(tables), 2.3, sharey=False)
    shown: dict[str, Line] = {}
    levels: set[str] = set()
    for axis, table, found in zip(axes, tables, curves, strict=False):
        start = [line for line in table.lines if line.source == "untrained"]
        for line in table.lines:
            if line.label not in found:
                if line.control and line.source != "untrained":  # no network: a level
                    _level(axis, line)
                    levels.add(line.label)
                    shown[line.label] = line
                continue
            shown[line.label] = line
            points = dict(found[line.label])
            origin = 100 * start[0].score if len(start) == 1 and 0 not in points else None
            _curve(axis, line, points, origin)
        for line in start:
            shown[line.label] = line
            _error_bar(axis, line, 0, line.scores.mean(axis=1))
            axis.plot([0], [100 * line.score], zorder=3, **(_look(line) | {"linestyle": ""}))
        axis.set_title(table.group.task_label)
        axis.set_xlabel("samples seen")
        axis.set_ylabel(f"{table.group.metric} (%)")
        axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    legend(figure, [_handle(shown[label], level=label in levels) for label in sorted(shown)])
    return figure


def cost_figure(tables: Sequence[Table]) -> Figure:
    """One panel per task: score against seconds of pre-training; a line joins a source's budgets."""
    by_task: dict[tuple[str, str], list[Table]] = defaultdict(list)
    for table in tables:
        by_task[(table.group.task_label, table.group.metric)].append(table)
    longest = max(line.mean("seconds") for table in tables for line in table.lines)
    size, unit = next(
        (size, unit)
        for size, unit in ((3600, "hours"), (60, "minutes"), (1, "seconds"))
        if longest > 2 * size or size == 1
    )
    figure, axes = panels(len(by_task), 2.3, sharey=False)
    shown: dict[str, Line] = {}
    levels: set[str] = set()
    for axis, ((task, metric), members) in zip(axes, sorted(by_task.items()), strict=False):
        points: dict[str, list[tuple[float, Line]]] = defaultdict(list)
        for table in members:
            for line in table.lines:
                shown[line.label] = line
                if line.mean("seconds") > 0:
                    points[line.label].append((line.mean("seconds"), line))
                else:
                    _level(axis, line)
                    levels.add(line.label)
        for label in sorted(points):
            path = sorted(points[label], key=lambda point: point[0])
            for seconds, line in path:
                _error_bar(axis, line, seconds / size, line.scores.mean(axis=1))
            times = [seconds / size for seconds, _ in path]
            axis.plot(times, [100 * line.score for _, line in path], **_look(path[0][1]))
        axis.set_title(task)
        axis.set_xlabel(f"pre-training ({unit})")
        axis.set_ylabel(f"{metric} (%)")
        axis.set_xlim(0, 1.08 * longest / size)
    legend(figure, [_handle(shown[label], level=label in levels) for label in sorted(shown)])
    return figure


def _curves(
    table: Table, earlier: dict[tuple[str, str, bool, str, str], dict[int, list[Row]]]
) -> dict[str, dict[int, np.ndarray]]:
    # label -> samples seen -> mean over folds of each seed (seeds,); a missing fold leaves a seed out
    group = table.group
    curves: dict[str, dict[int, np.ndarray]] = {}
    for line in table.lines:
        points: dict[int, list[float]] = defaultdict(list)
        for run_id in dict.fromkeys(row.run_id for row in line.rows):
            for samples, found in earlier[
                (run_id, group.task, group.partial, line.rows[0].probe_label, group.metric)
            ].items():
                if len({row.fold for row in found}) == len(line.folds):
                    points[samples].append(float(np.mean([row.score for row in found])))
        if max(points) > 0:
            curves[line.label] = {samples: np.array(points[samples]) for samples in sorted(points)}
    return curves


def _score_row(axis: Axes, line: Line, y: int) -> None:
    shade = colour(line.family)
    if line.over_clips is not None:
        low, high = 100 * line.over_clips.low, 100 * line.over_clips.high
        axis.plot([low, high], [y, y], color=shade, linewidth=0.8, marker="|", markersize=5)
    if line.over_seeds is not None:
        low, high = 100 * line.over_seeds.low, 100 * line.over_seeds.high
        axis.plot([low, high], [y, y], color=shade, linewidth=2.6, alpha=0.6, solid_capstyle="butt")
        dots = 100 * line.scores.mean(axis=1)
        axis.plot(dots, np.full(len(dots), y + 0.3), "o", color=shade, markersize=2.2, alpha=0.6, mew=0)
    axis.plot([100 * line.score], [y], zorder=3, **(_look(line) | {"linestyle": ""}))


def _curve(axis: Axes, line: Line, points: dict[int, np.ndarray], origin: float | None) -> None:
    for samples, scores in points.items():
        _error_bar(axis, line, samples, scores)
    samples_seen = sorted(points)
    means = [100 * points[samples].mean() for samples in samples_seen]
    if origin is not None:  # untrained weights belong to every curve: a line, but no marker, from there
        axis.plot([0, samples_seen[0]], [origin, means[0]], **(_look(line) | {"marker": ""}))
    axis.plot(samples_seen, means, **_look(line))


def _error_bar(axis: Axes, line: Line, x: float, scores: np.ndarray) -> None:
    bar = interval_over_seeds(scores, line.rows[0].metric)
    if bar is not None:
        shade = colour(line.family)
        axis.plot([x, x], [100 * bar.low, 100 * bar.high], color=shade, linewidth=0.9, alpha=0.7)


def _level(axis: Axes, line: Line) -> None:
    # A control without a budget is a level, not a point.
    axis.axhline(100 * line.score, color=colour(line.family), linewidth=1, linestyle=_dash(line))


def _dash(line: Line) -> str:
    return {"untrained": ":", "mel_statistics": "--"}.get(line.source, "-.")


def _look(line: Line) -> dict[str, Any]:
    shade = colour(line.family)
    return {
        "color": shade,
        "marker": marker(line.family),
        "markersize": 5,
        "markerfacecolor": "white" if line.control else shade,
        "markeredgewidth": 1.0,
        "markeredgecolor": shade,
        "linewidth": 1.2,
        "linestyle": "-." if line.control else "-",
    }


def _handle(line: Line, *, level: bool) -> Line2D:
    look = {"color": colour(line.family), "linestyle": _dash(line)} if level else _look(line)
    if not level and line.source == "untrained":  # one point at no samples seen
        look["linestyle"] = ""
    return Line2D([], [], label=line.label, **look)
