"""Textures against their drawn spectra and modulations; voices against their pitch and formants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import scipy.linalg
import scipy.signal
import torch

import generators
from generators.drawer import UsageError
from generators.sounds import textures, vocal_tract
from generators.sounds.formants import glottal_pulses

RATE = 16000
QUIET = {"peak_db": (0.0, 0.0), "p_background": 0.0}


def only(kind: str) -> dict[str, Any]:
    one_layer = {"layers": (1, 1), "level_db": (0.0, 0.0), **QUIET}
    return {**one_layer, **{name: float(name == kind) for name in textures.KINDS}}


# ---------------------------------------------------------------------------------------------------
# Textures


@pytest.mark.parametrize("kind", ["hiss", "rain"])
def test_a_layer_has_its_pass_band(kind: str) -> None:
    """Noise and impulses alike: a Gaussian over log frequency, of drawn centre and width."""
    source = generators.create("textures", **only(kind), depth_scale=0.0)
    for index in range(3):
        one = source.describe(index)
        frequency, power = scipy.signal.welch(source.sample(index).numpy(), RATE, nperseg=1024)
        centre, octaves = one["centre_hz"][0], one["octaves"][0]
        expected = -(np.log2(frequency[1:] / centre) ** 2) / octaves**2 * 10 / math.log(10)
        measured = 10 * np.log10(power[1:])
        near = (expected > -20) & (frequency[1:] < 7500) & (frequency[1:] > 150)
        difference = measured[near] - expected[near]
        assert np.std(difference) < 1.0


@pytest.mark.parametrize("kind", ["wind", "flutter"])
def test_the_level_moves_by_its_depth_and_rate(kind: str) -> None:
    source = generators.create(
        "textures", **only(kind), octaves_scale=3.0 if kind == "flutter" else 1.0
    )
    for index in range(3):
        one = source.describe(index)
        drawn = source.parameters(torch.tensor([index]))
        moving = source.modulators(
            {key: value[:, 0] for key, value in drawn.items() if value.dim() == 2}
        )
        level = moving[0].double().numpy()
        assert level.std() == pytest.approx(1.0, abs=0.05)
        rate = RATE / textures.STEP
        if kind == "flutter":
            peak = np.abs(np.fft.rfft(level * np.hanning(len(level)), 16 * len(level))).argmax()
            assert peak * rate / (16 * len(level)) == pytest.approx(one["modulation_hz"][0], rel=0.02)
        # what is heard follows: the short-time level of the clip is the modulator's
        sound = source.sample(index).double().numpy()
        window = (16 if kind == "wind" else 1) * textures.STEP
        power = np.square(sound[: len(sound) // window * window]).reshape(-1, window).mean(axis=1)
        heard = np.log(power) / 2
        middle = np.arange(len(heard)) * window / textures.STEP + window / textures.STEP / 2
        smooth = np.interp(middle, np.arange(len(level)), level)
        slope = np.polyfit(smooth, heard, 1)[0]
        assert slope == pytest.approx(one["depth"][0], rel=0.2)


def test_a_slow_modulator_falls_by_six_decibels_per_octave() -> None:
    source = generators.create("textures", **only("wind"))
    drawn = source.parameters(torch.arange(40))
    of = {key: value[:, 0] for key, value in drawn.items() if value.dim() == 2}
    of["modulation_hz"] = torch.full_like(of["modulation_hz"], 1.0)
    frequency, power = scipy.signal.welch(
        source.modulators(of).numpy(), RATE / textures.STEP, nperseg=1000
    )
    power = power.mean(axis=0)
    high, low = (np.abs(frequency - hertz).argmin() for hertz in (32.0, 8.0))
    assert 10 * np.log10(power[high] / power[low]) == pytest.approx(-12.0, abs=1.0)
    assert power[np.abs(frequency - 70.0).argmin()] < 1e-3 * power[high]


@pytest.mark.parametrize("density", [20.0, 600.0])
def test_impulses_are_as_dense_as_drawn_and_poisson(density: float) -> None:
    samples, clips = 163840, 8
    keys = torch.arange(clips) * 7919 + 11
    noise = textures.white_noise(keys, samples, torch.device("cpu"))
    struck = textures.impulses(noise, torch.full((clips, 1), density / RATE))
    count = int((struck != 0).sum())
    expected = density * clips * samples / RATE
    quantum = 2.0**-15 * samples * clips  # the noise has so many levels
    assert abs(count - expected) < 4 * math.sqrt(expected) + quantum
    sizes = struck[struck != 0].abs()
    assert float(sizes.max()) <= 1.001  # the noise reaches -1
    assert float(sizes.min()) >= math.exp(-2.0) - 1e-6
    assert abs(float(struck.sign().sum())) < 4 * math.sqrt(expected)


def test_gusts_are_brighter() -> None:
    source = generators.create("textures", **only("wind"))
    gains = []
    for index in range(6):
        sound = source.sample(index).double().numpy()
        frequency, _, power = scipy.signal.spectrogram(sound, RATE, nperseg=4096)
        level = np.log(power.sum(axis=0))
        centroid = np.log2((power * frequency[:, None]).sum(axis=0) / power.sum(axis=0))
        gains.append(np.corrcoef(level, centroid)[0, 1])
    assert np.mean(gains) > 0.5


def test_kinds_come_as_often_as_their_weights_say() -> None:
    weights = dict.fromkeys(textures.KINDS, 0.0) | {"surf": 1.0, "crackle": 3.0}
    kind = generators.create("textures", **weights).parameters(torch.arange(800))["kind"].flatten()
    share = float((kind == list(textures.KINDS).index("crackle")).double().mean())
    assert set(kind.tolist()) == {2, 4}
    assert share == pytest.approx(0.75, abs=4 * (0.1875 / len(kind)) ** 0.5)


# ---------------------------------------------------------------------------------------------------
# Voices

SUNG = {
    **QUIET,
    "notes": (1, 1),
    "voices": (1, 1),
    "first_onset": (0.0, 0.0),
    "level_db": (0.0, 0.0),
    "seconds": 1.0,
    "syllable_seconds": (0.9, 0.9),
    "jitter": (0.0, 0.0),
    "p_vibrato": 0.0,
    "p_whisper": 0.0,
    "p_diphthong": 0.0,
    "p_moves": 0.0,
    "glide_semitones": (0.0, 0.0),
    "breath_db": (-90.0, -90.0),
}


def test_the_corners_of_the_vowel_square_are_peterson_and_barneys() -> None:
    place = torch.tensor([0.0, 0.0, 1.0, 1.0]).double(), torch.tensor([0.0, 1.0, 0.0, 1.0]).double()
    found = vocal_tract.vowel_hz(*place)[:, :3].tolist()
    assert found[0] == pytest.approx([270, 2290, 3010])
    assert found[1] == pytest.approx([300, 870, 2240])
    assert found[2] == pytest.approx([660, 1720, 2410])
    assert found[3] == pytest.approx([730, 1090, 2440])


def test_the_filter_is_klatts_cascade() -> None:
    """Against five second-order recursions in float64, sample by sample."""
    hertz = torch.tensor([[500.0, 1500.0, 2500.0, 3500.0, 4500.0]], dtype=torch.float64)
    bandwidth = torch.tensor([[60.0, 90.0, 150.0, 200.0, 280.0]], dtype=torch.float64)
    block = torch.randn(1, 256, generator=torch.Generator().manual_seed(0))
    got = vocal_tract.filter_blocks(block, hertz, bandwidth, RATE)[0].double().numpy()
    expected = np.concatenate([block[0].double().numpy(), np.zeros(768)])
    for f, b in zip(hertz[0].tolist(), bandwidth[0].tolist(), strict=True):
        radius = math.exp(-math.pi * b / RATE)
        a = [1.0, -2 * radius * math.cos(2 * math.pi * f / RATE), radius**2]
        expected = scipy.signal.lfilter([sum(a)], a, expected)
    assert np.abs(got - expected).max() < 2e-3 * np.abs(expected).max()  # what rings beyond is folded


@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.3)])
def test_resonances_lie_at_the_drawn_formants(place: tuple[float, float]) -> None:
    """A whispered vowel's spectrum, smoothed by linear prediction, peaks at its first formants."""
    fields = {
        **SUNG,
        "p_whisper": 1.0,
        "open": (place[0],) * 2,
        "back": (place[1],) * 2,
        "seconds": 8.0,
    }
    source = generators.create(
        "formants", **{**fields, "syllable_seconds": (7.9, 7.9)}, bandwidth_scale=(1.0, 1.0)
    )
    one = source.describe(1)
    sound = source.sample(1).double().numpy()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2)[:13]
    prediction = np.concatenate([[1], -scipy.linalg.solve_toeplitz(correlation[:-1], correlation[1:])])
    poles = np.roots(prediction)
    found = np.sort(np.angle(poles[poles.imag > 0]) * RATE / 2 / np.pi)
    for formant in one["formant_hz_start"][0][:3]:
        assert np.abs(found / formant - 1).min() < 0.05


