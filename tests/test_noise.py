"""The colours of noise have the spectra their names promise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

import generators
from generators.drawer import UsageError


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -1.0), ("brown", -2.0)])
def test_power_falls_with_frequency_as_the_colour_says(colour: str, slope: float) -> None:
    clips = generators.create("noise", colour=colour, seconds=4.0).batch(range(8)).numpy()
    frequency, power = scipy.signal.welch(clips, fs=16000, nperseg=2048)
    heard = (frequency > 60) & (frequency < 7500)
    fit = np.polyfit(np.log(frequency[heard]), np.log(power.mean(axis=0)[heard]), 1)
    assert fit[0] == pytest.approx(slope, abs=0.06)


@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_the_peak_is_one(colour: str) -> None:
    clips = generators.create("noise", colour=colour, seconds=0.5).batch(range(5))
    assert torch.allclose(clips.abs().amax(dim=1), torch.ones(5))


def test_white_noise_is_uncorrelated_and_uniform() -> None:
    clip = generators.create("noise", seconds=10.24).sample(0).double()
    assert abs(float((clip[1:] * clip[:-1]).mean())) < 4 / 3 / len(clip) ** 0.5
    assert float(clip.var()) == pytest.approx(1 / 3, rel=0.01)


def test_a_clip_without_samples_is_refused() -> None:
    with pytest.raises(UsageError, match="seconds"):
        generators.create("noise", seconds=0.0)
