"""What the figures of a report share: their style, panels side by side, one legend, two formats."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot is imported: figures are written, never shown

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

WIDTH = 2.6  # inches of one panel; two of them and the names fill a text width
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 8,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "svg.hashsalt": "sourcebench",  # the same rows give the same bytes
    "svg.fonttype": "none",
}


def panels(
    number: int, height: float, *, sharey: bool, names: float = 1.1
) -> tuple[Figure, list[Axes]]:
    """A figure with ``number`` axes of ``height`` inches, the spare ones hidden.

    Where they share their rows, ``names`` inches are kept for what the rows are called.
    """
    columns = 2 if number == 4 and not sharey else min(number, 4 if sharey else 3)
    lines = -(-number // columns)
    size = (names * sharey + WIDTH * columns, height * lines + 0.4)
    figure, grid = plt.subplots(
        lines, columns, figsize=size, sharey=sharey, squeeze=False, layout="constrained"
    )
    axes = list(grid.ravel())
    for axis in axes[number:]:
        axis.set_visible(False)
    for axis in axes[:number]:
        sns.despine(ax=axis)
    return figure, axes[:number]


def legend(figure: Figure, handles: list[Line2D]) -> None:
    """A legend below: as many columns as the width holds of the longest label, or it would be cut."""
    widest = max(len(str(handle.get_label())) for handle in handles) * 4.2 + 42.0  # points
    columns = max(1, min(len(handles), int(72.0 * figure.get_figwidth() / widest)))
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.16 * rows)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def saved(figure: Figure) -> dict[str, bytes]:
    """The figure as SVG and PNG, the same bytes for the same figure; it is closed."""
    written = {}
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=200, metadata=metadata)
        written[kind] = file.getvalue()
        figure.set_layout_engine("none")  # the layout is found: keep it for the second format
    plt.close(figure)
    return written
