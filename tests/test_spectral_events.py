"""Spectral events lie where their factors say: partials at mel bands, sounds in time, levels in dB."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError
from generators.pictures.mel import MelPlane, hertz_to_mel, mel_to_hertz
from generators.pictures.spectral_layers import speckle
from suite.frontend import msm_mae_log_mel

CPU = torch.device("cpu")
NONE = {"combs": [0, 0], "chirps": [0, 0], "noise_bands": [0, 0], "onsets": [0, 0]}
STEADY = {"glide_octaves": 0.0, "wander_octaves": 0.0, "vibrato_octaves": [0.0, 0.0]}


def only(layer: str, count: int = 1, **fields: Any) -> Any:
    """A source of one kind of event over a faint floor."""
    fields = {**NONE, "floor_db": [-120.0, -120.0], **fields, layer: [count, count]}
    return generators.create("spectral_events", **fields)


def changed(source: Any, count: int, changes: dict[str, float]) -> np.ndarray:
    """Pictures of the first samples with some drawn factors replaced."""
    drawn = source.parameters(torch.arange(count))
    for key, value in changes.items():
        drawn[key] = torch.full_like(drawn[key], value)
    return source.render(drawn, CPU).double().numpy()


def slow_mel(hertz: float) -> float:
    """Slaney's mel, from its definition."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def slow_band(hertz: float, bands: int = 80, low: float = 50.0, high: float = 8000.0) -> float:
    """Place among the bands' centres: edges are even in mel, the first centre is at step 1."""
    step = (slow_mel(high) - slow_mel(low)) / (bands + 1)
    return (slow_mel(hertz) - slow_mel(low)) / step - 1


def peaks(column: np.ndarray) -> list[float]:
    """Places of the local maxima of a level, refined by a parabola through three bands."""
    found = []
    for band in range(1, len(column) - 1):
        below, here, above = column[band - 1 : band + 2]
        if here > 0.02 and here >= below and here > above:
            found.append(band + 0.5 * (below - above) / (below - 2 * here + above))
    return found


# ---------------------------------------------------------------------------------------------------
# The mel plane


def test_mels_are_slaneys_and_invert() -> None:
    hertz = torch.tensor([0.0, 50.0, 999.0, 1000.0, 1001.0, 4321.0, 8000.0], dtype=torch.float64)
    np.testing.assert_allclose(hertz_to_mel(hertz), [slow_mel(f) for f in hertz.tolist()], rtol=1e-12)
    np.testing.assert_allclose(mel_to_hertz(hertz_to_mel(hertz)), hertz, rtol=1e-12)


def test_places_of_band_centres_are_their_numbers() -> None:
    mel = MelPlane(80, 50.0, 8000.0)
    centres = mel.centres(CPU)
    np.testing.assert_allclose(mel.place(centres), np.arange(80), atol=1e-9)
    np.testing.assert_allclose([slow_band(f) for f in centres.tolist()], np.arange(80), atol=1e-9)
    assert float(mel.spacing(CPU).sum()) == pytest.approx(float(centres[-1] - centres[0]), rel=0.03)


# ---------------------------------------------------------------------------------------------------
# Combs


@pytest.mark.parametrize("f0", [300.0, 440.0, 777.0])
@pytest.mark.parametrize("stretch", [0.0, 0.001])
def test_partials_lie_at_their_mel_bands(f0: float, stretch: float) -> None:
    source = only("combs", **STEADY, partials=[8, 8], p_odd_only=0.0, p_formants=0.0, tilt_db=[3, 3])
    changes = {"f0_hz": f0, "stretch": stretch, "onset_s": 0.2, "duration_s": 1.0, "level_db": 0.0}
    changes = {f"combs/{key}": value for key, value in changes.items()}
    changes["combs/partial_db"] = 0.0
    column = changed(source, 1, changes)[0, :, 70]
    hertz = [k * f0 * math.sqrt(1 + stretch * k * k) for k in range(1, 9)]
    expected = [band for band in map(slow_band, hertz) if band < 78]
    parted = [b for a, b in zip([-9, *expected], expected, strict=False) if b - a > 3]
    found = np.array(peaks(column))
    assert len(parted) >= 4
    for band in parted:
        assert np.abs(found - band).min() < 0.35, (band, found)


