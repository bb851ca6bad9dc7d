"""The contact sheet: every sample whole, and beside it the one input that the encoder gets."""

from __future__ import annotations

import textwrap
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from generators.base import Kind, Source
from suite.frontend import HOP, FrontEnd
from suite.masking.base import Masking

FLOOR = 12.0  # natural log units below the loudest pixel: about 52 dB; quieter is drawn black
HIDDEN, HATCH = "#e3ebf3", "#9db2c7"  # a hidden patch: hatched, so that print in grey shows it too
UNITS: dict[Kind, str] = {"waveform": "log power", "picture": "brightness", "image": "value"}
CAPTION = 150  # characters of factors above a sample
SUMMARY = 130  # characters of the source's first sentence below its name


def look(source: Source, images: torch.Tensor) -> tuple[str, float, float]:
    """Colour map, lowest and highest value of raw images ``(B, F, T)``: grey for pictures."""
    if source.kind == "picture":
        return "gray", 0.0, 1.0
    high = images.max().item()
    return "magma", max(images.min().item(), high - FLOOR), high


def draw(
    source: Source,
    frontend: FrontEnd,
    masking: Masking | None,
    grid_patch: tuple[int, int],
    images: torch.Tensor,
    factors: list[dict[str, Any]],
) -> Figure:
    """The contact sheet of raw images ``(B, F, T)``; without ``masking`` no patch is hidden."""
    count, bands, length = images.shape
    frames = frontend.frames
    grid = (frames // grid_patch[1], bands // grid_patch[0])
    generator = torch.Generator().manual_seed(0)
    hidden = [] if masking is None else masking.sample(count, grid, generator).hide.tolist()
    starts = (torch.rand(count, generator=generator) * (length - frames + 1)).long().tolist()

    colours, low, high = look(source, images)

    # inches: rows of equal height, panels as wide as their time
    width, row, top, bottom = 10.5, 1.22, 0.62, 0.52
    height = top + count * row + bottom
    figure = Figure(figsize=(width, height), layout=None)
    FigureCanvasAgg(figure)
    left, right, gap = 0.55, 0.75, 0.32
    usable = width - left - right - gap
    share = min(max(frames / (frames + length), 0.26), 0.5)
    spans = ((left, usable * (1 - share)), (left + usable * (1 - share) + gap, usable * share))

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / width, 1 - y / height, text, va="baseline", parse_math=False, **style)

    write(left, 0.28, source.name, fontsize=13, weight="bold")
    write(left, 0.47, summary(source), fontsize=8.5, color="#222222")
    whole_head = (
        "whole samples" if frames == length else "whole samples; the frame is the input at the right"
    )
    write(left, 0.72, whole_head, fontsize=8, color="#555555", style="italic")
    crop_head = "one input" + (f"; hatched is hidden ({masking.name})" if masking else "")
    write(spans[1][0], 0.72, crop_head, fontsize=8, color="#555555", style="italic")

    shown: Any = None
    for index in range(count):
        y = bottom + (count - 1 - index) * row
        boxes = [(x / width, y / height, span / width, 0.86 / height) for x, span in spans]
        whole, crop = (figure.add_axes(box) for box in boxes)
        start = starts[index]
        pixels = images[index].numpy()
        seconds = HOP / frontend.sample_rate
        for axes, part in ((whole, pixels), (crop, pixels[:, start : start + frames])):
            shown = axes.imshow(
                part,
                origin="lower",
                aspect="auto",
                cmap=colours,
                vmin=low,
                vmax=high,
                interpolation="nearest",
                extent=(0.0, part.shape[1] * seconds, 0.0, bands),
            )
            axes.tick_params(labelsize=7, length=2, labelbottom=index == count - 1)
            axes.set_yticks([0, bands // 2, bands])
        crop.tick_params(labelleft=False)
        if frames < length:
            corner = (start * seconds, 0.0)
            frame = Rectangle(corner, frames * seconds, bands, fill=False, edgecolor="#35c9e8", lw=1.3)
            whole.add_patch(frame)
        shade(crop, hidden[index] if masking else [], grid, grid_patch, seconds)
        whole.set_title(
            f"{index}   {caption(factors[index])}",
            fontsize=7,
            loc="left",
            pad=2.5,
            color="#222222",
            parse_math=False,
        )
        if index == count - 1:
            whole.set_xlabel("seconds", fontsize=8)
            crop.set_xlabel("seconds", fontsize=8)
        if index == count // 2:
            whole.set_ylabel("mel band", fontsize=8)
    bar_axes = figure.add_axes(
        (1 - 0.58 / width, bottom / height, 0.09 / width, (count * row - row + 0.86) / height)
    )
    bar = figure.colorbar(shown, cax=bar_axes, extend="min" if images.min().item() < low else "neither")
    bar.set_label(UNITS[source.kind], fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
    return figure


def shade(
    axes: Axes,
    hidden: list[int],
    grid: tuple[int, int],
    grid_patch: tuple[int, int],
    seconds: float,
) -> None:
    """Hatch the hidden patches: time-major indices on ``grid = (T', F')``."""
    bands, frames = grid_patch
    for index in hidden:
        step, band = divmod(index, grid[1])
        corner = (step * frames * seconds, band * bands)
        axes.add_patch(
            Rectangle(
                corner,
                frames * seconds,
                bands,
                facecolor=HIDDEN,
                edgecolor=HATCH,
                hatch="//////" if grid[0] <= 32 else None,
                linewidth=0.4,
            )
        )


def summary(source: Source) -> str:
    """The first paragraph of the source's docstring on one line, cut at a word."""
    first = " ".join((type(source).__doc__ or "").split("\n\n")[0].replace("``", "").split())
    return textwrap.shorten(first, SUMMARY, placeholder=" ...")


def caption(factors: dict[str, Any], most: int = CAPTION) -> str:
    """Factors as ``key value`` in ``most`` characters; long ones are cut or left out."""
    text, left_out = "", False
    for key, value in factors.items():
        for items in (4, 2, 1):  # of a list or a group
            part = f"{key.replace('_', ' ')} {short(value, items)}"
            longer = f"{text}  ·  {part}" if text else part
            if len(longer) <= most:
                text = longer
                break
        else:
            left_out = True
    return f"{text}  ..." if left_out else text


def short(value: Any, most: int = 4) -> str:
    """A number with three digits; a list or a group of factors by its first ``most`` items."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        items = [f"{key} {short(item, most)}" for key, item in list(value.items())[:most]]
        return f"{{{', '.join(items)}{', ...' if len(value) > most else ''}}}"
    if isinstance(value, float):
        positive = value + 0.0  # no "-0"
        return f"{positive:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if not isinstance(value, (list, tuple)):
        return str(value)
    items = [short(item, most) for item in value[:most]]
    return f"[{', '.join(items)}{', ...' if len(value) > most else ''}]"
