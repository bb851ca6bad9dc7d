"""Spectral events: what sounds look like, drawn straight into the log-mel plane without any sound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import UsageError
from .fields import GreyField, Range, check_range, check_share, log_uniform
from .mel import MelPlane
from .spectral_layers import Plane, chirps, combs, noise_bands, onsets, speckle

LAYERS = {"combs": combs, "chirps": chirps, "noise_bands": noise_bands, "onsets": onsets}
FORMANTS = 3


@dataclass(kw_only=True)
class SpectralEvents(GreyField, Source, name="spectral_events"):
    """Harmonic combs, chirps, noise bands and onsets over a noisy floor, drawn in the log-mel plane.

    The control between pictures and sound: it has a spectrogram's regularities (partials at k f0(t) on
    the mel scale, smooth pitch, sharp onsets, decays, formants, noise) but is no sound's spectrogram.
    Numbers of events of each kind are uniform; [0,0] switches a kind off. Powers add; the picture is
    the level in decibels from ``range_db`` below the picture's loudest point (0) to that point (1).
    Bands are ``height`` Slaney-mel filters from ``low_hz`` to ``high_hz``, frames ``frame_seconds``
    apart and ``window_seconds`` long, as in the default front-end.
    """

    kind = "picture"
    family = "spectral picture"
    citation = "ours"
    speed = "fast"
    needs = "nothing"

    combs: tuple[int, int] = (1, 4)
    chirps: tuple[int, int] = (0, 2)
    noise_bands: tuple[int, int] = (0, 2)
    onsets: tuple[int, int] = (0, 3)
    # every kind
    duration_s: Range = (0.1, 1.5)
    attack_s: Range = (0.003, 0.1)
    decay_db: Range = (0.0, 40.0)  # over the duration
    release_s: Range = (0.02, 0.3)  # for 60 dB
    level_db: Range = (-25.0, 0.0)
    # combs
    f0_hz: Range = (70.0, 900.0)
    partials: tuple[int, int] = (3, 40)
    glide_octaves: float = 0.25  # standard deviation of the change of pitch over an event
    wander_octaves: float = 0.08
    vibrato_octaves: Range = (0.0, 0.06)
    vibrato_hz: Range = (3.0, 8.0)
    p_stretched: float = 0.3  # inharmonic, f_k = k f0 sqrt(1 + stretch k^2)
    stretch: Range = (1e-5, 2e-3)
    p_odd_only: float = 0.2
    tilt_db: Range = (1.0, 9.0)  # per octave of the partial number
    p_formants: float = 0.7
    # onsets and floor
    p_repeated: float = 0.4
    period_s: Range = (0.08, 0.8)
    floor_db: Range = (-70.0, -35.0)
    # the plane
    low_hz: float = 50.0
    high_hz: float = 8000.0
    frame_seconds: float = 0.01
    window_seconds: float = 0.025
    range_db: float = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in LAYERS:
            check_range(key, getattr(self, key), 0, 64)
        positive = ("duration_s", "attack_s", "release_s", "f0_hz", "stretch", "period_s", "vibrato_hz")
        for key in positive:
            check_range(key, getattr(self, key), 1e-6)
        for key in ("level_db", "floor_db", "decay_db", "tilt_db", "vibrato_octaves"):
            check_range(key, getattr(self, key))
        check_range("partials", self.partials, 1, 512)
        for key in ("p_stretched", "p_odd_only", "p_formants", "p_repeated"):
            check_share(key, getattr(self, key))
        for key in ("frame_seconds", "window_seconds", "range_db"):
            check_range(key, (getattr(self, key), getattr(self, key)), 1e-4)
        if not 0.0 <= self.low_hz < self.high_hz:
            raise UsageError(
                f"bands from source.low_hz={self.low_hz} to source.high_hz={self.high_hz}: expected "
                "0 <= low_hz < high_hz. Type for example source.low_hz=50 source.high_hz=8000."
            )

    # ------------------------------------------------------------------------------ drawing

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Factors by layer, ``combs/f0_hz`` and so on: ``(B, events)`` and deeper, float64."""
        draws = Draws(self.seed, indices)
        drawn = {
            "floor_db": draws.uniform("floor_db", *self.floor_db),
            "floor_tilt_db": draws.uniform("floor_tilt_db", 0.0, 25.0),  # lowest band over highest
            "speckle_key": draws.keys("speckle"),
        }
        for layer in LAYERS:
            events = getattr(self, layer)[1]
            if events:
                factors = self.draw_events(draws, layer, events) | self.draw_kind(draws, layer, events)
                drawn |= {f"{layer}/{key}": value for key, value in factors.items()}
        return drawn

    def draw_events(self, draws: Draws, layer: str, events: int) -> dict[str, Tensor]:
        """What every kind of event has; the level of those beyond the number drawn is -inf."""
        low, high = getattr(self, layer)
        present = torch.arange(events) < draws.integers(f"{layer}/count", low, high)[:, None]
        level = draws.uniform(f"{layer}/level", *self.level_db, events)
        length = self.width * self.frame_seconds
        return {
            "level_db": torch.where(present, level, -math.inf),
            "onset_s": draws.uniform(f"{layer}/onset", -0.05 * length, 0.9 * length, events),
            "duration_s": log_uniform(draws, f"{layer}/duration", self.duration_s, events),
            "attack_s": log_uniform(draws, f"{layer}/attack", self.attack_s, events),
            "decay_db": draws.uniform(f"{layer}/decay", *self.decay_db, events),
            "release_s": log_uniform(draws, f"{layer}/release", self.release_s, events),
        }

    def draw_kind(self, draws: Draws, layer: str, events: int) -> dict[str, Tensor]:
        """What one kind of event has beside."""

        def uniform(key: str, low: float, high: float, *shape: int) -> Tensor:
            return draws.uniform(f"{layer}/{key}", low, high, events, *shape)

        def between(key: str, low: float, high: float, *shape: int) -> Tensor:
            return log_uniform(draws, f"{layer}/{key}", (low, high), events, *shape)

        if layer == "combs":
            return self.draw_combs(draws, events)
        if layer == "chirps":
            low, high = max(60.0, self.low_hz), 0.9 * self.high_hz
            return {key: between(key, min(low, high), high) for key in ("start_hz", "end_hz")}
        if layer == "noise_bands":
            top = self.height - 1.0
            start = uniform("start_band", 0.0, top)
            moves = draws.happens("noise_bands/moves", 0.4, events)
            return {
                "start_band": start,
                "end_band": torch.where(moves, uniform("end_band", 0.0, top), start),
                "width_bands": between("width_bands", 2.0, self.height / 2.0),
                "sway_hz": between("sway_hz", 1.0, 20.0),
                "sway_db": uniform("sway_db", 0.0, 8.0),
            }
        repeated = draws.happens("onsets/repeated", self.p_repeated, events)
        return {
            "decay_s": between("decay_s", 0.02, 0.5),
            "tilt_db": uniform("tilt_db", -15.0, 15.0),  # of the highest band, minus the lowest's
            "damping": uniform("damping", 0.0, 3.0),
            "period_s": torch.where(repeated, between("period_s", *self.period_s), math.inf),
        }

    def draw_combs(self, draws: Draws, events: int) -> dict[str, Tensor]:
        """Pitch, partials and formants of the combs."""

        def shape(key: str, *more: int) -> tuple[Any, ...]:
            return (f"combs/{key}", events, *more)

        stretched = draws.happens("combs/stretched", self.p_stretched, events)
        return {
            "f0_hz": log_uniform(draws, "combs/f0_hz", self.f0_hz, events),
            "glide_octaves": draws.normal(*shape("glide")) * self.glide_octaves,
            "wander_octaves": draws.normal(*shape("wander")) * self.wander_octaves,
            "wander_phase": draws.uniform("combs/wander_phase", 0.0, 1.0, events),
            "vibrato_octaves": draws.uniform("combs/vibrato", *self.vibrato_octaves, events),
            "vibrato_hz": log_uniform(draws, "combs/vibrato_hz", self.vibrato_hz, events),
            "vibrato_phase": draws.uniform("combs/vibrato_phase", 0.0, 1.0, events),
            "stretch": log_uniform(draws, "combs/stretch", self.stretch, events) * stretched,
            "odd_only": draws.happens("combs/odd_only", self.p_odd_only, events).double(),
            "partials": draws.integers("combs/partials", *self.partials, events).double(),
            "partial_db": draws.normal(*shape("partial_db", self.partials[1])) * 3.0,
            "tilt_db": draws.uniform("combs/tilt", *self.tilt_db, events),
            "formed": draws.happens("combs/formed", self.p_formants, events).double(),
            "formant_hz": log_uniform(draws, "combs/formant_hz", (250.0, 4500.0), events, FORMANTS),
            "formant_octaves": draws.normal(*shape("formant_octaves", FORMANTS)) * 0.3,
            "formant_width_hz": log_uniform(draws, "combs/width", (80.0, 500.0), events, FORMANTS),
        }

    # ------------------------------------------------------------------------------ painting

    def plane(self, device: torch.device) -> Plane:
        """The canvas in hertz and seconds."""
        mel = MelPlane(self.height, self.low_hz, self.high_hz)
        return Plane(mel, self.width, self.frame_seconds, self.window_seconds, device)

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Levels of the summed powers, ``(B, F, T)``."""
        plane = self.plane(device)
        share = plane.number / max(1, self.height - 1)
        floor = (
            drawn["floor_db"][:, None, None] - drawn["floor_tilt_db"][:, None, None] * share
        ).float()
        rough = torch.pow(10.0, floor / 10.0).expand(-1, -1, self.width)
        clean = torch.zeros((), device=device)
        for layer, power in LAYERS.items():
            events = {
                key.removeprefix(f"{layer}/"): value.float()
                for key, value in drawn.items()
                if key.startswith(f"{layer}/")
            }
            present = int((events["level_db"] > -math.inf).sum(dim=1).max()) if events else 0
            if present == 0:
                continue
            events = {key: value[:, :present] for key, value in events.items()}
            if layer in ("noise_bands", "onsets"):
                rough = rough + power(events, plane)
            else:
                clean = clean + power(events, plane)
        level = (
            (rough * speckle(drawn["speckle_key"], plane) + clean).clamp_min_(1e-30).log10_().mul_(10.0)
        )
        level -= level.amax(dim=(1, 2), keepdim=True)
        return level.div_(self.range_db).add_(1.0).clamp_(0.0, 1.0)

    # ------------------------------------------------------------------------------ telling

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """The floor in decibels and the events of each kind, with their factors and units."""
        told: dict[str, Any] = {"floor_db": drawn["floor_db"], "floor_tilt_db": drawn["floor_tilt_db"]}
        for layer in LAYERS:
            factors = {
                key.removeprefix(f"{layer}/"): values
                for key, values in drawn.items()
                if key.startswith(f"{layer}/")
            }
            count = sum(level > -math.inf for level in factors.get("level_db", []))
            told[layer] = [
                {
                    key: None if values[event] == math.inf else values[event]
                    for key, values in factors.items()
                    if key != "partial_db"
                }
                for event in range(count)
            ]
        return told
