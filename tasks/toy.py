"""Four small tasks that are synthesised here: they need no download and judge an encoder in seconds.

Each holds a few hundred clips at 16 kHz with train, valid and test groups that share nothing: the
instruments, presets, speakers and sound kits of test are never heard before. A clip is drawn from its
own numbers alone, so any clip can be rendered at any time. The sounds (struck, plucked, blown, spoken)
are made differently from the pre-training sources. Labels are exact by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from tasks import synthesis
from tasks.base import Task
from tasks.synthesis import RATE, envelope, generator, noise, partials, record, vibrato

LICENCE = "MIT (synthesised)"
REFERENCE = "sourcebench, tasks/toy.py"
SECOND = 125 * synthesis.BLOCK  # 16000 samples

ONSET = RATE // 50  # samples of the click that opens an event: 20 ms
CHROMA = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FAMILIES = ("plucked", "bell", "bar", "membrane", "reed", "bowed", "brass", "flute")
VOWELS = {  # formants F1, F2, F3 in Hz: mean of men, Peterson and Barney, JASA 24, 1952, table II
    "iy": (270, 2290, 3010),
    "ih": (390, 1990, 2550),
    "eh": (530, 1840, 2480),
    "ae": (660, 1720, 2410),
    "ah": (520, 1190, 2390),
    "aa": (730, 1090, 2440),
    "ao": (570, 840, 2410),
    "uh": (440, 1020, 2240),
    "uw": (300, 870, 2240),
    "er": (490, 1350, 1690),
}


def table(groups: int, labels: int, takes: int, *, label_in_group: bool = False) -> pd.DataFrame:
    """The clip table: every group has ``takes`` clips of every label.

    The first 60 % of the groups train, the next 15 % validate, the last 25 % test; groups are drawn
    alike, so their order means nothing. With ``label_in_group`` a group has one label (its preset's).
    """
    rows = []
    for group in range(groups):
        fold = "train" if group < 0.6 * groups else "valid" if group < 0.75 * groups else "test"
        for label in range(labels):
            for take in range(takes):
                name = f"{group:03d}-{label:02d}" if label_in_group else f"{group:03d}"
                rows.append((f"{group:03d}-{label:02d}-{take}", label, fold, name, ""))
    return pd.DataFrame(rows, columns=["clip", "label", "fold", "group", "path"])


def numbers(clip: str) -> tuple[int, int, int]:
    """Group, label and take from a clip's id."""
    group, label, take = map(int, clip.split("-"))
    return group, label, take


@dataclass(kw_only=True)
class ToyPitch(Task, name="toy_pitch"):
    """The 12 pitch classes, over four octaves, on instruments never heard in training; accuracy.

    720 clips of 1 s on 60 instruments. An instrument is a spectrum with its own formants, attack and
    decay; the fundamental may be weak. Pitch is detuned by up to 30 cents.
    """

    licence: ClassVar[str] = LICENCE
    reference: ClassVar[str] = REFERENCE
    embedded: ClassVar[bool] = True
    grouped_by: ClassVar[str] = "instrument"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 432, "valid": 108, "test": 180}
    split_hash: ClassVar[str] = "5f8cb2680133257cfea2d53f5f55547d7adb87b2877655a6f9d0ff9c0c7cb343"

    @property
    def classes(self) -> tuple[str, ...]:
        return CHROMA

    def read_clips(self) -> pd.DataFrame:
        return table(60, len(CHROMA), 1)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        instrument, label, _ = numbers(self.clips()["clip"].iloc[position])
        preset, rng = generator(1, instrument), generator(1, instrument, 1 + label)
        harmonic = np.arange(1, 33)
        tilt, even = preset.uniform(0.3, 1.6), preset.uniform(0.1, 1.0)
        centres, heights = preset.uniform(300.0, 4000.0, 3), preset.uniform(0.5, 4.0, 3)
        stretch = preset.uniform(0.0, 4e-4)  # stiffness: high partials sharpen
        sustain, attack = preset.uniform(0.0, 6.0), preset.uniform(0.005, 0.15)
        first = preset.uniform(0.05, 1.0)  # strength of the fundamental

        note = 36 + 12 * rng.integers(4) + label + rng.uniform(-0.3, 0.3)  # C2 (65 Hz) to B5 (988 Hz)
        frequency = (
            440.0 * 2.0 ** ((note - 69.0) / 12.0) * harmonic * np.sqrt(1 + stretch * harmonic**2)
        )
        octaves = np.log2(frequency[:, None] / centres)  # (harmonics, formants)
        body = 0.3 + np.exp(-0.5 * (octaves / 0.35) ** 2) @ heights
        strength = harmonic**-tilt * np.where(harmonic % 2, 1.0, even) * body
        strength[0] *= first
        tone = partials(frequency, strength, samples=SECOND, rng=rng, decay=sustain * harmonic**0.5)
        tone = vibrato(tone, rng.uniform(4.0, 7.0), rng.uniform(0.0, 25.0))
        tone *= envelope(SECOND, attack, rng.uniform(0.05, 0.4))
        return record(rng, tone, noise_db=(-5.0, 15.0)), RATE


