"""What choices change, as figures: differences to the default, importance of axes, interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from suite.report.effects import CONTROL, Effect, Effects
from suite.report.interactions import Interaction, interactions
from suite.report.panels import legend, panels
from suite.studies import Study

CHOICE, GREY = "#0072B2", "0.45"
CELL = (0.62, 0.36)  # inches, of an interaction
INCHES = 0.062  # of a letter of a row's name


def effects_figure(
    asked: Sequence[Effects], study: Study, choices: Mapping[str, Sequence[str]]
) -> Figure:
    """One panel per question: choice minus default, 95 % over seeds (thick) and over clips (thin)."""
    there = {(effect.axis, effect.choice) for each in asked for effect in each.effects}
    rows: list[tuple[str, str]] = []  # an axis' heading has no choice
    for name, known in choices.items():
        found = [(name, choice) for choice in known if (name, choice) in there]
        rows += [(name, ""), *found] if found else []
    names = [choice or _heading(study, axis) for axis, choice in rows]
    width = 0.3 + INCHES * max(map(len, names))
    figure, axes = panels(len(asked), 0.9 + 0.19 * len(rows), sharey=True, names=width)
    for axis, each in zip(axes, asked, strict=True):
        low, high = _reach(each.effects)
        for effect in each.effects:
            _effect_row(axis, effect, rows.index((effect.axis, effect.choice)), low, high)
        axis.set_xlim(low, high)
        axis.axvline(0, color="0.2", linewidth=0.8, zorder=1)
        axis.set_yticks(range(len(rows)), names)
        for label, (_, choice) in zip(
            axis.get_yticklabels(), rows, strict=False
        ):  # inner ones have none
            label.set_fontweight("normal" if choice else "bold")
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_title(each.question.task_label)
        axis.set_xlabel(f"Δ {each.question.metric} (points)")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        for position, (_, choice) in enumerate(rows):
            if not choice and position:
                axis.axhline(position - 0.5, color="0.8", linewidth=0.6)
    bounds = [(_reach(each.effects), e.contrast.over_seeds) for each in asked for e in each.effects]
    cut = any(
        over is not None and (100 * over.low < low or 100 * over.high > high)
        for (low, high), over in bounds
    )
    controls = any(axis == CONTROL for axis, _ in rows)
    legend(figure, _effect_handles(controls=controls, cut=cut))
    return figure


def _heading(study: Study, name: str) -> str:
    if name == CONTROL:
        return "controls (default cell)"
    default = next(axis.default for axis in study.axes if axis.name == name)
    return f"{name} (default {default})"


def _reach(found: Sequence[Effect]) -> tuple[float, float]:
    # Of two seeds an interval can be ten times as wide as all else: it may fill the margins, not more.
    values = [0.0, *(100 * effect.contrast.difference for effect in found)]
    for effect in found:
        bounds = effect.contrast.over_clips
        values += [] if bounds is None else [100 * bounds.low, 100 * bounds.high]
    margin = 0.6 * max(max(values) - min(values), 1.0)
    low, high = min(values) - margin, max(values) + margin
    wide = [e.contrast.over_seeds for e in found if e.contrast.over_seeds is not None]
    ends = [*values, *(100 * bounds.low for bounds in wide), *(100 * bounds.high for bounds in wide)]
    edge = 0.05 * (max(values) - min(values))
    return max(low, min(ends) - edge), min(high, max(ends) + edge)


def _effect_row(axis: Axes, effect: Effect, y: int, low: float, high: float) -> None:
    shade, contrast = GREY if effect.control else CHOICE, effect.contrast
    if contrast.over_seeds is not None:
        ends = [100 * contrast.over_seeds.low, 100 * contrast.over_seeds.high]
        axis.plot(ends, [y, y], color=shade, linewidth=3.2, alpha=0.45, solid_capstyle="butt")
        for beyond, edge, mark in ((ends[0] < low, low, "<"), (ends[1] > high, high, ">")):
            if beyond:
                axis.plot([edge], [y], mark, color=shade, markersize=4, clip_on=False, zorder=4)
    if contrast.over_clips is not None:
        ends = [100 * contrast.over_clips.low, 100 * contrast.over_clips.high]
        axis.plot(ends, [y, y], color=shade, linewidth=0.9, marker="|", markersize=5)
    axis.plot(
        [100 * contrast.difference],
        [y],
        marker="s" if effect.control else "o",
        markersize=4.5,
        color=shade,
        markerfacecolor=shade if effect.significant else "white",
        zorder=3,
    )


def _effect_handles(*, controls: bool, cut: bool) -> list[Line2D]:
    dot: dict[str, Any] = {"color": CHOICE, "linewidth": 0, "markersize": 4.5}
    handles = [
        Line2D([], [], color=CHOICE, linewidth=3.2, alpha=0.45, label="95 % over seeds"),
        Line2D([], [], color=CHOICE, linewidth=0.9, marker="|", markersize=5, label="95 % over clips"),
        Line2D([], [], marker="o", **dot, label="significant by both, Holm"),
        Line2D([], [], marker="o", **dot, markerfacecolor="white", label="not significant"),
    ]
    if cut:
        handles.append(Line2D([], [], marker=">", **dot, label="goes on beyond the panel"))
    if controls:
        handles.append(Line2D([], [], marker="s", **(dot | {"color": GREY}), label="control"))
    return handles


def importance_figure(study: Study) -> Figure:
    """The share of the scores' variance that each axis explains, the largest on top."""
    shares = sorted(study.importance.items(), key=lambda item: (item[1], item[0]))
    width = 2.9 + INCHES * max(len(name) for name, _ in shares)
    figure, axis = plt.subplots(figsize=(width, 0.8 + 0.26 * len(shares)), layout="constrained")
    places = range(len(shares))
    axis.barh(places, [100 * share for _, share in shares], height=0.6, color=CHOICE)
    for place, (_, share) in zip(places, shares, strict=True):
        axis.annotate(
            f"{100 * share:.0f}", (100 * share, place), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7,
        )  # fmt: skip
    axis.set_yticks(places, [name for name, _ in shares])
    axis.set_xlim(0, 112 * max(share for _, share in shares))
    axis.set_xlabel(f"share of the variance of the score (%)\n{study.task}, {study.probe}")
    axis.grid(axis="y", visible=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def interaction_figure(study: Study) -> Figure:
    """Mean score of each pair of choices, a heat map for each pair of axes that interact most."""
    found = interactions(study)
    left = [0.5 + INCHES * max(map(len, each.rows)) for each in found]
    below = 0.9 + 0.7 * INCHES * max(len(name) for each in found for name in each.columns)
    widths = [side + CELL[0] * len(each.columns) for side, each in zip(left, found, strict=True)]
    height = below + CELL[1] * max(len(each.rows) for each in found)
    figure, grid = plt.subplots(
        1, len(found), figsize=(sum(widths) + 0.7, height), squeeze=False, layout="constrained",
        width_ratios=[len(each.columns) for each in found],
    )  # fmt: skip
    values = np.concatenate([100 * each.scores.ravel() for each in found])
    ends = (float(np.nanmin(values)), float(np.nanmax(values)))
    for axis, each in zip(grid[0], found, strict=True):
        _heat(axis, each, ends)
    figure.colorbar(grid[0][0].images[0], ax=list(grid[0]), fraction=0.04, pad=0.02)
    figure.supxlabel(f"mean score (%) on {study.task}, {study.probe}", fontsize=7)
    return figure


def _heat(axis: Axes, found: Interaction, ends: tuple[float, float]) -> None:
    scores = 100 * found.scores
    shades = mpl.colormaps["viridis"].with_extremes(bad="0.92")
    axis.imshow(scores, cmap=shades, aspect="auto", vmin=ends[0], vmax=ends[1])
    for (i, j), score in np.ndenumerate(scores):
        if not np.isnan(score):
            colour = "white" if score < sum(ends) / 2 else "black"
            axis.text(j, i, f"{score:.1f}", ha="center", va="center", color=colour, fontsize=7)
    slanted = max(map(len, found.columns)) > 7
    turn: dict[str, Any] = {"rotation": 35, "ha": "right"} if slanted else {}
    axis.set_xticks(range(len(found.columns)), found.columns, fontsize=7, **turn)
    axis.set_yticks(range(len(found.rows)), found.rows, fontsize=7)
    axis.tick_params(length=0)
    axis.set_xlabel(found.second)
    axis.set_ylabel(found.first)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
