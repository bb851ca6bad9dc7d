"""AudioPG's presets, its descriptions, and what it refuses.

.venv/bin/python -m pytest tests/test_audiopg_settings.py
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from audiopg_fields import KINDS, create, only

from generators.drawer import UsageError


def test_the_clean_preset_mends_four_quirks_and_nothing_else() -> None:
    faithful, clean = create("audiopg", seconds=1.3), create("audiopg_clean", seconds=1.3)
    differ = {
        field.name
        for field in dataclasses.fields(faithful)
        if getattr(faithful, field.name) != getattr(clean, field.name)
    }
    assert differ == {"lowpass_clip", "aliasing", "pitch_prior", "level"}
    back = {name: getattr(faithful, name) for name in differ}
    same = create("audiopg_clean", seconds=1.3, **back)
    assert torch.equal(same.batch(range(9)), faithful.batch(range(9)))


def test_a_description_is_in_physical_units() -> None:
    source = create()
    for index in range(30):
        facts = source.describe(index)
        drawn = {key: value[0] for key, value in source.parameters(torch.tensor([index])).items()}
        assert facts["f0_hz"] == float(drawn["f0_hz"][0])
        assert facts["kind"] == KINDS[int(drawn["kind"][0])]
        assert (facts["lowpass_hz"] is None) == (not drawn["lowpass"])
        assert (facts["transient_seconds"] is None) == (not drawn["transient"][0])
        assert len(facts["onset_seconds"]) == facts["events"] == len(facts["sustain_level"])
        assert all(0 <= onset < 10.24 for onset in facts["onset_seconds"])
        phases = zip(*(facts[f"{key}_seconds"] for key in ("attack", "decay", "release")), strict=True)
        assert [sum(times) for times in phases] == pytest.approx(facts["event_seconds"])
        if facts["kind"] == "harmonic":
            assert len(facts["partial_hz"]) == facts["partials"]
            assert facts["partial_hz"][0] == pytest.approx(facts["f0_hz"], rel=0.006)


def test_the_strongest_partial_is_where_the_description_says() -> None:
    source = create(**only("harmonic"), p_transient=0.0, p_lowpass=0.0)
    for index in range(4):
        facts, clip = source.describe(index), source.sample(index).double()
        spectrum = torch.fft.rfft(clip * torch.hann_window(len(clip), dtype=torch.float64)).abs()
        peak = int(spectrum.argmax()) / source.seconds
        aliased = [abs((f + 8000) % 16000 - 8000) for f in facts["partial_hz"]]
        assert min(abs(peak - f) for f in aliased) < 1.0


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (dict.fromkeys(KINDS, 0.0), "source.harmonic=1"),
        ({"saw": -1.0}, "source.saw=-1.0"),
        ({"saw": float("nan")}, "source.saw=nan"),
        ({"fm_ratios": ()}, "source.fm_ratios"),
        ({"fm_ratios": (0.5, -1.0)}, "source.fm_ratios"),
        ({"p_lowpass": 1.2}, "source.p_lowpass=1.2"),
        ({"p_silence": -0.1}, "source.p_silence=-0.1"),
        ({"f0_hz": (2000.0, 50.0)}, r"source.f0_hz=\[50.0,2000.0\]"),
        ({"f0_hz": (0.0, 50.0)}, "source.f0_hz"),
        ({"f0_hz": (50.0, 9000.0)}, "half the sample rate"),
        ({"sample_rate": 8000}, "source.lowpass_hz"),
        ({"events": (0, 3)}, "source.events"),
        ({"voices": (2, 1)}, "source.voices"),
        ({"partials": (0, 3)}, "source.partials"),
        ({"attack": (0.5, 0.7)}, "source.attack"),
        ({"decay_level": (0.0, 1.5)}, "source.decay_level"),
        ({"rms_db": (-20.0, 3.0)}, "source.rms_db"),
        ({"seconds": 0.1}, "source.p_transient=0"),
        ({"seconds": 0.001, "p_transient": 0.0}, "source.seconds"),
        ({"event_seconds": 0.0}, "source.event_seconds"),
        ({"lowpass_quality": 0.0}, "source.lowpass_quality"),
        ({"level": "loud"}, "source.level"),
        ({"decay_level": 0.6}, "source.decay_level"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        create(**fields)


def test_short_clips_at_other_rates_are_possible() -> None:
    source = create(seconds=0.05, p_transient=0.0, sample_rate=44100)
    assert source.batch(range(3)).shape == (3, 2205)
    assert torch.isfinite(source.batch(range(20))).all()
