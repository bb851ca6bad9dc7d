"""AudioPG's procedural audio: one timbre, a burst, a few events; then filter, noise and level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source, white_noise
from . import procedural_chain, procedural_factors
from .dynamics import Events, add_bursts, place_events, rotate
from .procedural_settings import ProceduralSettings
from .tones import render_tones

EVENT_FACTORS = ("happens", "length", "attack", "decay", "release", "level", "origin", "place")


@dataclass(kw_only=True)
class AudioPG(ProceduralSettings, Source, name="audiopg"):
    """Procedural clips as AudioPG's released path makes them (arXiv 2606.14791; defaults are faithful).

    A base tone (harmonic, frequency-modulated or pulse) of one fundamental runs through the clip; a
    noise burst may be added to it; a few enveloped stretches of it are placed in silence; then an RBJ
    low-pass (hard-clipped to [-1, 1], a quirk), background noise on an absolute scale, and peak 1.

    The released code's quirks are fields: ``lowpass_clip`` cuts the filter's output, ``aliasing`` lets
    partials fold at Nyquist, ``pitch_prior=linear`` puts half of the pitches in the top octave, and
    ``level=peak`` makes every clip equally loud. ``audiopg_clean`` is the same without them. Every
    primitive has a weight (``saw=0`` leaves saws out), every rule a probability or a range.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "Liu et al. 2026, ICMR; arXiv 2606.14791"
    speed = "fast"
    needs = "nothing"

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """All factors, float64, int64 or bool; shapes in :mod:`.procedural_factors`."""
        return procedural_factors.draw(self, Draws(self.seed, indices))

    def describe(self, index: int) -> dict[str, Any]:
        """The factors that are heard, in physical units; ``None`` where a stage was not applied."""
        wanted = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([wanted], dtype=torch.int64))
        return procedural_factors.describe(
            self, {key: value[0].tolist() for key, value in drawn.items()}
        )

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            return procedural_chain.apply(self, self.before_chain(drawn, device), drawn)

        with dsp.full_precision(device):
            many = max(1, 64 // self.most_tones)  # a tone is as long as the clip
            return dsp.in_chunks(render_chunk, parameters, device, on_cpu=32, on_accelerator=many)

    def before_chain(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """The placed events, before filter, noise and level: float32 ``(B, samples)``, any level."""
        sounding = drawn["event_happens"], drawn["event_tone"]  # (B, M)
        heard = torch.zeros(drawn["kind"].shape, dtype=torch.int64)  # (B, S)
        heard = heard.scatter_add_(1, sounding[1], sounding[0].long()) > 0
        tones = render_tones(self, drawn, heard, device)
        self.add_transients(tones, {key: drawn[key][heard] for key in drawn if "transient" in key})
        # the place of each clip's tone among the heard ones
        place = (heard.flatten().long().cumsum(0) - 1).view_as(heard).gather(1, sounding[1])
        events = Events(tone=place, **{key: drawn[f"event_{key}"] for key in EVENT_FACTORS})
        return rotate(place_events(tones, events)[:, : self.samples], drawn["roll"])

    def add_transients(self, tones: Tensor, drawn: dict[str, Tensor]) -> None:
        """Add their burst of uniform noise to those of the n tones that have one, in place."""
        chosen = drawn["transient"].nonzero()[:, 0]
        if len(chosen) == 0:
            return
        longest = int(self.transient_seconds[1] * self.sample_rate) + 1
        burst = white_noise(drawn["transient_key"][chosen], longest, tones.device)
        burst = burst * drawn["transient_gain"][chosen].float().to(tones.device)[:, None]
        start, length = drawn["transient_start"][chosen], drawn["transient_length"][chosen]
        add_bursts(tones, burst, chosen, start, length)
