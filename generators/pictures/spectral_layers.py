"""Layers of a drawn spectrogram: harmonic combs, chirps, noise bands and onsets, as power.

``B`` counts samples, ``E`` events of a layer, ``F`` mel bands, ``T`` frames. Levels are in decibels,
times in seconds. Each layer takes its drawn factors, float32 ``(B, E)`` unless said, and returns power
``(B, F, T)``; an event that is not there has a level of minus infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .fields import normal_noise
from .mel import MelPlane

DECIBELS = 10.0 / math.log(10.0)  # per natural logarithm of power
EDGE_DB_PER_SECOND = 4000.0  # how fast a sound begins in frames of overlapping windows
SILENCE = -69.0  # least natural logarithm of power: 1e-30, far from denormal numbers, which are slow
FORMANT_FLOOR = 10.0**-2.5  # power between formants


@dataclass(frozen=True)
class Plane:
    """The canvas in physical units."""

    mel: MelPlane
    frames: int
    frame_seconds: float
    window_seconds: float
    device: torch.device

    @cached_property
    def hertz(self) -> Tensor:
        """Centres of the bands, ``(F, 1)``."""
        return self.mel.centres(self.device).float()[:, None]

    @cached_property
    def number(self) -> Tensor:
        """Band numbers ``(F, 1)``."""
        return torch.arange(self.mel.bands, dtype=torch.float32, device=self.device)[:, None]

    @cached_property
    def variance(self) -> Tensor:
        """Of a steady tone in bands^2, ``(F, 1)``."""
        return self.mel.tone_variance(self.window_seconds, self.device).float()[:, None]

    @cached_property
    def seconds(self) -> Tensor:
        """Middles of the frames, ``(T,)``."""
        return (torch.arange(self.frames, device=self.device) + 0.5) * self.frame_seconds


def envelope(drawn: dict[str, Tensor], since: Tensor) -> Tensor:
    """Level over time in decibels ``(B, E, T)``, of seconds since the onset: rise, decay, release."""
    level, attack, duration, decay, release = (
        drawn[key][..., None] for key in ("level_db", "attack_s", "duration_s", "decay_db", "release_s")
    )
    rise = (since / attack).clamp(0.03, 1.0).log10() * 20.0
    before = since.clamp_max(0.0) * EDGE_DB_PER_SECOND
    fall = (since / duration).clamp(0.0, 1.0) * decay
    after = (since - duration).clamp_min(0.0) * (60.0 / release)
    return level + rise + before - fall - after


def progress(drawn: dict[str, Tensor], since: Tensor) -> Tensor:
    """0 at the onset, 1 at the event's end, smooth at both: ``(B, E, T)``."""
    share = (since / drawn["duration_s"][..., None]).clamp(0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def power_of(decibels: Tensor) -> Tensor:
    """Power ``(B, F, T)``, summed over the events of levels ``(B, E, F, T)``."""
    return decibels.div_(DECIBELS).clamp_min_(SILENCE).exp_().sum(dim=1)


def combs(drawn: dict[str, Tensor], plane: Plane) -> Tensor:
    """Harmonic stacks: partials at k f0(t) sqrt(1 + stretch k^2), under a tilt and formants.

    Every band shows its nearest partial, k = f / f0 inverted for the stretch and rounded, so the cost
    does not depend on the number of partials. ``partial_db`` is ``(B, E, partials)``, ``formant_hz``,
    ``formant_octaves`` and ``formant_width_hz`` ``(B, E, formants)``.
    """
    since = plane.seconds - drawn["onset_s"][..., None]  # (B, E, T)
    along = progress(drawn, since)
    sway = (drawn["vibrato_hz"][..., None] * since + drawn["vibrato_phase"][..., None]) % 1.0
    wander = (along + drawn["wander_phase"][..., None]) % 1.0
    octaves = drawn["glide_octaves"][..., None] * along
    octaves = octaves + drawn["vibrato_octaves"][..., None] * (2.0 * math.pi * sway).sin()
    octaves = octaves + drawn["wander_octaves"][..., None] * (2.0 * math.pi * wander).sin()
    f0 = (drawn["f0_hz"][..., None] * (octaves * math.log(2.0)).exp())[:, :, None]  # (B, E, 1, T)

    partial = plane.hertz / f0  # (B, E, F, T)
    stretch = drawn["stretch"][..., None, None]
    stretched = bool((drawn["stretch"] > 0.0).any())  # without, these factors are exactly 1
    if stretched:
        root = (partial.square() * (4.0 * stretch)).add_(1.0).sqrt_()
        partial = partial * root.add_(1.0).reciprocal_().mul_(2.0).sqrt_()
    odd, most = drawn["odd_only"][..., None, None], drawn["partials"][..., None, None]
    most = most - odd * ((most + 1.0) % 2.0)
    step = 1.0 + odd
    partial = partial.sub_(1.0).div_(step).round_().mul_(step).add_(1.0).clamp_min_(1.0)
    partial = torch.minimum(partial, most)
    hertz = partial * f0
    if stretched:
        hertz *= (partial.square() * stretch).add_(1.0).sqrt_()
    off = plane.mel.place(hertz).sub_(plane.number)
    level = off.square_().mul_(-DECIBELS / 2.0 / plane.variance)

    level += envelope(drawn, since)[:, :, None]
    numbers = torch.arange(1, drawn["partial_db"].shape[2] + 1, device=plane.device)
    levels = drawn["partial_db"] - drawn["tilt_db"][..., None] * numbers.log2()  # (B, E, partials)
    level += levels.gather(2, partial.sub_(1.0).long().flatten(2)).view_as(level)
    formed = drawn["formed"][..., None, None]
    if bool(formed.any()):
        level += formant_gain(drawn, along, plane) * formed
    return power_of(level)


def formant_gain(drawn: dict[str, Tensor], along: Tensor, plane: Plane) -> Tensor:
    """Decibels ``(B, E, F, T)`` of moving resonances, each 0 at its centre when alone."""
    gain = torch.full((), FORMANT_FLOOR, device=plane.device)
    for number in range(drawn["formant_hz"].shape[2]):
        moved = drawn["formant_octaves"][..., number, None] * along * math.log(2.0)
        centre = drawn["formant_hz"][..., number, None] * moved.exp()  # (B, E, T)
        half = drawn["formant_width_hz"][..., number, None, None] / 2.0
        off = (plane.hertz - centre[:, :, None]) / half
        gain = gain + off.square_().add_(1.0).reciprocal_()
    return gain.log10_().mul_(10.0)


def chirps(drawn: dict[str, Tensor], plane: Plane) -> Tensor:
    """Single tones that glide from ``start_hz`` to ``end_hz``, evenly in octaves.

    A tone that crosses bands within a window looks wider: the variance of its path is added.
    """
    since = plane.seconds - drawn["onset_s"][..., None]
    share = (since / drawn["duration_s"][..., None]).clamp(0.0, 1.0)
    octaves = (drawn["end_hz"] / drawn["start_hz"]).log()[..., None]
    hertz = drawn["start_hz"][..., None] * (octaves * share).exp()  # (B, E, T)
    place = plane.mel.place(hertz)
    crossed = place.diff(dim=2, append=place[..., -1:]) * (plane.window_seconds / plane.frame_seconds)
    variance = plane.variance + crossed.square()[:, :, None] / 12.0
    off = plane.number - place[:, :, None]
    return power_of(
        off.square_().mul_(-DECIBELS / 2.0).div_(variance) + envelope(drawn, since)[:, :, None]
    )


def noise_bands(drawn: dict[str, Tensor], plane: Plane) -> Tensor:
    """Bands of noise whose centre moves from ``start_band`` to ``end_band``, ``width_bands`` wide.

    Flat within, steep at the edges (fourth power); the level sways with ``sway_hz`` and ``sway_db``.
    """
    since = plane.seconds - drawn["onset_s"][..., None]
    moved = (drawn["end_band"] - drawn["start_band"])[..., None] * progress(drawn, since)
    centre = drawn["start_band"][..., None] + moved  # (B, E, T)
    off = (plane.number - centre[:, :, None]) / (drawn["width_bands"] / 2.0)[..., None, None]
    turn = (drawn["sway_hz"][..., None] * since) % 1.0
    sway = drawn["sway_db"][..., None] * ((2.0 * math.pi * turn).cos() - 1.0)
    level = (envelope(drawn, since) + sway)[:, :, None]
    return power_of(level - off.square_().square_().mul_(3.0))


def onsets(drawn: dict[str, Tensor], plane: Plane) -> Tensor:
    """Clicks and strokes: all bands at once, dying away within ``decay_s``, high bands sooner.

    Where ``period_s`` is finite a stroke returns with that period.
    """
    since = plane.seconds - drawn["onset_s"][..., None]
    period = drawn["period_s"][..., None]
    since = torch.where(since > 0.0, torch.where(period.isfinite(), since % period, since), since)
    height = plane.number / max(1, plane.mel.bands - 1) * 2.0 - 1.0  # (F, 1), -1 to 1
    tilt = drawn["tilt_db"][..., None, None] * height
    speed = 1.0 + drawn["damping"][..., None, None] * (height + 1.0) / 2.0
    fall = (60.0 / drawn["decay_s"])[..., None] * since.clamp_min(0.0)
    before = since.clamp_max(0.0) * EDGE_DB_PER_SECOND
    level = (drawn["level_db"][..., None] + before)[:, :, None] - fall[:, :, None] * speed + tilt
    return power_of(level)


def speckle(keys: Tensor, plane: Plane) -> Tensor:
    """Random factors of mean 1 that make power look like noise's: ``(B, F, T)``.

    A band gathers n = 1 or more independent values, about its width over 60 Hz, so its power is a
    gamma variable of shape n (approximated after Wilson and Hilferty, 1931); windows overlap, so
    frames resemble their neighbours.
    """
    bands, frames = plane.mel.bands, plane.frames
    normal = normal_noise(keys, bands * (frames + 2), plane.device).view(-1, bands, frames + 2)
    smooth = normal[..., :-2] + 2.0 * normal[..., 1:-1] + normal[..., 2:]
    shape = (plane.mel.spacing(plane.device).float()[:, None] / 60.0).clamp_min(1.0)
    root = 1.0 - 1.0 / (9.0 * shape) + smooth / (6.0 * shape).sqrt() / (9.0**0.5)
    return root.clamp_min_(0.05).pow(3)
