"""Every primitive of AudioPG is as likely as its weight, has its spectrum, and folds only where asked.

.venv/bin/python -m pytest tests/test_audiopg_primitives.py
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from audiopg_fields import CPU, KINDS, MANY, create, only, standard_error

from generators import dsp
from generators.sounds import tones

PLAIN = {"p_transient": 0.0, "p_lowpass": 0.0, "p_background": 0.0}  # the events and nothing else


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"saw": 0},
        {"harmonic": 0},
        {"triangle": 1, "pink_noise": 2},
        {**only("fm"), "white_noise": 3, "brown_noise": 1, "square": 5},
        *(only(kind) for kind in KINDS),
    ],
)
def test_a_primitive_is_as_likely_as_its_weight(weights: dict[str, float]) -> None:
    source = create(**weights)
    share = torch.bincount(source.parameters(MANY)["kind"][:, 0], minlength=8) / len(MANY)
    wanted = np.array([getattr(source, kind) for kind in KINDS])
    wanted = wanted / wanted.sum()
    for kind, measured, p in zip(KINDS, share.tolist(), wanted, strict=True):
        assert abs(measured - p) <= 4 * standard_error(p), kind


def test_a_square_in_place_of_every_saw_changes_only_the_saws() -> None:
    """An ablation within a family compares the same clips, save those of the primitive."""
    whole, without = create(seconds=1.3), create(seconds=1.3, saw=0.0, square=1.0)
    kept = [i for i in range(20) if whole.describe(i)["kind"] != "saw"]
    assert 10 < len(kept) < 20
    assert torch.equal(whole.batch(kept), without.batch(kept))


@pytest.mark.parametrize("kind", ["white_noise", "pink_noise", "brown_noise"])
def test_noises_have_their_spectra(kind: str) -> None:
    """Power per octave: white rises by 3 dB, pink is level (Voss: within 1 dB), brown falls by 3 dB."""
    source = create(**only(kind), seconds=10.24)
    drawn = source.parameters(torch.arange(6))
    noise = tones.render_tones(source, drawn, torch.ones(6, 1, dtype=torch.bool), CPU).flatten(1)
    power = torch.fft.rfft((noise * torch.hann_window(noise.shape[1])).double()).abs().square()
    bins = [2**k for k in range(8, 16)]
    octaves = [power[:, low:high].sum(1).mean() for low, high in itertools.pairwise(bins)]
    slopes = 10 * torch.stack(octaves).log10().diff()
    wanted = {"white_noise": 3.01, "pink_noise": 0.0, "brown_noise": -3.01}[kind]
    assert float(slopes[:5].mean()) == pytest.approx(wanted, abs=0.35)
    peak = noise.abs().amax(dim=1)
    assert (peak > 3.5).all() if kind == "white_noise" else torch.allclose(peak, torch.ones(6))


def test_gaussian_noise_is_normal_and_white() -> None:
    noise = dsp.gaussian_noise(torch.arange(4) * 7919, 50001, CPU)
    assert noise.shape == (4, 50001)
    assert (
        scipy.stats.kstest(noise.flatten().numpy(), "norm").statistic
        < 1.63 / len(noise.flatten()) ** 0.5
    )
    neighbours = float((noise[:, 1:] * noise[:, :-1]).mean())
    halves = float((noise[:, :25000] * noise[:, 25001:50001]).mean())  # sine and cosine of one angle
    assert abs(neighbours) < 4 / noise.numel() ** 0.5
    assert abs(halves) < 4 / (noise.numel() / 2) ** 0.5


# ---------------------------------------------------------------------------------------------------
# Aliasing


@pytest.mark.parametrize("kind", ["harmonic", "fm", "saw", "square", "triangle"])
def test_without_aliasing_nothing_folds_at_nyquist(kind: str) -> None:
    """Of a tone of exactly 125 of 1024 bins, what is at no multiple of 125 came from over Nyquist."""
    f0 = 125 * 16000 / 1024
    fields: dict[str, Any] = {"f0_hz": (f0, f0), "partial_detune": (1.0, 1.0), "partials": (15, 15)}
    fields |= {"fm_ratios": (1.0,), "fm_index": (6.0, 6.0), **only(kind)}
    folded = {}
    for aliasing in (True, False):
        source = create(**fields, aliasing=aliasing, seconds=1.0)
        drawn = source.parameters(torch.tensor([0]))
        tone = tones.render_tones(source, drawn, torch.ones(1, 1, dtype=torch.bool), CPU)
        power = torch.fft.rfft(tone.flatten()[512 : 512 + 1024].double()).abs().square()
        own = torch.zeros(513, dtype=torch.bool)
        own[125::125] = True
        if kind == "fm":  # the sideband f0 - f0
            own[0] = True
        folded[aliasing] = float(power[~own].sum() / power.sum())
    assert folded[True] > 1e-5
    assert folded[False] < 1e-9


@pytest.mark.parametrize("kind", ["harmonic", "fm", "saw", "square", "triangle"])
def test_a_low_tone_is_the_same_without_aliasing(kind: str) -> None:
    fields = {"f0_hz": (60.0, 90.0), "partials": (3, 9), **only(kind), **PLAIN, "seconds": 1.0}
    aliased, clean = (create(**fields, aliasing=switch).batch(range(3)) for switch in (True, False))
    error = float((aliased - clean).square().mean() / aliased.square().mean())
    # the jumps of a saw or square keep what the last of about 100 partials leaves out
    assert error < (1e-8 if kind in ("harmonic", "fm") else 2e-2)
