"""The sheet of reconstructions: a row for each sample, and what was predicted beside what is there."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from generators.base import Kind
from suite.frontend import HOP, FrontEnd
from suite.preview.sheet import HATCH, HIDDEN, UNITS

# inches
PANEL, HEIGHT, ROW = 2.15, 0.86, 1.14  # of a panel; from row to row
LEFT, GAP, BAR, TOP, BOTTOM = 0.55, 0.18, 0.75, 1.06, 0.45
RARE = 0.002  # share of the input's pixels below its colour scale, and above
SAME_BYTES: Any = {"svg.hashsalt": "sourcebench", "svg.fonttype": "none"}


@dataclass(frozen=True)
class Column:
    """Raw images ``(B, F, T)`` drawn below each other, hatched where they are NaN."""

    head: str
    images: Tensor
    notes: list[str] | None = None  # above each image


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What one figure shows."""

    title: str
    lines: tuple[str, ...]  # below the title
    captions: list[str]  # one a row, above the first two columns
    columns: list[Column]  # the first one has the scale of all
    error: Column | None  # drawn last, on a scale of its own
    worst: float  # the end of that scale
    frontend: FrontEnd
    kind: Kind


def draw(sheet: Sheet) -> Figure:
    """The figure; panels of one column share their time axis, those of one row their bands."""
    shown = [*sheet.columns, *([] if sheet.error is None else [sheet.error])]
    count, bands, frames = sheet.columns[0].images.shape
    lefts = [LEFT + number * (PANEL + GAP) for number in range(len(sheet.columns))]
    bar_lefts = [lefts[-1] + PANEL + 0.08]
    if sheet.error is not None:
        lefts.append(bar_lefts[0] + BAR)
        bar_lefts.append(lefts[-1] + PANEL + 0.08)
    width, height = bar_lefts[-1] + BAR, TOP + count * ROW + BOTTOM - (ROW - HEIGHT) / 2
    figure = Figure(figsize=(width, height), layout=None)
    FigureCanvasAgg(figure)

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / width, 1 - y / height, text, va="baseline", parse_math=False, **style)

    write(LEFT, 0.25, sheet.title, fontsize=12, weight="bold")
    for number, line in enumerate(sheet.lines):
        write(LEFT, 0.43 + 0.16 * number, line, fontsize=8, color="#222222")
    for left, column in zip(lefts, shown, strict=True):
        write(left, TOP - 0.06, column.head, fontsize=8, color="#555555", style="italic")

    colours = "gray" if sheet.kind == "picture" else "magma"
    low, high = np.quantile(sheet.columns[0].images.numpy(), (RARE, 1.0 - RARE)).tolist()
    seconds = HOP / sheet.frontend.sample_rate
    drawn: dict[bool, Any] = {}  # the last panel of either scale, by whether it is the error's
    for row in range(count):
        y = BOTTOM + (count - 1 - row) * ROW
        for number, column in enumerate(shown):
            box = (lefts[number] / width, y / height, PANEL / width, HEIGHT / height)
            axes = figure.add_axes(box)
            is_error = column is sheet.error
            scale = ("Reds", 0.0, sheet.worst) if is_error else (colours, low, high)
            drawn[is_error] = axes.imshow(
                column.images[row].numpy(),
                origin="lower",
                aspect="auto",
                cmap=scale[0],
                vmin=scale[1],
                vmax=scale[2],
                interpolation="nearest",
                extent=(0.0, frames * seconds, 0.0, bands),
            )
            axes.patch.set(facecolor=HIDDEN, edgecolor=HATCH, hatch="//////", linewidth=0.0)
            label(axes, bands, first=number == 0, last=row == count - 1)
            notes = sheet.captions if number == 0 else column.notes
            if notes is not None:
                axes.set_title(
                    notes[row], fontsize=7, loc="left", pad=2.5, color="#222222", parse_math=False
                )
    unit = UNITS[sheet.kind]
    for left, is_error in zip(bar_lefts, (False, True), strict=False):
        box = (left / width, BOTTOM / height, 0.08 / width, ((count - 1) * ROW + HEIGHT) / height)
        bar = figure.colorbar(
            drawn[is_error], cax=figure.add_axes(box), extend="max" if is_error else "both"
        )
        bar.set_label(f"absolute error ({unit})" if is_error else unit, fontsize=8)
        bar.ax.tick_params(labelsize=7, length=2)
    return figure


def label(axes: Axes, bands: int, *, first: bool, last: bool) -> None:
    """Ticks of one panel: numbers at the left and below only."""
    axes.set_yticks([0, bands // 2, bands])
    axes.tick_params(labelsize=7, length=2, labelleft=first, labelbottom=last)
    if last:
        axes.set_xlabel("seconds", fontsize=8)
        if first:
            axes.set_ylabel("mel band", fontsize=8)


def saved(figure: Figure) -> dict[str, bytes]:
    """The figure as ``png`` and ``svg``; the same figure gives the same bytes."""
    files = {}
    with mpl.rc_context(SAME_BYTES):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=150, metadata=metadata)
            files[kind] = content.getvalue()
    return files
