"""AudioSet as a source: its official segment lists and a folder of clips."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..drawer import DataMissing, UsageError
from .crops import Crops
from .segment_index import ClipIndex, open_index


@dataclass(kw_only=True)
class AudioSet(Crops, name="audioset"):
    """Clips of AudioSet's training lists, as far as they are on disk (Gemmeke et al., ICASSP 2017).

    ``folder`` holds the official ``*_segments.csv`` and, at any depth, the clips; ``lists`` names those
    in use (``balanced_train``, ``unbalanced_train``, ``eval``) or paths of others in the same format.
    A clip is named after its segment: ``ID.flac``, ``YID.wav``, ``ID_30.000.wav``, ``ID_30_40.flac``,
    ``ID_30000_40000.mp3``, any format that libsndfile reads. Listed clips that are missing are counted
    and reported. Which ones there are is found in one look at the folders and kept in ``cache``.

    Sample i is a clip and a crop drawn from (seed, i), as in ``recordings``, whose other fields it has.
    Clips are decoded ahead of need in ``workers`` processes (``decode="ahead"``), or all of them once
    into ``cache`` (``once``: 320 kB for each clip of 10 s).
    """

    kind = "waveform"
    family = "recording"
    citation = "Gemmeke et al. 2017, Audio Set, ICASSP"
    speed = "moderate"
    needs = "AudioSet's segment lists and a folder of clips"

    folder: Path = Path("audioset")
    lists: tuple[str, ...] = ("balanced_train", "unbalanced_train")
    decode: Literal["once", "ahead"] = "ahead"

    def __post_init__(self) -> None:
        if not self.lists:
            raise UsageError(
                "source.lists names no list. Type for example source.lists=[balanced_train]."
            )
        if len(set(self.lists)) < len(self.lists):
            raise UsageError(f"source.lists={list(self.lists)} names a list twice. Name each once.")
        self.check_fields()

    def list_path(self, name: str) -> Path:
        """Where a list lies: an official one in the folder, any other below it or where it says."""
        if not name.endswith(".csv"):
            return Path(self.folder) / f"{name}_segments.csv"
        below = Path(self.folder) / name
        return below if below.is_file() else Path(name)

    @cached_property
    def files(self) -> ClipIndex:
        """The listed clips that are on disk, in the order of the lists; warns of those that are not."""
        folder = Path(self.folder)
        if not folder.is_dir():
            raise DataMissing(
                f"no folder at {folder}. Set source.folder to the folder that holds AudioSet's clips "
                "and balanced_train_segments.csv."
            )
        index = open_index(folder, tuple(map(self.list_path, self.lists)), Path(self.cache))
        unread = ", ".join(f"{count} {suffix}" for suffix, count in sorted(index.unread.items()))
        convert = (
            f" {unread} there are files that libsndfile does not read: convert them, for example with "
            "ffmpeg -i clip.m4a clip.flac."
            if unread
            else ""
        )
        if len(index) == 0:
            raise DataMissing(
                f"none of the {index.listed} clips of {', '.join(self.lists)} is below {folder}. Name "
                f"them ID.flac, YID.wav or ID_30_40.wav, with the list's YTID as ID.{convert}"
            )
        if index.missing or unread:
            warnings.warn(
                f"AudioSet: {len(index)} of {index.listed} listed clips are below {folder}, "
                f"{index.missing} are missing.{convert}",
                stacklevel=2,
            )
        return index

    def identity(self) -> dict[str, Any]:
        """Like every source's, with a hash of the clips in place of the paths."""
        return self.without_places("folder", "lists")

    def facts(self) -> dict[str, Any]:
        """How many clips are listed, there and missing, and a hash that says which are there."""
        listed = {"listed": self.files.listed, "missing": self.files.missing}
        return {**super().facts(), **listed, "clips": self.files.fingerprint()}

    def describe(self, index: int) -> dict[str, Any]:
        """File, where the clip starts in it in seconds, and the segment's id, times and labels."""
        number, start = self.place(index)
        file = self.files.name(number)
        return {**self.files.facts(number), "file": file, "offset_seconds": start}
