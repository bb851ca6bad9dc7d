"""Rooms: impulse responses of shoebox rooms, and a way to hear any waveform in them.

Early reflections are the exact image sources of a shoebox (Allen, Berkley 1979); from a moment at which
they are dense the response is noise of the energy that the images would have, decaying at the drawn
reverberation time (Lehmann, Johansson 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import Draws, white_noise
from .filters import BiquadTables, biquad_tables, highpass_biquad, run_biquad
from .layout import check_positive, check_ranges, check_scales, log_uniform

SPEED_OF_SOUND = 343.0  # metres per second, dry air at 20 degrees
ORDER = 3  # rooms mirrored up to three times in each direction
EARLY_LENGTHS = 5.0  # all images nearer than this many shortest sides are within that order
TAPS = 16  # of the windowed sinc that places an image between samples
CROSSOVER_HZ = 1500.0  # below, the drawn reverberation time; above, the shorter one
CROSSOVER_TAPS = 127
CROSSOVER_ROW = 128  # samples filtered at a time
INFRASOUND_HZ = 40.0  # images add up without limit towards 0 Hz, where no source radiates
PART = 4096  # samples of a response convolved at a time: longer transforms cost more to plan than to do
FACTORS = ("room_m", "rt60_seconds", "rt60_high_seconds", "source_m", "microphone_m")


@dataclass(kw_only=True)
class Shoebox:
    """Fields of a room drawn for each clip, with a source and a microphone in it.

    Length and width are drawn from ``room_m``, the height from ``height_m``, uniformly, in metres;
    ``rt60_seconds``, the time in which sound below 1.5 kHz falls by 60 dB, uniformly in the logarithm;
    above it falls in ``rt60_high_ratio`` of that time. Source and microphone are at least
    ``clearance_m`` from the walls.
    """

    room_m: tuple[float, float] = (2.5, 12.0)
    height_m: tuple[float, float] = (2.2, 4.5)
    rt60_seconds: tuple[float, float] = (0.15, 1.5)
    rt60_high_ratio: tuple[float, float] = (0.3, 1.0)
    clearance_m: float = 0.4

    def check_room(self) -> None:
        """Refuse rooms that cannot be."""
        check_positive(self, "room_m", "height_m", "rt60_seconds")
        check_positive(self, "rt60_high_ratio", highest=1.0)
        check_scales(self, "clearance_m")
        check_ranges(self, "room_m", "height_m", lowest=max(1.0, 2.2 * self.clearance_m))

    def draw_room(self, draws: Draws) -> dict[str, Tensor]:
        """Sides ``(B, 3)`` in metres, places of source and microphone, reverberation times ``(B,)``."""
        sides = torch.cat(
            [
                draws.uniform("room_m", *self.room_m, 2),
                draws.uniform("height_m", *self.height_m, 1),
            ],
            dim=1,
        )
        free = sides - 2.0 * self.clearance_m
        low = log_uniform(draws, "rt60_seconds", self.rt60_seconds)
        return {
            "room_m": sides,
            "source_m": self.clearance_m + free * draws.uniform("source_m", 0.0, 1.0, 3),
            "microphone_m": self.clearance_m + free * draws.uniform("microphone_m", 0.0, 1.0, 3),
            "rt60_seconds": low,
            "rt60_high_seconds": low * draws.uniform("rt60_high_ratio", *self.rt60_high_ratio),
            "tail_key": draws.keys("room_tail"),
        }

    def describe_room(self, one: dict[str, Any]) -> dict[str, Any]:
        """The room in metres and seconds, and the distance of the microphone."""
        facts = {key: one[key] for key in FACTORS}
        facts["distance_m"] = math.dist(one["source_m"], one["microphone_m"])
        return facts


def impulse_response(drawn: dict[str, Tensor], seconds: float, sample_rate: int) -> Tensor:
    """Responses of drawn rooms, float32 ``(B, seconds * sample_rate)``; the direct sound has height 1.

    Sample 0 is the moment of the source's sound: the direct sound arrives after its way. Walls reflect
    alike, by what Eyring's formula asks for the reverberation time, after which the response ends.
    """
    samples = math.ceil(seconds * sample_rate)
    sides = drawn["room_m"]
    volume = sides.prod(dim=1)
    surface = 2.0 * (sides[:, 0] * sides[:, 1] + sides[:, 0] * sides[:, 2] + sides[:, 1] * sides[:, 2])
    early = EARLY_LENGTHS * sides.amin(dim=1)  # metres
    time = torch.arange(samples, dtype=torch.float64, device=sides.device) / sample_rate
    noise = white_noise(drawn["tail_key"], samples, sides.device).mul_(math.sqrt(3.0))
    noise *= time >= early[:, None] / SPEED_OF_SOUND
    # as many images as arrive in a sample, each with the inverse square of its distance
    nearest = (drawn["source_m"] - drawn["microphone_m"]).norm(dim=1).clamp_min(0.1)
    density = (4.0 * math.pi * SPEED_OF_SOUND / (volume * sample_rate)).sqrt() * nearest
    falls = torch.stack([drawn["rt60_seconds"], drawn["rt60_high_seconds"]], dim=1)  # (B, 2 bands)
    nepers = 3.0 * math.log(10.0) / falls[:, :, None]  # amplitude, per second
    per_wall = nepers * (4.0 * volume / (SPEED_OF_SOUND * surface))[:, None, None]  # mean free path
    distance, loss, count = image_sources(drawn, early)  # (B, I)
    size = torch.exp(-per_wall * count[:, None]) * (loss * nearest[:, None])[:, None]
    bands = place_impulses(distance * (sample_rate / SPEED_OF_SOUND), size, samples)  # (B, 2, samples)
    tail = (-nepers * time).float().exp_().mul_(density.float()[:, None, None])
    low, high = bands.addcmul_(noise[:, None], tail).unbind(dim=1)
    response = crossover(low - high, sample_rate).add_(high)
    return response.mul_(time < drawn["rt60_seconds"][:, None])


def image_sources(drawn: dict[str, Tensor], reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance in metres, 1 / distance and number of reflections of images: float64 ``(B, I)``.

    Allen and Berkley (1979), eq. 8: along each axis, images lie at 2 n L + x and 2 n L - x, after 2 |n|
    and |2 n - 1| reflections. Only those within ``reach`` (B,) metres; where another room has more of
    them, 1 / distance is 0 for the rest.
    """
    device = drawn["room_m"].device
    order = torch.arange(-ORDER, ORDER + 1, dtype=torch.float64, device=device)
    sides, source, ear = (drawn[key][:, :, None] for key in ("room_m", "source_m", "microphone_m"))
    along = torch.cat([2.0 * order * sides + source, 2.0 * order * sides - source], dim=2) - ear
    walls = torch.cat([2.0 * order.abs(), (2.0 * order - 1.0).abs()])  # (14,)
    square = along.square()  # (B, 3, 14)
    square = square[:, 0, :, None, None] + square[:, 1, None, :, None] + square[:, 2, None, None, :]
    square, count = square.flatten(1), (walls[:, None, None] + walls[None, :, None] + walls).flatten()
    near = square < reach.square()[:, None]
    most = max(int(near.sum(dim=1).max()), 1)
    chosen = near.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    distance = square.gather(1, chosen).sqrt_().clamp_min_(0.1)
    return distance, near.gather(1, chosen) / distance, count[chosen]


