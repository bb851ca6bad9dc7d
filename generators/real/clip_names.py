"""The segment that a file of AudioSet is the clip of, read from its name, many names at once.

Names taken, with the suffix of any format that libsndfile reads: ``ID``, ``YID``, ``ID_START`` and
``ID_START_END``, the last two also with the ``Y``; times are in seconds (``30``, ``30.000``) or
milliseconds (``30000``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from .formats import suffixes
from .segments import ID_LENGTH, NINE, POINT, ZERO

CONTAINERS = (".m4a", ".webm", ".mp4", ".mkv", ".mka", ".aac", ".wma")  # not read by libsndfile
LONGEST_SUFFIX = 8  # bytes
SLASH, UNDERSCORE, LETTER_Y = b"/_Y"


@dataclass(frozen=True)
class ClipNames:
    """What ``n`` file names say."""

    suffix: np.ndarray  # S8 (n,): lower case, with the dot, of names that are those of clips, else b""
    ytid: np.ndarray  # S11 (n,)
    start: np.ndarray  # float64 (n,): as written, -1 where it is not
    name: np.ndarray  # S (n,): the whole name, cut where it is no clip's

    @property
    def readable(self) -> np.ndarray:
        """Which are those of clips that libsndfile reads, bool ``(n,)``."""
        return np.isin(self.suffix, [suffix.encode() for suffix in suffixes()])

    def unread(self) -> dict[str, int]:
        """How many files could be clips but for their format, by suffix."""
        counts = {suffix: int((self.suffix == suffix.encode()).sum()) for suffix in CONTAINERS}
        return {suffix: count for suffix, count in counts.items() if count}


def read_names(names: list[str]) -> ClipNames:
    """Read file names without folders."""
    text = os.fsencode("/".join(names)) + b"/"  # no name holds a slash
    data = np.frombuffer(text + b"/" * 64, dtype=np.uint8)
    ends = np.flatnonzero(data[: len(text)] == SLASH)
    begins = np.append(0, ends[:-1] + 1)
    points = np.append(-1, np.flatnonzero(data[: len(text)] == POINT))
    stem_end = points[np.searchsorted(points, ends) - 1]  # of the last point before the end
    stem = stem_end - begins  # length; negative where there is no point
    head = np.lib.stride_tricks.sliding_window_view(data, ID_LENGTH + 2)[begins]  # (n, 13)
    has_y = head[:, 0] == LETTER_Y
    plain = stem == ID_LENGTH
    plain_y = has_y & (stem == ID_LENGTH + 1)
    timed = (head[:, ID_LENGTH] == UNDERSCORE) & (stem > ID_LENGTH + 1)
    timed_y = has_y & (head[:, ID_LENGTH + 1] == UNDERSCORE) & (stem > ID_LENGTH + 2)
    start = np.full(len(begins), -1.0)
    with_y = plain_y
    for skip, which in ((0, timed), (1, timed_y)):
        rows = np.flatnonzero(which & (start < 0))
        times, good = read_times(data, begins[rows] + ID_LENGTH + 1 + skip, stem_end[rows])
        start[rows[good]] = times[good]
        with_y = with_y | (np.isin(np.arange(len(begins)), rows[good]) if skip else False)
    clip = plain | plain_y | (start >= 0)
    shifted = np.where(with_y[:, None], head[:, 1 : ID_LENGTH + 1], head[:, :ID_LENGTH])
    ytid = np.ascontiguousarray(shifted).view(f"S{ID_LENGTH}")[:, 0]
    after = np.char.lower(strings(data, stem_end, ends, LONGEST_SUFFIX))
    clip &= ends - stem_end <= LONGEST_SUFFIX
    width = int((ends - begins)[clip].max(initial=1))
    return ClipNames(np.where(clip, after, b""), ytid, start, strings(data, begins, ends, width))


def strings(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, width: int) -> np.ndarray:
    """The bytes between ``begins`` and ``ends``, at most ``width`` of them, as S ``(n,)``."""
    padded = np.append(data, np.zeros(max(0, width - 64), dtype=np.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[np.maximum(begins, 0)]  # a copy
    windows[np.arange(width) >= (ends - begins)[:, None]] = 0
    return windows.view(f"S{width}")[:, 0]


def read_times(data: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first number of ``30.5`` or ``30.5_40.5``, and which stretches are of that form."""
    value, scale = np.zeros(len(begins)), np.ones(len(begins))
    number = np.zeros(len(begins), dtype=np.int8)  # the one that is being read
    pointed = np.zeros(len(begins), dtype=bool)  # behind its point
    digits = np.zeros(len(begins), dtype=np.int8)  # since the last sign
    good = (ends - begins > 0) & (ends - begins <= 32)
    for step in range(int((ends - begins)[good].max(initial=0))):
        byte = data[np.minimum(begins + step, ends)]
        inside = begins + step < ends
        digit = inside & (byte >= ZERO) & (byte <= NINE)
        first = digit & (number == 0)
        scale[first & pointed] /= 10
        further = np.where(pointed, value + scale * (byte - ZERO), 10 * value + (byte - ZERO))
        value = np.where(first, further, value)
        point = inside & (byte == POINT) & ~pointed & (digits > 0)
        next_number = inside & (byte == UNDERSCORE) & (number == 0) & (digits > 0)
        digits = np.where(digit, digits + 1, np.where(point | next_number, 0, digits)).astype(np.int8)
        pointed = (pointed | point) & ~next_number
        number += next_number
        good &= ~inside | digit | point | next_number
    return value, good & (digits > 0)
