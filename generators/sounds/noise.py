"""White, pink and brown noise: the null hypotheses that a source has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from ..dsp import in_chunks, peak_normalise, shape_spectrum

POWER_SLOPES = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # power falls as 1/f^slope


@dataclass(kw_only=True)
class Noise(Source, name="noise"):
    """Stationary coloured noise over the whole clip, peak-normalised: no event, no pitch, no timbre.

    Power falls as 1/f^0 (``white``, uniform on [-1, 1)), 1/f (``pink``) or 1/f^2 (``brown``); pink and
    brown are shaped in the frequency domain over the clip, without a mean.
    """

    kind = "waveform"
    family = "noise"
    citation = "textbook"
    speed = "fast"
    needs = "nothing"

    colour: Literal["white", "pink", "brown"] = "white"
    seconds: float = 10.24
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        if round(self.seconds * self.sample_rate) < 4:
            raise UsageError(
                f"source.seconds={self.seconds} is under 4 samples at {self.sample_rate} Hz. "
                "Ask for a longer clip, for example source.seconds=2.08."
            )

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """The key of each clip's noise, int64 ``(B,)``: white noise has no other factor."""
        return {"noise_key": Draws(self.seed, indices).keys("noise")}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""
        samples = round(self.seconds * self.sample_rate)

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            waveform = white_noise(drawn["noise_key"], samples, device)
            if self.colour != "white":
                waveform = shape_spectrum(waveform, POWER_SLOPES[self.colour])
            return peak_normalise(waveform)

        return in_chunks(render_chunk, parameters, device)

    def describe(self, index: int) -> dict[str, Any]:
        """Colour and power slope in decibels per octave."""
        slope = -3.0102999566398121 * POWER_SLOPES[self.colour]
        return {"colour": self.colour, "slope_db_per_octave": slope}
