"""From patterns to inputs: the one place where colour becomes grey, size a canvas, and level a value.

After Ishikawa, Komatsu, Aoki (ICASSP 2025, arXiv 2410.00511), who feed pictures to an audio encoder;
how they convert them is not published, so every choice here is ours and is a field. ``P`` counts
patterns, ``B`` samples; row 0 of a picture is its lowest frequency. Everything is vectorised torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..base import Draws
from ..drawer import UsageError
from ..dsp import full_precision, in_chunks

Grey = Literal["luma", "one_channel", "principal"]
Fit = Literal["resize", "crop", "tile", "mirror"]
Values = Literal["keep", "rank", "log_mel"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

# Quantiles 0, 1/32, ..., 1 of MSM-MAE log-mels (80 bands, 16 kHz) of 525 real recordings (speech,
# instruments, environment; each the same weight), from digital silence (0) to the loudest value (1).
LOG_MEL_QUANTILES = (
    *(0.000, 0.000, 0.002, 0.011, 0.028, 0.048, 0.074, 0.104, 0.136, 0.167, 0.197),
    *(0.226, 0.253, 0.280, 0.305, 0.329, 0.351, 0.371, 0.391, 0.411, 0.430, 0.449),
    *(0.468, 0.487, 0.507, 0.527, 0.548, 0.571, 0.596, 0.626, 0.662, 0.716, 1.000),
)


# ---------------------------------------------------------------------------------------------------
# Colour


def to_grey(colours: Tensor, rule: Grey = "luma", channel: Tensor | None = None) -> Tensor:
    """Grey ``(P, H, W)`` in [0, 1] of colours ``(P, 3, H, W)`` in [0, 1].

    ``luma``: 0.299 R + 0.587 G + 0.114 B. ``one_channel``: each pattern's ``channel``, int64 ``(P,)``.
    ``principal``: the first principal component of the pattern's own colours, directed towards
    brighter, scaled so that the colour cube fills [0, 1].
    """
    if rule == "one_channel":
        if channel is None:
            raise ValueError("the rule 'one_channel' needs a drawn channel for each pattern")
        return colours[torch.arange(len(colours), device=colours.device), channel.to(colours.device)]
    if rule == "luma":
        red, green, blue = colours.unbind(1)
        return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).clamp_(0.0, 1.0)
    flat = colours.flatten(2).double()
    centred = flat - flat.mean(dim=2, keepdim=True)
    axis = torch.linalg.eigh(centred @ centred.transpose(1, 2))[1][:, :, 2]  # (P, 3)
    axis = axis * torch.where(axis.sum(dim=1, keepdim=True) < 0.0, -1.0, 1.0)
    lowest = axis.clamp_max(0.0).sum(dim=1)[:, None, None]
    span = axis.abs().sum(dim=1)[:, None, None]
    projected = torch.einsum("pc,pchw->phw", axis, colours.double())
    return ((projected - lowest) / span).clamp_(0.0, 1.0).float()


# ---------------------------------------------------------------------------------------------------
# Size


@lru_cache(maxsize=32)
def resampling(source: int, target: int) -> Tensor:
    """Weights ``(target, source)``, float32: area averages when shrinking, linear when enlarging."""
    ratio = source / target
    left = torch.arange(target, dtype=torch.float64)[:, None] * ratio
    cell = torch.arange(source, dtype=torch.float64)[None, :]
    if ratio >= 1.0:
        overlap = torch.minimum(left + ratio, cell + 1.0) - torch.maximum(left, cell)
        return (overlap.clamp_min(0.0) / ratio).float()
    centre = (left + ratio / 2.0 - 0.5).clamp(0.0, source - 1.0)
    return (1.0 - (centre - cell).abs()).clamp_min(0.0).float()


def resize(pictures: Tensor, height: int, width: int) -> Tensor:
    """Pictures ``(P, H, W)`` at ``(P, height, width)``, each axis by :func:`resampling`."""
    if pictures.shape[1] != height:
        pictures = resampling(pictures.shape[1], height).to(pictures.device) @ pictures
    if pictures.shape[2] != width:
        pictures = pictures @ resampling(pictures.shape[2], width).to(pictures.device).T
    return pictures


def crop(pictures: Tensor, height: int, width: int, place: Tensor) -> Tensor:
    """Windows ``(P, height, width)`` of pictures ``(P, H, W)`` at uniforms ``place`` ``(P, 2)``."""
    count, full_height, full_width = pictures.shape
    room = torch.tensor([full_height - height + 1, full_width - width + 1])
    top, left = (place.cpu() * room).long().to(pictures.device).unbind(1)
    rows = top[:, None] + torch.arange(height, device=pictures.device)
    columns = left[:, None] + torch.arange(width, device=pictures.device)
    which = torch.arange(count, device=pictures.device)[:, None, None]
    return pictures[which, rows[:, :, None], columns[:, None, :]]


# ---------------------------------------------------------------------------------------------------
# Value


def ranks(pictures: Tensor) -> Tensor:
    """Each pixel's share of darker pixels, ties counted half (flats stay flat): ``(P, H, W)``."""
    flat = pictures.flatten(1).contiguous()
    ordered = flat.sort(dim=1).values
    below = torch.searchsorted(ordered, flat)
    below += torch.searchsorted(ordered, flat, right=True)
    return (below.float() / (2.0 * flat.shape[1])).reshape(pictures.shape)


