"""Which of AudioSet's listed clips are on disk: one look at every folder, kept for the next time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from .clip_names import ClipNames, read_names
from .formats import suffixes
from .segments import ID_LENGTH, Segments, digest_of, read_segments

INDEX_VERSION = 1
BLOCK = 1 << 16  # files looked up at once


@dataclass(frozen=True)
class ClipIndex:
    """The segments whose clips are there, in the order of the lists, and how many are not."""

    base: Path
    lists: tuple[Path, ...]
    ytid: np.ndarray  # S11 (clips,)
    start: np.ndarray  # int32, milliseconds
    end: np.ndarray
    offset: np.ndarray  # int64, of the segment's row in its list
    source: np.ndarray  # int8, number of the list
    directory: np.ndarray  # int32, number of the folder
    clip: np.ndarray  # S, name of the file
    folders: list[tuple[str, int]]  # relative to ``base``, with the time of its last change in ns
    listed: int  # different segments
    unread: dict[str, int]  # files that could be clips but that libsndfile does not read, by suffix

    def __len__(self) -> int:
        return len(self.ytid)

    def name(self, number: int) -> str:
        """The clip's file, relative to the base."""
        folder, file = self.folders[self.directory[number]][0], os.fsdecode(self.clip[number])
        return f"{folder}/{file}" if folder else file

    def names(self) -> list[str]:
        """All files."""
        return [self.name(number) for number in range(len(self))]

    def lengths(self, rate: int) -> np.ndarray:
        """Samples at ``rate`` as the lists say, int64 ``(clips,)``."""
        return (self.end - self.start).astype(np.int64) * rate // 1000

    def fingerprint(self) -> str:
        """A hash of the segments that are there and of their files' names."""
        digest = hashlib.blake2b(
            json.dumps([name for name, _ in self.folders]).encode(), digest_size=32
        )
        for column in (self.ytid, self.start, self.end, self.directory, self.clip):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def facts(self, number: int) -> dict[str, Any]:
        """Id, times in seconds and labels of a clip."""
        row = slice(number, number + 1)
        columns = (self.ytid, self.start, self.end, self.offset, self.source)
        segment = Segments(self.lists, *(column[row] for column in columns))
        times = {"start_seconds": segment.start[0] / 1000, "end_seconds": segment.end[0] / 1000}
        return {"ytid": segment.ytid[0].decode(), **times, "labels": segment.labels(0)}

    @cached_property
    def missing(self) -> int:
        """Listed segments without a clip."""
        return self.listed - len(self)


def open_index(base: Path, lists: tuple[Path, ...], cache: Path) -> ClipIndex:
    """The index from ``cache`` where neither lists nor folders have changed, or a new one.

    Raises DataMissing for a list that is not there, BadData for one that is none.
    """
    key = json.dumps([INDEX_VERSION, str(base.resolve()), digest_of(lists), suffixes()])
    path = cache / "audioset" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        index = load(path, base, lists)
        if index is None:
            index = find_clips(base, read_segments(lists))
            store(path, index)
    return index


ARRAYS = ("ytid", "start", "end", "offset", "source", "directory", "clip")


