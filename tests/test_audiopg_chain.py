"""The chain of AudioPG does what its switches say: clipping, noise, level, gain, rotation.

.venv/bin/python -m pytest tests/test_audiopg_chain.py
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from audiopg_fields import CPU, create

from generators.sounds import procedural_chain


def test_clipping_is_a_switch() -> None:
    clipped, clean = (create(seconds=2.0, p_lowpass=1.0, lowpass_clip=on) for on in (True, False))
    loud = torch.randn(1, clipped.samples, generator=torch.Generator().manual_seed(0)) * 4
    drawn = clipped.parameters(torch.tensor([0]))
    assert float(procedural_chain.lowpass(clipped, loud.clone(), drawn).abs().max()) == 1.0
    assert float(procedural_chain.lowpass(clean, loud.clone(), drawn).abs().max()) > 1.0


def test_the_quality_is_the_gain_at_the_cutoff() -> None:
    source = create(p_lowpass=1.0, lowpass_hz=(1000.0, 1000.0), lowpass_quality=4.0, lowpass_clip=False)
    click = torch.zeros(1, 16384)
    click[0, 0] = 1.0
    passed = procedural_chain.lowpass(source, click, source.parameters(torch.tensor([0])))
    gain = torch.fft.rfft(passed[0].double()).abs()
    assert float(gain[1024]) == pytest.approx(4.0, rel=1e-3)  # bin of 1000 Hz
    assert float(gain[0]) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(("kind", "kurtosis"), [("uniform", -1.2), ("gaussian", 0.0)])
def test_the_background_has_its_distribution_and_level(kind: str, kurtosis: float) -> None:
    level = {"background": kind, "background_level": (0.1, 0.1), "p_silence": 1.0, "level": "none"}
    noise = create(**level).batch(range(2)).numpy()
    rms = 0.1 if kind == "gaussian" else 0.1 / 3**0.5
    assert np.sqrt((noise**2).mean()) == pytest.approx(rms, rel=0.01)
    assert scipy.stats.kurtosis(noise, axis=None) == pytest.approx(kurtosis, abs=0.05)


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
def test_the_background_can_follow_the_clip(kind: str) -> None:
    source = create(background_scale="snr", background_snr_db=(0.0, 30.0), background=kind, seconds=2.0)
    drawn = source.parameters(torch.arange(6))
    before = source.before_chain(drawn, CPU)
    noise = procedural_chain.add_background(source, before.clone(), drawn) - before
    ratio = before.double().square().mean(1) / noise.double().square().mean(1)
    assert (10 * ratio.log10()).tolist() == pytest.approx(drawn["background_snr_db"].tolist(), abs=0.1)
    assert source.describe(3)["background_snr_db"] == pytest.approx(
        float(drawn["background_snr_db"][3])
    )


def test_levels_are_peak_rms_or_as_they_are() -> None:
    peak = create(seconds=2.0).batch(range(12))
    assert torch.allclose(peak.abs().amax(dim=1), torch.ones(12))
    source = create(seconds=2.0, level="rms", rms_db=(-40.0, -3.0))
    clips = source.batch(range(30)).double()
    wanted = source.parameters(torch.arange(30))["rms_db"]
    rms = 10 * clips.square().mean(dim=1).log10()
    limited = clips.abs().amax(dim=1) > 0.9999  # quieter than asked, for the peak would exceed 1
    assert 0 < int(limited.sum()) < 20
    assert torch.allclose(rms[~limited], wanted[~limited], atol=1e-3)
    assert (rms[limited] < wanted[limited] + 1e-3).all()
    source = create(seconds=2.0, level="none", p_background=0.0)
    drawn = source.parameters(torch.arange(12))
    raw = procedural_chain.lowpass(source, source.before_chain(drawn, CPU), drawn)
    loud = raw.abs().amax(dim=1) > 1.0
    clips = source.batch(range(12))
    assert 0 < int(loud.sum()) < 12
    assert torch.allclose(clips[~loud], raw[~loud], atol=2e-6)
    assert torch.allclose(clips[loud].abs().amax(dim=1), torch.ones(int(loud.sum())))


def test_the_gain_scales_the_finished_clip_and_cuts_it() -> None:
    plain = create(seconds=1.3).batch(range(8))
    source = create(seconds=1.3, p_gain=1.0, gain=(0.5, 1.5))
    gain = source.parameters(torch.arange(8))["gain"].float()
    assert float(gain.min()) < 1.0 < float(gain.max())
    assert torch.allclose(source.batch(range(8)), (plain * gain[:, None]).clamp(-1, 1), atol=1e-6)


def test_the_roll_rotates_the_events() -> None:
    still, rolled = (create(seconds=1.3, p_roll=p) for p in (0.0, 1.0))
    drawn = rolled.parameters(torch.arange(5))
    before = still.before_chain(still.parameters(torch.arange(5)), CPU)
    after = rolled.before_chain(drawn, CPU)
    for clip in range(5):
        assert torch.equal(after[clip], before[clip].roll(int(drawn["roll"][clip])))


def test_a_silent_clip_holds_its_background_only() -> None:
    source = create(seconds=1.3, p_silence=1.0)
    drawn = source.parameters(torch.arange(3))
    assert not source.before_chain(drawn, CPU).any()
    assert (source.batch(range(3)).std(dim=1) > 0.5).all()  # uniform noise of peak 1
    assert source.describe(0)["kind"] is None
    assert not create(seconds=1.3, p_silence=1.0, p_background=0.0).batch([0]).any()
