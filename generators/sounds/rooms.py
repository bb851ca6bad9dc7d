"""Sounds in rooms: clips of the alphabet heard at a distance, with echoes and reverberation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source
from ..parts import Parts
from .alphabet import BACKGROUND, LEVEL, alphabet
from .layout import Clip, drawn_of, pick_weighted
from .reverberation import Shoebox, in_room


@dataclass(kw_only=True)
class Rooms(Clip, Shoebox, Source, name="rooms"):
    """Clips of plucked, struck, swept, granular or spoken sounds, each in a shoebox room of its own.

    ``dry`` are the sources that sound in the rooms, with weights. Sample i is the drawn source's
    sample i as a microphone hears it: direct sound, early reflections of a shoebox by image sources
    (Allen, Berkley 1979), then a diffuse tail that falls at the drawn reverberation times; nothing
    below 40 Hz. Length,
    level and background noise are the room's, so those fields of ``dry`` are refused.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "Allen & Berkley 1979, JASA 65; Lehmann & Johansson 2010, IEEE TASLP 18"
    speed = "moderate"
    needs = "nothing"
    version = 2  # without infrasound

    dry: Parts = field(
        default_factory=lambda: {
            "plucked": 1.0,
            "struck": 1.0,
            "sweeps": 1.0,
            "grains": 1.0,
            "formants": 1.0,
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_room()
        given = {
            "seconds": self.seconds,
            "sample_rate": self.sample_rate,
            "peak_db": (0.0, 0.0),
            "p_background": 0.0,
        }
        instead = {
            "seconds": "source.seconds=10.24",
            "sample_rate": "source.sample_rate=16000",
            **dict.fromkeys(LEVEL, "source.peak_db=[-12,0]"),
            **dict.fromkeys(BACKGROUND, "source.p_background=0.8 and source.background_db=[-80,-40]"),
        }
        self.alphabet = alphabet(self.dry, self, "source.dry", given, instead)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """The sample's index, number of the dry source, and the room: ``(B,)`` and ``(B, 3)``."""
        draws = Draws(self.seed, indices)
        return {
            "index": indices,
            "dry": pick_weighted(draws, "dry", self.alphabet.weights),
            **self.draw_room(draws),
            **self.draw_level(draws),
        }

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_one(drawn: dict[str, Tensor]) -> Tensor:
            room = {key: value.to(device) for key, value in drawn.items() if key != "sound"}
            heard = in_room(drawn["sound"], room, self.seconds, self.sample_rate)
            return self.set_level(heard, drawn)

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            sound = self.alphabet.sounds(drawn["dry"], drawn["index"], device)
            return dsp.in_chunks(render_one, {**drawn, "sound": sound}, device)

        with dsp.full_precision(device):
            return dsp.in_chunks(render_chunk, parameters, device, on_cpu=32)

    def describe(self, index: int) -> dict[str, Any]:
        """The room, the dry source, and what that says of its sample."""
        one = drawn_of(self, index)
        number = one["dry"]
        dry = self.alphabet.children[number].describe(one["index"])
        return {
            "dry": self.alphabet.labels[number],
            **self.describe_room(one),
            **dry,
            **self.describe_level(one),
        }

    def identity(self) -> dict[str, Any]:
        """Its own fields, and the identities of the dry sources."""
        return {**super().identity(), "dry": self.alphabet.identities()}