def store(path: Path, index: ClipIndex) -> None:
    """Write the index; it is complete when it is renamed into place."""
    part = path.with_suffix(".part")
    said = json.dumps([index.folders, index.listed, index.unread])
    with part.open("wb") as file:
        np.savez(file, said=np.array(said), **{name: getattr(index, name) for name in ARRAYS})
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path, base: Path, lists: tuple[Path, ...]) -> ClipIndex | None:
    """The stored index, None where there is none that is whole or a folder has changed since."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            folders, listed, unread = json.loads(str(stored["said"]))
            for folder, changed in folders:
                place = base / folder
                if not place.is_dir() or place.stat().st_mtime_ns != changed:
                    return None
            arrays = {name: stored[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):  # it is made anew
        return None
    folders = [(folder, changed) for folder, changed in folders]
    return ClipIndex(base, lists, folders=folders, listed=listed, unread=unread, **arrays)


def find_clips(base: Path, segments: Segments) -> ClipIndex:
    """Look once at every folder below ``base`` for the clips of ``segments``."""
    key = keys(segments.ytid)
    order = np.argsort(key)
    lookup = Lookup(segments, order, key[order])
    folders: list[tuple[str, int]] = []
    unread: Counter[str] = Counter()
    rows, directories, files = [], [], []
    for number, names, clips in blocks(base, folders, unread):
        at, which = lookup.rows(names, clips)
        rows.append(at)
        directories.append(np.full(len(at), number, dtype=np.int32))
        files.append(names.name[which])
    row = np.concatenate([*rows, np.empty(0, dtype=np.int64)])
    directory = np.concatenate([*directories, np.empty(0, dtype=np.int32)])
    file = np.concatenate([*files, np.empty(0, dtype="S1")])
    chosen = one_for_each(row, directory, file)
    row = row[chosen]
    taken = {name: getattr(segments, name)[row] for name in ARRAYS[:5]}
    return ClipIndex(
        base=base,
        lists=segments.lists,
        **taken,
        directory=directory[chosen],
        clip=file[chosen],
        folders=folders,
        listed=len(segments) - lookup.repeated,
        unread=dict(unread),
    )


def one_for_each(row: np.ndarray, directory: np.ndarray, file: np.ndarray) -> np.ndarray:
    """Positions in the order of the segments; of several files for one the first by folder and name."""
    order = np.argsort(row, kind="stable")
    again = np.flatnonzero(row[order][1:] == row[order][:-1]) + 1
    drop: list[int] = []
    for first in np.setdiff1d(again - 1, again):
        last = first + 1
        while last < len(order) and row[order[last]] == row[order[first]]:
            last += 1
        group = sorted(order[first:last].tolist(), key=lambda at: (directory[at], file[at]))
        order[first] = group[0]
        drop += range(first + 1, last)
    return np.delete(order, drop)


def blocks(
    base: Path, folders: list[tuple[str, int]], unread: Counter[str]
) -> Iterator[tuple[int, ClipNames, np.ndarray]]:
    """Files in blocks: the number of their folder, what their names say, and which are clips.

    Every folder below ``base`` is looked at once; the last two arguments are filled.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        status = (base / folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link back
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.append((folder, status.st_mtime_ns))
        below = []
        with os.scandir(base / folder) as entries:
            while block := list(itertools.islice(entries, BLOCK)):
                names = read_names([entry.name for entry in block])
                unread.update(names.unread())
                for at in np.flatnonzero(names.suffix == b"").tolist():
                    entry = block[at]
                    if not entry.name.startswith(".") and entry.is_dir():
                        below.append(f"{folder}/{entry.name}" if folder else entry.name)
                yield len(folders) - 1, names, names.readable
        waiting += sorted(below, reverse=True)


def keys(ytid: np.ndarray) -> np.ndarray:
    """64 bits for each id of S11 ``(n,)``, different for different ids but for chance."""
    padded = np.zeros((len(ytid), 2), dtype="<u8")
    padded.view(np.uint8).reshape(len(ytid), 16)[:, :ID_LENGTH] = ytid.view(np.uint8).reshape(
        -1, ID_LENGTH
    )
    mixed = padded[:, 0] ^ (padded[:, 1] * np.uint64(0x9E3779B97F4A7C15))
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(29))


@dataclass(frozen=True)
class Lookup:
    """Finds the segment that a file is the clip of, by sorted keys of the ids."""

    segments: Segments
    order: np.ndarray  # rows of the segments by key
    sorted_keys: np.ndarray

    @cached_property
    def repeated(self) -> int:
        """Rows that list a segment again."""
        same = np.flatnonzero(self.sorted_keys[1:] == self.sorted_keys[:-1])
        near = np.unique(np.concatenate([same, same + 1]))
        rows = self.order[near]
        return len(rows) - len(
            set(zip(self.segments.ytid[rows], self.segments.start[rows], strict=True))
        )

    def rows(self, names: ClipNames, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the segments of the files ``clips`` (bool), and which of the files have one."""
        which = np.flatnonzero(clips)
        ytid, start = names.ytid[which], names.start[which]
        wanted = keys(ytid)
        by_key = np.argsort(wanted)  # the search jumps about less
        first = np.empty(len(which), dtype=np.int64)
        first[by_key] = np.searchsorted(self.sorted_keys, wanted[by_key])
        found = np.full(len(which), -1, dtype=np.int64)
        left = np.arange(len(which))
        step = 0
        while len(left):  # once, and again for ids that are listed several times
            at = first[left] + step
            left, at = left[at < len(self.order)], at[at < len(self.order)]
            alike = self.sorted_keys[at] == wanted[left]
            left, row = left[alike], self.order[at[alike]]
            begins, said = self.segments.start[row], start[left]
            near = (np.abs(1000 * said - begins) < 1) | (np.abs(said - begins) < 1)
            right = (self.segments.ytid[row] == ytid[left]) & ((said < 0) | near)
            # The first row of a segment that is listed again is the one that counts.
            better = right & ((found[left] < 0) | (row < found[left]))
            found[left[better]] = row[better]
            step += 1
        there = found >= 0
        return found[there], which[there]
