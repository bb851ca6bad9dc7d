"""What grey texture fields share: the canvas, random ranges, Gaussian noise, spectra and value ranges.

``B`` counts samples, ``F`` rows (frequency, row 0 lowest), ``T`` columns (time). Lengths are in
pixels, frequencies in cycles per pixel. Everything is vectorised torch on any device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..base import Draws, white_noise
from ..drawer import UsageError
from ..dsp import full_precision, in_chunks
from .conversion import Conversion

Range = tuple[float, float]


@dataclass(kw_only=True)
class GreyField(Conversion, ABC):
    """A picture source that computes a grey field straight on its canvas, at any size.

    Write ``class Clouds(GreyField, Source, name="clouds")`` with :meth:`parameters`, :meth:`paint` and
    :meth:`tell`; ``render`` and ``describe`` are made here.
    """

    least: ClassVar[int] = 8  # smallest height and width
    on_cpu: ClassVar[int] = 1  # samples painted together on a CPU, and on an accelerator
    on_accelerator: ClassVar[int] = 64

    seed: int = 0
    size: int | None = None
    height: int = 80  # mel bands F
    width: int = 208  # frames T

    def __post_init__(self) -> None:
        self.check_conversion(self.least)
        if self.grey != "luma":
            raise UsageError(
                f"source.grey={self.grey} chooses among colours, but this source is painted in grey. "
                "Leave source.grey out."
            )

    @abstractmethod
    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Draw the factors of samples ``indices`` (int64, ``(B,)``): CPU tensors, batch first."""

    @abstractmethod
    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Grey fields ``(B, F, T)`` in [0, 1], float32, of drawn factors that lie on ``device``."""

    @abstractmethod
    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """The description of one sample from its drawn factors as plain values."""

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            drawn = {key: value.to(device) for key, value in drawn.items()}
            return self.convert(self.paint(drawn, device), drawn)

        with full_precision(device):
            return in_chunks(
                render_chunk,
                parameters,
                device,
                on_cpu=self.on_cpu,
                on_accelerator=self.on_accelerator,
            )

    def describe(self, index: int) -> dict[str, Any]:
        """The drawn factors of one sample in physical units."""
        wanted = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([wanted]))
        return self.tell({key: value[0].tolist() for key, value in drawn.items()})


# ---------------------------------------------------------------------------------------------------
# Ranges


def check_range(
    key: str, pair: tuple[float, float], least: float = -math.inf, most: float = math.inf
) -> None:
    """Refuse a range that is not ``least <= low <= high <= most``, with :class:`UsageError`."""
    low, high = pair
    if not least <= low <= high <= most:
        limits = [(" of at least {:g}", least), (" of at most {:g}", most)]
        bounds = " and".join(text.format(limit) for text, limit in limits if math.isfinite(limit))
        example = f"{max(min(low, most), least):g}"
        raise UsageError(
            f"source.{key}={list(pair)}: expected a low and a high value{bounds}, low first. "
            f"Type for example 'source.{key}=[{example},{example}]'."
        )


def check_share(key: str, share: float) -> None:
    """Refuse a probability outside [0, 1] with :class:`UsageError`."""
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"source.{key}={share}: expected 0 to 1. Type for example source.{key}=0.5.")


def log_uniform(draws: Draws, factor: str, pair: Range, *shape: int) -> Tensor:
    """Log-uniform numbers between two positive ones, float64 ``(B, *shape)``."""
    low, high = pair
    return torch.exp(draws.uniform(factor, math.log(low), math.log(high), *shape)).clamp(low, high)


# ---------------------------------------------------------------------------------------------------
# Noise and spectra


def normal_noise(keys: Tensor, count: int, device: torch.device) -> Tensor:
    """White Gaussian noise N(0, 1), float32 ``(B, count)``, of 2^16 levels (to +- 4.3)."""
    uniform = white_noise(keys, count, device).add_(2.0**-16)  # odd multiples of 2^-16: never +- 1
    return torch.erfinv(uniform).mul_(math.sqrt(2.0))


def frequency_grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frequencies of ``rfft2``: along frequency ``(F, 1)`` and along time ``(1, T // 2 + 1)``.

    In cycles per pixel, float32; the first is signed.
    """
    rows = torch.fft.fftfreq(height, device=device)[:, None]
    columns = torch.fft.rfftfreq(width, device=device)[None, :]
    return rows, columns


def shape_spectrum_2d(field: Tensor, log_gain: Tensor) -> Tensor:
    """Multiply the spectrum of ``(B, F, T)`` by exp(log_gain) ``(B, F, T // 2 + 1)``; drop the mean."""
    gain = log_gain.exp()
    gain[:, 0, 0] = 0.0
    shaped: Tensor = torch.fft.irfft2(torch.fft.rfft2(field).mul_(gain), s=field.shape[-2:])
    return shaped


# ---------------------------------------------------------------------------------------------------
# Value ranges


def standardise(field: Tensor, contrast: float) -> Tensor:
    """Each picture of ``(B, F, T)`` with mean 0.5 and standard deviation ``contrast``, in [0, 1]."""
    std, mean = torch.std_mean(field, dim=(1, 2), keepdim=True)
    scale = contrast / std.clamp_min(torch.finfo(field.dtype).tiny)
    return (field - mean).mul_(scale).add_(0.5).clamp_(0.0, 1.0)


def stretch(field: Tensor) -> Tensor:
    """Each picture of ``(B, F, T)`` from its smallest value (0) to its largest (1)."""
    low, high = field.amin(dim=(1, 2), keepdim=True), field.amax(dim=(1, 2), keepdim=True)
    span = (high - low).clamp_min(torch.finfo(field.dtype).tiny)
    return (field - low).div_(span).clamp_(0.0, 1.0)
