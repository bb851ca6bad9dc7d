"""Statistical image models: noise with the spectrum, the wavelet marginals, the colours of pictures.

After Baradad et al. (2021), section 3.3, and the released program's choices where the paper is silent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from ..dsp import full_precision, in_chunks
from ..memory import keep_freed_memory
from .colour_statistics import (
    colour_axes,
    decorrelate,
    draw_palette,
    histogram_table,
    luma,
    reference_colours,
)
from .conversion import Conversion
from .marginals import impose_marginals
from .power_spectrum import impose_spectrum, power_law, random_phases
from .wavelet_statistics import (
    ORIENTATIONS,
    build_pyramid,
    impose_wavelet_marginals,
    marginal_targets,
)

LEAST = 8  # pixels on a side
PIXELS_TOGETHER = 65_536
HIGHEST = 256.0  # of the uniform noise that everything begins with


@dataclass(kw_only=True)
class StatisticalImage(Conversion):
    """Fields and steps that the five models share; each says which statistics it imposes.

    Uniform noise U(0, 256) in three decorrelated channels; ``iterations`` times, in this order: impose
    the spectrum, the wavelet marginals, the colour histograms; rotate to colours by a random palette's
    axes; stretch from the picture's lowest to its highest value.

    The stretch is over the three channels together, so the published contrast needs all three even for
    a grey input. ``exact=False`` makes one grey channel from the start (a palette's luma where there
    are colours): three times faster, but of another contrast and with heavier tails.

    The pictures are periodic, and have no size of their own: frequencies are relative to the canvas. A
    canvas whose sides do not halve often enough is cut from the next larger that does.
    """

    framed: ClassVar[bool] = True  # cut from a long canvas, an input would be flat: its waves are long
    imposes_spectrum: ClassVar[bool] = False
    imposes_wavelets: ClassVar[bool] = False
    imposes_colours: ClassVar[bool] = False

    seed: int = 0
    size: int | None = None
    exact: bool = True
    iterations: int = 10
    slope: tuple[float, float] = (0.5, 3.5)  # of the amplitude spectrum, uniform
    slope_difference: float = 0.05  # standard deviation of half the difference between the axes
    tail: tuple[float, float] = (0.4, 0.8)  # exponent of the marginals, uniform

    def __post_init__(self) -> None:
        self.check_conversion(LEAST)
        if self.iterations < 1:
            raise UsageError(
                f"source.iterations={self.iterations}: expected 1 or more. Type source.iterations=10."
            )
        for name, (low, high) in (("slope", self.slope), ("tail", self.tail)):
            if not 0.0 < low <= high:
                raise UsageError(
                    f"source.{name}=[{low}, {high}]: expected two rising numbers over 0. "
                    f"Type source.{name}={[0.5, 3.5] if name == 'slope' else [0.4, 0.8]}."
                )

    @property
    def levels(self) -> int:
        """Levels of the pyramid: 4 where both sides have 256 pixels, else 3."""
        return 4 if min(self.height, self.width) >= 256 else 3

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of what is computed: the smallest multiples that the pyramid can halve."""
        step = 2**self.levels if self.imposes_wavelets else 1
        return -(-self.height // step) * step, -(-self.width // step) * step

    @property
    def channels(self) -> int:
        """Three, or one where it need not be exact."""
        return 3 if self.exact else 1

    @property
    def together(self) -> int:
        """Pictures computed in one go on a CPU: few enough for its cache.

        Every operation works on rows of a picture or bands of a fixed length, so that a row's rounding
        does not depend on the number of rows; only a lone row is a case of its own to some libraries.
        """
        return max(1, PIXELS_TOGETHER // (self.height * self.width)) if self.exact else 1

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Key of the noise, slopes ``(B, 2)``, exponents ``(B, channels, bands)``, palette."""
        draws = Draws(self.seed, indices)
        drawn = {"noise_key": draws.keys("noise"), **self.draw_channel(draws)}
        if self.imposes_spectrum:
            slope = draws.uniform("slope", *self.slope)
            difference = draws.normal("slope_difference") * self.slope_difference
            drawn["slopes"] = torch.stack([slope - difference, slope + difference], dim=1)
        if self.imposes_wavelets:
            bands = 1 + ORIENTATIONS * self.levels
            drawn["tails"] = draws.uniform("tail", *self.tail, 3, bands)[:, : self.channels]
        if self.exact or self.imposes_colours:
            drawn |= self.draw_colours(draws)
        return drawn

    def draw_colours(self, draws: Draws) -> dict[str, Tensor]:
        """A palette, its axes ``(B, 3, 3)`` and mean ``(B, 3)``, and the quantiles of its channels."""
        palette = draw_palette(draws, *self.canvas)
        reference = reference_colours(palette, *self.canvas)
        drawn = {f"palette_{key}": value for key, value in palette.items()}
        if not self.exact:
            return drawn | {"colour_table": histogram_table(luma(reference))}
        rotation, mean = colour_axes(reference, draws)
        drawn |= {"colour_rotation": rotation.float(), "colour_mean": mean.float()}
        if self.imposes_colours:
            drawn["colour_table"] = histogram_table(decorrelate(reference, rotation, mean))
        return drawn

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            colours = self.colours({key: value.to(device) for key, value in drawn.items()})
            return self.convert(colours if self.exact else colours[:, 0], drawn)

        keep_freed_memory()
        with full_precision(device):
            return in_chunks(render_chunk, parameters, device, on_cpu=self.together)

    def colours(self, drawn: dict[str, Tensor]) -> Tensor:
        """Colours ``(B, 3, F, T)`` in [0, 1], or ``(B, 1, F, T)`` where they need not be exact."""
        height, width = self.canvas
        channels = self.impose(drawn).unflatten(0, (-1, self.channels))
        if self.exact:  # the inverse of the rotation into decorrelated channels
            mean, axes = drawn["colour_mean"][:, :, None], drawn["colour_rotation"].transpose(1, 2)
            channels = torch.baddbmm(mean, axes, channels.flatten(2)).unflatten(2, (height, width))
        channels = channels[..., : self.height, : self.width]
        low = channels.flatten(1).amin(dim=1)[:, None, None, None]
        high = channels.flatten(1).amax(dim=1)[:, None, None, None]
        return (channels - low) / (high - low)

    def impose(self, drawn: dict[str, Tensor]) -> Tensor:
        """Decorrelated channels ``(P, H, W)`` that have the model's statistics."""
        (height, width), device = self.canvas, drawn["noise_key"].device
        if self.imposes_spectrum:
            magnitude = power_law(drawn["slopes"], height, width)
            if not self.imposes_wavelets and not self.imposes_colours:
                channels = random_phases(drawn["noise_key"], magnitude, self.channels, width)
                return channels.mul_(HIGHEST / math.sqrt(12.0)).add_(HIGHEST / 2.0)
            magnitude = magnitude.repeat_interleave(self.channels, dim=0)
        if self.imposes_wavelets:
            pyramid = build_pyramid(height, width, self.levels, device)
            table, spread = marginal_targets(drawn["tails"].flatten(0, 1), self.levels, self.tail)
        noise = white_noise(drawn["noise_key"], self.channels * height * width, device)
        channels = noise.add_(1.0).mul_(HIGHEST / 2.0).reshape(-1, height, width)
        spectrum = torch.fft.rfft2(channels)
        for _ in range(self.iterations):
            if self.imposes_spectrum:
                spectrum = impose_spectrum(spectrum, magnitude, width)
            if self.imposes_wavelets:
                spectrum = impose_wavelet_marginals(spectrum, width, pyramid, table, spread)
            if self.imposes_colours:
                channels = torch.fft.irfft2(spectrum, s=(height, width)).flatten(1)
                channels = impose_marginals([channels], drawn["colour_table"].flatten(0, 1))[0]
                channels = channels.unflatten(1, (height, width))
                spectrum = torch.fft.rfft2(channels)
        return channels if self.imposes_colours else torch.fft.irfft2(spectrum, s=(height, width))

    def describe(self, index: int) -> dict[str, Any]:
        """Slopes of the amplitude spectrum, exponents of the marginals, and the palette."""
        wanted = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([wanted]))
        facts: dict[str, Any] = {}
        if self.imposes_spectrum:
            facts["slope_frequency"], facts["slope_time"] = drawn["slopes"][0].tolist()
        if self.imposes_wavelets:
            facts["marginal_exponents"] = drawn["tails"][0].tolist()
        if self.imposes_colours:
            count = int(drawn["palette_colours"][0])
            end = drawn["palette_stripe_end"][0, :count]
            length = end.diff(prepend=torch.zeros(1, dtype=torch.int64))
            facts["palette_rgb"] = drawn["palette_palette"][0, :count].tolist()
            facts["palette_shares"] = (length / length.sum()).tolist()
            facts["palette_blur_pixels"] = int(drawn["palette_blur"][0])
        return {**facts, "iterations": self.iterations}


@dataclass(kw_only=True)
class Spectrum(StatisticalImage, Source, name="spectrum"):
    """Clouds: random phases under a power-law spectrum of random, slightly unequal slopes."""

    kind = "picture"
    family = "statistical image"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "fast"
    needs = "nothing"

    imposes_spectrum = True


@dataclass(kw_only=True)
class WaveletMarginals(StatisticalImage, Source, name="wmm"):
    """Wavelet marginal model: grain whose steerable-pyramid bands have heavy-tailed distributions."""

    kind = "picture"
    family = "statistical image"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "moderate"
    needs = "nothing"

    imposes_wavelets = True


@dataclass(kw_only=True)
class SpectrumColour(StatisticalImage, Source, name="spectrum_colour"):
    """Posterised clouds: a power-law spectrum and the colour histograms of a random palette."""

    kind = "picture"
    family = "statistical image"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "moderate"
    needs = "nothing"

    imposes_spectrum = True
    imposes_colours = True


@dataclass(kw_only=True)
class SpectrumWavelets(StatisticalImage, Source, name="spectrum_wmm"):
    """Clouds with heavy-tailed bands: a power-law spectrum and wavelet marginals; not in the paper."""

    kind = "picture"
    family = "statistical image"
    citation = "ours, after Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "moderate"
    needs = "nothing"

    imposes_spectrum = True
    imposes_wavelets = True


@dataclass(kw_only=True)
class SpectrumColourWavelets(StatisticalImage, Source, name="spectrum_colour_wmm"):
    """Blobs and speckle with crisp borders: spectrum, wavelet marginals and a palette's histograms."""

    kind = "picture"
    family = "statistical image"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "moderate"
    needs = "nothing"

    imposes_spectrum = True
    imposes_wavelets = True
    imposes_colours = True
