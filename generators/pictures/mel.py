"""The mel plane: where a frequency lies among mel bands, and how wide a tone looks there.

Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, 15 mel there, then logarithmic, 27 mel
per factor of 6.4. Band 0 is the lowest; a band's place is the number of its centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BREAK_HERTZ, BREAK_MEL = 1000.0, 15.0
MEL_PER_HERTZ = 0.015
MEL_PER_LOG = 27.0 / math.log(6.4)
HANN_SIGMA = 0.61  # of a Hann window's main lobe as a Gaussian of power, in 1 / window length
TRIANGLE_VARIANCE = 1.0 / 6.0  # of a triangular filter one band wide to each side, in bands^2


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """Slaney mels of frequencies in hertz (0 or more)."""
    above = (hertz / BREAK_HERTZ).clamp_min(1.0).log().mul_(MEL_PER_LOG)
    return (hertz * MEL_PER_HERTZ).clamp_max_(BREAK_MEL).add_(above)


def mel_to_hertz(mel: Tensor) -> Tensor:
    """Frequencies in hertz of Slaney mels (0 or more)."""
    above = ((mel - BREAK_MEL).clamp_min(0.0) / MEL_PER_LOG).exp()
    return (mel.clamp_max(BREAK_MEL) / MEL_PER_HERTZ) * above


@dataclass(frozen=True)
class MelPlane:
    """``bands`` triangular mel filters whose outer edges are ``low_hz`` and ``high_hz``."""

    bands: int
    low_hz: float
    high_hz: float

    @property
    def edges(self) -> tuple[float, float]:
        """The outer edges in mel."""
        low, high = hertz_to_mel(
            torch.tensor([self.low_hz, self.high_hz], dtype=torch.float64)
        ).tolist()
        return low, high

    @property
    def step(self) -> float:
        """Mels from one band's centre to the next."""
        low, high = self.edges
        return (high - low) / (self.bands + 1)

    def centres(self, device: torch.device) -> Tensor:
        """Centre frequencies of the bands in hertz, float64 ``(F,)``."""
        number = torch.arange(1, self.bands + 1, dtype=torch.float64, device=device)
        return mel_to_hertz(self.edges[0] + self.step * number)

    def spacing(self, device: torch.device) -> Tensor:
        """Hertz from one band's centre to the next, about each band, float64 ``(F,)``."""
        number = torch.arange(1, self.bands + 1, dtype=torch.float64, device=device)
        half = self.step / 2.0
        middle = self.edges[0] + self.step * number
        return mel_to_hertz(middle + half) - mel_to_hertz(middle - half)

    def place(self, hertz: Tensor) -> Tensor:
        """Bands from band 0's centre, whole numbers at centres: any shape, the shape of ``hertz``."""
        return hertz_to_mel(hertz).sub_(self.edges[0]).div_(self.step).sub_(1.0)

    def tone_variance(self, window_seconds: float, device: torch.device) -> Tensor:
        """Variance in bands^2 of a steady tone's power about each band, float64 ``(F,)``.

        The main lobe of a Hann window of that length, and the filter itself.
        """
        return (HANN_SIGMA / window_seconds / self.spacing(device)).square() + TRIANGLE_VARIANCE
