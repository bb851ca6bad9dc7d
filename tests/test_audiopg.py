"""AudioPG against an independent float64 painter of the same drawn factors, and its fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

import generators
from generators.base import white_noise
from generators.drawer import UsageError
from generators.sounds.filters import filter_biquad, lowpass_biquad

CPU = torch.device("cpu")


def one(source: Any, index: int) -> dict[str, Any]:
    drawn = source.parameters(torch.tensor([index]))
    return {key: value[0].numpy() for key, value in drawn.items()}


def slow_before_chain(source: Any, drawn: dict[str, Any]) -> np.ndarray:
    """Steps A to D of the specification, sample by sample formulas in float64."""
    n, rate = source.samples, source.sample_rate
    t, f0 = np.arange(n) / rate, float(drawn["f0_hz"])
    if drawn["mode"] == 0:
        base = np.zeros(n)
        for i in range(int(drawn["partials"])):
            amplitude = (i + 1) ** -drawn["partial_slope"][i] * drawn["partial_gain"][i]
            frequency = f0 * (i + 1) * drawn["partial_detune"][i]
            base += amplitude * np.sin(2 * np.pi * (frequency * t + drawn["partial_phase"][i]))
    elif drawn["mode"] == 1:
        modulator = np.sin(2 * np.pi * drawn["fm_ratio"] * f0 * t)
        base = np.sin(2 * np.pi * f0 * t + drawn["fm_index"] * modulator)
    elif drawn["square"]:
        base = np.sign(np.sin(2 * np.pi * f0 * t))
    else:
        base = 2 * (t * f0 - np.floor(t * f0 + 0.5))
    if drawn["transient"]:
        start, length = int(drawn["transient_start"]), int(drawn["transient_length"])
        key = torch.from_numpy(drawn["transient_key"][None])
        burst = white_noise(key, length, CPU)[0].double().numpy()
        base[start : start + length] += burst * drawn["transient_gain"]
    out = np.zeros(n)
    for m in range(int(drawn["events"])):
        length, attack, decay, origin, place = (
            int(drawn[f"event_{name}"][m]) for name in ("length", "attack", "decay", "origin", "place")
        )
        gain = np.concatenate(
            [
                np.linspace(0, 1, attack),
                np.linspace(1, 0.6, decay),
                np.linspace(0.6, 0, length - attack - decay),
            ]
        )
        out[place : place + length] += base[origin : origin + length] * gain
    return out


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


@pytest.mark.parametrize("seconds", [10.24, 1.3])  # 1.3 s is not a whole number of rows or blocks
def test_clips_equal_the_slow_painter(seconds: float) -> None:
    source = generators.create("audiopg", seconds=seconds)
    seen = set()
    for index in range(16):
        drawn = one(source, index)
        seen.add((int(drawn["mode"]), int(drawn["square"]) if drawn["mode"] == 2 else 0))
        slow = slow_before_chain(source, drawn)
        fast = source.before_chain(source.parameters(torch.tensor([index])), CPU)[0].numpy()
        wrong = np.abs(fast - slow) > 3e-5
        # a saw or square may jump one sample away when its phase is a rounding error from the jump
        assert wrong.sum() <= (0 if drawn["mode"] < 2 else 8), (index, wrong.sum())
        chain = source.post_chain(
            torch.from_numpy(slow).float()[None], source.parameters(torch.tensor([index]))
        )
        assert np.abs(chain[0].numpy() - slow_chain(source, drawn, slow)).max() < 2e-5
    assert len(seen) == 4  # every kind of tone was met


def test_a_batch_of_an_accelerator_equals_single_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    source = generators.create("audiopg", seconds=1.3)
    drawn = source.parameters(torch.arange(12))
    together = source.post_chain(source.before_chain(drawn, CPU), drawn)
    assert torch.allclose(together, source.batch(range(12)), atol=2e-5)


@pytest.mark.parametrize("cutoff", [0.5, 20.0, 200.0, 6000.0, 7900.0])
@pytest.mark.parametrize("quality", [0.3, 0.5, 0.707, 20.0])  # real, double and complex poles
def test_the_biquad_is_the_recursion(cutoff: float, quality: float) -> None:
    waveform = torch.randn(2, 30011, generator=torch.Generator().manual_seed(0))
    b, a = lowpass_biquad(torch.full((2,), cutoff / 16000, dtype=torch.float64), quality)
    exact = scipy.signal.lfilter(b[0], [1.0, *a[0].tolist()], waveform.double().numpy())
    error = np.abs(filter_biquad(waveform, b, a).numpy() - exact).max()
    assert error < 3e-5 * max(np.abs(exact).max(), 1e-3)


def test_clipping_is_a_switch() -> None:
    clipped, clean = (
        generators.create("audiopg", seconds=2.0, p_lowpass=1.0, lowpass_clip=switch)
        for switch in (True, False)
    )
    loud = torch.randn(1, clipped.samples, generator=torch.Generator().manual_seed(0)) * 4
    drawn = clipped.parameters(torch.tensor([0]))
    assert float(clipped.lowpass(loud, drawn).abs().max()) == 1.0
    assert float(clean.lowpass(loud, drawn).abs().max()) > 1.0


@pytest.mark.parametrize(
    ("field", "factor", "p"),
    [("p_lowpass", "lowpass", 0.7), ("p_transient", "transient", 0.6), ("p_square", "square", 0.5)],
)
def test_probabilities_are_of_applying(field: str, factor: str, p: float) -> None:
    count = 6000
    for wanted in (p, 0.15):
        drawn = generators.create("audiopg", **{field: wanted}).parameters(torch.arange(count))
        share = float(drawn[factor].double().mean())
        assert share == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / count) ** 0.5)


def test_modes_are_equally_likely_and_f0_is_uniform_in_hertz() -> None:
    drawn = generators.create("audiopg").parameters(torch.arange(9000))
    share = torch.bincount(drawn["mode"], minlength=3) / 9000
    assert torch.allclose(share, torch.full((3,), 1 / 3), atol=0.02)
    assert float(drawn["f0_hz"].median()) == pytest.approx(1025.0, abs=30)  # measured on the reference
    assert float(drawn["f0_hz"].min()) >= 50
    assert float(drawn["f0_hz"].max()) <= 2000


def test_half_of_the_samples_lie_outside_any_event() -> None:
    source = generators.create("audiopg")
    drawn = source.parameters(torch.arange(3000))
    time = torch.linspace(0, source.samples - 1, 700)
    place, length = drawn["event_place"][..., None], drawn["event_length"][..., None]
    happens = torch.arange(5)[:, None] < drawn["events"][:, None, None]
    inside = ((time >= place) & (time < place + length) & happens).any(dim=1)
    share = (~inside).double().mean(dim=1)
    # section 8.2: 50.7 % of N = 600 clips; three standard errors of the two means
    tolerance = 3 * float(share.std()) * (1 / 600 + 1 / 3000) ** 0.5
    assert tolerance < 0.03
    assert float(share.mean()) == pytest.approx(0.507, abs=tolerance)


def test_four_of_five_clips_exceed_one_before_the_chain() -> None:
    source = generators.create("audiopg")
    count, over = 300, 0
    for start in range(0, count, 10):
        drawn = source.parameters(torch.arange(start, start + 10))
        over += int((source.before_chain(drawn, CPU).abs().amax(dim=1) > 1).sum())
    # section 8.2: 78 % of N = 600
    assert over / count == pytest.approx(0.78, abs=3 * (0.78 * 0.22 * (1 / 300 + 1 / 600)) ** 0.5)


def test_a_description_is_in_physical_units() -> None:
    source = generators.create("audiopg")
    for index in range(30):
        facts, drawn = source.describe(index), one(source, index)
        assert facts["f0_hz"] == float(drawn["f0_hz"])
        assert facts["mode"] in ("harmonic", "fm", "pulse")
        assert (facts["lowpass_hz"] is None) == (not drawn["lowpass"])
        assert len(facts["onset_seconds"]) == facts["events"]
        assert all(0 <= onset < 10.24 for onset in facts["onset_seconds"])
        if facts["mode"] == "harmonic":
            assert len(facts["partial_hz"]) == facts["partials"]
            assert facts["partial_hz"][0] == pytest.approx(facts["f0_hz"], rel=0.006)


def test_the_strongest_partial_is_where_the_description_says() -> None:
    source = generators.create(
        "audiopg", p_harmonic=1.0, p_fm=0.0, p_pulse=0.0, p_transient=0.0, p_lowpass=0.0
    )
    for index in range(4):
        facts, clip = source.describe(index), source.sample(index).double()
        spectrum = torch.fft.rfft(clip * torch.hann_window(len(clip), dtype=torch.float64)).abs()
        peak = int(spectrum.argmax()) / source.seconds
        aliased = [abs((f + 8000) % 16000 - 8000) for f in facts["partial_hz"]]
        assert min(abs(peak - f) for f in aliased) < 1.0


def test_probabilities_of_modes_must_sum_to_one() -> None:
    with pytest.raises(UsageError, match="p_harmonic"):
        generators.create("audiopg", p_harmonic=0.5)


def test_a_cutoff_over_nyquist_is_refused() -> None:
    with pytest.raises(UsageError, match="lowpass_hz"):
        generators.create("audiopg", sample_rate=8000)
