"""Rooms against geometry, Schroeder's decay and direct convolution."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

import generators
from generators.drawer import UsageError
from generators.sounds.reverberation import (
    EARLY_LENGTHS,
    SPEED_OF_SOUND,
    add_room,
    crossover,
    impulse_response,
    in_room,
)

RATE = 16000
ROOM = ("room_m", "source_m", "microphone_m", "rt60_seconds", "rt60_high_seconds", "tail_key")


def rooms(count: int, **fields: Any) -> dict[str, torch.Tensor]:
    """Drawn factors of ``count`` rooms."""
    drawn = generators.create("rooms", **fields).parameters(torch.arange(count))
    return {key: drawn[key] for key in ROOM}


def test_early_reflections_are_those_of_mirrored_rooms() -> None:
    """Paths to every mirror image, found by reflecting in opposite walls in turn."""
    drawn = rooms(3, rt60_seconds=(0.9, 0.9), rt60_high_ratio=(1.0, 1.0))
    responses = impulse_response(drawn, 0.9, RATE).double().numpy()
    for clip in range(3):
        sides, source, ear = (
            drawn[key][clip].numpy() for key in ("room_m", "source_m", "microphone_m")
        )
        reach = EARLY_LENGTHS * sides.min() / SPEED_OF_SOUND
        axes = []  # per axis: coordinate of an image and its number of reflections
        for side, x in zip(sides, source, strict=True):
            found = [(x, 0)]
            for wall in (0, 1):  # the first wall met; from then on the two take turns
                y = x
                for count in range(1, 9):
                    y = -y if (wall + count) % 2 else 2 * side - y
                    found.append((y, count))
            axes.append(found)
        surface = 2 * (sides[0] * sides[1] + sides[0] * sides[2] + sides[1] * sides[2])
        volume = sides.prod()
        per_wall = 3 * math.log(10) / 0.9 * 4 * volume / SPEED_OF_SOUND / surface
        direct = math.dist(source, ear)
        delays, sizes = [], []
        for (x, a), (y, b), (z, c) in itertools.product(*axes):
            way = math.dist((x, y, z), ear)
            if way / SPEED_OF_SOUND < reach:
                delays.append(way / SPEED_OF_SOUND)
                sizes.append(direct / way * math.exp(-per_wall * (a + b + c)))
        frequency = np.arange(100.0, 6000.0, 37.0)
        expected = np.exp(-2j * np.pi * np.outer(frequency, delays)) @ np.array(sizes)
        early = responses[clip, : math.ceil(reach * RATE)]
        time = np.arange(len(early)) / RATE
        got = np.exp(-2j * np.pi * np.outer(frequency, time)) @ early
        assert len(delays) > 20
        # the last images ring beyond the cut and the tail's first sample is there: a few per cent
        assert np.linalg.norm(got - expected) < 0.08 * np.linalg.norm(expected)


def test_the_direct_sound_comes_first_and_after_its_way() -> None:
    drawn = rooms(20)
    response = impulse_response(drawn, 1.5, RATE).numpy()
    way = (drawn["source_m"] - drawn["microphone_m"]).norm(dim=1).numpy() / SPEED_OF_SOUND * RATE
    for clip in range(20):
        assert np.abs(response[clip, : max(0, int(way[clip]) - 70)]).max(initial=0.0) == 0.0
        around = response[clip, int(way[clip]) - 1 : int(way[clip]) + 3]
        assert around.max() > 0.6
        first = np.flatnonzero(np.abs(response[clip]) > 0.5)[0]
        assert abs(first - way[clip]) <= 1.5


def decay_seconds(response: np.ndarray, band: tuple[float, float]) -> float:
    """Reverberation time of a band: a line through Schroeder's curve from -5 to -35 dB."""
    filtered = scipy.signal.sosfiltfilt(
        scipy.signal.butter(4, band, "bandpass", fs=RATE, output="sos"), response
    )
    left = 10 * np.log10(np.cumsum(np.square(filtered)[::-1])[::-1] + 1e-20)
    left -= left[0]
    fit = (left < -5) & (left > -35)
    return float(-60 / np.polyfit(np.flatnonzero(fit) / RATE, left[fit], 1)[0])


@pytest.mark.parametrize("seconds", [0.3, 1.2])
def test_sound_decays_in_the_drawn_time(seconds: float) -> None:
    drawn = rooms(12, rt60_seconds=(seconds, seconds), rt60_high_ratio=(0.6, 0.6))
    responses = impulse_response(drawn, seconds, RATE).double().numpy()
    low = [decay_seconds(response, (125, 1000)) for response in responses]
    high = [decay_seconds(response, (2500, 7000)) for response in responses]
    assert np.median(low) == pytest.approx(seconds, rel=0.1)
    assert np.median(high) == pytest.approx(0.6 * seconds, rel=0.1)
    assert np.max(np.abs(np.array(low) / seconds - 1)) < 0.35


def test_the_tail_takes_over_where_the_images_end() -> None:
    """On average over rooms the energy goes on: no step between reflections and noise."""
    drawn = rooms(60, rt60_seconds=(1.0, 1.0), rt60_high_ratio=(1.0, 1.0))
    energy = np.square(impulse_response(drawn, 1.0, RATE).double().numpy())
    direct = (drawn["source_m"] - drawn["microphone_m"]).norm(dim=1).numpy()
    steps = []
    for clip in range(60):
        border = int(EARLY_LENGTHS * float(drawn["room_m"][clip].min()) / SPEED_OF_SOUND * RATE)
        before, after = energy[clip, border - 240 : border], energy[clip, border + 16 : border + 256]
        steps.append((before.mean() / direct[clip] ** 2, after.mean() / direct[clip] ** 2))
    ratio = np.log10(np.sum(steps, axis=0))
    assert 10 * abs(ratio[1] - ratio[0]) < 2.5


