"""Signal pieces of the embedded tasks: decaying partials, shaped noise, vibrato, and a noisy room."""

from __future__ import annotations

from functools import cache

import numpy as np

RATE = 16000  # Hz
BLOCK = 128  # samples; every length is a multiple of it


def generator(task: int, group: int, take: int = 0) -> np.random.Generator:
    """The random numbers of one clip or group, from its own numbers alone: order does not matter."""
    return np.random.default_rng([20241120, task, group, take])


def partials(
    frequency: np.ndarray,
    amplitude: np.ndarray,
    *,
    samples: int,
    rng: np.random.Generator,
    decay: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Sum of exponentially decaying sinusoids of random phase: float64 ``(samples,)``.

    ``frequency`` in Hz, ``amplitude`` and ``decay`` (nepers per second) are ``(K,)``; partials above
    0.95 of the Nyquist frequency are left out. With t = coarse + fine the sum over partials is one
    product of ``(coarse, K)`` with ``(K, fine)``.
    """
    phase = rng.uniform(0.0, 2.0 * np.pi, len(frequency))
    kept = frequency < 0.475 * RATE
    complex_frequency = (2j * np.pi * frequency - decay)[kept] / RATE  # per sample
    weight = (amplitude * np.exp(1j * phase))[kept]
    coarse = np.exp(np.outer(np.arange(0, samples, BLOCK), complex_frequency)) * weight
    fine = np.exp(np.outer(complex_frequency, np.arange(BLOCK)))
    return np.asarray((coarse @ fine).real.reshape(-1)[:samples])


@cache
def bins(samples: int) -> np.ndarray:
    """Frequencies in Hz of the bins of a real Fourier transform of ``samples``."""
    return np.fft.rfftfreq(samples, 1.0 / RATE)


def noise(rng: np.random.Generator, magnitude: np.ndarray, samples: int) -> np.ndarray:
    """Gaussian noise ``(samples,)`` of unit power, spectral ``magnitude (samples // 2 + 1,)``."""
    spectrum = np.fft.rfft(rng.standard_normal(samples)) * magnitude
    shaped = np.fft.irfft(spectrum, samples)
    return np.asarray(shaped / np.sqrt(np.mean(shaped**2) + 1e-12))


def band(samples: int, centre: float, octaves: float) -> np.ndarray:
    """A bump around ``centre`` Hz, Gaussian on a logarithmic axis: ``(samples // 2 + 1,)``."""
    return np.exp(-0.5 * (np.log2(np.maximum(bins(samples), 1.0) / centre) / octaves) ** 2)


def envelope(samples: int, attack: float, release: float, start: float = 0.0) -> np.ndarray:
    """Rise over ``attack`` s from ``start`` s, then hold, and fall over the last ``release`` s."""
    time = np.arange(samples) / RATE
    rise = np.clip((time - start) / max(attack, 1e-3), 0.0, 1.0)
    fall = np.clip((samples / RATE - time) / max(release, 1e-3), 0.0, 1.0)
    return np.asarray(np.sin(0.5 * np.pi * rise) ** 2 * np.sin(0.5 * np.pi * fall) ** 2)


def vibrato(signal: np.ndarray, rate: float, cents: float) -> np.ndarray:
    """Read ``signal (samples,)`` at a wavering speed: pitch moves by ``cents`` around its own."""
    time = np.arange(len(signal), dtype=np.float64)
    omega = 2.0 * np.pi * rate / RATE
    depth = (2.0 ** (cents / 1200.0) - 1.0) / omega  # samples
    return np.interp(time + depth * np.sin(omega * time), time, signal)


def record(
    rng: np.random.Generator,
    signal: np.ndarray,
    *,
    noise_db: tuple[float, float],
    loudness: float | None = None,
) -> np.ndarray:
    """A recording of ``signal``: background noise, a random level; float32 in [-1, 1].

    ``noise_db`` is the range of the signal-to-noise ratio, against ``loudness`` (a root mean square)
    or, without one, the signal's own; the noise's spectrum falls by 0 to 6 dB per octave. The peak
    lies between -12 and -1 dB.
    """
    samples = len(signal)
    if loudness is None:
        loudness = float(np.sqrt(np.mean(signal**2) + 1e-12))
    slope = np.maximum(bins(samples), 50.0) ** -rng.uniform(0.0, 1.0)
    background = noise(rng, slope, samples) * loudness * 10.0 ** (-rng.uniform(*noise_db) / 20.0)
    mixed = signal + background
    peak = 10.0 ** (rng.uniform(-12.0, -1.0) / 20.0)
    return np.asarray(mixed * (peak / np.abs(mixed).max()), dtype=np.float32)
