"""Read any sound file that libsndfile opens, as mono float32 at the wanted rate, or say what is wrong.

``generators`` and ``tasks`` are independent libraries, so each carries this file; a test keeps the
two copies identical.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .drawer import BadData, DataMissing


def read_mono(path: Path) -> tuple[np.ndarray, int]:
    """Decode ``path`` to float32 ``(samples,)``, the mean of its channels, and its sample rate.

    Raises :class:`DataMissing` where there is no such file, :class:`BadData` where it is corrupt,
    empty or holds NaN or infinity; both name the file.
    """
    if not path.is_file():
        raise DataMissing(f"no sound file at {path}. Restore it, or fix the list that names it.")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise BadData(f"{path} cannot be decoded ({error}). Replace the file.") from error
    if len(samples) == 0:
        raise BadData(f"{path} is empty (0 samples). Replace the file.")
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise BadData(f"{path} holds NaN or infinite samples. Replace the file.")
    return mono, int(rate)


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Resample float32 ``(samples,)`` with soxr at very high quality; unchanged at the same rate."""
    if rate == wanted:
        return samples
    return np.asarray(soxr.resample(samples, rate, wanted, quality="VHQ"), dtype=np.float32)


def content_hash(samples: np.ndarray) -> str:
    """SHA-256 of 16-bit PCM of ``samples``: equal for files that decode to the same sound."""
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    return hashlib.sha256(pcm.tobytes()).hexdigest()
