"""Plucked strings: Karplus and Strong's decaying loop, in the closed form of its modes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source
from ..drawer import UsageError
from .layout import Notes, check_positive, check_ranges, decibels, drawn_of, log_uniform
from .modes import ring

BELOW_NYQUIST = 0.95  # modes above this share of half the sample rate are left out
T60 = math.log(1000.0)  # nepers of 60 dB
VOICE = ("f0_hz", "t60_seconds", "damping_hz", "stiffness", "pluck_position", "pick_hz")


@dataclass(kw_only=True)
class Plucked(Notes, Source, name="plucked"):
    """Notes of plucked strings: noise bursts in a delay loop with a loss (Karplus, Strong 1983).

    The loop y = x + h * y(t - period) with the loss gain g(f) < 1 rings in modes f_k that lose a factor
    g(f_k) each period; the burst sets their magnitudes (Rayleigh) and phases (uniform). Summing the
    modes is the loop in closed form: pitch is exact at any period, whole or not, and decay is stated in
    seconds. The loss is that of Karplus and Strong's averager raised to a power, plus a loss at all
    frequencies (Jaffe, Smith 1983): g(f) = rho cos(pi f / sample rate)^s. It is given by
    ``t60_seconds``, the time in which low modes fall by 60 dB, and ``damping_hz``, the frequency at
    which modes fall twice as fast. A stiff string's modes are f_k = k f0 sqrt(1 + stiffness k^2).

    The point where the string is plucked takes out the modes with a node there, and the pick's softness
    the high ones (-6 dB per octave above ``pick_hz``). Fields are ranges per voice, drawn uniformly in
    the logarithm, save ``pluck_position``, a share of the string, uniform.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "Karplus & Strong 1983, Computer Music Journal 7(2); Jaffe & Smith 1983, ibid."
    speed = "fast"
    needs = "nothing"

    f0_hz: tuple[float, float] = (60.0, 1000.0)
    t60_seconds: tuple[float, float] = (0.3, 6.0)
    damping_hz: tuple[float, float] = (400.0, 5000.0)
    stiffness: tuple[float, float] = (1e-6, 5e-4)
    pluck_position: tuple[float, float] = (0.05, 0.5)
    pick_hz: tuple[float, float] = (500.0, 8000.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        nyquist = self.sample_rate / 2
        check_positive(self, "f0_hz", highest=BELOW_NYQUIST * nyquist)
        check_positive(self, "damping_hz", highest=nyquist)
        check_positive(self, "t60_seconds", "stiffness", "pick_hz")
        check_ranges(self, "pluck_position", lowest=0.0, highest=1.0)
        if self.f0_hz[0] < 20.0:
            raise UsageError(
                f"source.f0_hz={self.f0_hz} goes below 20 Hz, which takes {self.modes} modes a note. "
                "Raise its lower end, for example source.f0_hz=[60,1000]."
            )

    @property
    def modes(self) -> int:
        """The most modes of a note, K: those of the lowest pitch."""
        return int(BELOW_NYQUIST * self.sample_rate / 2 / self.f0_hz[0])

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Notes ``(B, M)``, factors of the strings ``(B, V)``, modes of the burst ``(B, M, K, 2)``."""
        draws, voices = Draws(self.seed, indices), self.voices[1]
        drawn = self.draw_notes(draws)
        for key in VOICE:
            limits = getattr(self, key)
            uniform = key == "pluck_position"
            drawn[key] = (
                draws.uniform(key, *limits, voices)
                if uniform
                else log_uniform(draws, key, limits, voices)
            )
        drawn["note_hz"] = self.note_pitch(drawn["f0_hz"], drawn, self.f0_hz)
        shape = (self.notes[1], self.modes)
        drawn["burst"] = torch.stack(
            [
                draws.uniform("burst_size", 0.0, 1.0, *shape),
                draws.uniform("burst_phase", 0.0, 1.0, *shape),
            ],
            dim=-1,
        )
        return drawn

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            here = {key: value.to(device) for key, value in drawn.items()}
            return self.set_level(self.strings(here), drawn)

        with dsp.full_precision(device):
            return dsp.in_chunks(render_chunk, parameters, device, on_accelerator=8)

    def strings(self, drawn: dict[str, Tensor]) -> Tensor:
        """All notes at their levels, float32 ``(B, samples)``: a note's modes have power 1/2 in sum."""
        of = {key: self.per_note(drawn[key], drawn)[:, :, None] for key in VOICE}
        number = torch.arange(1, self.modes + 1, dtype=torch.float64, device=drawn["note_hz"].device)
        frequency = self.mode_hz(drawn["note_hz"][:, :, None], of["stiffness"], number)  # (B, M, K)
        decay = self.nepers_per_second(frequency, of["t60_seconds"], of["damping_hz"])
        size = (-2.0 * torch.log1p(-drawn["burst"][..., 0])).sqrt()  # Rayleigh: a noise burst's modes
        size = size * torch.sin(math.pi * number * of["pluck_position"]).abs()
        size = size / (1.0 + (frequency / of["pick_hz"]).square()).sqrt()
        size = size * (frequency < BELOW_NYQUIST * self.sample_rate / 2)
        size = size / size.square().sum(dim=2, keepdim=True).sqrt().clamp_min(1e-9)
        size = size * decibels(drawn["level_db"])[:, :, None]
        rate = self.sample_rate
        return ring(
            drawn["onset"], frequency / rate, decay / rate, size, drawn["burst"][..., 1], self.samples
        )

    def mode_hz(self, f0_hz: Tensor, stiffness: Tensor, number: Tensor) -> Tensor:
        """Frequency of mode ``number`` of a stiff string (Fletcher 1964), in hertz."""
        return number * f0_hz * (1.0 + stiffness * number.square()).sqrt()

    def nepers_per_second(self, frequency: Tensor, t60_seconds: Tensor, damping_hz: Tensor) -> Tensor:
        """Decay rate of modes at ``frequency``: -ln g(f) over the loop's period."""
        averager = averager_log_gain(frequency / self.sample_rate)
        return T60 / t60_seconds * (1.0 + averager / averager_log_gain(damping_hz / self.sample_rate))

    def describe(self, index: int) -> dict[str, Any]:
        """Pitch of each note, and the strings of the voices."""
        one = drawn_of(self, index)
        count = one["notes"]
        return {
            "note_hz": one["note_hz"][:count],
            **{f"voice_{key}": one[key][: max(one["voice"][:count]) + 1] for key in VOICE},
            **self.describe_notes(one),
        }


def averager_log_gain(cycles_per_sample: Tensor) -> Tensor:
    """Log gain of the two-point average, ln cos(pi f); f is below half a cycle per sample."""
    return torch.log(torch.cos(math.pi * cycles_per_sample.clamp_max(0.499)))
