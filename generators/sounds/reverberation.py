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
from ..dsp import ROW
from .filters import biquad_tables, highpass_biquad, run_biquad
from .layout import check_positive, check_ranges, check_scales, log_uniform

SPEED_OF_SOUND = 343.0  # metres per second, dry air at 20 degrees
ORDER = 3  # rooms mirrored up to three times in each direction
EARLY_LENGTHS = 5.0  # all images nearer than this many shortest sides are within that order
TAPS = 16  # of the windowed sinc that places an image between samples
CROSSOVER_HZ = 1500.0  # below, the drawn reverberation time; above, the shorter one
CROSSOVER_TAPS = 127
INFRASOUND_HZ = 40.0  # images add up without limit towards 0 Hz, where no source radiates
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
    delay, loss, count = image_sources(drawn)  # (B, I)
    sides = drawn["room_m"]
    volume = sides.prod(dim=1)
    surface = 2.0 * (sides[:, 0] * sides[:, 1] + sides[:, 0] * sides[:, 2] + sides[:, 1] * sides[:, 2])
    early = EARLY_LENGTHS * sides.amin(dim=1) / SPEED_OF_SOUND  # seconds
    time = torch.arange(samples, dtype=torch.float64, device=sides.device) / sample_rate
    noise = white_noise(drawn["tail_key"], samples, sides.device) * math.sqrt(3.0)
    noise *= time >= early[:, None]
    # as many images as arrive in a sample, each with the inverse square of its distance
    nearest = (drawn["source_m"] - drawn["microphone_m"]).norm(dim=1).clamp_min(0.1)
    density = (4.0 * math.pi * SPEED_OF_SOUND / (volume * sample_rate)).sqrt() * nearest
    falls = torch.stack([drawn["rt60_seconds"], drawn["rt60_high_seconds"]], dim=1)  # (B, 2 bands)
    nepers = 3.0 * math.log(10.0) / falls[:, :, None]  # amplitude, per second
    per_wall = nepers * (4.0 * volume / (SPEED_OF_SOUND * surface))[:, None, None]  # mean free path
    near = delay < early[:, None]
    size = torch.exp(-per_wall * count[:, None]) * (loss * nearest[:, None] * near)[:, None]
    bands = place_impulses(delay * sample_rate, size, samples)  # (B, 2, samples)
    tail = torch.exp((-nepers * time).float()) * density.float()[:, None, None]
    low, high = bands.addcmul_(noise[:, None], tail).unbind(dim=1)
    response = high + crossover(low - high, sample_rate)
    return response * (time < drawn["rt60_seconds"][:, None])


