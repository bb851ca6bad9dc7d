"""Decoded sound on disk: many files as one flat array of 16-bit samples and an index, built once."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ..audio import BrokenSound
from ..drawer import BadData, DataMissing
from .decoding import Crop, Sound, decode
from .readers import Readers, cores

CACHE_VERSION = 2  # raise when the same files decode to something else, or the layout changes
FEW = 64  # files that are decoded sooner here than a process starts
SAY_EVERY = 15.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Decoded:
    """A complete cache folder: every file's samples in one int16 array, one after the other.

    A file that cannot be used has no samples, no hash, and a fault.
    """

    folder: Path
    files: list[str]
    hashes: list[str]  # SHA-256 of the 16-bit PCM at the file's own rate (audio.content_hash), or ""
    lengths: np.ndarray  # int64, samples at the cache's rate
    faults: dict[str, str]  # of the files that cannot be used

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each file begins in :attr:`samples`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def samples(self) -> np.ndarray:
        """int16 memory map of all samples; full scale is 32767."""
        mapped = np.memmap(self.folder / "samples.int16", dtype="<i2", mode="r")
        return mapped.view(np.ndarray)  # as such it is cut in a tenth of the time

    @cached_property
    def stand_in(self) -> np.ndarray:
        """For each file the next one that can be used, itself where it can be: int64 ``(files,)``."""
        usable = np.flatnonzero(self.lengths)
        return usable[np.searchsorted(usable, np.arange(len(self.lengths))) % len(usable)]

    def clip(self, number: int, crop: Crop) -> np.ndarray:
        """A clip of file ``number``, or of the next one that can be used: int16 ``(samples,)``."""
        number = self.stand_in[number]
        start = int(self.starts[number])
        return crop.cut(self.samples[start : start + int(self.lengths[number])])


def decode_once(
    base: Path, names: list[str], rate: int, cache: Path, on_error: str, workers: int | None = None
) -> Decoded:
    """The decoded files from ``cache``, decoding them first where they are not there.

    The folder's name is a hash of the names, sizes and modification times, the rate and the version. It
    is written beside and renamed into place when complete; a lock lets one process write at a time, and
    the next goes on where one was killed. ``workers`` processes decode; None is one for each core.
    """
    key = hashlib.sha256(json.dumps([CACHE_VERSION, rate, str(base.resolve())]).encode())
    for name in names:
        try:
            status = (base / name).stat()
        except FileNotFoundError as error:
            raise DataMissing(
                f"no sound file at {base / name}. Restore it, or take it off the list."
            ) from error
        key.update(json.dumps([name, status.st_size, status.st_mtime_ns]).encode())
    folder = cache / "recordings" / key.hexdigest()[:24]
    if not (folder / "index.npz").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "index.npz").is_file():
                build(base, names, rate, folder, cores() if workers is None else workers)
    decoded = open_decoded(folder, names)
    judge(decoded, base, on_error)
    return decoded


def build(base: Path, names: list[str], rate: int, folder: Path, workers: int) -> None:
    """Decode every file into ``folder``: ``samples.int16`` and ``index.npz``.

    Written in a folder beside it: samples, and after them a line of the journal for each file. What a
    killed process left there is kept as far as the journal vouches for it. The caller holds the lock.
    """
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(exist_ok=True)
    journal, samples = part / "journal.jsonl", part / "samples.int16"
    entries = kept(journal, samples)
    said = time.monotonic()
    with samples.open("ab") as sound_file, journal.open("a", encoding="utf-8") as lines:
        for sound in decoded_in_order(base, names[len(entries) :], rate, workers):
            entry: dict[str, Any] = {"fault": sound, "sha256": "", "length": 0}
            if isinstance(sound, Sound):
                entry = {"fault": "", "sha256": sound.digest, "length": len(sound.pcm)}
                sound_file.write(sound.pcm.tobytes())
                sound_file.flush()
            lines.write(json.dumps(entry) + "\n")
            lines.flush()
            entries.append(entry)
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                share = f"{len(entries)}/{len(names)} ({100 * len(entries) / len(names):.0f} %)"
                print(f"decoding recordings: {share}", file=sys.stderr, flush=True)
        os.fsync(sound_file.fileno())
    index = {key: np.array([entry[key] for entry in entries]) for key in ("fault", "sha256")}
    index["length"] = np.array([entry["length"] for entry in entries], dtype=np.int64)
    with (part / "index.npz").open("wb") as file:
        np.savez_compressed(file, **index)  # type: ignore[arg-type]  # numpy's stubs take no keywords
        file.flush()
        os.fsync(file.fileno())
    journal.unlink()
    shutil.rmtree(folder, ignore_errors=True)  # damaged: it has no index
    part.replace(folder)


def kept(journal: Path, samples: Path) -> list[dict[str, Any]]:
    """The journal's entries whose samples are all there; both files are cut to them."""
    entries: list[dict[str, Any]] = []
    there = samples.stat().st_size // 2 if samples.exists() else 0
    total, vouched = 0, 0
    for line in journal.read_bytes().splitlines(keepends=True) if journal.exists() else []:
        if not line.endswith(b"\n"):
            break
        entry = json.loads(line)
        if total + entry["length"] > there:
            break
        entries.append(entry)
        total += entry["length"]
        vouched += len(line)
    for path, size in ((journal, vouched), (samples, 2 * total)):
        if path.exists():
            os.truncate(path, size)
    return entries