def map_values(pictures: Tensor, rule: Values) -> Tensor:
    """Pictures ``(P, H, W)`` in [0, 1] under a value mapping, each picture on its own.

    ``keep``: as they are. ``rank``: uniform by rank. ``log_mel``: the marginal distribution of real
    log-mels (:data:`LOG_MEL_QUANTILES`). The trainer standardises whatever comes out by the source's
    mean and standard deviation, so ``keep`` means "standardised", not "as bright as a photograph".
    """
    if rule == "keep":
        return pictures
    share = ranks(pictures)
    if rule == "rank":
        return share
    table = torch.tensor(LOG_MEL_QUANTILES, device=pictures.device)
    place = share * (len(LOG_MEL_QUANTILES) - 1)
    below = place.long().clamp_(0, len(LOG_MEL_QUANTILES) - 2)
    return torch.lerp(table[below], table[below + 1], place - below)


def spectrogramise(pictures: Tensor, tilt: float, floor: float) -> Tensor:
    """Make ``(P, F, T)`` in [0, 1] more like log-mels; an ablation, the identity at 0 and 0.

    ``tilt``: high bands are darker than low ones, by up to ``tilt`` of the range. ``floor``: this share
    of the pixels is clipped to the level of the brightest of them, which becomes 0.
    """
    if tilt > 0.0:
        decay = torch.linspace(tilt, 0.0, pictures.shape[1], device=pictures.device)[:, None]
        pictures = (pictures + decay) / (1.0 + tilt)
    if floor > 0.0:
        flat = pictures.flatten(1)
        level = flat.kthvalue(max(1, round(floor * flat.shape[1])), dim=1).values[:, None, None]
        pictures = (pictures - level).clamp_min_(0.0) / (1.0 - level).clamp_min(1e-6)
    return pictures


# ---------------------------------------------------------------------------------------------------
# Fields


