"""AudioSet's segment lists as compact arrays: two million rows in a second, 33 bytes a row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..drawer import BadData, DataMissing

HEADER = ("YTID", "start_seconds", "end_seconds", "positive_labels")
WINDOW = 48  # bytes of a row that hold its first three columns: 11 + 2 x (2 + 9), and room
BLOCK = 1 << 15  # rows parsed at once: their windows stay in the processor's cache
ID_LENGTH = 11  # characters of a YouTube id

COMMA, NEWLINE, RETURN, SPACE, POINT, HASH, ZERO, NINE = b",\n\r .#09"


@dataclass(frozen=True)
class Segments:
    """The rows of one or several lists, in order."""

    lists: tuple[Path, ...]
    ytid: np.ndarray  # S11 (rows,)
    start: np.ndarray  # int32, milliseconds
    end: np.ndarray  # int32, milliseconds
    offset: np.ndarray  # int64, where the row begins in its list, in bytes
    source: np.ndarray  # int8, number of the list

    def __len__(self) -> int:
        return len(self.ytid)

    def labels(self, row: int) -> list[str]:
        """The labels of a row (``/m/068hy``), read from its list."""
        with self.lists[self.source[row]].open("rb") as file:
            file.seek(self.offset[row])
            line = file.readline()
        return [label.strip() for label in label_column(line).split(",") if label.strip()]

    def all_labels(self) -> list[str]:
        """The labels of every row, joined by commas; every list is read once."""
        texts = [path.read_bytes() + b"\n" for path in self.lists]
        places = zip(self.source.tolist(), self.offset.tolist(), strict=True)
        return [label_column(texts[i][at : texts[i].find(b"\n", at)]) for i, at in places]

    def line(self, row: int) -> tuple[Path, int, str]:
        """The list of a row, the number of its line there, and its id and start in seconds."""
        path = self.lists[self.source[row]]
        number = 1 + path.read_bytes()[: self.offset[row]].count(b"\n")
        return path, number, f"{self.ytid[row].decode()} at {self.start[row] / 1000:g} s"

    def repeated(self) -> int | None:
        """The first row whose segment a row before it lists, None where there is none."""
        order = np.lexsort((self.start, self.ytid))  # stable: of equal rows the first comes first
        ytid, start = self.ytid[order], self.start[order]
        again = order[1:][(ytid[1:] == ytid[:-1]) & (start[1:] == start[:-1])]
        return int(again.min()) if len(again) else None


def read_segments(lists: tuple[Path, ...]) -> Segments:
    """All rows of the official lists ``lists``; raises DataMissing, or BadData naming list and line."""
    parts = [read_list(path) for path in lists]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    source = np.repeat(np.arange(len(parts), dtype=np.int8), [len(part[0]) for part in parts])
    return Segments(lists, columns[0], columns[1], columns[2], columns[3], source)


def read_list(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``(ytid, start, end, offset)`` of one list: three comment lines, then a row a segment.

    The last comment names the columns, ``# YTID, start_seconds, end_seconds, positive_labels``; lists
    without comments that name them in their first line are read too.
    """
    check_there(path)
    size = path.stat().st_size
    data = np.empty(size + WINDOW, dtype=np.uint8)
    with path.open("rb") as file:
        file.readinto(memoryview(data)[:size])  # type: ignore[arg-type]
    data[size:] = NEWLINE  # ends the last row, and the last windows reach over
    steps = range(0, len(data), 1 << 24)
    ends = np.concatenate([np.flatnonzero(data[i : i + (1 << 24)] == NEWLINE) + i for i in steps])
    starts = np.append(0, ends[:-1] + 1)
    rows = check_header(path, data, starts, ends)
    first = data[starts]
    rows &= (first != HASH) & (first != NEWLINE) & (first != RETURN)
    lines = np.flatnonzero(rows)
    if len(lines) == 0:
        raise BadData(f"{path} lists no segment. Fetch the official list again.")
    views = np.lib.stride_tricks.sliding_window_view(data, WINDOW)
    ytid = np.empty(len(lines), dtype=f"S{ID_LENGTH}")
    times = np.empty((2, len(lines)), dtype=np.int32)
    for begin in range(0, len(lines), BLOCK):
        part = slice(begin, begin + BLOCK)
        at = starts[lines[part]]
        windows = views[at]  # (rows, WINDOW)
        good = parse(windows, ytid[part], times[:, part])
        if not good.all():
            line = int(lines[begin + int(np.argmin(good))])
            text = data[starts[line] : ends[line]].tobytes().decode(errors="replace")
            raise BadData(
                f"{path}, line {line + 1} is not {', '.join(HEADER)}: {text[:80]!r}. "
                "Fetch the official list again."
            )
    return ytid, times[0], times[1], starts[lines]


