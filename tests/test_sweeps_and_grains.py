"""Sweeps against the laws they were drawn with, and grains against the processes that place them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.signal
import scipy.stats
import torch

import generators
from generators.drawer import UsageError
from generators.sounds import grains, sweeps

RATE = 16000
ONE_NOTE = {
    "notes": (1, 1),
    "voices": (1, 1),
    "first_onset": (0.0, 0.0),
    "level_db": (0.0, 0.0),
    "peak_db": (0.0, 0.0),
    "p_background": 0.0,
    "p_moves": 0.0,
}


def only(names: tuple[str, ...], chosen: str) -> dict[str, Any]:
    return {name: float(name == chosen) for name in names}


def expected_hertz(law: str, start: float, stop: float, share: np.ndarray) -> np.ndarray:
    """Frequency at a share of the sweep, from the words of the law alone."""
    if law == "linear":
        return start + (stop - start) * share
    if law == "exponential":
        return np.exp(np.interp(share, [0, 1], np.log([start, stop])))
    if law == "hyperbolic":
        return 1 / np.interp(share, [0, 1], [1 / start, 1 / stop])
    return np.full_like(share, start)


@pytest.mark.parametrize("law", sweeps.LAWS)
@pytest.mark.parametrize("ends", [(300.0, 3000.0), (5000.0, 700.0)])
def test_the_frequency_follows_its_law(law: str, ends: tuple[float, float]) -> None:
    """The analytic signal's phase, differentiated, is the drawn frequency at every moment."""
    seconds = 1.5
    source = generators.create(
        "sweeps", **ONE_NOTE, **only(sweeps.LAWS, law), start_hz=(ends[0],) * 2, stop_hz=(ends[1],) * 2,
        sweep_seconds=(seconds,) * 2, partials=(1, 1), p_vibrato=0.0, seconds=1.6,
    )  # fmt: skip
    sound = source.sample(0).double().numpy()
    phase = np.unwrap(np.angle(scipy.signal.hilbert(sound)))
    hertz = np.diff(phase) * RATE / (2 * np.pi)
    inside = slice(int(0.2 * seconds * RATE), int(0.8 * seconds * RATE))
    share = (np.arange(len(hertz)) + 0.5) / RATE / seconds
    expected = expected_hertz(law, *ends, share[inside])
    assert np.max(np.abs(hertz[inside] / expected - 1)) < 3e-3


@pytest.mark.parametrize("law", sweeps.LAWS)
def test_a_sweep_equals_its_integrated_frequency(law: str) -> None:
    """With vibrato and three partials, against float64 quadrature, to the last sample."""
    fields: dict[str, Any] = {**ONE_NOTE, **only(sweeps.LAWS, law), "seconds": 0.9, "p_vibrato": 1.0}
    source = generators.create("sweeps", **fields, partials=(3, 3), sweep_seconds=(0.85, 0.85),
                               start_hz=(200.0, 900.0), stop_hz=(200.0, 900.0))  # fmt: skip
    one = source.describe(5)
    start, stop = one["voice_start_hz"][0], one["voice_stop_hz"][0]
    depth, rate = one["voice_vibrato_depth"][0] * min(start, stop), one["voice_vibrato_hz"][0]
    time = np.arange(source.samples) / RATE
    fine = np.arange(source.samples * 16) / RATE / 16
    hertz = expected_hertz(law, start, stop, np.minimum(fine / 0.85, 1)) + depth * np.sin(
        2 * np.pi * rate * fine
    )
    cycles = scipy.integrate.cumulative_simpson(hertz, x=fine, initial=0)[::16]
    slope = one["voice_partial_slope"][0]
    gate = np.minimum(
        time / (one["voice_attack"][0] * 0.85), (0.85 - time) / (one["voice_release"][0] * 0.85)
    )
    expected = sum(k**-slope * np.sin(2 * np.pi * k * cycles) for k in (1, 2, 3))
    expected = expected * np.sin(np.pi / 2 * gate.clip(0, 1)) ** 2
    expected /= np.abs(expected).max()
    assert np.abs(source.sample(5).double().numpy() - expected).max() < 2e-4


