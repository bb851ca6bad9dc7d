"""Real recordings as a source: a folder or a manifest of sound files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..drawer import UsageError
from .crops import Crops
from .listing import Listing, list_files


@dataclass(kw_only=True)
class Recordings(Crops, name="recordings"):
    """Crops of real recordings from a folder or a manifest (CSV with a ``file`` column).

    Every format that libsndfile reads is taken, its channels averaged, its rate brought to
    ``sample_rate``. A folder may be laid out like ESC-50 or like a task of HEAR, or hold a
    ``manifest.csv``; ``folds`` keeps those folds or splits of it. Sample i is a file and a crop drawn
    from (seed, i): files are equally likely (``weighting="file"``) or as likely as they are long
    (``duration``). A file shorter than the clip repeats from a random phase (``short="tile"``) or lies
    at a random place in silence (``pad``). Levels are left alone, except that samples over full scale
    are clipped.

    All files are decoded once into ``cache`` and read from there (``decode="once"``), or each clip from
    its file, ahead of need in ``workers`` processes (``ahead``); both give the same bits. Corrupt,
    empty or NaN files are refused with their names (``on_error="refuse"``), or the next usable file
    stands in for them (``skip``). Raises DataMissing where there is nothing to read, BadData for files
    that cannot be used.
    """

    kind = "waveform"
    family = "recording"
    citation = "that of the recordings"
    speed = "fast"
    needs = "a folder of sounds"

    folder: Path | None = None
    manifest: Path | None = None
    folds: tuple[str | int, ...] = ()
    decode: Literal["once", "ahead"] = "once"

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.manifest is None):
            raise UsageError(
                "recordings needs a folder or a manifest, and not both. "
                "Set source.folder=path/to/sounds or source.manifest=path/to/list.csv."
            )
        self.check_fields()

    @cached_property
    def files(self) -> Listing:
        """The files in use, sorted by name."""
        return list_files(self.folder, self.manifest, self.sample_rate).only(self.folds)

    def identity(self) -> dict[str, Any]:
        """Like every source's, with a hash of the sounds in place of the paths."""
        return self.without_places("folder", "manifest", "folds")

    def describe(self, index: int) -> dict[str, Any]:
        """File, where the clip starts in seconds, and the manifest's other columns."""
        number, start = self.place(index)
        return {**self.files.facts(number), "file": self.files.name(number), "offset_seconds": start}