@dataclass(kw_only=True)
class ToyTimbre(Task, name="toy_timbre"):
    """8 families of instruments (plucked, bell, bar, membrane, reed, bowed, brass, flute); accuracy.

    720 clips of 1 s: 30 presets a family, 3 notes each; those of test are never heard in training.
    """

    licence: ClassVar[str] = LICENCE
    reference: ClassVar[str] = REFERENCE
    embedded: ClassVar[bool] = True
    grouped_by: ClassVar[str] = "preset"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 432, "valid": 120, "test": 168}
    split_hash: ClassVar[str] = "afffd379f0172353d392d36e5b5020c7d093352ce51eec461b902b0a503a1563"

    @property
    def classes(self) -> tuple[str, ...]:
        return FAMILIES

    def read_clips(self) -> pd.DataFrame:
        return table(30, len(FAMILIES), 3, label_in_group=True)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        group, label, take = numbers(self.clips()["clip"].iloc[position])
        preset, rng = generator(2, group, 100 * label), generator(2, group, 100 * label + 1 + take)
        tone = instrument(FAMILIES[label], preset, rng, fundamental=rng.uniform(90.0, 600.0))
        return record(rng, tone, noise_db=(-5.0, 15.0)), RATE


def instrument(
    family: str, preset: np.random.Generator, rng: np.random.Generator, *, fundamental: float
) -> np.ndarray:
    """One note of 1 s of an instrument of ``family``: float64 ``(16000,)``.

    ``preset`` draws what belongs to the instrument, ``rng`` what belongs to the note.
    """
    harmonic = np.arange(1.0, 31.0)
    bright = preset.uniform(0.4, 1.4)
    ring = preset.uniform(0.5, 2.0)  # decay of struck sounds relative to their family
    attack = preset.uniform(0.02, 0.12)  # of sustained sounds
    breath = preset.uniform(0.05, 0.4)
    struck = envelope(SECOND, 0.004, 0.05)
    sustained = envelope(SECOND, attack, rng.uniform(0.05, 0.3))
    if family == "plucked":  # harmonics that die faster the higher; a node at the plucking point
        place = preset.uniform(0.08, 0.45)
        strength = np.abs(np.sin(np.pi * harmonic * place)) / harmonic**bright
        decay = ring * (1.5 + 0.6 * harmonic)
        return struck * partials(fundamental * harmonic, strength, samples=SECOND, rng=rng, decay=decay)
    if family in ("bell", "bar", "membrane"):
        ratios, speed = {
            "bell": (np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.52, 2.66, 3.01, 4.17, 5.43]), 1.5),
            "bar": (np.array([1.0, 2.76, 5.40, 8.93, 13.34]), 7.0),  # free bar
            "membrane": (
                np.array([1.0, 1.59, 2.14, 2.30, 2.65, 2.92, 3.50, 4.06]),
                12.0,
            ),  # Bessel zeros
        }[family]
        ratios = ratios * preset.uniform(0.97, 1.03, len(ratios))
        strength = preset.uniform(0.2, 1.0, len(ratios)) / ratios ** (0.5 * bright)
        decay = ring * speed * ratios**0.7
        tone = partials(fundamental * ratios, strength, samples=SECOND, rng=rng, decay=decay)
        return struck * tone
    if family == "brass":  # high harmonics arrive later and leave earlier
        low = partials(fundamental * harmonic, harmonic**-1.8, samples=SECOND, rng=rng)
        high = partials(fundamental * harmonic, harmonic ** -(0.5 * bright), samples=SECOND, rng=rng)
        return sustained * low + 0.6 * sustained**4 * high
    strength = {
        "reed": np.where(harmonic % 2, 1.0, preset.uniform(0.02, 0.3)) / harmonic ** (0.8 * bright),
        "bowed": 1.0 / harmonic**bright,
        "flute": harmonic ** -(2.0 + bright),
    }[family]
    if family == "bowed":  # a wooden body
        centres = preset.uniform(250.0, 3000.0, 4)
        octaves = np.log2(fundamental * harmonic[:, None] / centres)
        strength = strength * (0.3 + np.exp(-0.5 * (octaves / 0.2) ** 2).sum(axis=1))
    tone = partials(fundamental * harmonic, strength, samples=SECOND, rng=rng)
    tone /= np.sqrt(np.mean(tone**2))
    if family == "bowed":
        tone = vibrato(tone, rng.uniform(4.5, 6.5), rng.uniform(5.0, 40.0))
    if family == "flute":  # air noise around the note
        tone += breath * noise(rng, synthesis.band(SECOND, 2.0 * fundamental, 1.2), SECOND)
    return sustained * tone


