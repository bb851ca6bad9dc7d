"""AudioPG against an independent float64 painter of the same drawn factors, and its fingerprints.

.venv/bin/python -m pytest tests/test_audiopg.py
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from audiopg_fields import CPU, KINDS

import generators
from generators import dsp
from generators.base import white_noise
from generators.sounds import procedural_chain
from generators.sounds.filters import filter_biquad, lowpass_biquad
from suite.frontend import FrontEnd


def one(source: Any, index: int) -> dict[str, Any]:
    drawn = source.parameters(torch.tensor([index]))
    return {key: value[0].numpy() for key, value in drawn.items()}


def slow_noise(kind: str, key: int, n: int) -> np.ndarray:
    """Step B for noises, from one row before the clip to one after it (specification, 1.4)."""
    rows = -(-n // 512) * 512 + 1024
    if kind == "pink_noise":
        lengths = [-(-rows // 2**i) for i in range(20)]
        numbers = dsp.gaussian_noise(torch.tensor([key]), sum(lengths), CPU)[0].double().numpy()
        parts = np.split(numbers, np.cumsum(lengths)[:-1])
        noise = sum(np.repeat(part, 2**i)[:rows] for i, part in enumerate(parts))
    else:
        noise = dsp.gaussian_noise(torch.tensor([key]), rows, CPU)[0].double().numpy()
    if kind == "brown_noise":
        noise = np.cumsum(noise)
    peak = 1.0 if kind == "white_noise" else np.abs(noise).max()
    return noise[512 : 512 + n] / peak


def slow_tone(source: Any, drawn: dict[str, Any], s: int) -> np.ndarray:
    """Steps B and C of the specification for tone ``s``, sample by sample formulas in float64."""
    n, rate, kind = source.samples, source.sample_rate, KINDS[drawn["kind"][s]]
    t, f0 = np.arange(n) / rate, float(drawn["f0_hz"][s])
    if kind == "harmonic":
        base = np.zeros(n)
        for i in range(int(drawn["partials"][s])):
            amplitude = (i + 1) ** -drawn["partial_slope"][s, i] * drawn["partial_gain"][s, i]
            frequency = f0 * (i + 1) * drawn["partial_detune"][s, i]
            base += amplitude * np.sin(2 * np.pi * (frequency * t + drawn["partial_phase"][s, i]))
    elif kind == "fm":
        modulator = np.sin(2 * np.pi * drawn["fm_ratio"][s] * f0 * t)
        base = np.sin(2 * np.pi * f0 * t + drawn["fm_index"][s] * modulator)
    elif kind == "square":
        base = np.sign(np.sin(2 * np.pi * f0 * t))
    elif kind == "saw":
        base = 2 * (t * f0 - np.floor(t * f0 + 0.5))
    elif kind == "triangle":
        base = 2 * np.abs(2 * (t * f0 - np.floor(t * f0 + 0.5))) - 1
    else:
        base = slow_noise(kind, int(drawn["tone_key"][s]), n)
    if drawn["transient"][s]:
        start, length = int(drawn["transient_start"][s]), int(drawn["transient_length"][s])
        key = torch.from_numpy(drawn["transient_key"][s : s + 1])
        burst = white_noise(key, length, CPU)[0].double().numpy()
        base[start : start + length] += burst * drawn["transient_gain"][s]
    return base


def slow_before_chain(source: Any, drawn: dict[str, Any]) -> np.ndarray:
    """Steps A to D of the specification, and the rotation."""
    out = np.zeros(source.samples)
    for m in np.flatnonzero(drawn["event_happens"]):
        base = slow_tone(source, drawn, int(drawn["event_tone"][m]))
        length, attack, decay, release, origin, place = (
            int(drawn[f"event_{name}"][m])
            for name in ("length", "attack", "decay", "release", "origin", "place")
        )
        level = float(drawn["event_level"][m])
        lines = [
            np.linspace(0, 1, attack),
            np.linspace(1, level, decay),
            np.full(length - attack - decay - release, level),
            np.linspace(level, 0, release),
        ]
        out[place : place + length] += base[origin : origin + length] * np.concatenate(lines)
    return np.roll(out, int(drawn["roll"]))


def slow_chain(source: Any, drawn: dict[str, Any], waveform: np.ndarray) -> np.ndarray:
    """Step E: low-pass with clipping, noise at an absolute level, peak 1."""
    if drawn["lowpass"]:
        w0 = 2 * np.pi * drawn["lowpass_hz"] / source.sample_rate
        alpha, cosine = np.sin(w0) / (2 * 0.707), np.cos(w0)
        b = [(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2]
        waveform = np.clip(
            scipy.signal.lfilter(b, [1 + alpha, -2 * cosine, 1 - alpha], waveform), -1, 1
        )
    key = torch.from_numpy(drawn["background_key"][None])
    noise = white_noise(key, len(waveform), CPU)[0].double().numpy()
    waveform = waveform + noise * drawn["background_level"]
    return waveform / np.abs(waveform).max()


EVERYTHING: dict[str, Any] = {
    **dict.fromkeys(KINDS, 1.0),
    "voices": (1, 3),
    "p_roll": 0.5,
    "p_silence": 0.1,
    "decay_level": (0.1, 0.9),
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"seconds": 1.3},  # not a whole number of rows or blocks
        {**EVERYTHING, "seconds": 1.3},
        {**EVERYTHING, "seconds": 2.0, "timbre_per_event": True, "envelope": "adsr"},
        {**EVERYTHING, "seconds": 1.0, "timbre_per_event": True, "envelope": "none"},
    ],
    ids=["faithful", "faithful-odd-length", "voices", "timbre-per-event-adsr", "no-envelope"],
)
def test_clips_equal_the_slow_painter(fields: dict[str, Any]) -> None:
    source: Any = generators.create("audiopg", **fields)
    seen: set[int] = set()
    for index in range(16):
        drawn = one(source, index)
        seen |= {int(drawn["kind"][s]) for s in drawn["event_tone"][drawn["event_happens"]]}
        slow = slow_before_chain(source, drawn)
        fast = source.before_chain(source.parameters(torch.tensor([index])), CPU)[0].numpy()
        wrong = np.abs(fast - slow) > 6e-5
        # a saw or square may jump one sample away when its phase is a rounding error from the jump
        assert wrong.sum() <= 8 * drawn["event_happens"].sum(), (index, wrong.sum())
        if not {2, 3} & set(drawn["kind"].tolist()):
            assert wrong.sum() == 0, (index, np.abs(fast - slow).max())
        chain = procedural_chain.apply(
            source, torch.from_numpy(slow).float()[None], source.parameters(torch.tensor([index]))
        )
        assert np.abs(chain[0].numpy() - slow_chain(source, drawn, slow)).max() < 2e-5
    assert len(seen) == (8 if "voices" in fields else 4)  # every kind of tone was met


def test_the_faithful_preset_never_changes() -> None:
    """The published rows were trained on these draws and these clips (recorded at version 1)."""
    source = generators.create("audiopg")
    assert source.version == 1
    drawn, digest = source.parameters(torch.arange(100)), hashlib.sha256()
    partial = ("partials", *(f"partial_{key}" for key in ("slope", "gain", "phase", "detune")))
    transient = ("transient", *(f"transient_{key}" for key in ("length", "start", "gain", "key")))
    event = tuple(f"event_{key}" for key in ("length", "attack", "decay", "origin", "place"))
    chain = ("lowpass", "lowpass_hz", "background_level", "background_key")
    for key in ("f0_hz", *partial, "fm_index", "fm_ratio", *transient, *event, *chain):
        digest.update(drawn[key].numpy().tobytes())
    assert digest.hexdigest() == "9d964dd88c339a78377e1a2b15c00594664e466ecf9ddea8f82def44da57ddd1"
    kinds = ["saw", "fm", "fm", "fm", "harmonic", "square", "saw", "square", "saw", "fm"]
    assert [KINDS[kind] for kind in drawn["kind"][:10, 0]] == kinds

    clips = source.batch(range(12)).double()
    rms = (0.223677, 0.240158, 0.187849, 0.229982, 0.114619, 0.207516)
    rms += (0.194462, 0.210262, 0.284915, 0.235189, 0.156136, 0.277779)
    assert clips.square().mean(dim=1).sqrt().tolist() == pytest.approx(rms, abs=2e-5)
    heard = clips[:6, [20000, 60000, 100000, 140000]].tolist()
    recorded = [
        (-0.01631, 0.01611, 0.43326, -0.05223),
        (-0.54467, 0.01706, -0.15287, -0.00696),
        (-0.02041, -0.72448, 0.01303, -0.01143),
        (0.51057, 0.3903, 0.00129, 0.00149),
        (-0.42916, -0.00019, -0.00417, -0.01926),
        (-0.01535, 0.00625, 0.01138, -0.00126),
    ]
    for row, expected in zip(heard, recorded, strict=True):
        assert row == pytest.approx(expected, abs=5e-5)


def test_a_batch_of_an_accelerator_equals_single_clips() -> None:
    source: Any = generators.create("audiopg_clean", seconds=1.3, voices=(1, 2))
    drawn = source.parameters(torch.arange(12))
    together = procedural_chain.apply(source, source.before_chain(drawn, CPU), drawn)
    assert torch.allclose(together, source.batch(range(12)), atol=2e-5)


@pytest.mark.parametrize("cutoff", [0.5, 20.0, 200.0, 6000.0, 7900.0])
@pytest.mark.parametrize("quality", [0.3, 0.5, 0.707, 20.0])  # real, double and complex poles
@pytest.mark.parametrize("samples", [30011, 20])  # three levels of groups, or one block
def test_the_biquad_is_the_recursion(cutoff: float, quality: float, samples: int) -> None:
    waveform = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    b, a = lowpass_biquad(torch.full((2,), cutoff / 16000, dtype=torch.float64), quality)
    exact = scipy.signal.lfilter(b[0], [1.0, *a[0].tolist()], waveform.double().numpy())
    error = np.abs(filter_biquad(waveform, b, a).numpy() - exact).max()
    assert error < 3e-5 * max(np.abs(exact).max(), 1e-3)


def test_a_sum_of_sines_is_the_sum_of_sines() -> None:
    """15 partials over 10.24 s, some beyond Nyquist, against float64 sines."""
    rng = np.random.default_rng(0)
    step, amplitude = rng.uniform(50, 30000, (2, 15)) / 16000, rng.uniform(0.5, 1.2, (2, 15))
    offset = rng.uniform(0, 1, (2, 15))
    fast = dsp.sum_of_sines(*map(torch.from_numpy, (step, amplitude, offset)), 320)
    time = np.arange(163840)
    for clip in range(2):
        angle = 2 * np.pi * ((step[clip, :, None] * time + offset[clip, :, None]) % 1.0)
        slow = (amplitude[clip, :, None] * np.sin(angle)).sum(axis=0)
        assert np.abs(fast[clip].flatten().numpy() - slow).max() < 2e-5  # the bar is 1e-3


def test_half_of_the_samples_lie_outside_any_event() -> None:
    source: Any = generators.create("audiopg")
    drawn = source.parameters(torch.arange(3000))
    time = torch.linspace(0, source.samples - 1, 700)
    place, length = drawn["event_place"][..., None], drawn["event_length"][..., None]
    inside = (time >= place) & (time < place + length) & drawn["event_happens"][..., None]
    share = (~inside.any(dim=1)).double().mean(dim=1)
    # section 8.2: 50.7 % of N = 600 clips; three standard errors of the two means
    tolerance = 3 * float(share.std()) * (1 / 600 + 1 / 3000) ** 0.5
    assert tolerance < 0.03
    assert float(share.mean()) == pytest.approx(0.507, abs=tolerance)


def test_600_clips_have_the_fingerprint_of_the_reference() -> None:
    """Section 8.2, N = 600 on both sides: levels, filtering and clipping, and raw filter banks."""
    source: Any = generators.create("audiopg")
    unclipped: Any = generators.create("audiopg", lowpass_clip=False)
    frontend = FrontEnd(family="kaldi", bands=128, frames=1024)
    over, filtered, clipped, banks = 0, 0, 0, []
    for start in range(0, 600, 24):
        drawn = source.parameters(torch.arange(start, start + 24))
        waveform = source.before_chain(drawn, CPU)
        over += int((waveform.abs().amax(dim=1) > 1).sum())
        passed = procedural_chain.lowpass(unclipped, waveform.clone(), drawn)
        filtered += int(drawn["lowpass"].sum())
        clipped += int(((passed.abs().amax(dim=1) > 1) & drawn["lowpass"]).sum())
        banks.append(frontend.log_mel(procedural_chain.apply(source, waveform, drawn)).double())
    bank = torch.cat([torch.stack([b.mean((1, 2)), b.square().mean((1, 2))], dim=1) for b in banks])

    def chance(p: float, count: float) -> float:  # three standard errors of the two shares
        return 3 * (2 * p * (1 - p) / count) ** 0.5

    assert over / 600 == pytest.approx(0.78, abs=chance(0.78, 600))
    assert filtered / 600 == pytest.approx(0.703, abs=chance(0.7, 600))
    assert clipped / filtered == pytest.approx(0.713, abs=chance(0.713, 420))
    mean, power = bank.mean(dim=0).tolist()
    # of the mean over clips, and of the standard deviation by the delta method
    error = 3 * float(bank[:, 0].std()) * (2 / 600) ** 0.5
    assert error < 0.4
    assert mean == pytest.approx(-5.37, abs=error)
    std = (power - mean**2) ** 0.5
    spread = (bank[:, 1] - 2 * mean * bank[:, 0]) / (2 * std)
    error = 3 * float(spread.std()) * (2 / 600) ** 0.5
    assert error < 0.4
    assert std == pytest.approx(4.43, abs=error)
    lowest = min(float(b.min()) for b in banks)
    assert lowest == pytest.approx(-15.94, abs=0.01)  # the empty filter: log of the floor
