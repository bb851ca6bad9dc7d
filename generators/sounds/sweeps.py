"""Frequency sweeps: tones of a few partials that glide up or down by a law, with or without vibrato."""

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
    add_rows,
    check_positive,
    check_ranges,
    check_shares,
    check_weights,
    decibels,
    drawn_of,
    log_uniform,
    pick_weighted,
    rows_covered,
)

LAWS = ("steady", "linear", "exponential", "hyperbolic")
VOICE = (
    *("law", "start_hz", "stop_hz", "sweep_seconds", "partials", "partial_slope"),
    *("vibrato", "vibrato_hz", "vibrato_depth", "attack", "release"),
)
SPAN = 64  # samples whose phase is float32: about 1e-6 cycles at 8 kHz
FADE = (0.9, 0.98)  # partials fade out between these shares of half the sample rate


@dataclass(kw_only=True)
class Sweeps(Notes, Source, name="sweeps"):
    """Chirps, sirens and whistles: tones whose pitch follows a law in time, drawn per voice.

    From ``start_hz`` to ``stop_hz`` over ``sweep_seconds`` the frequency is a line (``linear``), has a
    line as its logarithm (``exponential``) or as its period (``hyperbolic``, as bats call); ``steady``
    stays at ``start_hz``. The four are weights. A vibrato adds a sine of ``vibrato_hz`` to the
    frequency, ``vibrato_depth`` of the lower end of the sweep. Partials k = 1 ... ``partials`` have
    amplitudes k^-``partial_slope``, and fade out towards half the sample rate, so nothing aliases.
    ``attack`` and ``release`` are shares of the sweep over which a raised cosine opens and closes it.

    Notes of a voice are the same sweep again, in other pitch where the voice moves. Frequencies,
    seconds and the vibrato's rate are drawn uniformly in the logarithm, other ranges uniformly.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "ours"
    speed = "fast"
    needs = "nothing"

    steady: float = 1.0
    linear: float = 1.0
    exponential: float = 1.0
    hyperbolic: float = 1.0
    start_hz: tuple[float, float] = (80.0, 6000.0)
    stop_hz: tuple[float, float] = (80.0, 6000.0)
    sweep_seconds: tuple[float, float] = (0.1, 2.5)
    partials: tuple[int, int] = (1, 6)
    partial_slope: tuple[float, float] = (0.5, 2.0)
    p_vibrato: float = 0.4
    vibrato_hz: tuple[float, float] = (2.0, 30.0)
    vibrato_depth: tuple[float, float] = (0.005, 0.2)
    attack: tuple[float, float] = (0.02, 0.5)
    release: tuple[float, float] = (0.05, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weights(self, *LAWS)
        check_positive(self, "start_hz", "stop_hz", highest=FADE[0] * self.sample_rate / 2)
        check_positive(self, "sweep_seconds", "vibrato_hz")
        check_positive(self, "attack", "release", highest=1.0)
        check_ranges(self, "partials", lowest=1)
        check_ranges(self, "vibrato_depth", lowest=0.0, highest=0.9)
        check_shares(self, "p_vibrato")

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Notes ``(B, M)`` and the sweeps of the voices ``(B, V)``."""
        draws, voices = Draws(self.seed, indices), self.voices[1]
        drawn = self.draw_notes(draws)
        drawn["law"] = pick_weighted(draws, "law", [getattr(self, law) for law in LAWS], voices)
        for key in ("start_hz", "stop_hz", "sweep_seconds", "vibrato_hz"):
            drawn[key] = log_uniform(draws, key, getattr(self, key), voices)
        drawn["stop_hz"] = torch.where(drawn["law"] == 0, drawn["start_hz"], drawn["stop_hz"])
        for key in ("partial_slope", "vibrato_depth", "attack", "release"):
            drawn[key] = draws.uniform(key, *getattr(self, key), voices)
        drawn["partials"] = draws.integers("partials", *self.partials, voices)
        drawn["vibrato"] = draws.happens("vibrato", self.p_vibrato, voices)
        return drawn

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            here = {key: value.to(device) for key, value in drawn.items()}
            return self.set_level(self.sweeps(here), drawn)

        return dsp.in_chunks(render_chunk, parameters, device, on_accelerator=16)

    def sweeps(self, drawn: dict[str, Tensor]) -> Tensor:
        """All notes at their levels, float32 ``(B, samples)``; a note's power is 1/2 at its height."""
        clip, note = (drawn["onset"] < self.samples).nonzero(as_tuple=True)  # (E,)
        voice = drawn["voice"][clip, note]
        of = {key: drawn[key][clip, voice] for key in VOICE}
        pitch = torch.exp2(drawn["step_semitones"][clip, note] / 12.0)
        of["start_hz"], of["stop_hz"] = of["start_hz"] * pitch, of["stop_hz"] * pitch
        of["level"] = decibels(drawn["level_db"][clip, note])
        length = (of["sweep_seconds"] * self.sample_rate).ceil().long()
        rows = rows_covered(clip, drawn["onset"][clip, note], length, self.rows)
        # most partials first, so that those who have a k-th one are a slice
        order = of["partials"][rows.owner].argsort(descending=True, stable=True)
        owner, since = rows.owner[order], rows.since[order]
        sound = self.partial_sum({key: value[owner] for key, value in of.items()}, since)
        out = torch.zeros(len(drawn["onset"]) * self.rows, dsp.ROW, device=sound.device)
        add_rows(out, rows.target[order], sound)
        return out.view(len(drawn["onset"]), -1)[:, : self.samples]

    def partial_sum(self, row: dict[str, Tensor], since: Tensor) -> Tensor:
        """Rows of sound, float32 ``(R, 512)``; factors are ``(R,)``, ``since`` in samples too."""
        level = row["level"] / self.power(row).sqrt()
        size = [level * k ** -row["partial_slope"] for k in range(1, self.partials[1] + 1)]
        has = [
            int((row["partials"] >= k).sum()) for k in range(1, self.partials[1] + 1)
        ]  # rows, at first
        cycles, frequency, gate = self.course(row, since)
        nearness = frequency.mul_(2.0 / self.sample_rate / (FADE[1] - FADE[0]))
        full = FADE[1] / (FADE[1] - FADE[0])
        theta = cycles.frac_().mul_(2.0 * math.pi)
        twice, out = 2.0 * theta.cos(), torch.zeros_like(theta)
        # sin k x = 2 cos x sin (k - 1) x - sin (k - 2) x, with signs + + - - + + that turn - into +
        sine, previous, sign = theta.sin_(), torch.zeros_like(theta), 1.0
        for k, (rows, scale) in enumerate(zip(has, size, strict=True), start=1):
            heard = torch.rsub(nearness[:rows], full, alpha=k).clamp_(0.0, 1.0)
            heard.mul_((sign * scale[:rows]).float()[:, None])
            out[:rows].addcmul_(heard, sine[:rows])
            turn = -1.0 if k % 2 == 0 else 1.0
            if k < len(has):
                rows = has[k]
                following = torch.addcmul(previous[:rows], twice[:rows], sine[:rows], value=turn)
                sine, previous, sign = following, sine, sign * turn
        return out.mul_(gate)

    def power(self, row: dict[str, Tensor]) -> Tensor:
        """Sum of the squared amplitudes of the partials, ``(R,)``."""
        number = torch.arange(1, self.partials[1] + 1, device=row["partials"].device)
        squares = number ** (-2.0 * row["partial_slope"][:, None])
        return (squares * (number <= row["partials"][:, None])).sum(dim=1)

    def course(self, row: dict[str, Tensor], since: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Phase of the fundamental in cycles, its frequency in hertz, the gate: ``(R, 512)`` each."""
        device, rate, rows = since.device, self.sample_rate, len(since)
        parts = torch.arange(0, dsp.ROW, SPAN, device=device)
        start = (since[:, None] + parts).view(-1, 1).double() / rate  # seconds, (R * 8, 1)
        span = {key: value.repeat_interleave(len(parts))[:, None] for key, value in row.items()}
        seconds = span["sweep_seconds"]
        within = torch.arange(SPAN, dtype=torch.float32, device=device) / rate
        time = start.float() + within
        opened = time / (span["attack"] * seconds).float()
        closed = (seconds.float() - time) / (span["release"] * seconds).float()
        gate = opened.minimum(closed).clamp_(0.0, 1.0).mul_(math.pi / 2).sin_().square_()
        # phase and frequency: to the span's first sample in float64, from there in float32
        anchor = start.clamp_min(0.0).minimum(seconds)
        later = ((start - anchor).float() + within).clamp_min_(0.0).minimum((seconds - anchor).float())
        law, zero = span["law"], torch.zeros_like(anchor)
        bent = bend(law, span["start_hz"], span["stop_hz"], seconds)
        cycles, hz = glide(law, span["start_hz"], bent, anchor)
        onward, frequency = glide(law, hz, bent, later)
        swing = span["vibrato_depth"] * span["vibrato"] * span["start_hz"].minimum(span["stop_hz"])
        if bool(row["vibrato"].any()):
            cycles = cycles + wobble(span["vibrato_hz"], swing, zero, anchor)[0]
            more, drift = wobble(span["vibrato_hz"], swing, anchor, later)
            onward += more
            frequency += drift
        onward += cycles.frac().float()
        return onward.view(rows, -1), frequency.view(rows, -1), gate.view(rows, -1)

    def describe(self, index: int) -> dict[str, Any]:
        """Sweeps of the voices, then the notes: a note's hertz are its voice's x 2^(step / 12)."""
        one = drawn_of(self, index)
        heard = max(one["voice"][: one["notes"]]) + 1
        voices = {f"voice_{key}": one[key][:heard] for key in VOICE}
        voices["voice_law"] = [LAWS[law] for law in one["law"][:heard]]
        steps = one["step_semitones"][: one["notes"]]
        return {**voices, "step_semitones": steps, **self.describe_notes(one)}


def bend(law: Tensor, start_hz: Tensor, stop_hz: Tensor, seconds: Tensor) -> Tensor:
    """What stays constant in a sweep: slope of the frequency, of its logarithm or of the period.

    All float64 of one shape; 0 for steady tones.
    """
    slopes = torch.stack(
        [
            torch.zeros_like(start_hz),
            stop_hz - start_hz,
            torch.log(stop_hz / start_hz),
            1.0 / stop_hz - 1.0 / start_hz,
        ]
    )
    return slopes.gather(0, law[None])[0] / seconds


def glide(law: Tensor, hz: Tensor, bent: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Cycles until ``time`` (R, T), in seconds, and the frequency then, from ``hz`` (R, 1) at time 0.

    ``law`` and ``bent`` (R, 1) as :func:`bend` gives them: since that is constant, a sweep can be taken
    up at any moment by its frequency there. Results have the type and shape of ``time``.
    """
    hz, bent = hz.to(time.dtype), bent.to(time.dtype)
    number = torch.where(bent == 0.0, 0, law)[:, 0]
    cycles, frequency = hz * time, hz.expand_as(time).clone()
    for kind in range(1, len(LAWS)):
        rows = (number == kind).nonzero()[:, 0]
        f, b, t = hz[rows], bent[rows], time[rows]
        if kind == 1:
            cycles[rows], frequency[rows] = t * (f + 0.5 * b * t), f + b * t
        elif kind == 2:
            cycles[rows], frequency[rows] = f / b * torch.expm1(b * t), f * torch.exp(b * t)
        else:
            cycles[rows], frequency[rows] = torch.log1p(f * b * t) / b, f / (1.0 + f * b * t)
    return cycles, frequency


def wobble(hz: Tensor, swing: Tensor, after: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Cycles and hertz that a vibrato swing sin(2 pi hz t) adds, ``time`` seconds after ``after``."""
    rate = 2.0 * math.pi * hz
    angle = (rate * after).to(time.dtype) + rate.to(time.dtype) * time
    cycles = (swing / rate).to(time.dtype) * ((rate * after).cos().to(time.dtype) - angle.cos())
    return cycles, swing.to(time.dtype) * angle.sin()