def place_impulses(place: Tensor, size: Tensor, samples: int) -> Tensor:
    """Impulses at places (B, I) between samples, by a Hann-windowed sinc: float32 ``(B, C, samples)``.

    They have another ``size`` in each channel, ``(B, C, I)``.
    """
    taps = torch.arange(1 - TAPS // 2, 1 + TAPS // 2, device=place.device)
    whole = place.floor().long()[:, :, None] + taps  # (B, I, 16)
    away = (whole - place[:, :, None]).float()
    kernel = torch.sinc(away) * torch.cos(math.pi / TAPS * away).square()
    kernel = kernel[:, None] * size.float()[..., None]  # (B, C, I, 16)
    inside = (whole >= 0) & (whole < samples)
    target = torch.where(inside, whole, samples).flatten(1)[:, None].expand(-1, size.shape[1], -1)
    out = torch.zeros(*size.shape[:2], samples + 1, device=place.device)
    return out.scatter_add_(2, target, kernel.flatten(2))[:, :, :samples]


def crossover(signal: Tensor, sample_rate: int) -> Tensor:
    """What ``signal`` (B, n) has below 1.5 kHz, by a symmetric filter: float32 ``(B, n)``.

    128 samples at a time, as a product with a banded matrix.
    """
    samples, side = signal.shape[1], CROSSOVER_TAPS // 2
    padded = F.pad(signal, (side, side + -samples % CROSSOVER_ROW))
    frames = padded.unfold(1, CROSSOVER_ROW + 2 * side, CROSSOVER_ROW)
    filtered = frames @ lowpass_matrix(sample_rate).to(signal.device)  # (B, rows, 128)
    return filtered.flatten(1)[:, :samples]


@cache
def lowpass_matrix(sample_rate: int) -> Tensor:
    """Hann-windowed sinc of 127 taps as a matrix of 128 shifts, float32 ``(254, 128)``."""
    time = torch.arange(CROSSOVER_TAPS, dtype=torch.float64) - CROSSOVER_TAPS // 2
    share = 2.0 * min(CROSSOVER_HZ / sample_rate, 0.25)
    kernel = torch.sinc(share * time) * torch.cos(math.pi * time / (CROSSOVER_TAPS + 1)).square()
    kernel = kernel / kernel.sum()
    matrix = torch.zeros(CROSSOVER_ROW + CROSSOVER_TAPS - 1, CROSSOVER_ROW, dtype=torch.float64)
    for shift in range(CROSSOVER_ROW):
        matrix[shift : shift + CROSSOVER_TAPS, shift] = kernel
    return matrix.float()


def in_room(waveform: Tensor, drawn: dict[str, Tensor], seconds: float, sample_rate: int) -> Tensor:
    """Waveforms ``(B, n)`` of at most ``seconds`` as heard in drawn rooms, without infrasound.

    All images of a wave much longer than the room are in phase, so that its response has a gain at 0 Hz
    that no sound has in a room. Allen and Berkley (1979) take it out by a high-pass, and so do we.
    """
    device = waveform.device
    rt60 = drawn["rt60_seconds"]
    response = impulse_response(drawn, min(float(rt60.max()), seconds), sample_rate)
    tables = infrasound_tables(sample_rate, math.ceil(seconds * sample_rate)).to(device)
    time = torch.arange(response.shape[1], dtype=torch.float64, device=device) / sample_rate
    response = run_biquad(response, tables.repeat(len(response)))
    return add_room(waveform, response.mul_(time < rt60[:, None]))


@cache
def infrasound_tables(sample_rate: int, samples: int) -> BiquadTables:
    """Tables of the one high-pass at 40 Hz, for responses of up to ``samples`` samples."""
    cutoff = torch.tensor([INFRASOUND_HZ / sample_rate], dtype=torch.float64)
    return biquad_tables(*highpass_biquad(cutoff, 0.5**0.5), samples)


def add_room(waveform: Tensor, response: Tensor) -> Tensor:
    """Waveforms ``(B, n)`` as heard through responses ``(B, L)``: float32 ``(B, n)``, any level.

    Linear convolution, cut at the clip's end. Clip and response are cut into parts of 4096 samples; the
    transforms of two neighbouring parts of the clip, times that of a part of the response between
    silence, give the second part's share of it (overlap-save).
    """
    batch, samples = waveform.shape
    parts, heard = (-(-length // PART) for length in (samples, response.shape[1]))
    # silence, the clip, then each part of the response before silence: one line, so one transform
    line = waveform.new_empty(batch, (1 + parts + 2 * heard) * PART)
    silent, sound, room = line.split([PART, parts * PART, 2 * heard * PART], dim=1)
    silent.zero_()
    sound[:, :samples], sound[:, samples:] = waveform, 0.0
    room = room.unflatten(1, (heard, 2, PART))
    room[:, :, 0] = F.pad(response, (0, -response.shape[1] % PART)).unflatten(1, (heard, PART))
    room[:, :, 1] = 0.0
    spectra = torch.fft.rfft(line.unfold(1, 2 * PART, PART))
    sound, room = spectra[:, :parts], spectra[:, 1 + parts :: 2]  # (B, parts, 4097), (B, heard, 4097)
    product = sound * room[:, :1]
    for late in range(1, min(heard, parts)):
        product[:, late:].addcmul_(sound[:, :-late], room[:, late : late + 1])
    pairs = torch.fft.irfft(product, n=2 * PART)
    return pairs[:, :, PART:].flatten(1)[:, :samples]