def test_the_voice_has_its_pitch_and_glides() -> None:
    for glide in (0.0, 6.0):
        fields = {**SUNG, "f0_hz": (180.0, 180.0), "glide_semitones": (glide, glide)}
        sound = generators.create("formants", **fields).sample(0).double().numpy()
        for share in (0.2, 0.7):
            middle = int(share * 0.9 * RATE)
            piece = sound[middle - 480 : middle + 480] * np.hanning(960)
            correlation = np.fft.irfft(np.abs(np.fft.rfft(piece, 16384)) ** 2)
            lags = np.arange(50, 130)
            fine = scipy.interpolate.CubicSpline(lags, correlation[lags])
            grid = np.linspace(55, 125, 7001)
            period = grid[fine(grid).argmax()]
            assert RATE / period == pytest.approx(180.0 * 2 ** (glide * share / 12), rel=0.015)


def test_jitter_and_vibrato_move_the_pitch_by_what_they_say() -> None:
    source = generators.create("formants", **{**SUNG, "jitter": (0.02, 0.02), "f0_hz": (200.0, 200.0)})
    drawn = source.parameters(torch.tensor([0]))
    of = {key: value[:1, 0] for key, value in drawn.items() if value.dim() == 2}
    steps = torch.zeros(1, 9, dtype=torch.float64)
    base = source.cycles(of, torch.tensor([5120]), steps).diff(dim=1) * RATE / 64
    steps[0, 1:] = 64 / RATE
    moved = source.cycles(of, torch.tensor([5120]), steps).diff(dim=1) * RATE / 64
    assert base.flatten().tolist() == pytest.approx([200.0] * 8, rel=1e-6)
    assert float(moved[0, 0]) == pytest.approx(204.0)
    fields = {**SUNG, "p_vibrato": 1.0, "vibrato_hz": (5.0, 5.0), "vibrato_cents": (100.0, 100.0)}
    source = generators.create("formants", **fields, f0_hz=(200.0, 200.0))
    drawn = source.parameters(torch.tensor([0]))
    of = {key: value[:1, 0].expand(25) for key, value in drawn.items() if value.dim() == 2}
    hertz = source.cycles(of, torch.arange(25) * 512, torch.zeros(25, 9)).diff(dim=1) * RATE / 64
    assert float(hertz.max()) == pytest.approx(200 * 2 ** (1 / 12), rel=2e-3)
    assert float(hertz.min()) == pytest.approx(200 * (2 - 2 ** (1 / 12)), rel=2e-3)


