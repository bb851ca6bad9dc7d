"""Decode a sound file to 16-bit mono at one rate, whole or only what a crop needs: the same bits.

It imports no torch: the processes that decode start in a moment and stay small.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from ..audio import BrokenSound, content_hash, mean_of_channels, read_mono, resample

Short = Literal["tile", "pad"]

FULL_SCALE = np.float32(32767.0)
MARGIN = 4096  # samples at the wanted rate read on either side of a crop: several resampling filters
SMALL = 1 << 20  # bytes: a smaller file is decoded whole without a look at its header
NO_EXACT_SEEK = ("MPEG", "OPUS")  # their decoders are not in the same state after a jump


@dataclass(frozen=True)
class Sound:
    """A decoded file: int16 ``(samples,)`` at the wanted rate, and its hash at its own rate."""

    pcm: np.ndarray
    digest: str  # audio.content_hash; "" where nobody asked for it


@dataclass(frozen=True)
class Crop:
    """What is wanted of a file: ``samples`` at ``rate``, at a ``place`` in [0, 1) of what fits."""

    rate: int
    samples: int
    place: float
    short: Short

    def start(self, length: int) -> int:
        """Where the clip starts in a file of ``length`` samples at the wanted rate.

        For a shorter file, its phase when it is tiled and minus its place in the clip when padded.
        """
        if length >= self.samples:
            return int(self.place * (length - self.samples + 1))
        if self.short == "tile":
            return int(self.place * length)
        return -int(self.place * (self.samples - length + 1))

    def cut(self, sound: np.ndarray) -> np.ndarray:
        """The clip of a whole ``sound``, int16 ``(samples,)``; a view where nothing is missing."""
        start = self.start(len(sound))
        if len(sound) >= self.samples:
            return sound[start : start + self.samples]
        if self.short == "tile":
            return np.resize(np.roll(sound, -start), self.samples)
        padded = np.zeros(self.samples, dtype=np.int16)
        padded[-start : -start + len(sound)] = sound
        return padded


def to_pcm(sound: np.ndarray) -> np.ndarray:
    """Float samples as little-endian 16-bit ones; those over full scale are clipped."""
    return np.round(np.clip(sound, -1.0, 1.0) * FULL_SCALE).astype("<i2")


def decode(path: Path, rate: int, hashed: Collection[int] | None = None) -> Sound:
    """The whole file at ``rate``; raises :class:`BrokenSound` where it cannot be used.

    The hash is computed for files whose length, in samples at their own rate, is in ``hashed``; for all
    where that is None.
    """
    sound, own_rate = read_mono(path)
    refuse_truncated(path, len(sound))
    digest = content_hash(sound) if hashed is None or len(sound) in hashed else ""
    pcm = to_pcm(resample(sound, own_rate, rate))
    if len(pcm) == 0:
        raise BrokenSound(path, f"is shorter than a sample at {rate} Hz")
    return Sound(pcm, digest)


def decode_crop(path: Path, crop: Crop, hashed: Collection[int] = ()) -> Sound:
    """One clip of a file, decoding no more of it than needed: the bits of :func:`decode` and a cut.

    A long file is read from a little before the clip to a little after, on a sample where the rates
    meet, so that the resampler passes through the same states. Formats whose decoder cannot jump
    exactly (MP3, Opus) and files whose hash is asked for are decoded whole.
    """
    if path.is_file() and path.stat().st_size > SMALL:
        try:
            with soundfile.SoundFile(path) as file:
                frames, own_rate = file.frames, file.samplerate
                length = resampled_length(frames, own_rate, crop.rate)
                exact = file.seekable() and not file.subtype.startswith(NO_EXACT_SEEK)
                if exact and length > 2 * (crop.samples + 2 * MARGIN) and frames not in hashed:
                    refuse_truncated(path, frames)
                    return Sound(read_part(file, path, crop, length), "")
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise undecodable(path, error) from error
    sound = decode(path, crop.rate, hashed)
    return Sound(crop.cut(sound.pcm), sound.digest)


def read_part(file: soundfile.SoundFile, path: Path, crop: Crop, length: int) -> np.ndarray:
    """The clip out of an open file of ``length`` samples at the wanted rate, which is longer."""
    start = crop.start(length)
    common = math.gcd(file.samplerate, crop.rate)
    up, down = crop.rate // common, file.samplerate // common
    first = max(0, start - MARGIN) // up  # whole periods of the two rates before the part
    wanted = math.ceil((start + crop.samples + MARGIN - first * up) * down / up)
    file.seek(first * down)
    samples = mean_of_channels(file.read(wanted, dtype="float32", always_2d=True))
    if len(samples) < min(wanted, file.frames - first * down):
        raise BrokenSound(path, "is truncated: it ends early")
    if not np.isfinite(samples).all():
        raise BrokenSound(path, "holds NaN or infinite samples")
    start -= first * up
    return to_pcm(resample(samples, file.samplerate, crop.rate)[start : start + crop.samples])


def header(path: Path) -> tuple[int, int]:
    """Samples and sample rate as the file declares them; raises :class:`BrokenSound`."""
    try:
        found = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise undecodable(path, error) from error
    return int(found.frames), int(found.samplerate)


def undecodable(path: Path, error: Exception) -> BrokenSound:
    """What libsndfile said, as a :class:`BrokenSound`."""
    reason = getattr(error, "error_string", str(error)).rstrip(".")  # without the path
    return BrokenSound(path, f"cannot be decoded ({reason})")


def content_hash_of(path: Path, lengths: Collection[int]) -> str:
    """The file's hash, "" unless its length in samples at its own rate is one of ``lengths``."""
    try:
        if header(path)[0] not in lengths:
            return ""
        return content_hash(read_mono(path)[0])
    except BrokenSound:  # nothing can be learnt from it
        return ""


def resampled_length(samples: int, own_rate: int, rate: int) -> int:
    """How many samples soxr makes of ``samples``: the nearest whole number, halves up."""
    return samples if own_rate == rate else (2 * samples * rate + own_rate) // (2 * own_rate)


def refuse_truncated(path: Path, decoded: int) -> None:
    """Raise :class:`BrokenSound` where a file ends before it says it does: libsndfile reads such files.

    ``decoded`` is the number of samples that were read. WAV and AIFF declare their size in bytes (0 or
    all ones where a stream's length was unknown), an Ogg stream flags its last page, the others
    declare their number of samples.
    """
    present = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(0, present - 65536))  # an Ogg page is shorter
        tail = file.read()
    if head[:4] in (b"RIFF", b"FORM"):
        declared = 8 + struct.unpack("<I" if head[:4] == b"RIFF" else ">I", head[4:])[0]
        # one byte may lack: some writers forget to pad an odd size
        truncated = 8 < declared < 0x7FFFFFFF and present < declared - 1
    elif head[:4] == b"OggS":
        page = tail.rfind(b"OggS")
        truncated = page < 0 or page + 5 >= len(tail) or not tail[page + 5] & 4
    else:
        # MP3 encoders pad by up to a few frames of 1152 samples
        truncated = decoded < soundfile.info(path).frames - 4 * 1152
    if truncated:
        raise BrokenSound(path, "is truncated: it ends early")
