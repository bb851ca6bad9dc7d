"""Plucked strings and struck bodies against recursion, physics and float64 sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import torch

import generators
from generators.drawer import UsageError
from generators.sounds import struck
from generators.sounds.modes import ring

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


def demodulate(sound: np.ndarray, frequency: float, window: int) -> np.ndarray:
    """Complex amplitude at ``frequency`` in stretches of ``window`` samples (Blackman)."""
    count = len(sound) // window
    time = np.arange(count * window)
    carried = sound[: len(time)] * np.exp(-2j * np.pi * frequency / RATE * time)
    return carried.reshape(count, window) @ np.blackman(window)


def loudest_near(sound: np.ndarray, guess: float) -> float:
    """Frequency of the largest windowed Fourier component within half a semitone of ``guess``."""
    window, time = np.blackman(len(sound)), np.arange(len(sound)) / RATE

    def loss(frequency: float) -> float:
        return -abs(np.sum(sound * window * np.exp(-2j * np.pi * frequency * time)))

    found = scipy.optimize.minimize_scalar(
        loss, bounds=(guess * 2 ** (-1 / 24), guess * 2 ** (1 / 24)), method="bounded"
    )
    coarse = found.x
    fine = scipy.optimize.minimize_scalar(
        loss, bounds=(coarse - 0.5, coarse + 0.5), method="bounded", options={"xatol": 1e-6}
    )
    return float(fine.x)


def test_modes_equal_a_float64_sum_at_any_onset() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = 5000
    onset = torch.tensor([[0, 512, 700, 4999, 5000], [3, 4608, 511, 1023, 5000]])

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(2, 5, 4, generator=generator, dtype=torch.float64)

    step, decay, size, phase = uniform(0.001, 0.49), uniform(1e-5, 0.09), uniform(0, 1), uniform(0, 1)
    size[0, 1, 2] = 0.0
    got = ring(onset, step, decay, size, phase, samples).double()
    time = torch.arange(samples, dtype=torch.float64) - onset[:, :, None, None]
    wave = torch.sin(2 * math.pi * (step[..., None] * time + phase[..., None]))
    wave = torch.where(time >= 0, wave * torch.exp(-decay[..., None] * time.clamp_min(0)), 0.0)
    expected = (size[..., None] * wave).sum(dim=(1, 2))
    assert float((got - expected).abs().max()) < 1e-4
    assert float(expected[:, 4000:].abs().max()) > 0.1  # the late notes are there


# ---------------------------------------------------------------------------------------------------
# Plucked strings


@pytest.mark.parametrize("pitch", [61.3, 187.77, 440.0, 987.65])
def test_a_string_is_in_tune_within_two_cents(pitch: float) -> None:
    fields = {**ONE_NOTE, "f0_hz": (pitch, pitch), "t60_seconds": (3.0, 3.0)}
    source = generators.create("plucked", **fields, stiffness=(1e-6, 1e-6), seconds=2.0)
    sound = source.sample(3).double().numpy()
    for number in (1, 3):
        mode = number * pitch * math.sqrt(1 + 1e-6 * number**2)
        assert abs(1200 * math.log2(loudest_near(sound, mode) / mode)) < 2.0


def test_the_modes_are_the_loop_of_karplus_and_strong() -> None:
    """The first period, run through y = rho / 2 (y(n - N) + y(n - N - 1)), gives the rest."""
    length, t60 = 80, 2.0
    period = length + 0.5
    rho = math.exp(-math.log(1000) * period / (t60 * RATE))
    damping = RATE / math.pi * math.acos(rho)  # there the averager's loss equals rho's
    pitch = RATE / period
    fields = {**ONE_NOTE, "f0_hz": (pitch, pitch), "t60_seconds": (t60, t60), "seconds": 1.0}
    source = generators.create(
        "plucked", **fields, damping_hz=(damping, damping), stiffness=(1e-12, 1e-12), pick_hz=(9e9, 9e9)
    )
    sound = source.sample(1).double().numpy()
    loop = sound.copy()
    for n in range(length + 1, len(loop)):
        loop[n] = rho / 2 * (loop[n - length] + loop[n - length - 1])
    late = slice(4000, 12000)
    assert np.std(sound[late]) > 0.005
    assert np.std(sound[late] - loop[late]) < 0.03 * np.std(sound[late])


def test_a_string_decays_in_its_seconds_and_twice_as_fast_at_its_damping_frequency() -> None:
    fields = {**ONE_NOTE, "f0_hz": (100.0, 100.0), "t60_seconds": (1.5, 1.5), "seconds": 1.0}
    source = generators.create("plucked", **fields, damping_hz=(2000.0, 2000.0), stiffness=(1e-9, 1e-9))
    sound = source.sample(0).double().numpy()
    window = 1600  # whole periods: neighbouring modes fall on zeros
    for number, t60 in ((2, 1.5), (20, 0.75)):
        level = 20 * np.log10(np.abs(demodulate(sound, 100.0 * number, window)))
        slope = np.polyfit(np.arange(5) * window / RATE, level[:5], 1)[0]
        assert -60 / slope == pytest.approx(t60, rel=0.03)


def test_stiffness_stretches_the_modes() -> None:
    fields = {**ONE_NOTE, "f0_hz": (150.0, 150.0), "t60_seconds": (3.0, 3.0), "seconds": 1.5}
    sound = generators.create("plucked", **fields, stiffness=(1e-3, 1e-3)).sample(2).double().numpy()
    for number in (1, 6, 10):
        mode = 150.0 * number * math.sqrt(1 + 1e-3 * number**2)
        assert loudest_near(sound, mode) == pytest.approx(mode, rel=1e-4)


def test_a_string_plucked_in_its_middle_has_no_even_modes() -> None:
    fields = {**ONE_NOTE, "f0_hz": (200.0, 200.0), "seconds": 1.0, "pluck_position": (0.5, 0.5)}
    sound = generators.create("plucked", **fields, stiffness=(1e-9, 1e-9)).sample(0).double().numpy()
    odd, even = (abs(demodulate(sound, f, 4000)[0]) for f in (600.0, 400.0))
    assert even < 1e-3 * odd


# ---------------------------------------------------------------------------------------------------
# Struck bodies


def test_mode_ratios_are_those_of_physics() -> None:
    bar = [scipy.optimize.brentq(lambda x: math.cos(x) - 1 / math.cosh(x), x - 0.4, x + 0.4)
           for x in [(n + 0.5) * math.pi for n in range(1, 11)]]  # fmt: skip
    tine = [scipy.optimize.brentq(lambda x: math.cos(x) + 1 / math.cosh(x), x - 0.4, x + 0.4)
            for x in [(n - 0.5) * math.pi for n in range(1, 9)]]  # fmt: skip
    membrane = sorted(z for m in range(12) for z in scipy.special.jn_zeros(m, 6))[: struck.MODES]
    ratios = struck.mode_ratios(torch.tensor([0, 1, 2, 3]), torch.tensor([1.0, 1.0, 1.0, 1.5]).double())
    expected_plate = [(m * m + 2.25 * n * n) / 3.25 for m in range(1, 5) for n in range(1, 5)]
    for row, roots in ((0, np.square(bar)), (1, np.square(tine)), (2, np.array(membrane))):
        assert ratios[row, : len(roots)].numpy() == pytest.approx(roots / roots[0], rel=1e-5)
        assert not ratios[row, len(roots) :].any()
    assert ratios[3].numpy() == pytest.approx(np.array(expected_plate))


@pytest.mark.parametrize("body", struck.BODIES)
def test_a_body_rings_at_its_ratios_and_decays_by_its_loss(body: str) -> None:
    others: dict[str, Any] = dict.fromkeys(struck.BODIES, 0.0)
    pitch, loss, t60 = 300.0, 2e-4, 2.0
    source = generators.create(
        "struck", **ONE_NOTE, **{**others, body: 2.0}, f0_hz=(pitch, pitch), loss=(loss, loss),
        t60_seconds=(t60, t60), contact_seconds=(1e-6, 1e-6), warble=(0.0, 0.0), aspect=(1.4, 1.4),
        seconds=1.5,
    )  # fmt: skip
    assert source.describe(0)["voice_body"] == [body]
    sound = source.sample(0).double().numpy()
    number = struck.BODIES.index(body)
    ratios = struck.mode_ratios(torch.tensor([number]), torch.tensor([1.4]).double())[0, :3].tolist()
    for ratio in ratios:
        mode = pitch * ratio
        assert loudest_near(sound, mode) == pytest.approx(mode, rel=2e-4)
        level = 20 * np.log10(np.abs(demodulate(sound, mode, 2400))[:4])
        expected = 20 / math.log(10) * (math.pi * loss * mode + math.log(1000) / t60)
        measured = -np.polyfit(np.arange(4) * 2400 / RATE, level, 1)[0]
        assert measured == pytest.approx(expected, rel=0.05)


def test_bodies_come_as_often_as_their_weights_say() -> None:
    source = generators.create("struck", bar=3.0, tine=0.0, membrane=1.0, plate=0.0, bell=0.0)
    body = source.parameters(torch.arange(1500))["body"].flatten()
    assert set(body.tolist()) == {0, 2}
    assert float((body == 0).float().mean()) == pytest.approx(0.75, abs=4 * (0.1875 / len(body)) ** 0.5)


def test_warble_is_heard_as_a_beat() -> None:
    fields = {**ONE_NOTE, "tine": 0.0, "bar": 0.0, "plate": 0.0, "bell": 0.0, "seconds": 2.0}
    fields |= {"f0_hz": (1000.0, 1000.0), "loss": (1e-5, 1e-5), "t60_seconds": (6.0, 6.0)}
    dips = []
    for warble in (0.0, 0.004):
        source = generators.create("struck", **fields, warble=(warble, warble))
        level = np.abs(demodulate(source.sample(0).double().numpy(), 1000.0 * (1 + warble / 2), 400))
        dips.append(level[:15].min() / level[:15].max())  # a beat of 4 Hz: 0.25 s = 10 windows
    assert dips[1] < 0.8 * dips[0]


# ---------------------------------------------------------------------------------------------------
# Layout


def test_notes_lie_in_the_clip_in_number_and_level() -> None:
    source = generators.create("plucked", seconds=3.0, notes=(2, 5), level_db=(-9.0, -3.0))
    drawn = source.parameters(torch.arange(600))
    heard = drawn["onset"] < source.samples
    assert torch.equal(heard.sum(dim=1), drawn["notes"])
    assert set(drawn["notes"].tolist()) == {2, 3, 4, 5}
    assert -9.0 <= float(drawn["level_db"].min()) < -8.9
    assert -3.1 < float(drawn["level_db"].max()) < -3.0
    assert float(drawn["onset"][:, 0].max()) <= 0.5 * RATE


def test_beats_are_regular_and_the_others_are_not() -> None:
    spread = []
    for share in (1.0, 0.0):
        source = generators.create("struck", notes=(6, 6), p_beat=share, beat_jitter=0.02)
        gaps = source.parameters(torch.arange(200))["onset"].double().diff(dim=1)
        spread.append(float((gaps.std(dim=1) / gaps.mean(dim=1)).median()))
    assert spread[0] < 0.08
    assert spread[1] > 0.4


def test_notes_of_a_voice_that_does_not_move_repeat_its_pitch() -> None:
    still = generators.create("plucked", p_moves=0.0, voices=(1, 1)).parameters(torch.arange(50))
    assert bool((still["note_hz"] == still["f0_hz"]).all())
    moved = generators.create("plucked", p_moves=1.0, voices=(1, 1)).parameters(torch.arange(50))
    assert float(moved["step_semitones"].std()) == pytest.approx(5.0, rel=0.1)


def test_the_clip_has_the_drawn_peak_and_background() -> None:
    fields = {"p_background": 1.0, "background_db": (-30.0, -30.0), "seconds": 0.6}
    sounds = generators.create("struck", peak_db=(-6.0, -6.0), **fields).batch(range(20))
    peaks = 20 * torch.log10(sounds.abs().amax(dim=1))
    assert float(peaks.max()) <= -6.0 + 1e-3
    assert float(peaks.min()) > -6.6
    floor = generators.create("struck", first_onset=(0.3, 0.3), **fields).batch(range(5))[:, :4000]
    assert float(20 * torch.log10(floor.abs().amax(dim=1)).max()) < -29.0
    assert float(floor.std(dim=1).min()) > 0.0


@pytest.mark.parametrize(
    ("name", "fields", "match"),
    [
        ("plucked", {"seconds": 0.001}, "seconds"),
        ("plucked", {"f0_hz": (0.0, 100.0)}, "f0_hz"),
        ("plucked", {"f0_hz": (5.0, 100.0)}, "20 Hz"),
        ("plucked", {"damping_hz": (100.0, 9000.0)}, "damping_hz"),
        ("plucked", {"notes": (0, 3)}, "notes"),
        ("plucked", {"p_beat": 1.5}, "p_beat"),
        ("plucked", {"peak_db": (-3.0, 3.0)}, "peak_db"),
        ("struck", {"bar": -1.0}, "bar"),
        ("struck", dict.fromkeys(struck.BODIES, 0.0), "bell"),
        ("struck", {"loss": (0.1, 0.01)}, "loss"),
    ],
)
def test_impossible_fields_are_refused_by_name(name: str, fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        generators.create(name, **fields)