def decoded_in_order(base: Path, names: list[str], rate: int, workers: int) -> Iterator[Sound | str]:
    """Every file decoded, in order, or what is wrong with it; many files in ``workers`` processes."""
    if len(names) <= FEW or workers < 2:
        for name in names:
            try:
                yield decode(base / name, rate)
            except BrokenSound as error:
                yield error.fault
        return
    readers, waiting = Readers(workers), deque[Future[Sound]]()
    left = iter(names)
    try:
        while True:
            for name in itertools.islice(left, 4 * workers - len(waiting)):
                waiting.append(readers.whole(base / name, rate))
            if not waiting:
                return
            try:
                yield waiting.popleft().result()
            except BrokenSound as error:
                yield error.fault
    finally:
        readers.close()


def open_decoded(folder: Path, names: list[str]) -> Decoded:
    """Read a cache folder's index; raises :class:`BadData` where samples are missing."""
    with np.load(folder / "index.npz", allow_pickle=False) as index:
        lengths, hashes = index["length"], index["sha256"].tolist()
        faults = {names[i]: str(index["fault"][i]) for i in np.flatnonzero(index["fault"] != "")}
    size = (folder / "samples.int16").stat().st_size
    if size != 2 * lengths.sum():
        raise BadData(
            f"{folder} is damaged: {size} bytes of samples, expected {2 * lengths.sum()}. "
            f"Delete it and run again: rm -r {folder}"
        )
    return Decoded(folder, names, hashes, lengths, faults)


def judge(decoded: Decoded, base: Path, on_error: str) -> None:
    """Refuse bad files, or warn once where they are to be skipped: a line each for the first five."""
    bad, total = decoded.faults, len(decoded.files)
    lines = [f"\n  {name} {fault}" for name, fault in list(bad.items())[:5]]
    more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
    shown = f"{''.join(lines)}{more}"
    if len(bad) == total:
        raise BadData(f"none of the {total} files below {base} can be used:{shown}\nReplace them.")
    if bad and on_error == "refuse":
        raise BadData(
            f"{len(bad)} of {total} files below {base} cannot be used:{shown}\n"
            "Replace them, or leave them out with source.on_error=skip."
        )
    if bad:
        message = f"{len(bad)} of {total} files below {base} are left out:{shown}"
        warnings.warn(message, stacklevel=2)