def test_pulses_are_closed_and_alias_less_than_naive_ones() -> None:
    period = 23.7
    phase = torch.remainder(torch.arange(4096, dtype=torch.float64) / period, 1.0).float()[None]
    row = {"open_quotient": torch.tensor([0.6], dtype=torch.float64)}
    soft = glottal_pulses(phase, torch.full_like(phase, 1 / period), row)[0].double().numpy()
    naive = glottal_pulses(phase, torch.full_like(phase, 1e-9), row)[0].double().numpy()
    shut = ((phase > 0.6 + 1.01 / period) & (phase < 0.999))[0].numpy()
    assert not soft[shut].any()
    assert soft.min() < -0.9

    def between(signal: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(signal * np.blackman(4096))) ** 2
        bins = np.arange(len(power))
        away = np.abs((bins / 4096 * period + 0.5) % 1 - 0.5) * 4096 / period
        return float(power[(away > 12) & (bins < 1000)].sum() / power.sum())

    assert between(soft) < 0.15 * between(naive)


def test_syllables_of_a_voice_do_not_overlap() -> None:
    drawn = generators.create("formants", notes=(8, 12)).parameters(torch.arange(50))
    end = drawn["onset"].double() / RATE + drawn["syllable_seconds"]
    for clip in range(50):
        for voice in range(3):
            mine = (drawn["voice"][clip] == voice) & (drawn["onset"][clip] < 163840)
            onset = drawn["onset"][clip][mine].double() / RATE
            assert bool((end[clip][mine][:-1] <= onset[1:] + 1e-9).all())


@pytest.mark.parametrize(
    ("name", "fields", "match"),
    [
        ("textures", {"layers": (0, 1)}, "layers"),
        ("textures", dict.fromkeys(textures.KINDS, 0.0), "flutter"),
        ("textures", {"depth_scale": -1.0}, "depth_scale"),
        ("formants", {"f0_hz": (70.0, 4000.0)}, "f0_hz"),
        ("formants", {"open": (0.0, 1.5)}, "open"),
        ("formants", {"p_whisper": 2.0}, "p_whisper"),
        ("formants", {"open_quotient": (0.0, 0.5)}, "open_quotient"),
    ],
)
def test_impossible_fields_are_refused_by_name(name: str, fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        generators.create(name, **fields)