def test_partials_lie_where_the_front_end_shows_those_of_a_sound() -> None:
    f0, hertz = 500.0, np.arange(1, 7) * 500.0
    time = torch.arange(33280) / 16000
    sound = sum(torch.sin(2 * math.pi * f * time) / 8 for f in hertz)
    heard = msm_mae_log_mel(sound[None], 80)[0, :, 100].double().numpy()
    source = only("combs", **STEADY, partials=[6, 6], p_odd_only=0.0, p_formants=0.0, p_stretched=0.0)
    names = {"f0_hz": f0, "onset_s": 0.2, "duration_s": 1.5, "partial_db": 0.0, "tilt_db": 0.0}
    drawn = changed(source, 1, {f"combs/{key}": value for key, value in names.items()})[0, :, 100]
    loud = np.sort(np.array([round(slow_band(f)) for f in hertz]))
    for band in loud:
        around = slice(band - 2, band + 3)
        assert abs(int(heard[around].argmax()) - int(drawn[around].argmax())) <= 1
    # and the valleys between them are as wide: the same bands are within 15 dB of a peak
    near = heard > heard.max() - 15 / 4.343
    same = (drawn > drawn.max() - 15 / 80) == near
    assert same.mean() > 0.85


def test_odd_partials_leave_out_the_even_ones() -> None:
    source = only("combs", **STEADY, partials=[6, 6], p_odd_only=1.0, p_formants=0.0, p_stretched=0.0)
    names = {"f0_hz": 600.0, "onset_s": 0.2, "duration_s": 1.0, "partial_db": 0.0}
    column = changed(source, 1, {f"combs/{key}": value for key, value in names.items()})[0, :, 70]
    found = np.array(peaks(column))
    for partial in range(1, 6):
        there = np.abs(found - slow_band(600.0 * partial)).min() < 0.35
        assert there == (partial % 2 == 1), partial
    assert np.abs(found - slow_band(600.0 * 7)).min() > 1.0  # of at most six, the fifth is the last


def test_pitch_glides_by_the_octaves_drawn() -> None:
    source = only("combs", **STEADY, partials=[1, 1], p_formants=0.0, p_stretched=0.0)
    names = {"f0_hz": 500.0, "glide_octaves": 1.0, "onset_s": 0.3, "duration_s": 1.2}
    picture = changed(source, 1, {f"combs/{key}": value for key, value in names.items()})[0]
    assert abs(peaks(picture[:, 31])[0] - slow_band(500.0)) < 0.3
    assert abs(peaks(picture[:, 149])[0] - slow_band(1000.0)) < 0.4
    assert abs(peaks(picture[:, 89])[0] - slow_band(500.0 * 2**0.49)) < 0.4


def test_formants_lift_partials_by_the_formula() -> None:
    source = only("combs", **STEADY, p_formants=1.0, partials=[1, 1], p_stretched=0.0)
    names = {"f0_hz": 500.0, "formant_hz": 500.0, "formant_octaves": 0.0, "formant_width_hz": 200.0}
    names |= {"onset_s": 0.2, "duration_s": 1.5, "tilt_db": 0.0}
    drawn = {f"combs/{key}": value for key, value in names.items()}
    column = changed(source, 1, {**drawn, "combs/formed": 1.0})[0, :, 100]
    plain = changed(source, 1, {**drawn, "combs/formed": 0.0})[0, :, 100]
    centres = MelPlane(80, 50.0, 8000.0).centres(CPU).numpy()

    def gain(hertz: np.ndarray) -> np.ndarray:  # three equal resonances over the floor
        return 10 * np.log10(3 / (1 + ((hertz - 500.0) / 100.0) ** 2) + 10**-2.5)

    peak = int(column.argmax())
    heard = slice(peak - 3, peak + 4)
    expected = gain(centres) - gain(centres)[peak]
    np.testing.assert_allclose((column - plain)[heard] * 80, expected[heard], atol=0.3)


# ---------------------------------------------------------------------------------------------------
# Chirps, noise bands, onsets, floor


def test_a_chirp_goes_from_its_start_to_its_end_evenly_in_octaves() -> None:
    source = only("chirps", duration_s=[1.0, 1.0])
    names = {"start_hz": 200.0, "end_hz": 3200.0, "onset_s": 0.5}
    picture = changed(source, 1, {f"chirps/{key}": value for key, value in names.items()})[0]
    for frame in (60, 100, 140):
        share = (frame + 0.5) * 0.01 - 0.5
        assert abs(peaks(picture[:, frame])[0] - slow_band(200.0 * 16**share)) < 0.3
    assert picture[:, :48].max() < 0.05


def test_a_noise_band_covers_its_bands_and_its_time() -> None:
    source = only("noise_bands", duration_s=[0.8, 0.8], attack_s=[0.01, 0.01], release_s=[0.02, 0.02])
    names = {"start_band": 40.0, "end_band": 40.0, "width_bands": 20.0, "sway_db": 0.0, "onset_s": 0.6}
    names |= {"decay_db": 0.0}
    pictures = changed(source, 6, {f"noise_bands/{key}": value for key, value in names.items()})
    mean = pictures.mean(axis=0)
    assert mean[33:48, 65:135].min() > 0.7
    assert mean[:18].max() < 0.1
    assert mean[63:].max() < 0.1
    assert mean[:, :57].max() < 0.2
    assert mean[:, 150:].max() < 0.3
    # the same noise in a band twice as wide: only the edges' fourth powers differ, 3 dB at half width
    names["width_bands"] = 40.0
    wide = changed(source, 6, {f"noise_bands/{key}": value for key, value in names.items()})
    off = np.arange(28, 53) - 40.0
    narrower = (pictures - wide)[:, 28:53, 65:135].mean(axis=(0, 2)) * 80
    expected = 3 * (off / 20) ** 4 - 3 * (off / 10) ** 4
    np.testing.assert_allclose(narrower - narrower[12], expected, atol=0.2)


