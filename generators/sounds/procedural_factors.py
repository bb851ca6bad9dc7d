"""The factors of AudioPG's procedural audio: drawn from the settings, and told in physical units.

``B`` is the batch, ``S`` the most tones of a clip, ``K`` the most partials of a tone, ``V`` the most
voices, ``M`` the most events of a clip (all voices). Draws are float64, int64 or bool on the CPU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..base import Draws
from .procedural_settings import FAMILIES, KINDS, ProceduralSettings


def draw(settings: ProceduralSettings, draws: Draws) -> dict[str, Tensor]:
    """All factors: ``(B,)``, ``(B, S)``, ``(B, S, K)``, ``(B, V)`` or ``(B, M)``."""
    return {
        **draw_tones(settings, draws),
        **draw_transients(settings, draws),
        **draw_events(settings, draws),
        **draw_chain(settings, draws),
    }


def draw_tones(settings: ProceduralSettings, draws: Draws) -> dict[str, Tensor]:
    """Fundamental, primitive, and the factors of each primitive: ``(B, S)`` and ``(B, S, K)``."""
    tones, most = settings.most_tones, settings.partials[1]
    slopes = most if settings.slope_per_partial else 1
    ratio = torch.tensor(settings.fm_ratios, dtype=torch.float64)
    slope = draws.uniform("partial_slope", *settings.partial_slope, tones, slopes)
    return {
        "f0_hz": draw_pitch(settings, draws.uniform("f0", 0.0, 1.0, tones)),
        "kind": draw_kind(settings, draws, tones),
        "partials": draws.integers("partials", *settings.partials, tones),
        "partial_slope": slope.expand(-1, -1, most),
        "partial_gain": draws.uniform("partial_gain", *settings.partial_gain, tones, most),
        "partial_phase": draws.uniform("partial_phase", *settings.partial_phase, tones, most),
        "partial_detune": draws.uniform("partial_detune", *settings.partial_detune, tones, most),
        "fm_index": draws.uniform("fm_index", *settings.fm_index, tones),
        "fm_ratio": ratio[draws.integers("fm_ratio", 0, len(ratio) - 1, tones)],
        "tone_key": draw_keys(draws, "tone_noise", tones),
    }


def draw_pitch(settings: ProceduralSettings, unit: Tensor) -> Tensor:
    """Fundamentals in Hz from ``unit`` in [0, 1): uniform in Hz or in octaves."""
    low, high = settings.f0_hz
    if settings.pitch_prior == "linear":
        return low + (high - low) * unit
    return torch.exp(math.log(low) + math.log(high / low) * unit).clamp(low, high)


def draw_kind(settings: ProceduralSettings, draws: Draws, tones: int) -> Tensor:
    """Numbers of the primitives, int64 ``(B, S)``: a family by its weight, then one of its kinds."""
    weights = [[getattr(settings, kind) for kind in family] for family in FAMILIES]
    family = choose(draws.uniform("mode", 0.0, 1.0, tones), [sum(row) for row in weights])
    kind, first = torch.zeros_like(family), 0
    for number, (row, factor) in enumerate(zip(weights, ("", "", "square", "noise"), strict=True)):
        within = choose(draws.uniform(factor, 0.0, 1.0, tones), row) if sum(row) and factor else 0
        kind = torch.where(family == number, first + within, kind)
        first += len(row)
    return kind


def choose(unit: Tensor, weights: list[float]) -> Tensor:
    """Numbers of the entries that ``unit`` in [0, 1) falls on, each as likely as its weight."""
    cumulative = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    return torch.searchsorted(cumulative / cumulative[-1], unit, right=True)


def draw_keys(draws: Draws, factor: str, tones: int) -> Tensor:
    """Keys of white noise, one a tone, int64 ``(B, S)``."""
    further = [draws.keys(f"{factor}/{tone}") for tone in range(1, tones)]
    return torch.stack([draws.keys(factor), *further], dim=1)


def draw_transients(settings: ProceduralSettings, draws: Draws) -> dict[str, Tensor]:
    """Whether a tone has a burst, where it lies in it (samples), and its gain: ``(B, S)``."""
    tones = settings.most_tones
    length = draws.uniform("transient_seconds", *settings.transient_seconds, tones)
    length = (length * settings.sample_rate).long().clamp_max(settings.samples)
    start = draws.uniform("transient_start", 0.0, 1.0, tones)
    return {
        "transient": draws.happens("transient", settings.p_transient, tones),
        "transient_length": length,
        "transient_start": (start * (settings.samples - length + 1)).long(),
        "transient_gain": draws.uniform("transient_gain", *settings.transient_gain, tones),
        "transient_key": draw_keys(draws, "transient_noise", tones),
    }


def draw_events(settings: ProceduralSettings, draws: Draws) -> dict[str, Tensor]:
    """Voices and their events; for each event its tone, and its times in samples: ``(B, M)``."""
    voices, each = settings.voices[1], settings.events[1]
    most, samples, rate = voices * each, settings.samples, settings.sample_rate
    count = draws.integers("events", *settings.events, voices)  # (B, V)
    playing = draws.integers("voices", *settings.voices)
    happens = torch.arange(each) < count[:, :, None]
    happens &= (torch.arange(voices) < playing[:, None])[:, :, None]
    happens &= ~draws.happens("silence", settings.p_silence)[:, None, None]
    longest = (settings.seconds / count)[:, :, None]
    length = draws.uniform("event_seconds", 0.0, 1.0, voices, each)
    length = (settings.event_seconds + (longest - settings.event_seconds) * length) * rate
    length = length.long().clamp(1, samples).flatten(1)
    number = torch.arange(most)
    origin, place = (draws.uniform(f"event_{key}", 0.0, 1.0, most) for key in ("origin", "place"))
    roll = (draws.uniform("roll_samples", 0.0, samples if settings.p_roll else 0.0)).long()
    return {
        "event_happens": happens.flatten(1),
        "event_tone": (number if settings.timbre_per_event else number // each).expand(
            len(length), most
        ),
        "event_length": length,
        **draw_envelopes(settings, draws, length),
        "event_origin": (origin * (samples - length + 1)).long(),
        "event_place": (place * (samples - length + 1)).long(),
        "roll": roll * draws.happens("roll", settings.p_roll),
    }


def draw_envelopes(settings: ProceduralSettings, draws: Draws, length: Tensor) -> dict[str, Tensor]:
    """Attack, decay and release in samples, and the level between decay and release: ``(B, M)``."""
    most = length.shape[1]
    if settings.envelope == "adsr":
        seconds = torch.stack(
            [
                draws.uniform("adsr_attack", *settings.adsr_attack_seconds, most),
                draws.uniform("adsr_decay", *settings.adsr_decay_seconds, most),
                draws.uniform("adsr_release", *settings.adsr_release_seconds, most),
            ]
        )
        wanted = seconds * settings.sample_rate
        share = (length / wanted.sum(dim=0).clamp_min(1.0)).clamp_max(1.0)  # of what fits the event
        attack, decay, release = (wanted * share).long()
        level = draws.uniform("adsr_sustain", *settings.adsr_sustain_level, most)
    elif settings.envelope == "falling":
        attack = (length * draws.uniform("attack", *settings.attack, most)).long()
        decay = (length * draws.uniform("decay", *settings.decay, most)).long()
        release = length - attack - decay
        level = draws.uniform("decay_level", *settings.decay_level, most)
    else:
        attack = decay = release = torch.zeros_like(length)
        level = torch.ones(length.shape, dtype=torch.float64)
    names = ("event_attack", "event_decay", "event_release", "event_level")
    return dict(zip(names, (attack, decay, release, level), strict=True))


def draw_chain(settings: ProceduralSettings, draws: Draws) -> dict[str, Tensor]:
    """Low-pass, background noise, level and gain: ``(B,)``."""
    gain = draws.uniform("gain", *(settings.gain if settings.p_gain else (1.0, 1.0)))
    rms_db = settings.rms_db if settings.level == "rms" else (0.0, 0.0)
    return {
        "lowpass": draws.happens("lowpass", settings.p_lowpass),
        "lowpass_hz": draws.uniform("lowpass_hz", *settings.lowpass_hz),
        "background": draws.happens("background", settings.p_background),
        "background_level": draws.uniform("background_level", *settings.background_level),
        "background_snr_db": draws.uniform("background_snr_db", *settings.background_snr_db),
        "background_key": draws.keys("background_noise"),
        "rms_db": draws.uniform("rms_db", *rms_db),
        "gain": torch.where(draws.happens("gain_applies", settings.p_gain), gain, 1.0),
    }


# ---------------------------------------------------------------------------------------------------
# Telling.


def describe(settings: ProceduralSettings, one: dict[str, Any]) -> dict[str, Any]:
    """What is heard of the drawn factors of one clip, in hertz, seconds, decibels and factors.

    ``one`` holds the factors as plain numbers and lists. Where a clip cannot have more than one tone,
    its factors stand directly in the description; otherwise they are a list ``tones``, and
    ``event_tone`` says which of them each event sounds. A stage that was not applied is ``None``.
    """
    rate = settings.sample_rate
    happening = [number for number, happens in enumerate(one["event_happens"]) if happens]
    tones = sorted({one["event_tone"][number] for number in happening})
    facts: dict[str, Any] = {}
    if settings.most_tones == 1:
        facts |= describe_tone(settings, one, 0) if happening else {"kind": None, "f0_hz": None}
    else:
        facts["tones"] = [describe_tone(settings, one, tone) for tone in tones]
        facts["event_tone"] = [tones.index(one["event_tone"][number]) for number in happening]
    facts["events"] = len(happening)
    spans = {"onset": "place", "event": "length", "attack": "attack", "decay": "decay"}
    for name, key in {**spans, "release": "release", "source_onset": "origin"}.items():
        facts[f"{name}_seconds"] = [one[f"event_{key}"][number] / rate for number in happening]
    facts["sustain_level"] = [one["event_level"][number] for number in happening]
    facts["roll_seconds"] = one["roll"] / rate
    facts["lowpass_hz"] = one["lowpass_hz"] if one["lowpass"] else None
    noise = "background_snr_db" if settings.background_scale == "snr" else "background_level"
    facts[noise] = one[noise] if one["background"] else None
    if settings.level == "rms":
        facts["rms_db"] = one["rms_db"]
    facts["gain"] = one["gain"]
    return facts


def describe_tone(settings: ProceduralSettings, one: dict[str, Any], tone: int) -> dict[str, Any]:
    """The factors of one tone, and of the burst that was added to it."""
    kind, f0, rate = KINDS[one["kind"][tone]], one["f0_hz"][tone], settings.sample_rate
    facts: dict[str, Any] = {"kind": kind, "f0_hz": None if kind.endswith("noise") else f0}
    if kind == "harmonic":
        detune, slope = one["partial_detune"][tone], one["partial_slope"][tone]
        made = math.inf if settings.aliasing else rate / 2
        drawn = range(1, one["partials"][tone] + 1)
        numbers = [i for i in drawn if f0 * i * detune[i - 1] < made]
        facts["partials"] = len(numbers)
        facts["partial_hz"] = [f0 * i * detune[i - 1] for i in numbers]
        facts["partial_slope"] = [slope[i - 1] for i in numbers]
        facts["partial_amplitude"] = [
            i ** -slope[i - 1] * one["partial_gain"][tone][i - 1] for i in numbers
        ]
        facts["partial_phase_turns"] = [one["partial_phase"][tone][i - 1] for i in numbers]
    elif kind == "fm":
        facts["modulation_index"] = one["fm_index"][tone]
        facts["modulator_ratio"] = one["fm_ratio"][tone]
        facts["modulator_hz"] = f0 * one["fm_ratio"][tone]
    there = one["transient"][tone]
    facts["transient_seconds"] = one["transient_length"][tone] / rate if there else None
    facts["transient_onset_seconds"] = one["transient_start"][tone] / rate if there else None
    facts["transient_gain"] = one["transient_gain"][tone] if there else None
    return facts