def test_partials_do_not_alias() -> None:
    fields: dict[str, Any] = {**ONE_NOTE, **only(sweeps.LAWS, "steady"), "seconds": 1.0}
    source = generators.create("sweeps", **fields, start_hz=(3100.0, 3100.0), partials=(6, 6),
                               sweep_seconds=(1.0, 1.0), p_vibrato=0.0)  # fmt: skip
    spectrum = np.abs(np.fft.rfft(source.sample(0).numpy() * np.blackman(RATE)))
    assert spectrum[3100] > 1000
    assert spectrum[6200] > 100
    assert spectrum[[RATE - 9300, RATE - 12400, 15500 - RATE + 1000]].max() < 1e-3 * spectrum[3100]


def test_laws_and_vibrato_come_as_often_as_they_should() -> None:
    drawn = generators.create("sweeps", linear=0.0, steady=2.0, p_vibrato=0.25).parameters(
        torch.arange(1200)
    )
    law = drawn["law"].flatten()
    shares = torch.bincount(law, minlength=4) / len(law)
    assert shares.tolist() == pytest.approx([0.5, 0.0, 0.25, 0.25], abs=0.035)
    assert float(drawn["vibrato"].float().mean()) == pytest.approx(0.25, abs=0.03)


# ---------------------------------------------------------------------------------------------------
# Grains


def onsets(source: Any, index: int) -> tuple[np.ndarray, dict[str, Any]]:
    drawn = source.parameters(torch.tensor([index]))
    kept = drawn["kind"][0, 0] >= 0
    return drawn["onset"][0, 0][kept].numpy() / RATE, source.describe(index)


STREAM = {"streams": (1, 1), "stream_share": (1.0, 1.0), "p_background": 0.0}


def test_regular_grains_keep_their_interval() -> None:
    source = generators.create(
        "grains", **STREAM, **only(grains.PROCESSES, "regular"), jitter=(0.0, 0.0)
    )
    times, one = onsets(source, 2)
    assert np.diff(times) == pytest.approx(1 / one["rate_hz"][0], abs=2 / RATE)
    assert len(times) == one["grains"][0] == math.floor(10.24 * one["rate_hz"][0]) + 1


def test_poisson_grains_wait_exponentially() -> None:
    source = generators.create(
        "grains", **STREAM, **only(grains.PROCESSES, "poisson"), rate_hz=(20.0, 20.0)
    )
    waits = np.concatenate([np.diff(onsets(source, index)[0]) for index in range(12)])
    assert scipy.stats.kstest(waits, "expon", args=(0, 1 / 20)).pvalue > 1e-3


def test_a_ball_bounces_faster_by_a_constant_ratio_and_softer() -> None:
    source = generators.create("grains", **STREAM, **only(grains.PROCESSES, "bouncing"),
                               bounce_ratio=(0.8, 0.8), grain_level_db=(0.0, 0.0))  # fmt: skip
    times, one = onsets(source, 3)
    gaps = np.diff(times)
    assert gaps[1:6] / gaps[:5] == pytest.approx(0.8, rel=1e-2)
    assert 1 / gaps[0] == pytest.approx(one["rate_hz"][0], rel=1e-3)
    levels = source.parameters(torch.tensor([3]))["grain_level_db"][0, 0, :5].diff()
    assert levels.tolist() == pytest.approx([20 * math.log10(0.8)] * 4)


def test_clips_equal_grains_added_one_by_one() -> None:
    source = generators.create("grains", seconds=1.7, peak_db=(0.0, 0.0), p_background=0.0)
    for index in range(6):
        drawn = source.parameters(torch.tensor([index]))
        shapes = source.shapes(drawn)[0, :, :, 512:-512].double().numpy()
        out = np.zeros(source.samples + 1024)
        level = drawn["grain_level_db"][0] + drawn["stream_level_db"][0, :, None]
        for stream, number in (drawn["kind"][0] >= 0).nonzero().tolist():
            start = int(drawn["onset"][0, stream, number])
            grain = shapes[stream, int(drawn["kind"][0, stream, number])]
            out[start : start + 1024] += grain * 10 ** (float(level[stream, number]) / 20)
        out = out[: source.samples]
        assert np.abs(source.sample(index).numpy() - out / np.abs(out).max()).max() < 1e-5


