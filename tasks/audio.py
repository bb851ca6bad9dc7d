"""Read any sound file that libsndfile opens, as mono float32 at the wanted rate, or say what is wrong.

``generators`` and ``tasks`` are independent libraries, so each carries this file; a test keeps the
two copies identical.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .drawer import BadData, DataMissing

BLOCK = 1 << 22  # frames decoded at once: of 20 minutes of stereo only the mean is ever whole


class BrokenSound(BadData):
    """A sound file that cannot be used; ``fault`` is what is wrong with it, without name and cure."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(path, fault)  # the arguments, so that a worker process can pass it on
        self.path, self.fault = path, fault

    def __str__(self) -> str:
        return f"{self.path} {self.fault}. Replace the file."


def read_mono(path: Path) -> tuple[np.ndarray, int]:
    """Decode ``path`` to float32 ``(samples,)``, the mean of its channels, and its sample rate.

    Raises :class:`DataMissing` where there is no such file, :class:`BrokenSound` where it is corrupt,
    empty or holds NaN or infinity; both name the file.
    """
    if not path.is_file():
        raise DataMissing(f"no sound file at {path}. Restore it, or fix the list that names it.")
    try:
        with soundfile.SoundFile(path) as file:
            rate, frames = file.samplerate, file.frames
            mono = mean_of_channels(file.read(BLOCK, dtype="float32", always_2d=True))
            if frames > BLOCK:
                mono = whole_of(file, mono)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")  # without the path
        raise BrokenSound(path, f"cannot be decoded ({reason})") from error
    if len(mono) == 0:
        raise BrokenSound(path, "is empty (0 samples)")
    if not np.isfinite(mono).all():
        raise BrokenSound(path, "holds NaN or infinite samples")
    return mono, int(rate)


def whole_of(file: soundfile.SoundFile, first: np.ndarray) -> np.ndarray:
    """The mean of the channels of a whole file, of which ``first`` is what was read already."""
    mono = np.empty(file.frames, np.float32)
    end = 0
    block = first
    while len(block):
        mono[end : end + len(block)] = block
        end += len(block)
        block = mean_of_channels(file.read(BLOCK, dtype="float32", always_2d=True))
    return mono[:end]


def mean_of_channels(samples: np.ndarray) -> np.ndarray:
    """Mono ``(samples,)`` of ``(samples, channels)``: column by column (fast), not row by row."""
    channels = samples.shape[1]
    return functools.reduce(np.add, samples.T) / np.float32(channels) if channels > 1 else samples[:, 0]


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Resample float32 ``(samples,)`` with soxr at very high quality; unchanged at the same rate."""
    if rate == wanted:
        return samples
    return np.asarray(soxr.resample(samples, rate, wanted, quality="VHQ"), dtype=np.float32)


def pcm_of(samples: np.ndarray) -> np.ndarray:
    """16-bit PCM ``(samples,)``, little endian; what is beyond [-1, 1] is cut."""
    scaled = np.clip(samples, -1.0, 1.0)
    scaled *= 32767.0
    return np.round(scaled, out=scaled).astype("<i2")


def content_hash(samples: np.ndarray) -> str:
    """SHA-256 of 16-bit PCM of ``samples``: equal for files that decode to the same sound."""
    return hashlib.sha256(pcm_of(samples).data).hexdigest()
