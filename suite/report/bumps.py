"""Places of encoders from protocol to protocol: lines that cross where the order changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from suite.report.lines import Line
from suite.report.palette import colour, marker
from suite.report.protocols import Protocols

HALO = [withStroke(linewidth=1.6, foreground="white")]  # numbers are read across lines


def protocols_figure(found: Sequence[Protocols]) -> Figure:
    """One panel per task: protocols across, first place on top, each point with its score."""
    widest = max(len(each.probes) for each in found)
    tallest = max(int(each.complete.sum()) for each in found)
    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    size = ((1.5 + 0.62 * widest) * columns, (0.9 + 0.36 * tallest) * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis in grid.ravel()[len(found) :]:
        axis.set_visible(False)
    for axis, each in zip(grid.ravel(), found, strict=False):
        _panel(axis, each)
    for axis in grid[:, 0]:
        axis.set_ylabel("place")
    return figure


def _panel(axis: Axes, found: Protocols) -> None:
    across = range(len(found.probes))
    names = _names([line for line, whole in zip(found.lines, found.complete, strict=True) if whole])
    for line, scores, places in zip(found.lines, found.scores, found.places, strict=True):
        if places[0] != places[0]:  # an encoder without a place
            continue
        shade = colour(line.family)
        face = "white" if line.control else shade
        style: dict[str, Any] = {
            "marker": marker(line.family),
            "markersize": 5,
            "markerfacecolor": face,
        }
        axis.plot(across, places, color=shade, linewidth=1.3, markeredgecolor=shade, **style)
        for x, score, place in zip(across, scores, places, strict=True):
            axis.annotate(
                f"{100 * score:.1f}", (x, place), xytext=(0, 5), textcoords="offset points",
                ha="center", fontsize=5.5, color=shade, path_effects=HALO, zorder=4,
            )  # fmt: skip
        axis.annotate(
            names[line.label], (across[-1], places[-1]), xytext=(8, 0), textcoords="offset points",
            va="center", fontsize=7, color=shade, annotation_clip=False,
        )  # fmt: skip
    count = int(found.complete.sum())
    axis.set_ylim(count + 0.4, 0.4)
    axis.set_yticks(range(1, count + 1))
    axis.set_xlim(-0.3, len(found.probes) + 0.5)  # room for the names
    axis.set_xticks(across, found.probes, rotation=35, ha="right", fontsize=7)
    axis.grid(axis="y", visible=False)
    axis.set_title(found.task)


def _names(lines: Sequence[Line]) -> dict[str, str]:
    """The source alone where no other line of the panel has it; the table has the whole label."""
    sources = [line.source for line in lines]
    alone = {source for source in sources if sources.count(source) == 1}
    return {line.label: line.source if line.source in alone else line.label for line in lines}