@dataclass(kw_only=True)
class ToyCount(Task, name="toy_count"):
    """How many events, 1 to 6, in 2 s of background noise; accuracy.

    720 clips: 60 kits of three sounds (tone, chirp or noise burst), two clips per kit and count; those
    of test are never heard in training. Events differ in level and length, and may overlap.
    """

    licence: ClassVar[str] = LICENCE
    reference: ClassVar[str] = REFERENCE
    embedded: ClassVar[bool] = True
    grouped_by: ClassVar[str] = "sound kit"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 432, "valid": 108, "test": 180}
    split_hash: ClassVar[str] = "480d6c2d5a77bcce16e144d8b4587c7a2eb527995238ca65143904b1dea3d3a0"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(f"{count} events" for count in range(1, 7))

    def read_clips(self) -> pd.DataFrame:
        return table(60, 6, 2)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        kit, label, take = numbers(self.clips()["clip"].iloc[position])
        preset, rng = generator(3, kit), generator(3, kit, 1 + 2 * label + take)
        sounds = [(preset.integers(3), 2.0 ** preset.uniform(7.5, 11.5)) for _ in range(3)]
        mixed = np.zeros(2 * SECOND)
        for _ in range(label + 1):
            kind, pitch = sounds[rng.integers(3)]
            samples = int(rng.uniform(0.12, 0.24) * RATE)
            time = np.arange(samples) / RATE
            if kind == 2:
                event = noise(rng, synthesis.band(samples, pitch, 0.5), samples)
            else:
                sweep = kind * pitch * rng.uniform(0.5, 1.5)  # Hz per second
                phase = 2.0 * np.pi * (pitch * time + 0.5 * sweep * time**2)
                event = np.sqrt(2.0) * (0.9 * np.sin(phase) + 0.4 * np.sin(2.0 * phase))
            event = event * envelope(samples, 0.01, rng.uniform(0.03, 0.1))
            event[:ONSET] += noise(rng, np.ones(ONSET // 2 + 1), ONSET) * np.linspace(1.0, 0.0, ONSET)
            start = rng.integers(2 * SECOND - samples)
            mixed[start : start + samples] += event * 10.0 ** (rng.uniform(-6.0, 0.0) / 20.0)
        return record(rng, mixed, noise_db=(15.0, 25.0), loudness=1.0), RATE


@dataclass(kw_only=True)
class ToyVowel(Task, name="toy_vowel"):
    """10 vowels of 60 speakers never heard in training; accuracy.

    600 clips of 1 s: a glottal source through the formants of Peterson and Barney (1952), scaled by
    the speaker's vocal tract (0.85 to 1.25), voiced at 80 to 320 Hz; a token's formants vary by 5 %.
    """

    licence: ClassVar[str] = LICENCE
    reference: ClassVar[str] = REFERENCE
    embedded: ClassVar[bool] = True
    grouped_by: ClassVar[str] = "speaker"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 360, "valid": 90, "test": 150}
    split_hash: ClassVar[str] = "816bb4ff23689dfc3f42139126c31fdb12727bae21d8c33b34222f21087a9d9d"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(VOWELS)

    def read_clips(self) -> pd.DataFrame:
        return table(60, len(VOWELS), 1)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        speaker, label, _ = numbers(self.clips()["clip"].iloc[position])
        preset, rng = generator(4, speaker), generator(4, speaker, 1 + label)
        tract, voice = preset.uniform(0.85, 1.25), 80.0 * 4.0 ** preset.uniform(0.0, 1.0)
        tilt, breath = preset.uniform(0.8, 1.6), preset.uniform(0.02, 0.3)
        formants = np.array([*VOWELS[self.classes[label]], 3500.0]) * tract
        formants = formants * rng.normal(1.0, 0.05, 4)
        widths = np.array([60.0, 90.0, 150.0, 250.0])

        def resonance(frequency: np.ndarray) -> np.ndarray:
            """Magnitude of four two-pole resonators in cascade."""
            s = 1j * frequency[:, None]
            poles = (formants**2) / (formants**2 + s**2 + s * widths)
            return np.abs(poles.prod(axis=1))

        pitch = voice * 2.0 ** rng.normal(0.0, 0.1)
        frequency = pitch * np.arange(1, int(0.475 * RATE / pitch) + 1)
        strength = resonance(frequency) * (frequency / pitch) ** -tilt
        tone = partials(frequency, strength, samples=SECOND, rng=rng)
        tone = vibrato(tone, rng.uniform(1.0, 6.0), rng.uniform(0.0, 60.0))
        tone /= np.sqrt(np.mean(tone**2))
        tone += breath * noise(rng, resonance(synthesis.bins(SECOND)), SECOND)
        tone *= envelope(SECOND, rng.uniform(0.02, 0.2), rng.uniform(0.05, 0.3))
        return record(rng, tone, noise_db=(0.0, 20.0)), RATE