def test_the_crossover_parts_at_its_frequency() -> None:
    impulse = torch.zeros(1, 2000)
    impulse[0, 1000] = 1.0
    gain = np.abs(np.fft.rfft(crossover(impulse, RATE)[0].numpy()))
    frequency = np.fft.rfftfreq(2000, 1 / RATE)
    assert np.abs(gain[frequency < 1200] - 1).max() < 0.02
    assert gain[frequency > 1800].max() < 0.02
    assert gain[frequency == 1504] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("length", [1, 700, 5000])
def test_adding_a_room_is_a_convolution(length: int) -> None:
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(3, 9001, generator=generator)
    response = torch.randn(3, length, generator=generator)
    got = add_room(waveform, response).double().numpy()
    for clip in range(3):
        expected = np.convolve(waveform[clip].double(), response[clip].double())[:9001]
        assert np.abs(got[clip] - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_clip_is_the_dry_sources_clip_in_its_room() -> None:
    source = generators.create("rooms", dry={"struck": 1}, seconds=1.2, p_background=0.0)
    dry = generators.create(
        "struck", seconds=1.2, p_background=0.0, peak_db=(0.0, 0.0), seed=source.seed
    ).sample(4)
    drawn = source.parameters(torch.tensor([4]))
    response = impulse_response({key: drawn[key] for key in ROOM}, float(drawn["rt60_seconds"]), RATE)
    filtered = scipy.signal.lfilter(
        *scipy.signal.butter(2, 40.0, "high", fs=RATE), response[0].double()
    )
    expected = np.convolve(dry.double(), filtered)[: len(dry)]
    expected *= 10 ** (float(drawn["peak_db"]) / 20) / np.abs(expected).max()
    assert np.abs(source.sample(4).numpy() - expected).max() < 1e-4
    told = source.describe(4)
    assert told["dry"] == "struck"
    assert "voice_body" in told
    assert told["distance_m"] == pytest.approx(math.dist(told["source_m"], told["microphone_m"]))


def test_a_room_does_not_amplify_what_nobody_hears() -> None:
    clicks = torch.zeros(6, RATE)
    clicks[:, 100:300] = 1.0  # most of its power is below 80 Hz
    drawn = rooms(6, rt60_seconds=(0.8, 1.0))
    heard, raw = (
        np.abs(np.fft.rfft(made.double().numpy())) ** 2  # a bin is one hertz
        for made in (
            in_room(clicks, drawn, 1.0, RATE),
            add_room(clicks, impulse_response(drawn, 1.0, RATE)),
        )
    )
    assert (raw[:, :20].sum(axis=1) > 0.3 * raw.sum(axis=1)).all()
    assert (heard[:, :10].sum(axis=1) < 0.01 * raw[:, :10].sum(axis=1)).all()
    np.testing.assert_allclose(heard[:, 200:].sum(axis=1), raw[:, 200:].sum(axis=1), rtol=0.02)


def test_rooms_are_drawn_from_their_fields() -> None:
    drawn = rooms(400, room_m=(3.0, 4.0), height_m=(2.5, 2.6), clearance_m=0.5)
    assert 3.0 <= float(drawn["room_m"][:, :2].min()) < 3.02
    assert 3.98 < float(drawn["room_m"][:, :2].max()) <= 4.0
    assert 2.5 <= float(drawn["room_m"][:, 2].min()) <= float(drawn["room_m"][:, 2].max()) <= 2.6
    for key in ("source_m", "microphone_m"):
        assert float(drawn[key].min()) >= 0.5
        assert float((drawn["room_m"] - drawn[key]).min()) >= 0.5
    ratio = drawn["rt60_high_seconds"] / drawn["rt60_seconds"]
    assert 0.3 <= float(ratio.min()) < 0.31
    assert 0.99 < float(ratio.max()) <= 1.0


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"dry": {"dead_leaves": 1}}, "no sound"),
        ({"dry": {"rooms": 1}}, "no sound"),
        ({"dry": {"pluked": 1}}, "plucked"),
        ({"dry": {"plucked": [1, 0]}}, "weight"),
        ({"dry": {"plucked": 0}}, "all 0"),
        ({"dry": {"plucked": {"f0_hz": (9e4, 9e5)}}}, "dry.plucked.f0_hz"),
        ({"dry": {"plucked": {"seconds": 2.0}}}, r"dry.plucked.seconds .*Type source.seconds="),
        ({"dry": {"plucked": {"sample_rate": 8000}}}, r"Type source.sample_rate="),
        ({"dry": {"struck": {"peak_db": (-3.0, 0.0)}}}, r"dry.struck.peak_db .*Type source.peak_db="),
        ({"dry": {"struck": {"p_background": 1.0}}}, r"Type source.p_background="),
        ({"room_m": (0.5, 3.0)}, "room_m"),
        ({"rt60_seconds": (0.0, 1.0)}, "rt60_seconds"),
        ({"rt60_high_ratio": (0.5, 1.5)}, "rt60_high_ratio"),
    ],
)
def test_impossible_fields_are_refused_by_name(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        generators.create("rooms", **fields)
