"""The course of a search as figures: its history, its axes one by one, and score against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from suite.report.interactions import front
from suite.report.panels import legend, panels
from suite.studies import Study, StudyAxis, StudyTrial

DOT, BEST, DEFAULT = "#0072B2", "#D55E00", "0.25"
LATER = LinearSegmentedColormap.from_list("later", ["#c6dbef", "#08306b"])  # pale to dark
COSTS = {
    "flops": "FLOPs of pre-training",
    "seconds": "seconds of pre-training",
    "samples_seen": "samples seen",
    "parameters": "parameters",
}


def history_figure(study: Study) -> Figure:
    """Score by trial, the best so far, the default's level; what was given up or failed below."""
    scored = _scored(study)
    figure, axis = plt.subplots(figsize=(5.4, 2.6), layout="constrained")
    numbers = [trial.number for trial, _ in scored]
    scores = [score for _, score in scored]
    axis.plot(numbers, scores, "o", color=DOT, markersize=3.5)
    best = np.maximum.accumulate(scores)
    last = max(trial.number for trial in study.trials)
    axis.step([*numbers, last], [*best, best[-1]], where="post", color=BEST, linewidth=1.3)
    handles = [
        Line2D([], [], marker="o", linewidth=0, color=DOT, markersize=3.5, label="trial"),
        Line2D([], [], color=BEST, linewidth=1.3, label="best so far"),
    ]
    level = _default_score(study)
    if level is not None:
        axis.axhline(level, color=DEFAULT, linewidth=1, linestyle=(0, (4, 2)))
        handles.append(
            Line2D([], [], color=DEFAULT, linewidth=1, linestyle=(0, (4, 2)), label="default")
        )
    floor = min(scores) - 0.08 * (max(scores) - min(scores) + 0.1)
    for state, mark, shade, name in (
        ("pruned", "|", "0.35", "given up early"),
        ("fail", "x", "#B2182B", "failed"),
    ):
        there = [trial.number for trial in study.trials if trial.state == state]
        if there:
            style: dict[str, Any] = {"color": shade, "marker": mark, "markersize": 5, "linewidth": 0}
            axis.plot(there, [floor] * len(there), **style, clip_on=False)
            handles.append(Line2D([], [], label=name, **style))
    axis.set_xlabel("trial")
    axis.set_ylabel(f"{study.task}, {study.probe} (%)")
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    legend(figure, handles)
    return figure


def slices_figure(study: Study) -> Figure:
    """One panel per axis: score against what each trial drew there."""
    figure, axes = panels(len(study.axes), 2.2, sharey=False)
    last = max(1, *(trial.number for trial in study.trials))
    for axis, of_axis in zip(axes, study.axes, strict=True):
        _slice(axis, study, of_axis, last)
    figure.supylabel(f"{study.task}, {study.probe} (%)", fontsize=8)
    handles = [
        Line2D([], [], marker="o", linewidth=0, color=LATER(0.1), markersize=4, label="early trial"),
        Line2D([], [], marker="o", linewidth=0, color=LATER(1.0), markersize=4, label="late trial"),
        _default_handle(),
        Line2D([], [], marker="*", linewidth=0, color=BEST, markersize=8, label="best"),
    ]
    legend(figure, handles)
    return figure


def _slice(axis: Axes, study: Study, of_axis: StudyAxis, last: int) -> None:
    taken = [
        (trial.params[of_axis.name], score, trial)
        for trial, score in _scored(study)
        if of_axis.name in trial.params
    ]
    choices = list(of_axis.choices)  # stand at 0, 1, 2
    found = [(choices.index(v) if choices else float(v), score, trial) for v, score, trial in taken]
    shades = [LATER(0.1 + 0.9 * trial.number / last) for _, _, trial in found]
    axis.scatter([x for x, _, _ in found], [y for _, y, _ in found], s=16, c=shades, linewidths=0)
    for value, score, trial in found:
        if trial.params == study.default:
            _mark_default(axis, value, score)
    if found:
        value, score, _ = max(found, key=lambda point: point[1])
        axis.plot([value], [score], "*", color=BEST, markersize=8, zorder=4)
    _scale(axis, of_axis, whole=all(isinstance(value, int) for value, _, _ in taken))
    axis.set_xlabel(of_axis.name)


