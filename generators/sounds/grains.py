"""Click trains and clouds of grains: many short sounds, regular, at random or like a bouncing ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from .layout import (
    Clip,
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

PROCESSES = ("regular", "poisson", "bouncing")
CARRIERS = ("tone", "chirp", "hiss", "click")
KINDS = 8  # different grains of a stream
LONGEST = 1024  # samples of a grain: 64 ms at 16 kHz
BOUNCE_HZ = 6.0  # a ball's first bounces are no faster
STREAM = ("process", "carrier", "struck", "rate_hz", "grain_seconds", "pitch_hz", "pitch_octaves")


@dataclass(kw_only=True)
class Grains(Clip, Source, name="grains"):
    """Streams of grains: click trains, ticking, Geiger counters, bouncing balls, granular clouds.

    A stream sounds for part of the clip. Its grains follow each other at equal intervals with a jitter
    (``regular``), as a Poisson process (``poisson``) or at intervals that shrink by a factor each time
    (``bouncing``, with levels that fall). A grain is a tone, a chirp of up to an octave, a stretch of
    white noise (``hiss``) or a single cycle (``click``), under an envelope that is struck (at once,
    then 60 dB down at its end) or round (Hann). A stream has eight grains, which differ in pitch by up
    to ``pitch_octaves``, and uses them at random, at levels ``grain_level_db``.

    Processes and carriers are weights. Rate, length and pitch are drawn per stream, uniformly in the
    logarithm, other ranges uniformly. Bouncing starts at no more than 6 grains a second.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "granular synthesis after Roads 1988, Computer Music Journal 12(2)"
    speed = "fast"
    needs = "nothing"

    streams: tuple[int, int] = (1, 3)
    stream_share: tuple[float, float] = (0.3, 1.0)  # of the clip that a stream fills
    stream_level_db: tuple[float, float] = (-15.0, 0.0)
    regular: float = 1.0
    poisson: float = 1.0
    bouncing: float = 0.5
    rate_hz: tuple[float, float] = (1.0, 80.0)
    jitter: tuple[float, float] = (0.0, 0.1)  # of regular grains, standard deviation in intervals
    bounce_ratio: tuple[float, float] = (0.75, 0.95)
    tone: float = 1.0
    chirp: float = 1.0
    hiss: float = 1.0
    click: float = 1.0
    p_struck: float = 0.5
    grain_seconds: tuple[float, float] = (0.003, 0.064)
    grain_level_db: tuple[float, float] = (-12.0, 0.0)
    pitch_hz: tuple[float, float] = (150.0, 6000.0)
    pitch_octaves: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "streams", lowest=1)
        check_weights(self, *PROCESSES)
        check_weights(self, *CARRIERS)
        check_positive(self, "rate_hz", highest=400.0)
        check_positive(self, "pitch_hz", highest=0.45 * self.sample_rate)
        check_positive(self, "stream_share", "bounce_ratio", highest=1.0)
        check_positive(self, "grain_seconds", highest=LONGEST / self.sample_rate)
        check_ranges(self, "stream_level_db", "grain_level_db", highest=0.0)
        check_ranges(self, "jitter", lowest=0.0, highest=0.5)
        check_ranges(self, "pitch_octaves", lowest=0.0)
        check_shares(self, "p_struck")
        if self.bounce_ratio[1] >= 1.0:
            raise UsageError(
                f"source.bounce_ratio={self.bounce_ratio}: a ball comes to rest only below 1. "
                "Type for example source.bounce_ratio=[0.75,0.95]."
            )

    @property
    def grains(self) -> int:
        """The most grains of a stream, G: those of the highest rate (a Poisson process stops there)."""
        return int(self.rate_hz[1] * self.seconds) + 2

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Streams ``(B, S)`` and grains ``(B, S, G)``: onset in samples, kind, level; -1 kind: none."""
        draws, most, count = Draws(self.seed, indices), self.streams[1], self.grains
        drawn = {
            "streams": draws.integers("streams", *self.streams),
            "process": pick_weighted(draws, "process", [getattr(self, p) for p in PROCESSES], most),
            "carrier": pick_weighted(draws, "carrier", [getattr(self, c) for c in CARRIERS], most),
            "struck": draws.happens("struck", self.p_struck, most),
            "pitch_octaves": draws.uniform("pitch_octaves", *self.pitch_octaves, most),
            "kind_octaves": draws.uniform("kind_octaves", -0.5, 0.5, most, KINDS),
            "kind_glide": draws.uniform("kind_glide", -1.0, 1.0, most, KINDS),
            "noise_key": draws.bits("noise_key", most, KINDS),
            "grain_level_db": draws.uniform("grain_level_db", *self.grain_level_db, most, count),
            "stream_level_db": draws.uniform("stream_level_db", *self.stream_level_db, most),
            **self.draw_level(draws),
        }
        for key in ("rate_hz", "grain_seconds", "pitch_hz"):
            drawn[key] = log_uniform(draws, key, getattr(self, key), most)
        ball = drawn["process"] == 2
        drawn["rate_hz"] = torch.where(ball, drawn["rate_hz"].clamp_max(BOUNCE_HZ), drawn["rate_hz"])
        ratio = draws.uniform("bounce_ratio", *self.bounce_ratio, most)
        share = draws.uniform("stream_share", *self.stream_share, most)
        drawn["start_seconds"] = draws.uniform("start", 0.0, 1.0, most) * (1.0 - share) * self.seconds
        drawn["stream_seconds"] = share * self.seconds

        # times within the stream, in seconds (B, S, G); the first grain is at its start
        number = torch.arange(count, dtype=torch.float64)
        unit = draws.uniform("interval", 0.0, 1.0, most, count)
        jitter = draws.uniform("jitter", *self.jitter, most)[:, :, None] * draws.normal(
            "shift", most, count
        )
        beat = number + torch.where(number > 0, jitter, 0.0)
        waits = -torch.log1p(-unit)
        waits[:, :, 0] = 0.0
        shrink = ratio[:, :, None] ** number
        bounces = (1.0 - shrink) / (1.0 - ratio[:, :, None])
        times = torch.stack([beat, waits.cumsum(dim=2), bounces], dim=2)  # (B, S, 3, G)
        process = drawn["process"][:, :, None, None].expand(-1, -1, 1, count)
        times = times.gather(2, process)[:, :, 0] / drawn["rate_hz"][:, :, None]
        onset = ((drawn["start_seconds"][:, :, None] + times) * self.sample_rate).long()
        happens = (times <= drawn["stream_seconds"][:, :, None]) & (onset >= 0) & (onset < self.samples)
        happens &= (torch.arange(most) < drawn["streams"][:, None])[:, :, None]
        happens &= ~ball[:, :, None] | (shrink > 0.02)  # at rest
        kind = draws.integers("kind", 0, KINDS - 1, most, count)
        drawn["kind"] = torch.where(happens, kind, -1)
        drawn["onset"] = onset
        fall = torch.where(ball[:, :, None], 20.0 * torch.log10(shrink), 0.0)
        drawn["grain_level_db"] = drawn["grain_level_db"] + fall
        return drawn

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            here = {key: value.to(device) for key, value in drawn.items()}
            return self.set_level(self.cloud(here), drawn)

        return dsp.in_chunks(render_chunk, parameters, device, on_accelerator=16)

    def cloud(self, drawn: dict[str, Tensor]) -> Tensor:
        """All grains at their levels, float32 ``(B, samples)``."""
        batch, streams = drawn["process"].shape
        windows = self.shapes(drawn).view(-1)
        size = LONGEST + 2 * dsp.ROW
        windows = windows.as_strided((len(windows) - dsp.ROW + 1, dsp.ROW), (1, 1))
        clip, stream, number = (drawn["kind"] >= 0).nonzero(as_tuple=True)  # (E,)
        level = drawn["grain_level_db"][clip, stream, number] + drawn["stream_level_db"][clip, stream]
        length = (drawn["grain_seconds"][clip, stream] * self.sample_rate).ceil().long()
        rows = rows_covered(clip, drawn["onset"][clip, stream, number], length, self.rows)
        shape = (clip * streams + stream) * KINDS + drawn["kind"][clip, stream, number]
        sound = windows.index_select(0, shape[rows.owner] * size + dsp.ROW + rows.since)
        sound *= decibels(level).float()[rows.owner, None]
        out = torch.zeros(batch * self.rows, dsp.ROW, device=sound.device)
        add_rows(out, rows.target, sound)
        return out.view(batch, -1)[:, : self.samples]

    def shapes(self, drawn: dict[str, Tensor]) -> Tensor:
        """Grains of all streams between rows of silence: float32 ``(B, S, 8, 512 + 1024 + 512)``."""
        time = torch.arange(LONGEST, dtype=torch.float32, device=drawn["process"].device)
        octaves = drawn["kind_octaves"] * drawn["pitch_octaves"][:, :, None]
        step = drawn["pitch_hz"][:, :, None] * torch.exp2(octaves) / self.sample_rate
        step = step.clamp_max(0.45).float()[..., None]  # cycles per sample, (B, S, 8, 1)
        length = (drawn["grain_seconds"] * self.sample_rate).float()[:, :, None, None]
        u = time / length
        carrier = drawn["carrier"][:, :, None, None]
        # a chirp glides by at most an octave over the grain, below half the sample rate
        glided = (step * torch.exp2(drawn["kind_glide"].float()[..., None])).clamp_max(0.45)
        bent = torch.where(carrier == 1, (glided - step) / (2.0 * length), 0.0)
        wave = torch.sin(2.0 * math.pi * (step * time + bent * time.square()))
        wave *= (carrier != 3) | (step * time <= 1.0)
        noise = white_noise(drawn["noise_key"].flatten(), LONGEST, time.device).view(wave.shape)
        wave = torch.where(carrier == 2, noise, wave)
        struck = torch.exp(-math.log(1000.0) * u)
        hann = torch.sin(math.pi * u.clamp_max(1.0)).square()
        wave *= torch.where(drawn["struck"][:, :, None, None], struck, hann) * (u <= 1.0)
        return torch.nn.functional.pad(wave, (dsp.ROW, dsp.ROW))

    def describe(self, index: int) -> dict[str, Any]:
        """The streams: process, grain, rate, extent, level and number of grains."""
        one = drawn_of(self, index)
        count = one["streams"]
        facts: dict[str, Any] = {"streams": count}
        for key in (*STREAM, "start_seconds", "stream_seconds", "stream_level_db"):
            facts[key] = one[key][:count]
        facts["process"] = [PROCESSES[number] for number in facts["process"]]
        facts["carrier"] = [CARRIERS[number] for number in facts["carrier"]]
        facts["grains"] = [sum(kind >= 0 for kind in stream) for stream in one["kind"][:count]]
        return {**facts, **self.describe_level(one)}