@pytest.mark.parametrize("carrier", ["tone", "chirp"])
def test_grains_have_their_pitch_and_length(carrier: str) -> None:
    source = generators.create("grains", **STREAM, **only(grains.CARRIERS, carrier), p_struck=0.0,
                               pitch_hz=(2000.0, 2000.0), grain_seconds=(0.05, 0.05),
                               pitch_octaves=(0.0, 0.0))  # fmt: skip
    drawn = source.parameters(torch.tensor([0]))
    shape = source.shapes(drawn)[0, 0, :, 512:].double().numpy()
    assert not shape[:, 801:].any()
    assert np.abs(shape[:, 300:500]).max() > 0.9
    hertz = (
        np.diff(np.unwrap(np.angle(scipy.signal.hilbert(shape[:, :801])), axis=1), axis=1)
        * RATE
        / 2
        / np.pi
    )
    glide = 2.0 ** drawn["kind_glide"][0, 0].numpy() if carrier == "chirp" else 1.0
    expected = 2000.0 * (1 + (glide - 1) * np.array(0.5))  # half-way
    assert hertz[:, 400] == pytest.approx(np.broadcast_to(expected, 8), rel=0.02)


def test_struck_grains_fall_by_sixty_decibels_and_clicks_are_one_cycle() -> None:
    fields: dict[str, Any] = {**STREAM, "p_struck": 1.0, "pitch_octaves": (0.0, 0.0)}
    source = generators.create(
        "grains", **fields, **only(grains.CARRIERS, "click"), pitch_hz=(500.0, 500.0)
    )
    shape = source.shapes(source.parameters(torch.tensor([0])))[0, 0, 0, 512:].numpy()
    assert np.flatnonzero(shape).max() <= 32
    source = generators.create(
        "grains", **fields, **only(grains.CARRIERS, "hiss"), grain_seconds=(0.06, 0.06)
    )
    shape = source.shapes(source.parameters(torch.tensor([0])))[0, 0, :, 512:].numpy()
    levels = 20 * np.log10(shape[:, :960].reshape(8, 8, 120).std(axis=(0, 2)))
    assert np.polyfit(np.arange(8), levels, 1)[0] == pytest.approx(-60 / 8, rel=0.03)


def test_streams_fill_their_share_and_no_more() -> None:
    source = generators.create("grains", stream_share=(0.2, 0.2), p_background=0.0, streams=(1, 1))
    for index in range(8):
        heard = np.flatnonzero(source.sample(index).numpy())
        assert (heard[-1] - heard[0]) / RATE <= 0.2 * 10.24 + 0.064 + 1e-3


@pytest.mark.parametrize(
    ("name", "fields", "match"),
    [
        ("sweeps", dict.fromkeys(sweeps.LAWS, 0.0), "hyperbolic"),
        ("sweeps", {"start_hz": (100.0, 9000.0)}, "start_hz"),
        ("sweeps", {"partials": (0, 2)}, "partials"),
        ("sweeps", {"attack": (0.0, 0.1)}, "attack"),
        ("grains", {"tone": -1.0}, "tone"),
        ("grains", {"grain_seconds": (0.01, 0.2)}, "grain_seconds"),
        ("grains", {"bounce_ratio": (0.9, 1.0)}, "rest"),
        ("grains", {"rate_hz": (0.0, 10.0)}, "rate_hz"),
        ("grains", {"p_struck": -0.1}, "p_struck"),
    ],
)
def test_impossible_fields_are_refused_by_name(name: str, fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        generators.create(name, **fields)
