"""Noise textures: layers of filtered noise of moving level, from hiss and wind to rain and crackle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source, white_noise
from .layout import (
    Clip,
    add_rows,
    check_ranges,
    check_scales,
    check_weights,
    decibels,
    drawn_of,
    pick_weighted,
)

BLOCK = 3072  # samples filtered at once
RING = 512  # samples to either side of a block in which its response may ring
SIZE = BLOCK + 2 * RING  # of a transform
STEP = 64  # samples between two values of a modulator: 250 a second at 16 kHz
FASTEST_HZ = 50.0  # modulators have no faster components


@dataclass(frozen=True)
class Kind:
    """Ranges of one kind of layer; the first four are drawn uniformly in the logarithm."""

    centre_hz: tuple[float, float]
    octaves: tuple[float, float]  # standard deviation of the Gaussian pass band
    modulation_hz: tuple[float, float]  # corner of the modulator's spectrum, or its rate where periodic
    density_hz: tuple[float, float]  # impulses a second; of no effect where dense
    depth: tuple[float, float]  # standard deviation of the log level, in nepers
    brightness: tuple[float, float] = (0.0, 0.0)  # octaves by which the pass band rises with g
    sparse: bool = False
    periodic: bool = False


NONE = (1.0, 1.0)
KINDS = {
    "hiss": Kind((1500.0, 6500.0), (0.5, 2.5), (0.2, 2.0), NONE, (0.0, 0.2)),
    "wind": Kind((100.0, 900.0), (0.5, 1.2), (0.2, 2.0), NONE, (0.4, 1.2), (0.2, 0.7)),
    "surf": Kind((200.0, 2000.0), (0.8, 2.0), (0.08, 0.3), NONE, (0.7, 1.5), (0.0, 0.5)),
    "rain": Kind((1500.0, 6000.0), (0.5, 1.5), (0.1, 1.0), (200.0, 3000.0), (0.0, 0.4), sparse=True),
    "crackle": Kind((800.0, 5000.0), (0.7, 2.5), (0.3, 4.0), (5.0, 80.0), (0.2, 1.0), sparse=True),
    "flutter": Kind((100.0, 4000.0), (0.3, 1.5), (3.0, 45.0), NONE, (0.5, 1.5), periodic=True),
}
LAYER = ("centre_hz", "octaves", "modulation_hz", "density_hz", "depth", "brightness", "level_db")
HIDDEN = ("kind", "phase", "noise_key", "modulator_key")


@dataclass(kw_only=True)
class Textures(Clip, Source, name="textures"):
    """Sound textures: one or two layers of band-passed noise with moving levels, from end to end.

    A layer is noise, or impulses at random times (``rain``, ``crackle``), through a pass band that is
    Gaussian over log frequency, times exp(depth g(t)). Its modulator g has unit variance: a Gaussian
    process whose power is flat up to a corner and falls by 6 dB per octave above it, up to 50 Hz, or a
    sine (``flutter``); gusts of ``wind`` and waves of ``surf`` are brighter as well as louder. So its
    spectrum and its modulation spectrum, which is what tells textures apart (McDermott, Simoncelli
    2011), are both drawn.

    ``hiss``, ``wind``, ``surf``, ``rain``, ``crackle`` and ``flutter`` are weights of the kinds;
    ``octaves_scale`` and ``depth_scale`` multiply what is drawn from a kind's ranges (``KINDS``).
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "ours; after McDermott & Simoncelli 2011, Neuron 71(5)"
    speed = "fast"
    needs = "nothing"

    layers: tuple[int, int] = (1, 2)
    level_db: tuple[float, float] = (-15.0, 0.0)  # of a layer's power
    hiss: float = 1.0
    wind: float = 1.0
    surf: float = 1.0
    rain: float = 1.0
    crackle: float = 1.0
    flutter: float = 1.0
    octaves_scale: float = 1.0
    depth_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "layers", lowest=1)
        check_ranges(self, "level_db", highest=0.0)
        check_weights(self, *KINDS)
        check_scales(self, "octaves_scale", "depth_scale")

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Layers ``(B, L)``: kind, factors of its ranges, and keys of noise and modulator."""
        draws, most = Draws(self.seed, indices), self.layers[1]
        kind = pick_weighted(draws, "kind", [getattr(self, name) for name in KINDS], most)
        drawn = {"layers": draws.integers("layers", *self.layers), "kind": kind}
        for key in LAYER[:-1]:  # a level has one range for all kinds
            limits = torch.tensor([getattr(k, key) for k in KINDS.values()], dtype=torch.float64)
            low, high = limits[kind].unbind(-1)
            unit = draws.uniform(key, 0.0, 1.0, most)
            uniform = key in ("depth", "brightness")
            drawn[key] = low + (high - low) * unit if uniform else low * (high / low) ** unit
        drawn["octaves"] = drawn["octaves"] * self.octaves_scale
        drawn["depth"] = drawn["depth"] * self.depth_scale
        drawn["level_db"] = draws.uniform("level_db", *self.level_db, most)
        drawn["phase"] = draws.uniform("phase", 0.0, 1.0, most)
        drawn["noise_key"] = draws.bits("noise_key", most)
        drawn["modulator_key"] = draws.bits("modulator_key", most)
        return {**drawn, **self.draw_level(draws)}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            here = {key: value.to(device) for key, value in drawn.items()}
            return self.set_level(self.layered(here), drawn)

        return dsp.in_chunks(render_chunk, parameters, device, on_accelerator=16)

    def layered(self, drawn: dict[str, Tensor]) -> Tensor:
        """Sum of the layers at their levels, float32 ``(B, samples)``."""
        present = torch.arange(self.layers[1], device=drawn["kind"].device) < drawn["layers"][:, None]
        clip, layer = present.nonzero(as_tuple=True)  # (E,)
        of = {key: drawn[key][clip, layer] for key in (*LAYER, *HIDDEN)}
        moving = self.modulators(of)  # (E, points)
        # a band that rises by an octave is twice as wide: its power is the modulator's business alone
        depth = of["depth"] - of["brightness"] * (math.log(2.0) / 2.0)
        gain = torch.exp(depth.float()[:, None] * moving)
        sound = self.band(of, moving)  # (E, samples), power 1
        sound *= decibels(of["level_db"]).float()[:, None]
        start, slope = gain[:, :-1, None], gain.diff(dim=1)[:, :, None]
        fraction = torch.arange(STEP, dtype=torch.float32, device=gain.device) / STEP
        sound *= torch.addcmul(start, slope, fraction).flatten(1)[:, : self.samples]
        out = torch.zeros(len(present), self.samples, device=sound.device)
        add_rows(out, clip, sound)
        return out

    def band(self, of: dict[str, Tensor], moving: Tensor) -> Tensor:
        """Band-passed noise or impulses of unit power, float32 ``(E, samples)``.

        The pass band of each block of 3072 samples moves with the modulator at the block's middle.
        """
        device, blocks = of["kind"].device, -(-self.samples // BLOCK)
        raw = white_noise(of["noise_key"], blocks * BLOCK, device)
        sparse = flags("sparse", of["kind"]).nonzero()[:, 0]
        if len(sparse):
            share = of["density_hz"][sparse].float()[:, None] / self.sample_rate
            raw[sparse] = impulses(raw[sparse], share)
        bins = torch.arange(SIZE // 2 + 1, dtype=torch.float32, device=device).clamp_min(0.5)
        octave = (bins * (self.sample_rate / SIZE)).log2()
        octave = octave.repeat_interleave(2)  # a gain each for real and imaginary parts
        middle = (torch.arange(blocks, device=device) * BLOCK + BLOCK // 2) // STEP
        centre = of["centre_hz"].float().log2()[:, None]  # (E, 1), one gain for all blocks
        if bool((of["brightness"] > 0.0).any()):
            shift = moving[:, middle.clamp_max(moving.shape[1] - 1)]
            centre = centre + of["brightness"].float()[:, None] * shift  # (E, blocks)
        sharp = (math.sqrt(0.5) / of["octaves"].float())[:, None, None]
        gain = (octave * sharp - centre[:, :, None] * sharp).square_().neg_().exp_()
        spectrum = torch.fft.rfft(raw.view(-1, blocks, BLOCK), n=SIZE)
        torch.view_as_real(spectrum).flatten(2).mul_(gain)
        made = torch.fft.irfft(spectrum, n=SIZE)  # (E, blocks, 4096)
        sound = made[:, :, :BLOCK]
        sound[:, 1:, :RING] += made[:, :-1, BLOCK : BLOCK + RING]
        sound[:, :-1, BLOCK - RING :] += made[:, 1:, BLOCK + RING :]
        sound = sound.flatten(1)[:, : self.samples]
        norm = torch.linalg.vector_norm(sound, dim=1, keepdim=True).clamp_min(1e-9)
        return sound.mul_(math.sqrt(self.samples) / norm)

    def modulators(self, of: dict[str, Tensor]) -> Tensor:
        """The modulator g every 64 samples, float32 ``(E, points)``, of variance 1 and mean about 0."""
        points = -(-self.samples // STEP) + 1
        device, rate = of["kind"].device, self.sample_rate / STEP
        size = 1 << (2 * points - 1).bit_length()  # longer, so that the end is not the beginning
        bins = size // 2 + 1
        hertz = torch.arange(bins, dtype=torch.float32, device=device) * (rate / size)
        corner = of["modulation_hz"].float()[:, None]
        height = (1.0 + (hertz / corner).square()).rsqrt() * ((hertz > 0.0) & (hertz <= FASTEST_HZ))
        noise = white_noise(of["modulator_key"], 2 * bins, device).view(-1, bins, 2)
        moving = torch.fft.irfft(torch.view_as_complex(noise * height[:, :, None]), n=size)[:, :points]
        moving = moving / moving.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
        time = torch.arange(points, dtype=torch.float64, device=device) / rate
        turns = (of["modulation_hz"][:, None] * time + of["phase"][:, None]).frac().float()
        sine = torch.sin(2.0 * math.pi * turns) * math.sqrt(2.0)
        return torch.where(flags("periodic", of["kind"])[:, None], sine, moving)

    def describe(self, index: int) -> dict[str, Any]:
        """The layers; a density only where there are impulses."""
        one = drawn_of(self, index)
        count = one["layers"]
        kinds = [list(KINDS)[number] for number in one["kind"][:count]]
        facts: dict[str, Any] = {"kind": kinds, **{key: one[key][:count] for key in LAYER}}
        density = zip(kinds, facts["density_hz"], strict=True)
        facts["density_hz"] = [value if KINDS[kind].sparse else None for kind, value in density]
        return {**facts, **self.describe_level(one)}


def flags(name: str, kind: Tensor) -> Tensor:
    """A flag of the kinds for each layer, bool ``(E,)``."""
    return torch.tensor([getattr(k, name) for k in KINDS.values()], device=kind.device)[kind]


def impulses(noise: Tensor, share: Tensor) -> Tensor:
    """Impulses of either sign within 17 dB in a ``share`` (E, 1) of the samples, float32 ``(E, n)``.

    White ``noise`` (E, n) beyond a threshold: it has 2^15 levels, so shares are multiples of 2^-15.
    """
    layer, place = (noise.abs() > 1.0 - share).nonzero(as_tuple=True)
    struck = noise[layer, place]
    over = (struck.abs() - 1.0) / share[layer, 0]  # -1 to 0
    out = torch.zeros_like(noise)
    out[layer, place] = torch.exp(2.0 * over) * struck.sign()
    return out
