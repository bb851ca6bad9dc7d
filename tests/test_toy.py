"""The embedded tasks: what is drawn is what is labelled, and the answer is in the sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tasks
from suite import probes
from suite.metrics.clips import accuracy
from suite.probes.base import Examples
from tasks import synthesis
from tasks.toy import CHROMA, FAMILIES, VOWELS

TOYS = ["toy_pitch", "toy_timbre", "toy_count", "toy_vowel"]
every = pytest.mark.parametrize("name", TOYS)

# Root mean squares of clips 0, 100 and 500: the sounds are part of a task's version.
LOUDNESS = {
    "toy_pitch": (0.04795351, 0.12919943, 0.05058706),
    "toy_timbre": (0.09324901, 0.15026586, 0.08144671),
    "toy_count": (0.03824537, 0.02316410, 0.04358288),
    "toy_vowel": (0.21838698, 0.18555067, 0.11549537),
}


@every
def test_the_sounds_are_those_of_this_version(name: str) -> None:
    task = tasks.create(name)
    measured = [np.sqrt(np.mean(task.waveform(i)[0].astype(np.float64) ** 2)) for i in (0, 100, 500)]
    assert measured == pytest.approx(LOUDNESS[name], rel=1e-4), "changed sounds need a new task version"


@every
def test_size_rate_and_length(name: str) -> None:
    task = tasks.create(name)
    assert 300 <= len(task.clips()) <= 1000
    samples, rate = task.waveform(0)
    assert rate == 16000
    assert len(samples) == (32000 if name == "toy_count" else 16000)


@every
def test_a_clip_does_not_depend_on_what_was_rendered_before(name: str) -> None:
    forward, backward = tasks.create(name), tasks.create(name)
    positions = [0, 17, 300, 599]
    one = {position: forward.waveform(position)[0] for position in positions}
    other = {position: backward.waveform(position)[0] for position in reversed(positions)}
    for position in positions:
        assert np.array_equal(one[position], other[position])
    assert not np.array_equal(one[0], one[17])


@every
def test_every_class_is_equally_frequent_in_every_part(name: str) -> None:
    clips = tasks.create(name).clips()
    for _, part in clips.groupby("fold"):
        assert part["label"].value_counts().nunique() == 1


@every
def test_the_answer_is_in_the_sound_but_not_for_free(name: str) -> None:
    """A linear probe on mean and deviation of a log spectrogram: well above chance, below certainty."""
    task = tasks.create(name)
    (fold,) = task.folds()
    sounds = torch.stack([torch.from_numpy(task.waveform(i)[0]) for i in range(len(task.clips()))])
    window = torch.hann_window(512)
    bands = log_bands(257, 64)
    power = torch.stft(sounds, 512, 256, 512, window, return_complex=True).abs().square()
    spectra = torch.log(bands @ power + 1e-6)  # (B, bands, T)
    features = torch.cat([spectra.mean(dim=2), spectra.std(dim=2)], dim=1)
    labels = torch.from_numpy(task.clips()["label"].to_numpy(dtype=np.int64, copy=True))
    classes = len(task.classes)
    train, valid, test = (
        Examples(features[part], labels[part], classes) for part in (fold.train, fold.valid, fold.test)
    )
    probe = probes.create("linear@1")
    probe.fit(train, valid)
    score = accuracy(test.targets.numpy(), probe.predict(test.features).numpy())
    assert 2.0 / classes < score < 0.85, f"{name}: {score:.3f}"


def log_bands(bins: int, bands: int) -> torch.Tensor:
    """Triangles ``(bands, bins)`` equally spaced on the mel scale up to 8 kHz."""
    mel = torch.linspace(0.0, 2595.0 * np.log10(1 + 8000 / 700), bands + 2)
    edge = (10 ** (mel / 2595.0) - 1) * 700 / 8000 * (bins - 1)
    low, middle, high = (edge[i : i + bands, None] for i in range(3))
    bin_ = torch.arange(bins)[None]
    return torch.minimum((bin_ - low) / (middle - low), (high - bin_) / (high - middle)).clamp_min(0)


def test_pitch_is_the_pitch_of_its_label() -> None:
    """The comb of the labelled chroma collects more of the spectrum than the other eleven, mostly."""
    task = tasks.create("toy_pitch")
    clips = task.clips()
    frequencies = np.fft.rfftfreq(16000, 1 / 16000)
    right = 0
    for position in range(0, 720, 8):
        spectrum = np.abs(np.fft.rfft(task.waveform(position)[0]))
        peaks = frequencies[np.argsort(-spectrum)[:60]]
        chroma = 12 * np.log2(np.maximum(peaks, 20) / 440) + 69
        support = [
            np.cos(2 * np.pi * (chroma - label) / 12)[np.abs(peaks - 500) < 500].sum()
            for label in range(12)
        ]
        distance = abs(int(np.argmax(support)) - clips["label"].iloc[position])
        right += min(distance, 12 - distance) <= 1
    assert right / 90 > 0.5  # 3 of 12 answers count: chance is 0.25
    assert len(CHROMA) == 12


def test_the_count_is_the_number_of_events() -> None:
    """More events, more of the two seconds above the background."""
    task = tasks.create("toy_count")
    clips = task.clips()
    active = []
    for position in range(len(clips)):
        blocks = np.square(task.waveform(position)[0]).reshape(100, 320).mean(axis=1)
        active.append((blocks > 4 * np.quantile(blocks, 0.05)).mean())
    by_count = clips.assign(active=active).groupby("label")["active"].mean()
    assert by_count.is_monotonic_increasing


def test_the_eight_families_and_ten_vowels_are_named() -> None:
    assert tasks.create("toy_timbre").classes == FAMILIES
    assert tasks.create("toy_vowel").classes == tuple(VOWELS)
    assert (len(FAMILIES), len(VOWELS)) == (8, 10)


def test_partials_are_the_sum_of_decaying_sinusoids() -> None:
    rng = np.random.default_rng(0)
    frequency, amplitude = np.array([200.0, 1234.5, 9000.0]), np.array([1.0, 0.5, 1.0])
    decay = np.array([3.0, 10.0, 0.0])
    phase = np.random.default_rng(0).uniform(0.0, 2.0 * np.pi, 3)
    time = np.arange(1000) / synthesis.RATE
    expected = sum(
        amplitude[k] * np.exp(-decay[k] * time) * np.cos(2 * np.pi * frequency[k] * time + phase[k])
        for k in range(2)  # the third is too near the Nyquist frequency
    )
    signal = synthesis.partials(frequency, amplitude, samples=1000, rng=rng, decay=decay)
    np.testing.assert_allclose(signal, expected, atol=1e-9)


def test_vibrato_moves_the_pitch_by_its_cents() -> None:
    time = np.arange(16000) / 16000
    signal = synthesis.vibrato(np.sin(2 * np.pi * 500 * time), 5.0, 100.0)
    crossings = np.flatnonzero((signal[:-1] < 0) & (signal[1:] >= 0))
    fraction = signal[crossings] / (signal[crossings] - signal[crossings + 1])
    pitch = 16000 / np.diff(crossings + fraction)
    assert pitch.max() == pytest.approx(500 * 2 ** (100 / 1200), rel=0.005)
    assert pitch.min() == pytest.approx(500 * (2 - 2 ** (100 / 1200)), rel=0.005)


def test_a_recording_has_the_noise_asked_for() -> None:
    rng = np.random.default_rng(0)
    signal = 3.0 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    mixed = synthesis.record(rng, signal, noise_db=(10.0, 10.0)).astype(np.float64)
    gain = (mixed @ signal) / (signal @ signal)
    ratio = np.mean((gain * signal) ** 2) / np.mean((mixed - gain * signal) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(10.0, abs=0.3)
    assert -12.0 <= 20 * np.log10(np.abs(mixed).max()) <= -1.0
