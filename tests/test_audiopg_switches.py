"""Every switch of AudioPG does what its name says, and an impossible setting is refused.

.venv/bin/python -m pytest tests/test_audiopg_switches.py
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

import generators
from generators import dsp
from generators.drawer import UsageError
from generators.sounds import procedural_chain, tones
from generators.sounds.dynamics import envelope

CPU = torch.device("cpu")
KINDS = ("harmonic", "fm", "square", "saw", "triangle", "white_noise", "pink_noise", "brown_noise")
MANY = torch.arange(6000)
PLAIN = {"p_transient": 0.0, "p_lowpass": 0.0, "p_background": 0.0}  # the events and nothing else


def create(name: str = "audiopg", **fields: Any) -> Any:
    return generators.create(name, **fields)


def only(kind: str) -> dict[str, float]:
    """Weights that leave one primitive."""
    return {other: float(other == kind) for other in KINDS}


def standard_error(p: float, count: int = len(MANY)) -> float:
    return (p * (1 - p) / count) ** 0.5


# ---------------------------------------------------------------------------------------------------
# Primitives


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
# Rules: probabilities by frequency, ranges by extremes


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


# ---------------------------------------------------------------------------------------------------
# The chain


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


# ---------------------------------------------------------------------------------------------------
# Presets, descriptions, refusals


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