@dataclass(kw_only=True)
class Conversion:
    """Fields of a picture source that paints straight onto its canvas, and :meth:`convert`.

    Write ``class Spectrum(Conversion, Source, name="spectrum")``.
    """

    height: int = 128  # mel bands F
    width: int = 128  # frames T
    grey: Grey = "luma"
    values: Values = "keep"
    tilt: float = 0.0  # 0 to 1
    floor: float = 0.0  # share of the pixels, 0 to below 1

    def check_conversion(self, least: int = 2) -> None:
        """Refuse impossible fields with :class:`UsageError`; ``least`` is the smallest canvas side."""
        if min(self.height, self.width) < least:
            raise UsageError(
                f"a canvas of source.height={self.height} and source.width={self.width} is too small: "
                f"expected at least {least} each. Type for example source.height=80 source.width=208."
            )
        if not 0.0 <= self.tilt <= 1.0:
            raise UsageError(f"source.tilt={self.tilt}: expected 0 to 1. Type source.tilt=0.3.")
        if not 0.0 <= self.floor < 1.0:
            raise UsageError(
                f"source.floor={self.floor}: expected 0 to below 1. Type source.floor=0.1."
            )

    def draw_channel(self, draws: Draws) -> dict[str, Tensor]:
        """The channel of each pattern where ``grey`` is ``one_channel``, else nothing."""
        chosen = self.grey == "one_channel"
        return {"conversion_channel": draws.integers("conversion_channel", 0, 2)} if chosen else {}

    def convert(self, patterns: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Inputs ``(B, F, T)`` in [0, 1] of canvas-sized ``(B, F, T)`` or ``(B, 3, F, T)``."""
        if patterns.ndim == 4:
            patterns = to_grey(patterns, self.grey, drawn.get("conversion_channel"))
        return spectrogramise(map_values(patterns, self.values), self.tilt, self.floor)


@dataclass(kw_only=True)
class Pattern(Conversion, ABC):
    """A picture source whose patterns have a size of their own; the fields say how they fill a canvas.

    Write ``class Fern(Pattern, Source, name="fern")`` with :attr:`native`, :meth:`draw_patterns` and
    :meth:`paint`; ``parameters`` and ``render`` are made here. ``fit`` is

    - ``resize``: area averages (or linear interpolation, where enlarging), each axis on its own;
    - ``crop``: a random window of the pattern at its own scale;
    - ``tile``: independent patterns side by side in time, each resized to the canvas's height;
    - ``mirror``: one pattern resized to the canvas's height, its mirror image, the pattern, ...

    ``transpose`` first exchanges the pattern's axes, time for frequency.
    """

    framed: ClassVar[bool] = True  # cut from a long canvas, an input would show a corner of it

    seed: int = 0
    fit: Fit = "resize"
    transpose: bool = False

    @property
    @abstractmethod
    def native(self) -> tuple[int, int]:
        """Height and width of a pattern."""

    @abstractmethod
    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """Draw the factors of patterns ``indices`` (int64, ``(P,)``): CPU tensors, pattern first."""

    @abstractmethod
    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, H, W)`` or, in colour, ``(P, 3, H, W)``: float32 in [0, 1] on ``device``."""

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of a pattern after ``transpose``."""
        height, width = self.native
        return (width, height) if self.transpose else (height, width)

    @property
    def tile_width(self) -> int:
        """Width of a pattern that has the canvas's height and its own proportions."""
        height, width = self.upright
        return max(1, round(width * self.height / height))

    @property
    def patterns_per_sample(self) -> int:
        """Patterns a sample is made of: more than one only where they are tiled."""
        return -(-self.width // self.tile_width) if self.fit == "tile" else 1

    def check_conversion(self, least: int = 2) -> None:
        """Refuse impossible fields, a crop larger than the pattern among them."""
        super().check_conversion(least)
        height, width = self.upright
        if self.fit == "crop" and (self.height > height or self.width > width):
            raise UsageError(
                f"source.fit=crop: a canvas of {self.height} x {self.width} exceeds the pattern "
                f"of {height} x {width}. Type source.fit=tile, or ask for a larger pattern."
            )

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Factors of the patterns, ``(B, patterns per sample, ...)``, and those of the conversion."""
        count = self.patterns_per_sample
        numbers = (indices[:, None] * count + torch.arange(count)).flatten()
        drawn = self.draw_patterns(numbers) | self.draw_channel(Draws(self.seed, numbers))
        drawn = {key: value.unflatten(0, (len(indices), count)) for key, value in drawn.items()}
        if self.fit == "crop":
            place = Draws(self.seed, indices).uniform("conversion_place", 0.0, 1.0, 2)
            drawn["conversion_place"] = place
        return drawn

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            place = drawn.get("conversion_place")
            flat = {key: v.flatten(0, 1) for key, v in drawn.items() if key != "conversion_place"}
            painted = self.paint(flat, device)
            if painted.ndim == 4:
                painted = to_grey(painted, self.grey, flat.get("conversion_channel"))
            if self.transpose:
                painted = painted.transpose(1, 2)
            return self.convert(self.fill_canvas(painted, place), drawn)

        with full_precision(device):
            return in_chunks(render_chunk, parameters, device)

    def fill_canvas(self, patterns: Tensor, place: Tensor | None) -> Tensor:
        """Canvases ``(B, F, T)`` of grey patterns ``(B * patterns per sample, H, W)``."""
        if self.fit == "resize":
            return resize(patterns, self.height, self.width)
        if self.fit == "crop":
            if place is None:
                raise ValueError("the fit 'crop' needs a drawn place for each sample")
            return crop(patterns, self.height, self.width, place)
        tiles = resize(patterns, self.height, self.tile_width)
        if self.fit == "mirror":
            both = torch.cat([tiles, tiles.flip(2)], dim=2)
            return both.repeat(1, 1, -(-self.width // both.shape[2]))[:, :, : self.width]
        count = self.patterns_per_sample
        rows = tiles.unflatten(0, (-1, count)).transpose(1, 2)  # (B, F, tiles, tile width)
        return rows.flatten(2)[:, :, : self.width]
