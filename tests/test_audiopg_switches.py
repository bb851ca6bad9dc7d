"""Every rule of AudioPG follows its probability, range and weight.

.venv/bin/python -m pytest tests/test_audiopg_switches.py
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from audiopg_fields import MANY, create, standard_error

from generators.sounds.dynamics import envelope


@pytest.mark.parametrize("p", [0.0, 0.15, 0.7, 1.0])
@pytest.mark.parametrize("rule", ["transient", "lowpass", "background", "roll", "gain", "silence"])
def test_a_probability_is_that_of_applying(rule: str, p: float) -> None:
    source = create(**{f"p_{rule}": p})
    drawn = source.parameters(MANY)
    applied = {
        "roll": drawn["roll"] != 0,
        "gain": drawn["gain"] != 1.0,
        "silence": ~drawn["event_happens"].any(dim=1),
    }.get(rule, drawn.get(rule))
    assert applied is not None
    assert abs(float(applied.double().mean()) - p) <= 4 * standard_error(p) + 1e-4


RANGES: dict[str, tuple[str, tuple[float, float], float]] = {  # field: drawn factor, range, its unit
    "f0_hz": ("f0_hz", (300.0, 400.0), 1.0),
    "partials": ("partials", (2, 20), 1.0),
    "partial_slope": ("partial_slope", (0.1, 0.3), 1.0),
    "partial_gain": ("partial_gain", (0.2, 0.9), 1.0),
    "partial_detune": ("partial_detune", (0.9, 1.2), 1.0),
    "partial_phase": ("partial_phase", (0.25, 0.5), 1.0),
    "fm_index": ("fm_index", (1.0, 20.0), 1.0),
    "transient_seconds": ("transient_length", (0.2, 0.4), 1 / 16000),
    "transient_gain": ("transient_gain", (3.0, 4.0), 1.0),
    "lowpass_hz": ("lowpass_hz", (50.0, 90.0), 1.0),
    "background_level": ("background_level", (0.1, 0.2), 1.0),
    "background_snr_db": ("background_snr_db", (3.0, 9.0), 1.0),
    "decay_level": ("event_level", (0.2, 0.9), 1.0),
    "rms_db": ("rms_db", (-60.0, -50.0), 1.0),
    "gain": ("gain", (0.1, 0.2), 1.0),
}


@pytest.mark.parametrize("field", RANGES)
def test_a_range_is_filled_to_its_ends(field: str) -> None:
    factor, (low, high), unit = RANGES[field]
    source = create(**{field: (low, high)}, level="rms", background_scale="snr", p_gain=1.0)
    drawn = source.parameters(MANY)[factor].double() * unit
    assert low - 1e-4 <= float(drawn.min()) <= low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) <= float(drawn.max()) <= high + 1e-4


def test_attack_and_decay_are_fractions_of_the_event() -> None:
    drawn = create(attack=(0.5, 0.6), decay=(0.0, 0.1)).parameters(MANY)
    attack = drawn["event_attack"] / drawn["event_length"]
    decay = drawn["event_decay"] / drawn["event_length"]
    assert float(attack.min()) == pytest.approx(0.5, abs=2e-3)
    assert float(attack.max()) == pytest.approx(0.6, abs=2e-3)
    assert float(decay.max()) == pytest.approx(0.1, abs=2e-3)
    filled = drawn["event_attack"] + drawn["event_decay"] + drawn["event_release"]
    assert torch.equal(filled, drawn["event_length"])


@pytest.mark.parametrize("seconds", [10.24, 1.3])
def test_adsr_times_are_seconds_that_fit_the_event(seconds: float) -> None:
    drawn = create(envelope="adsr", seconds=seconds).parameters(MANY)
    parts = {key: drawn[f"event_{key}"] for key in ("attack", "decay", "release")}
    assert (sum(parts.values()) <= drawn["event_length"]).all()
    long = drawn["event_length"] >= 1.2 * 16000
    ranges = {"attack": (0.01, 0.3), "decay": (0.1, 0.4), "release": (0.1, 0.5)}  # section 1.4
    if seconds > 2:
        for key, (low, high) in ranges.items():
            assert float(parts[key][long].min()) / 16000 == pytest.approx(low, abs=2e-3)
            assert float(parts[key][long].max()) / 16000 == pytest.approx(high, abs=2e-3)
    assert float(drawn["event_level"].min()) == pytest.approx(0.3, abs=1e-3)
    assert float(drawn["event_level"].max()) == pytest.approx(0.8, abs=1e-3)


def test_an_envelope_rises_decays_holds_and_falls() -> None:
    def shape(attack: int, decay: int, release: int, length: int, level: float) -> list[float]:
        numbers = (torch.tensor([n]) for n in (attack, decay, release, length))
        time = torch.arange(-2, length + 2)
        return envelope(time, *numbers, torch.tensor([level], dtype=torch.float64)).tolist()

    held = [0, 0, 0, 0.5, 1, 1, 0.75, 0.5, 0.5, 0.5, 0.5, 0.25, 0, 0, 0]
    assert shape(3, 3, 3, 11, 0.5) == pytest.approx(held)
    assert shape(0, 0, 0, 4, 1.0) == pytest.approx([0, 0, 1, 1, 1, 1, 0, 0])
    assert shape(0, 0, 2, 4, 0.5) == pytest.approx([0, 0, 0.5, 0.5, 0.5, 0, 0, 0])


def test_the_number_of_events_and_voices_is_in_range() -> None:
    drawn = create(events=(2, 4), voices=(1, 3)).parameters(MANY)
    count = drawn["event_happens"].view(-1, 3, 4).sum(dim=2)  # (B, voices)
    voices = (count > 0).sum(dim=1)
    assert torch.bincount(voices, minlength=4)[1:].tolist() == pytest.approx([2000] * 3, abs=150)
    assert count[count > 0].unique().tolist() == [2, 3, 4]
    assert torch.equal(drawn["event_tone"][0], torch.arange(12) // 4)


def test_the_shortest_event_is_as_long_as_said() -> None:
    drawn = create(event_seconds=1.0).parameters(MANY)
    length = drawn["event_length"][drawn["event_happens"]] / 16000
    assert float(length.min()) == pytest.approx(1.0, abs=2e-3)
    assert float(length.max()) > 10.1


def test_every_event_has_its_own_timbre_where_asked() -> None:
    drawn = create(timbre_per_event=True).parameters(MANY)
    assert drawn["f0_hz"].shape == (6000, 5)
    pairs = drawn["f0_hz"][:, :2].T
    assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.05
    assert len(drawn["tone_key"].unique()) == 30000
    facts = create(timbre_per_event=True).describe(1)
    assert len(facts["tones"]) == facts["events"] == len(set(facts["event_tone"]))
    assert len(create(voices=(2, 2)).describe(1)["tones"]) == 2


def test_the_first_voice_is_the_one_of_a_single_voice() -> None:
    one, three = (create(voices=voices).parameters(MANY[:50]) for voices in ((1, 1), (3, 3)))
    for key in ("f0_hz", "kind", "tone_key", "transient_key", "event_length", "event_place"):
        assert torch.equal(one[key][:, 0], three[key][:, 0]), key


@pytest.mark.parametrize(("prior", "median"), [("linear", 1025.0), ("log", 50.0 * 40.0**0.5)])
def test_the_pitch_prior_is_uniform_in_hertz_or_in_octaves(prior: str, median: float) -> None:
    f0 = create(pitch_prior=prior).parameters(MANY)["f0_hz"][:, 0].numpy()
    assert np.median(f0) == pytest.approx(median, rel=0.05)  # 1025 Hz: measured on the reference
    scale = np.log if prior == "log" else np.asarray
    low, high = scale(50.0), scale(2000.0)
    assert scipy.stats.kstest(scale(f0), "uniform", (low, high - low)).pvalue > 1e-3
    other = np.asarray if prior == "log" else np.log
    low, high = other(50.0), other(2000.0)
    assert scipy.stats.kstest(other(f0), "uniform", (low, high - low)).pvalue < 1e-9


def test_one_slope_or_one_per_partial() -> None:
    each, shared = (
        create(slope_per_partial=per).parameters(MANY)["partial_slope"] for per in (True, False)
    )
    assert float(each.std(dim=2).min()) > 0.05
    assert float(shared.std(dim=2).max()) < 1e-12
    assert float(shared.std(dim=0).min()) > 0.25  # and clips differ