def image_sources(drawn: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Delay in seconds, 1 / distance and number of reflections of the images, float64 ``(B, I)``.

    Allen and Berkley (1979), eq. 8: along each axis, images lie at 2 n L + x and 2 n L - x, after 2 |n|
    and |2 n - 1| reflections.
    """
    device = drawn["room_m"].device
    order = torch.arange(-ORDER, ORDER + 1, dtype=torch.float64, device=device)
    sides, source, ear = (drawn[key][:, :, None] for key in ("room_m", "source_m", "microphone_m"))
    along = torch.cat([2.0 * order * sides + source, 2.0 * order * sides - source], dim=2) - ear
    walls = torch.cat([2.0 * order.abs(), (2.0 * order - 1.0).abs()])  # (14,)
    square = along.square()  # (B, 3, 14)
    distance = square[:, 0, :, None, None] + square[:, 1, None, :, None] + square[:, 2, None, None, :]
    distance = distance.flatten(1).sqrt().clamp_min(0.1)
    count = (walls[:, None, None] + walls[None, :, None] + walls).flatten()
    return distance / SPEED_OF_SOUND, 1.0 / distance, count.expand_as(distance)


def place_impulses(place: Tensor, size: Tensor, samples: int) -> Tensor:
    """Impulses at places (B, I) between samples, by a Hann-windowed sinc: float32 ``(B, C, samples)``.

    They have another ``size`` in each channel, ``(B, C, I)``; one of size 0 costs nothing.
    """
    chosen = (size != 0.0).any(dim=1) & (place < samples)
    most = max(int(chosen.sum(dim=1).max()), 1)
    order = chosen.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    heard = (size * chosen[:, None]).gather(2, order[:, None].expand(-1, size.shape[1], -1))
    place = place.gather(1, order)
    taps = torch.arange(1 - TAPS // 2, 1 + TAPS // 2, device=place.device)
    whole = place.floor().long()[:, :, None] + taps  # (B, I', 16)
    away = (whole - place[:, :, None]).float()
    kernel = torch.sinc(away) * torch.cos(math.pi / TAPS * away).square()
    kernel = kernel[:, None] * heard.float()[..., None]  # (B, C, I', 16)
    inside = (whole >= 0) & (whole < samples)
    target = torch.where(inside, whole, samples).flatten(1)[:, None].expand(-1, size.shape[1], -1)
    out = torch.zeros(*size.shape[:2], samples + 1, device=place.device)
    return out.scatter_add_(2, target, kernel.flatten(2))[:, :, :samples]


def crossover(signal: Tensor, sample_rate: int) -> Tensor:
    """What ``signal`` (B, n) has below 1.5 kHz, by a symmetric filter: float32 ``(B, n)``.

    512 samples at a time, as a product with a banded matrix.
    """
    samples, side = signal.shape[1], CROSSOVER_TAPS // 2
    rows = -(-samples // ROW)
    frames = F.pad(signal, (side, rows * ROW - samples + side)).unfold(1, ROW + 2 * side, ROW)
    filtered = frames @ lowpass_matrix(sample_rate).to(signal.device)  # (B, rows, 512)
    return filtered.flatten(1)[:, :samples]


@cache
def lowpass_matrix(sample_rate: int) -> Tensor:
    """Hann-windowed sinc of 127 taps as a matrix of 512 shifts, float32 ``(638, 512)``."""
    time = torch.arange(CROSSOVER_TAPS, dtype=torch.float64) - CROSSOVER_TAPS // 2
    share = 2.0 * min(CROSSOVER_HZ / sample_rate, 0.25)
    kernel = torch.sinc(share * time) * torch.cos(math.pi * time / (CROSSOVER_TAPS + 1)).square()
    kernel = kernel / kernel.sum()
    matrix = torch.zeros(ROW + CROSSOVER_TAPS - 1, ROW, dtype=torch.float64)
    for shift in range(ROW):
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
    cutoff = torch.full((len(response),), INFRASOUND_HZ / sample_rate, dtype=torch.float64)
    b, a = highpass_biquad(cutoff, 0.5**0.5)
    tables = biquad_tables(b.to(device), a.to(device), response.shape[1])
    time = torch.arange(response.shape[1], dtype=torch.float64, device=device) / sample_rate
    return add_room(waveform, run_biquad(response, tables) * (time < rt60[:, None]))


def add_room(waveform: Tensor, response: Tensor) -> Tensor:
    """Waveforms ``(B, n)`` as heard through responses ``(B, L)``: float32 ``(B, n)``, any level.

    Linear convolution, cut at the clip's end, by transforms of blocks that are as long as the response.
    """
    batch, samples = waveform.shape
    length = response.shape[1]
    size = 1 << (2 * length - 1).bit_length()
    block = size - length + 1
    blocks = -(-samples // block)
    padded = F.pad(waveform, (0, blocks * block - samples)).view(batch, blocks, block)
    # one transform for blocks and response: on a CPU a transform's plan costs as much as its work
    rows = torch.cat([F.pad(padded, (0, length - 1)), F.pad(response, (0, block - 1))[:, None]], dim=1)
    spectra = torch.fft.rfft(rows)
    pieces = torch.fft.irfft(spectra[:, :-1] * spectra[:, -1:], n=size)  # (B, blocks, size)
    out = torch.zeros(batch, (blocks - 1) * block + size, dtype=pieces.dtype, device=pieces.device)
    for number in range(blocks):
        out[:, number * block : number * block + size] += pieces[:, number]
    return out[:, :samples]
