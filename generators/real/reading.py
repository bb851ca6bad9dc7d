"""Recordings that are decoded when they are asked for, ahead of time in other processes."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ..audio import BrokenSound
from ..drawer import BadData, DataMissing
from .decoding import Crop, Sound, decode_crop
from .readers import Readers, cores


class Files(Protocol):
    """A list of sound files, which may be long: numbers in order, names relative to a folder."""

    @property
    def base(self) -> Path:
        """The folder that names are relative to."""

    def __len__(self) -> int:
        """How many files there are."""

    def name(self, number: int) -> str:
        """The name of file ``number``, with slashes."""

    def names(self) -> list[str]:
        """All names, in order."""

    def lengths(self, rate: int) -> np.ndarray:
        """Samples of each file at ``rate`` as far as known without decoding, int64 ``(files,)``."""

    def fingerprint(self) -> str:
        """A hash of what is known about the files without decoding any."""


@dataclass
class Reading:
    """Clips decoded from their files one by one; :meth:`expect` lets it start before they are needed.

    A file that cannot be used is refused (``on_error="refuse"``), or the next of the list that can be
    used stands in for it (``skip``): with the same files the same clip comes out, whenever it is asked
    for. ``faults`` collects what was found.
    """

    files: Files
    on_error: str
    workers: int | None  # None: the cores but one
    faults: dict[str, str] = field(default_factory=dict)  # names of unusable files met so far, and why
    tested: Mapping[str, str] = field(default_factory=dict)  # refused sounds by hash: what they are
    tested_lengths: tuple[int, ...] = ()  # of those sounds, in samples at their own rate
    _expected: dict[tuple[int, Crop], Future[Sound]] = field(default_factory=dict)
    _readers: Readers | None = None

    def expect(self, wanted: Iterable[tuple[int, Crop]]) -> None:
        """Start to decode clips that will be asked for soon."""
        if self._readers is None:
            self._readers = Readers(max(1, cores() - 1) if self.workers is None else self.workers)
            weakref.finalize(self, self._readers.close)
        for number, crop in wanted:
            if (number, crop) not in self._expected:
                path, lengths = self.files.base / self.files.name(number), list(self.tested_lengths)
                self._expected[number, crop] = self._readers.crop(path, crop, lengths)

    def clip(self, number: int, crop: Crop) -> np.ndarray:
        """A clip of file ``number``, int16 ``(samples,)``; waits for it where it was expected.

        Raises BadData where the file cannot be used and is not to be skipped, where no file can be
        used, and where the sound is one that a task tests.
        """
        pending, first = self._expected.pop((number, crop), None), number
        while True:
            name = self.files.name(number)
            if name not in self.faults:
                try:
                    if pending is not None:
                        sound = pending.result()
                    else:
                        sound = decode_crop(self.files.base / name, crop, self.tested_lengths)
                except BrokenSound as error:
                    self.met(name, error.fault)
                except DataMissing:
                    self.met(name, "is not there any more")
                else:
                    self.refuse_tested(name, sound.digest)
                    return sound.pcm
            pending, number = None, (number + 1) % len(self.files)
            if number == first:
                raise BadData(f"none of the {len(self.files)} files in {self.files.base} can be used.")

    def met(self, name: str, fault: str) -> None:
        """Refuse an unusable file, or note it; the first one is a warning."""
        if self.on_error == "refuse":
            raise BadData(
                f"{self.files.base / name} {fault}. Replace it, or let the next file stand in for such "
                "files: source.on_error=skip."
            )
        if not self.faults:
            warnings.warn(
                f"{self.files.base / name} {fault}. The next file stands in for it, and for others "
                "like it.",
                stacklevel=2,
            )
        self.faults[name] = fault

    def refuse_tested(self, name: str, digest: str) -> None:
        """Raise BadData where a sound is one that a task tests."""
        if digest in self.tested:
            raise BadData(tested_message([(name, self.tested[digest])], self.files.base))


def tested_message(found: list[tuple[str, str]], base: Path) -> str:
    """The refusal of files that tasks test, (file, what it is): a line for each of the first five."""
    lines = [f"\n  {name} is {what}" for name, what in found[:5]]
    more = f"\n  and {len(found) - 5} more" if len(found) > 5 else ""
    count = "a file" if len(found) == 1 else f"{len(found)} files"
    return (
        f"{count} below {base} would be learnt from and tested on:{''.join(lines)}{more}\n"
        "Move them elsewhere, or list the other files in a CSV with a file column and type "
        "source.manifest=that.csv."
    )