def _scale(axis: Axes, of_axis: StudyAxis, *, whole: bool) -> None:
    """Ticks that can be read: names of choices, whole numbers, few of a logarithmic range."""
    if of_axis.choices:
        axis.set_xticks(range(len(of_axis.choices)), of_axis.choices)
        axis.set_xlim(-0.5, len(of_axis.choices) - 0.5)
    elif of_axis.log:
        assert of_axis.low is not None
        assert of_axis.high is not None
        axis.set_xscale("log")
        narrow = of_axis.high / of_axis.low < 50
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=whole))


def pareto_figure(study: Study) -> Figure:
    """Score against cost, and the trials that no other beats in both."""
    scored = [(trial.cost, score, trial) for trial, score in _scored(study) if trial.cost is not None]
    points = [(cost, score) for cost, score, _ in scored]
    best = front(points)
    figure, axis = plt.subplots(figsize=(4.2, 2.9), layout="constrained")
    axis.plot(*zip(*points, strict=True), "o", color="0.55", markersize=3.5, markerfacecolor="white")
    kept = [points[i] for i in best]
    axis.step(*zip(*kept, strict=True), where="post", color=BEST, linewidth=1.2)
    axis.plot(*zip(*kept, strict=True), "o", color=BEST, markersize=4.5)
    for cost, score, trial in scored:
        if trial.params == study.default:
            _mark_default(axis, cost, score)
    for i in _apart(points, best):
        axis.annotate(
            str(scored[i][2].number), points[i], xytext=(-3, 4), textcoords="offset points",
            ha="right", fontsize=6, color="0.2",
        )  # fmt: skip
    costs = [cost for cost, _ in points]
    if min(costs) > 0 and max(costs) > 5 * min(costs):
        axis.set_xscale("log")
    axis.set_xlabel(COSTS.get(study.cost or "", study.cost or ""))
    axis.set_ylabel(f"{study.task}, {study.probe} (%)")
    axis.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D(
            [], [], marker="o", linewidth=1.2, color=BEST, markersize=4.5,
            label="no other is cheaper and better (number of the trial)",
        ),
        Line2D(
            [], [], marker="o", linewidth=0, color="0.55", markersize=3.5, markerfacecolor="white",
            label="trial",
        ),
        _default_handle(),
    ]  # fmt: skip
    legend(figure, handles)
    return figure


def _apart(points: Sequence[tuple[float, float]], chosen: Sequence[int]) -> list[int]:
    """Those of the chosen points whose names would not lie on each other, the best first."""
    spans = [max(ends) - min(ends) or 1.0 for ends in zip(*points, strict=True)]
    named: list[int] = []
    for i in reversed(chosen):
        near = [
            abs(points[i][0] - points[j][0]) < 0.08 * spans[0]
            and abs(points[i][1] - points[j][1]) < 0.05 * spans[1]
            for j in named
        ]
        if not any(near):
            named.append(i)
    return named


def _scored(study: Study) -> list[tuple[StudyTrial, float]]:
    """The complete trials by number, with their scores in percent."""
    return [(trial, 100 * trial.score) for trial in study.complete if trial.score is not None]


def _default_score(study: Study) -> float | None:
    found = [score for trial, score in _scored(study) if trial.params == study.default]
    return float(np.mean(found)) if found else None


def _mark_default(axis: Axes, x: float, y: float) -> None:
    axis.plot(
        [x], [y], "D", color=DEFAULT, markersize=5.5, markerfacecolor="none", markeredgewidth=1.2,
        zorder=5,
    )  # fmt: skip


def _default_handle() -> Line2D:
    return Line2D(
        [], [], marker="D", linewidth=0, color=DEFAULT, markersize=5.5, markerfacecolor="none",
        markeredgewidth=1.2, label="default",
    )  # fmt: skip
