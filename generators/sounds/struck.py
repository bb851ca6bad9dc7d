"""Struck bodies: bars, tines, membranes, plates and bells, ringing in the modes of physics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source
from .layout import (
    Notes,
    check_positive,
    check_ranges,
    check_weights,
    decibels,
    drawn_of,
    log_uniform,
    pick_weighted,
)
from .modes import ring

BELOW_NYQUIST = 0.95
T60 = math.log(1000.0)  # nepers of 60 dB
MODES = 16  # of a body

# Frequencies of the modes, to be divided by the lowest. Fletcher & Rossing, The Physics of Musical
# Instruments, 2nd ed. 1998, sections 2.15 (bars), 3.4 (membranes), 3.8 (plates) and 21 (bells).
# Bars: squares of the roots of cos x cosh x = 1 (both ends free) and = -1 (one end clamped).
BAR = [x * x for x in (4.730041, 7.853205, 10.995608, *((n + 0.5) * math.pi for n in range(4, 11)))]
TINE = [x * x for x in (1.875104, 4.694091, 7.854757, *((n - 0.5) * math.pi for n in range(4, 9)))]
MEMBRANE = (  # zeros of the Bessel functions J0 ... J8, in order
    *(2.404826, 3.831706, 5.135622, 5.520078, 6.380162, 7.015587, 7.588342, 8.417244),
    *(8.653728, 8.771484, 9.761023, 9.936110, 10.173468, 11.064709, 11.086370, 11.619841),
)
BELL = (  # hum, prime, tierce, quint, nominal, ...; relative to the prime
    *(0.5, 1.0, 1.183, 1.506, 2.0, 2.514, 2.662, 3.011, 4.166, 5.433, 6.796, 8.215),
)
PLATE = [
    (m, n) for m in range(1, 5) for n in range(1, 5)
]  # nodal lines of a supported rectangle, plus 1
BODIES = ("bar", "tine", "membrane", "plate", "bell")
ROUND = ("membrane", "bell")  # two modes of one frequency each, split by imperfections
VOICE = ("f0_hz", "t60_seconds", "loss", "contact_seconds", "aspect", "warble")


@dataclass(kw_only=True)
class Struck(Notes, Source, name="struck"):
    """Notes of struck bodies: exponentially damped modes of bars, tines, membranes, plates and bells.

    A mode at f decays at pi f ``loss`` + ln(1000) / ``t60_seconds`` nepers a second: the loss factor is
    the material's (glass and metal 10^-3, wood 10^-2, rubber 10^-1) and makes a body of any size sound
    of it (Wildes, Richards 1988); ``t60_seconds`` is what air and support take. A mallet in contact for
    ``contact_seconds`` excites mode f by exp(-(pi f contact)^2 / 4), a Gaussian pulse of force. Where
    it strikes enters as a weight in [0.1, 1) for each mode of each note. Modes of round bodies are
    pairs apart by up to ``warble``, which beat. Plates are supported rectangles
    of side ratio ``aspect``.

    ``bar``, ``tine``, ``membrane``, ``plate`` and ``bell`` are weights: a body of weight 0 never comes.
    Other fields are ranges per voice, drawn uniformly in the logarithm; ``aspect`` and ``warble``
    uniformly. ``f0_hz`` is the lowest mode of the voice's body.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "Fletcher & Rossing 1998; van den Doel & Pai 1998, Presence 7(4)"
    speed = "fast"
    needs = "nothing"

    bar: float = 1.0
    tine: float = 1.0
    membrane: float = 1.0
    plate: float = 1.0
    bell: float = 1.0
    f0_hz: tuple[float, float] = (60.0, 2000.0)
    t60_seconds: tuple[float, float] = (0.3, 6.0)
    loss: tuple[float, float] = (3e-4, 2e-2)
    contact_seconds: tuple[float, float] = (3e-5, 1.5e-3)
    aspect: tuple[float, float] = (1.0, 1.9)
    warble: tuple[float, float] = (0.0, 0.003)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weights(self, *BODIES)
        check_positive(self, "f0_hz", highest=BELOW_NYQUIST * self.sample_rate / 2)
        check_positive(self, "t60_seconds", "loss", "contact_seconds", "aspect")
        check_ranges(self, "warble", lowest=0.0, highest=0.5)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Notes ``(B, M)``, bodies ``(B, V)``, weights of the modes at the strike ``(B, M, 2K)``."""
        draws, voices = Draws(self.seed, indices), self.voices[1]
        drawn = self.draw_notes(draws)
        drawn["body"] = pick_weighted(draws, "body", [getattr(self, body) for body in BODIES], voices)
        for key in VOICE:
            uniform = key in ("aspect", "warble")
            limits = getattr(self, key)
            drawn[key] = (
                draws.uniform(key, *limits, voices)
                if uniform
                else log_uniform(draws, key, limits, voices)
            )
        drawn["note_hz"] = self.note_pitch(drawn["f0_hz"], drawn, self.f0_hz)
        drawn["strike"] = draws.uniform("strike", 0.1, 1.0, self.notes[1], 2 * MODES)
        return drawn

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            here = {key: value.to(device) for key, value in drawn.items()}
            return self.set_level(self.bodies(here), drawn)

        with dsp.full_precision(device):
            return dsp.in_chunks(render_chunk, parameters, device, on_accelerator=16)

    def bodies(self, drawn: dict[str, Tensor]) -> Tensor:
        """All notes at their levels, float32 ``(B, samples)``: a note's modes have power 1/2 in sum."""
        of = {key: self.per_note(drawn[key], drawn)[:, :, None] for key in (*VOICE, "body")}
        ratio = mode_ratios(of["body"][..., 0], of["aspect"][..., 0])  # (B, M, K), 0: no such mode
        pair = torch.cat([ratio, ratio * (1.0 + of["warble"])], dim=2)
        kept = torch.ones_like(pair, dtype=torch.bool)
        kept[:, :, MODES:] = sum(of["body"] == BODIES.index(body) for body in ROUND) > 0
        frequency = drawn["note_hz"][:, :, None] * pair  # (B, M, 2K)
        size = (
            torch.exp(-(math.pi * frequency * of["contact_seconds"]).square() / 4.0) * drawn["strike"]
        )
        size = size * (kept & (frequency > 0.0) & (frequency < BELOW_NYQUIST * self.sample_rate / 2))
        size = size / size.square().sum(dim=2, keepdim=True).sqrt().clamp_min(1e-9)
        size = size * (size > 1e-4) * decibels(drawn["level_db"])[:, :, None]
        decay = math.pi * of["loss"] * frequency + T60 / of["t60_seconds"]
        rate = self.sample_rate
        return ring(
            drawn["onset"], frequency / rate, decay / rate, size, torch.zeros_like(size), self.samples
        )

    def describe(self, index: int) -> dict[str, Any]:
        """Lowest mode of each note, and the bodies of the voices."""
        one = drawn_of(self, index)
        count = one["notes"]
        heard = max(one["voice"][:count]) + 1
        return {
            "voice_body": [BODIES[body] for body in one["body"][:heard]],
            "note_hz": one["note_hz"][:count],
            **{f"voice_{key}": one[key][:heard] for key in VOICE},
            **self.describe_notes(one),
        }


def mode_ratios(body: Tensor, aspect: Tensor) -> Tensor:
    """Mode frequencies relative to the lowest, float64 ``(..., 16)``, 0 where a body has fewer modes.

    ``body`` is a number of :data:`BODIES`, ``aspect`` the side ratio of a plate; both ``(...)``.
    """
    device = body.device
    table = torch.zeros(len(BODIES), MODES, dtype=torch.float64)
    for row, modes in enumerate((BAR, TINE, MEMBRANE, (), BELL)):
        if modes:
            table[row, : len(modes)] = torch.tensor(modes, dtype=torch.float64) / modes[0]
    m, n = torch.tensor(PLATE, dtype=torch.float64, device=device).T
    squared = aspect[..., None].square()
    plate = (m.square() + n.square() * squared) / (1.0 + squared)
    found = table.to(device)[body]
    return torch.where(body[..., None] == BODIES.index("plate"), plate, found)