def test_an_onset_is_one_frame_sharp_and_decays_as_told() -> None:
    source = only("onsets", p_repeated=0.0)
    names = {"onset_s": 1.0, "decay_s": 0.4, "tilt_db": 0.0, "damping": 0.0, "period_s": math.inf}
    pictures = changed(source, 12, {f"onsets/{key}": value for key, value in names.items()})
    level = pictures.mean(axis=(0, 1)) * 80
    assert level[100] - level[98] > 30
    slope = np.polyfit(np.arange(102, 130) * 0.01, level[102:130], 1)[0]
    assert slope == pytest.approx(-60 / 0.4, rel=0.05)


def test_repeated_onsets_return_with_their_period() -> None:
    source = only("onsets", p_repeated=1.0)
    names = {"onset_s": 0.1, "decay_s": 0.05, "tilt_db": 0.0, "damping": 0.0, "period_s": 0.25}
    level = changed(source, 4, {f"onsets/{key}": v for key, v in names.items()}).mean(axis=(0, 1))
    strokes = np.flatnonzero((level[1:-1] > level[:-2] + 0.1) & (level[1:-1] > level[2:])) + 1
    np.testing.assert_array_equal(strokes, np.arange(10, 208, 25))


def test_speckle_has_mean_one_and_is_smoother_in_wider_bands() -> None:
    plane = generators.create("spectral_events").plane(CPU)
    keys = generators.create("spectral_events").parameters(torch.arange(60))["speckle_key"]
    factors = speckle(keys, plane).double().numpy()
    np.testing.assert_allclose(
        factors.mean(axis=(0, 2)), 1.0, atol=0.06
    )  # 4 errors of about 4700 values
    width = plane.mel.spacing(CPU).numpy()
    expected = 1 / np.maximum(1.0, width / 60.0)  # variance of a gamma variable of that shape
    np.testing.assert_allclose(factors.var(axis=(0, 2)), expected, rtol=0.2)
    pairs = (factors[..., 1:] - 1) * (factors[..., :-1] - 1)
    assert pairs.mean() / factors.var() > 0.5  # frames share most of their window


def test_the_loudest_point_is_one_and_levels_are_in_decibels() -> None:
    source = only("combs", **STEADY)
    assert torch.allclose(source.batch(range(4)).amax(dim=(1, 2)), torch.ones(4))
    narrow = only("combs", **STEADY, range_db=40.0)
    wide, half = source.batch(range(4)), narrow.batch(range(4))
    shown = half > 0
    assert torch.allclose((wide[shown] - 1) * 80, (half[shown] - 1) * 40, atol=1e-3)


def test_numbers_of_events_are_uniform_within_their_range() -> None:
    source = generators.create("spectral_events", combs=[1, 4], chirps=[0, 2])
    drawn = source.parameters(torch.arange(2000))
    for layer, low, high in (("combs", 1, 4), ("chirps", 0, 2)):
        count = (drawn[f"{layer}/level_db"] > -math.inf).sum(dim=1).numpy()
        shares = np.bincount(count, minlength=high + 1)[low:] / 2000
        np.testing.assert_allclose(shares, 1 / (high - low + 1), atol=4 * (0.25 / 2000) ** 0.5)
    told = source.describe(3)
    assert len(told["combs"]) == int((drawn["combs/level_db"][3] > -math.inf).sum())


def test_without_events_only_the_floor_is_left() -> None:
    picture = generators.create("spectral_events", **NONE).batch(range(6)).double()
    assert (picture.mean(dim=2).diff(dim=1).abs() < 0.12).all()  # no line, no edge
    assert picture.flatten(1).std(dim=1).min() > 0.02


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"combs": [3, 1]}, "source.combs"),
        ({"onsets": [0, 1000]}, "at most 64"),
        ({"low_hz": 9000.0}, "source.low_hz"),
        ({"f0_hz": [0.0, 100.0]}, "source.f0_hz"),
        ({"p_formants": 2.0}, "source.p_formants"),
        ({"range_db": 0.0}, "source.range_db"),
        ({"width": 3}, "source.width=3"),
    ],
)
def test_impossible_fields_are_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        generators.create("spectral_events", **fields)
