"""Formant voices: a glottal pulse train of moving pitch through moving vocal tract resonances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source, white_noise
from .layout import (
    Notes,
    add_rows,
    check_positive,
    check_ranges,
    check_shares,
    decibels,
    drawn_of,
    log_uniform,
    rows_covered,
)
from .vocal_tract import BANDWIDTH, BLOCK, RESPONSE, filter_blocks, vowel_hz

VOICE = (
    *("f0_hz", "tract_scale", "open_quotient", "breath_db", "jitter"),
    *("bandwidth_scale", "vibrato", "vibrato_hz", "vibrato_cents"),
)
NOTE = (
    "onset",
    "syllable_seconds",
    "glide_semitones",
    "open",
    "back",
    "level_db",
    "note_hz",
    "whisper",
)
SPAN = 64  # samples of constant pitch: 4 ms at 16 kHz
FADE_SECONDS = 0.02  # of both ends of a syllable


@dataclass(kw_only=True)
class Formants(Notes, Source, name="formants"):
    """Syllables of voices: Rosenberg's glottal pulses, or breath alone, through five moving formants.

    The source is the derivative of Rosenberg's pulse (1971): the flow rises over two thirds of the open
    phase (``open_quotient`` of a period), falls over the rest, and is closed until the next. Its pitch
    glides over the syllable by ``glide_semitones``, has a vibrato in some voices, and a ``jitter``: a
    random step every 4 ms, of that standard deviation relative to the pitch.
    Aspiration noise is added ``breath_db`` below the pulses; some syllables are whispered.

    The tract has formants in cascade (Klatt 1980) that move along a line from one vowel to another. A
    vowel is a place in the vowel square, from close (``open`` 0) to open and from front (``back`` 0) to
    back, whose corners are [i], [ae], [u] and [a] of Peterson and Barney (1952, table II, men).
    Formants are scaled by the voice's ``tract_scale`` (1 a man, 1.2 a woman, 1.4 a child).

    Pitch and vibrato rate are drawn uniformly in the logarithm, other ranges uniformly; lengths,
    glides and vowels for each syllable, the others for each voice.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "Rosenberg 1971, JASA 49; Klatt 1980, JASA 67; Peterson & Barney 1952, JASA 24"
    speed = "fast"
    needs = "nothing"

    f0_hz: tuple[float, float] = (70.0, 400.0)
    syllable_seconds: tuple[float, float] = (0.08, 0.6)
    glide_semitones: tuple[float, float] = (-7.0, 5.0)
    jitter: tuple[float, float] = (0.0, 0.02)
    p_vibrato: float = 0.3
    vibrato_hz: tuple[float, float] = (4.0, 7.0)
    vibrato_cents: tuple[float, float] = (20.0, 100.0)
    open_quotient: tuple[float, float] = (0.4, 0.8)
    breath_db: tuple[float, float] = (-50.0, -15.0)
    p_whisper: float = 0.1
    open: tuple[float, float] = (0.0, 1.0)
    back: tuple[float, float] = (0.0, 1.0)
    p_diphthong: float = 0.5  # of the syllables: the vowel moves
    tract_scale: tuple[float, float] = (0.85, 1.4)
    bandwidth_scale: tuple[float, float] = (0.7, 1.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "f0_hz", highest=0.05 * self.sample_rate)
        check_positive(self, "syllable_seconds", "vibrato_hz", "tract_scale", "bandwidth_scale")
        check_positive(self, "open_quotient", highest=1.0)
        check_ranges(self, "open", "back", lowest=0.0, highest=1.0)
        check_ranges(self, "jitter", lowest=0.0, highest=0.2)
        check_ranges(self, "vibrato_cents", lowest=0.0)
        check_ranges(self, "breath_db", highest=0.0)
        check_ranges(self, "glide_semitones", lowest=-36.0, highest=36.0)
        check_shares(self, "p_vibrato", "p_whisper", "p_diphthong")

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Syllables ``(B, M)``, vowels at their ends ``(B, M, 2)``, voices ``(B, V)``, noise keys."""
        draws, most, voices = Draws(self.seed, indices), self.notes[1], self.voices[1]
        drawn = self.draw_notes(draws)
        for key in ("f0_hz", "vibrato_hz"):
            drawn[key] = log_uniform(draws, key, getattr(self, key), voices)
        for key in (
            "tract_scale",
            "open_quotient",
            "breath_db",
            "jitter",
            "bandwidth_scale",
            "vibrato_cents",
        ):
            drawn[key] = draws.uniform(key, *getattr(self, key), voices)
        drawn["vibrato"] = draws.happens("vibrato", self.p_vibrato, voices)
        for key in ("syllable_seconds", "glide_semitones"):
            drawn[key] = draws.uniform(key, *getattr(self, key), most)
        for key in ("open", "back"):
            ends = draws.uniform(key, *getattr(self, key), most, 2)
            moves = draws.happens("diphthong", self.p_diphthong, most)
            ends[:, :, 1] = torch.where(moves, ends[:, :, 1], ends[:, :, 0])
            drawn[key] = ends
        drawn["whisper"] = draws.happens("whisper", self.p_whisper, most)
        drawn["jitter_key"] = draws.keys("jitter_walk")
        drawn["breath_key"] = draws.keys("breath_noise")
        drawn["note_hz"] = self.note_pitch(drawn["f0_hz"], drawn, self.f0_hz)
        return {**drawn, **self.trimmed(drawn)}

    def trimmed(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """Syllables of one voice do not overlap: each ends, at the latest, where the next begins."""
        onset, voice = drawn["onset"], drawn["voice"]
        later = onset[:, None, :] > onset[:, :, None]  # (B, M, M): the second is later
        same = later & (voice[:, None, :] == voice[:, :, None])
        following = torch.where(same, onset[:, None, :], 2**40).amin(dim=2)
        room = (following - onset).double() / self.sample_rate
        return {"syllable_seconds": drawn["syllable_seconds"].minimum(room)}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            here = {key: value.to(device) for key, value in drawn.items()}
            return self.set_level(self.voices_sum(here), drawn)

        with dsp.full_precision(device):
            return dsp.in_chunks(render_chunk, parameters, device, on_accelerator=16)

    def voices_sum(self, drawn: dict[str, Tensor]) -> Tensor:
        """All syllables at their levels, float32 ``(B, samples)``."""
        batch, device = len(drawn["onset"]), drawn["onset"].device
        clip, note = (drawn["onset"] < self.samples).nonzero(as_tuple=True)  # (E,)
        of = {key: drawn[key][clip, note] for key in NOTE}
        of |= {key: drawn[key][clip, drawn["voice"][clip, note]] for key in VOICE}
        length = (of["syllable_seconds"] * self.sample_rate).ceil().long()
        rows = rows_covered(clip, of["onset"], length, self.rows)
        row = {key: value[rows.owner] for key, value in of.items()}  # (R, ...)
        noise = white_noise(drawn["breath_key"], self.rows * dsp.ROW, device).view(-1, dsp.ROW)
        walk = white_noise(drawn["jitter_key"], self.rows * dsp.ROW // SPAN, device) * math.sqrt(3.0)
        walk = torch.nn.functional.pad(walk.double().cumsum(dim=1) * SPAN / self.sample_rate, (1, 0))
        walk = walk.unfold(1, dsp.ROW // SPAN + 1, dsp.ROW // SPAN).flatten(0, 1)  # (B * rows, 9)
        sound = self.source(row, rows.since, walk[rows.target], noise[rows.target])

        # each block of 256 samples through the tract at its middle
        parts = dsp.ROW // BLOCK
        middle = rows.since[:, None] + torch.arange(BLOCK // 2, dsp.ROW, BLOCK, device=device)
        share = (middle / self.sample_rate / row["syllable_seconds"][:, None]).clamp(0.0, 1.0)
        place = [torch.lerp(row[key][:, :1], row[key][:, 1:], share) for key in ("open", "back")]
        hertz = vowel_hz(place[0], place[1]) * row["tract_scale"][:, None, None]  # (R, 2, 5)
        bandwidth = torch.tensor(BANDWIDTH, dtype=torch.float64, device=device)
        bandwidth = (row["bandwidth_scale"][:, None, None] * bandwidth).expand_as(hertz)
        filtered = filter_blocks(
            sound.view(-1, BLOCK), hertz.flatten(0, 1), bandwidth.flatten(0, 1), self.sample_rate
        )
        over = RESPONSE // BLOCK - 1  # blocks that ring beyond the clip's last row
        out = torch.zeros(batch * (self.rows * parts + over), BLOCK, device=device)
        first = rows.target * parts + rows.target // self.rows * over
        target = first[:, None] + torch.arange(parts, device=device)  # (R, 2)
        target = target[:, :, None] + torch.arange(over + 1, device=device)
        add_rows(out, target.flatten(), filtered.view(-1, BLOCK))
        return out.view(batch, -1)[:, : self.samples]

    def source(self, row: dict[str, Tensor], since: Tensor, walk: Tensor, noise: Tensor) -> Tensor:
        """Pulses and breath, float32 ``(R, 512)``; ``walk`` (R, 9) in seconds, ``noise`` (R, 512)."""
        cycles = self.cycles(row, since, walk)  # (R, 9)
        slope = cycles.diff(dim=1).float()[:, :, None]
        part = torch.arange(SPAN, dtype=torch.float32, device=since.device) / SPAN
        phase = wrap(torch.addcmul(cycles[:, :-1, None].frac().float(), slope, part).flatten(1))
        pulses = glottal_pulses(phase, slope.repeat_interleave(SPAN, dim=2).flatten(1) / SPAN, row)
        breath = decibels(row["breath_db"]).where(~row["whisper"], 0.5).float()[:, None]
        sound = torch.addcmul(pulses * (~row["whisper"])[:, None], noise, breath)
        within = torch.arange(dsp.ROW, dtype=torch.float32, device=since.device)
        left = (row["syllable_seconds"] * self.sample_rate - since).float()[:, None] - within
        gate = torch.minimum(since.float()[:, None] + within, left, out=left)
        gate = gate.div_(FADE_SECONDS * self.sample_rate).clamp_(0.0, 1.0)
        gate = gate.mul_(math.pi / 2).sin_().square_()
        return sound.mul_(gate).mul_(decibels(row["level_db"]).float()[:, None])

    def cycles(self, row: dict[str, Tensor], since: Tensor, walk: Tensor) -> Tensor:
        """Glottal cycles since the syllable's onset, every 64 samples of rows, float64 ``(R, 9)``."""
        parts = torch.arange(0, dsp.ROW + SPAN, SPAN, device=since.device)
        time = (since[:, None] + parts).double() / self.sample_rate
        of = {key: value[:, None] for key, value in row.items() if value.dim() == 1}
        time = time.clamp_min(0.0).minimum(of["syllable_seconds"])
        hertz = of["note_hz"]
        bend = math.log(2.0) / 12.0 * of["glide_semitones"] / of["syllable_seconds"].clamp_min(1e-4)
        bend = torch.where(bend.abs() < 1e-6, 1e-6, bend)
        rate = 2.0 * math.pi * of["vibrato_hz"]
        swing = (torch.exp2(of["vibrato_cents"] / 1200.0) - 1.0) * of["vibrato"]
        glided = torch.expm1(bend * time) / bend
        return hertz * (glided + swing / rate * (1.0 - torch.cos(rate * time)) + of["jitter"] * walk)

    def describe(self, index: int) -> dict[str, Any]:
        """Pitch, length and vowel of each syllable (three formants at both ends), and the voices."""
        one = drawn_of(self, index)
        count = one["notes"]
        scale = torch.tensor([one["tract_scale"][voice] for voice in one["voice"]], dtype=torch.float64)
        ends = [torch.tensor(one[key], dtype=torch.float64) for key in ("open", "back")]
        hertz = (vowel_hz(*ends) * scale[:, None, None])[:count, :, :3]
        return {
            **{key: one[key][:count] for key in ("note_hz", "syllable_seconds", "glide_semitones")},
            "whisper": one["whisper"][:count],
            "formant_hz_start": hertz[:, 0].tolist(),
            "formant_hz_end": hertz[:, 1].tolist(),
            **{f"voice_{key}": one[key][: max(one["voice"][:count]) + 1] for key in VOICE},
            **self.describe_notes(one),
        }


def wrap(cycles: Tensor) -> Tensor:
    """Phases without their whole cycles, in place: faster than a remainder, and the same."""
    return cycles.sub_(cycles.floor())


def glottal_pulses(phase: Tensor, step: Tensor, row: dict[str, Tensor]) -> Tensor:
    """Derivative of Rosenberg's flow at ``phase`` (R, n) in [0, 1), its steepest fall -1; float32.

    Its only jump, at closure, is softened over two samples by a polynomial (Valimaki, Huovilainen 2007)
    so that high partials do not alias; ``step`` (R, n) is the phase that a sample advances.
    """
    closing = row["open_quotient"].float()[:, None]
    rise, fall = closing * (2.0 / 3.0), closing / 3.0
    rising = (phase / rise * math.pi).sin_() * (fall / rise)  # flow 1/2 (1 - cos), in units of the fall
    falling = ((phase - rise) / fall * (math.pi / 2)).sin_().neg_()
    pulses = torch.where(phase < rise, rising, falling).mul_(phase < closing)
    away = wrap(phase - closing + 0.5).sub_(0.5).div_(step)  # samples after closure
    near = (1.0 - away.abs()).clamp_min_(0.0).square_()
    return pulses.add_(near.mul_(away.sign_()), alpha=-0.5)
