"""Vectors of a task's clips on disk: files of neighbouring clips, each renamed into place when full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from filelock import FileLock

PART = 4_096  # neighbouring clips whose batches are made together, and kept: what an interrupt can lose


@dataclass(frozen=True)
class Kept:
    """Where the vectors of a task's clips are kept, ``counts[i]`` of clip i.

    Each of ``files`` is a .npy file of the clips from the first to before the end. Where they are
    ``joined``, they become the one file ``place`` when all are there; else they are read as they are.
    """

    place: Path
    counts: np.ndarray  # int64 (clips,)
    files: dict[Path, tuple[int, int]]
    joined: bool = False

    @property
    def done(self) -> bool:
        return self.place.is_file() if self.joined else all(path.exists() for path in self.files)

    @property
    def lock(self) -> FileLock:
        """Held while files are written: commands side by side share them."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self.place}.lock")

    def lacks(self) -> np.ndarray:
        """Of which clips the vectors are not there, bool ``(clips,)``."""
        lacks = np.zeros(len(self.counts), dtype=bool)
        for path, (first, end) in self.files.items() if not self.done else ():
            lacks[first:end] = not path.exists()
        return lacks

    def take(self, positions: np.ndarray, vectors: np.ndarray, lacks: np.ndarray) -> None:
        """Write ``vectors (B, N, ...)`` of the clips at ``positions`` that it ``lacks``; no more then.

        A file is renamed into place with the last clip that it waited for.
        """
        files = list(self.files.items())
        holder = np.searchsorted([first for _, (first, _) in files], positions, side="right") - 1
        for number in np.unique(holder[lacks[positions]]):
            path, (first, end) = files[number]
            chosen = holder == number
            lacks[positions[chosen]] = False
            full = not lacks[first:end].any()
            write(path, self.counts[first:end], positions[chosen] - first, vectors[chosen], full=full)

    def finish(self) -> None:
        """Join the files, where they are to be joined and are not yet."""
        if not self.joined or self.done:
            return
        stored = [np.load(path, mmap_mode="r") for path in self.files]
        with writing(unfinished(self.place), "wb") as file:
            write_header(file, (len(self.counts), *stored[0].shape[1:]), stored[0].dtype)
            for part in stored:
                file.write(part.data)
            os.fsync(file.fileno())
        unfinished(self.place).replace(self.place)
        for path in self.files:
            path.unlink()

    def clear(self) -> None:
        """Remove what a killed command has left, and what will not be finished."""
        for path in (self.place, *self.files):
            unfinished(path).unlink(missing_ok=True)


def parts(clips: int) -> list[tuple[int, int]]:
    """First clip and end of every 4,096 clips."""
    return [(first, min(first + PART, clips)) for first in range(0, clips, PART)]


def one_file(place: Path, counts: np.ndarray) -> Kept:
    """Vectors in a file that is complete at once: an interrupt loses them."""
    return Kept(place, counts, {place: (0, len(counts))})


def joined_parts(place: Path, clips: int) -> Kept:
    """One vector of each clip in one file, by way of parts of 4,096 clips beside it."""
    files = {place.with_suffix(f".{first}-{end}.npy"): (first, end) for first, end in parts(clips)}
    return Kept(place, np.ones(clips, dtype=np.int64), files, joined=True)


def write(
    path: Path, counts: np.ndarray, places: np.ndarray, vectors: np.ndarray, *, full: bool
) -> None:
    """Write ``vectors (B, N, ...)`` of the clips at ``places`` of a file, ``counts[i]`` of clip i.

    Not through a memory map: a full disk is an error, not a dead process.
    """
    part, row = unfinished(path), vectors.shape[2:]
    if not part.exists():
        part.parent.mkdir(parents=True, exist_ok=True)
        with writing(part, "wb") as file:
            write_header(file, (int(counts.sum()), *row), vectors.dtype)
    offsets = (np.cumsum(counts) - counts) * (int(np.prod(row)) * vectors.itemsize)
    with writing(part, "r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        for place, clip in zip(places.tolist(), vectors, strict=True):
            assert len(clip) == counts[place], f"{len(clip)} vectors of a clip, not {counts[place]}"
            file.seek(start + int(offsets[place]))
            file.write(clip.tobytes())
        if full:
            file.flush()
            os.fsync(file.fileno())
    if full:
        part.replace(path)


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """The header of a .npy file."""
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)


def unfinished(path: Path) -> Path:
    """Where a file is written before it is renamed into place."""
    return path.with_suffix(".part")


@contextmanager
def writing(path: Path, mode: Literal["wb", "r+b"]) -> Iterator[BinaryIO]:
    """A file open to be written; the error of a full disk names it."""
    try:
        with path.open(mode) as file:
            yield file
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