def label_column(line: bytes) -> str:
    """The last column of a row, without its quotes."""
    return line.split(b",", 3)[3].decode().strip(' "\r\n')


def check_there(path: Path) -> None:
    """Raise :class:`DataMissing` where there is no list at ``path``."""
    if not path.is_file():
        raise DataMissing(
            f"no segment list at {path}. Fetch it from https://research.google.com/audioset/download.html"
        )


def check_header(path: Path, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which lines may be rows: all but a header without a comment sign. Raises BadData without one."""
    rows = np.ones(len(starts), dtype=bool)
    seen: list[str] = []
    for line in range(min(len(starts), 10)):
        text = data[starts[line] : ends[line]].tobytes().decode(errors="replace")
        names = tuple(name.strip(' "\r') for name in text.lstrip("# \ufeff").split(","))
        if names[: len(HEADER)] == HEADER:
            rows[: line + 1] = False
            return rows
        if "YTID" in names or not text.startswith("#"):
            seen = list(names)
            break
    missing = [name for name in HEADER if name not in seen]
    raise BadData(
        f"{path} does not name the columns {', '.join(HEADER)} in this order "
        f"(missing: {', '.join(missing) or 'none'}). Fetch the official list again."
    )


def parse(windows: np.ndarray, ytid: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Read ids and times out of the first bytes of rows ``(n, WINDOW)``; which rows are well formed.

    ``ytid`` S11 ``(n,)`` and ``times`` int32 ``(2, n)``, milliseconds, are written.
    """
    ytid[:] = np.ascontiguousarray(windows[:, :ID_LENGTH]).view(f"S{ID_LENGTH}")[:, 0]
    id_bytes = windows[:, :ID_LENGTH]
    good = (windows[:, ID_LENGTH] == COMMA) & ((id_bytes != COMMA) & (id_bytes > SPACE)).all(axis=1)
    # From here a column is walked byte by byte, all rows at once: transposed, a byte of all is a row.
    rest = np.ascontiguousarray(windows[:, ID_LENGTH + 1 :].T)  # (WINDOW - 12, n)
    column = np.zeros(len(windows), dtype=np.int8)  # 0 and 1: the times; 2: the labels, or over
    value = np.zeros((2, len(windows)), dtype=np.int32)
    digits = np.zeros((2, len(windows)), dtype=np.int8)
    decimals = np.full((2, len(windows)), -1, dtype=np.int8)  # -1 before the point
    for byte in rest:
        comma, number = byte == COMMA, byte - ZERO  # uint8: what is no digit is over 9
        for which in (0, 1):
            inside = column == which
            digit = inside & (number <= 9)
            kept = digit & (decimals[which] < 3)  # beyond milliseconds nothing counts
            np.copyto(value[which], 10 * value[which] + number, where=kept)
            digits[which] += kept
            point = inside & (byte == POINT) & (decimals[which] < 0)
            decimals[which] += point | (kept & (decimals[which] >= 0))
            blank = inside & (byte == SPACE) & (digits[which] == 0) & (decimals[which] < 0)
            good &= ~inside | digit | point | blank | comma
        column += comma & (column < 2)
        if (column == 2).all():
            break
    whole = digits - np.maximum(decimals, 0)
    good &= (column == 2) & (digits > 0).all(axis=0) & (whole <= 6).all(axis=0)
    times[:] = value * 10 ** (3 - np.maximum(decimals, 0)).astype(np.int32)
    return good & (times[1] > times[0])


def digest_of(lists: tuple[Path, ...]) -> str:
    """A hash of what the lists say, in order; raises :class:`DataMissing` for one that is not there."""
    digest = hashlib.blake2b(digest_size=16)
    for path in lists:
        check_there(path)
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()
