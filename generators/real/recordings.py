"""Real recordings as a source: a folder or a manifest of sound files, decoded once into a cache."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import BadData, DataMissing, UsageError
from .sound_cache import CACHE_VERSION, Decoded, decode_once

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
MANIFEST = "manifest.csv"


@dataclass(kw_only=True)
class Recordings(Source, name="recordings"):
    """Crops of real recordings from a folder or a manifest (CSV with a ``file`` column).

    Files (wav, flac, ogg, mp3, aiff) are decoded once to mono at ``sample_rate`` into ``cache`` and
    read from there; a folder that holds a ``manifest.csv`` is read through it. Sample i is a file and
    a crop drawn from (seed, i): files are equally likely (``weighting="file"``) or as likely as they
    are long (``duration``). A file shorter than the clip repeats from a random phase
    (``short="tile"``) or lies at a random place in silence (``pad``). Levels are left alone, except
    that samples over full scale are clipped.

    Corrupt, empty or NaN files are refused with their names (``on_error="refuse"``), or left out with
    one warning (``skip``). Raises DataMissing where there is nothing to read, BadData for bad files.
    """

    kind = "waveform"
    family = "recording"
    citation = "that of the recordings"
    speed = "fast"
    needs = "a folder of sounds"

    folder: Path | None = None
    manifest: Path | None = None
    seconds: float = 10.24
    sample_rate: int = 16000
    cache: Path = Path("cache")
    weighting: Literal["file", "duration"] = "file"
    short: Literal["tile", "pad"] = "tile"
    on_error: Literal["refuse", "skip"] = "refuse"

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.manifest is None):
            raise UsageError(
                "recordings needs a folder or a manifest, and not both. "
                "Set source.folder=path/to/sounds or source.manifest=path/to/list.csv."
            )
        if round(self.seconds * self.sample_rate) < 1:
            raise UsageError(f"source.seconds={self.seconds} is no clip. Set it to 10.24, for example.")

    @cached_property
    def decoded(self) -> Decoded:
        """The cache, built at first use."""
        base, rows = list_files(self.folder, self.manifest)
        names = [row["file"] for row in rows]
        return decode_once(base, names, self.sample_rate, Path(self.cache), self.on_error)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The manifest's rows with all columns, or a row ``file`` for every file of the folder."""
        return list_files(self.folder, self.manifest)[1]

    @property
    def content_hashes(self) -> list[tuple[str, str]]:
        """(file, SHA-256 of its decoded sound) of every file in use, for the leakage check."""
        return list(zip(self.decoded.files, self.decoded.hashes, strict=True))

    def identity(self) -> dict[str, Any]:
        """Like every source's, with a hash of the decoded sound in place of the paths."""
        values = super().identity()
        for key in ("folder", "manifest", "cache", "on_error"):
            values.pop(key)
        content = hashlib.sha256("\n".join(self.decoded.hashes).encode()).hexdigest()
        return {**values, "content": content, "cache_version": CACHE_VERSION}

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """File and offset in samples, int64 ``(B,)``.

        The offset is where the clip starts in the file; for a short file, its phase when it is tiled
        and minus its place in the clip when it is padded.
        """
        draws = Draws(self.seed, indices)
        lengths = torch.from_numpy(self.decoded.lengths)
        if self.weighting == "file":
            chosen = draws.integers("file", 0, len(lengths) - 1)
        else:
            ends = lengths.cumsum(0)
            at = (draws.uniform("file") * int(ends[-1])).long()
            chosen = torch.searchsorted(ends, at, right=True)
        length, clip = lengths[chosen], round(self.seconds * self.sample_rate)
        place = draws.uniform("offset")
        crop = (place * (length - clip + 1)).long()
        if self.short == "tile":
            brief = (place * length).long()
        else:
            brief = -(place * (clip - length + 1)).long()
        return {"file": chosen, "offset": torch.where(length >= clip, crop, brief)}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Clips ``(B, samples)`` in [-1, 1], float32 on ``device``, gathered from the cache."""
        decoded, clip = self.decoded, round(self.seconds * self.sample_rate)
        samples = decoded.samples
        starts = np.cumsum(decoded.lengths) - decoded.lengths
        out = np.zeros((len(parameters["file"]), clip), dtype=np.int16)
        pairs = zip(parameters["file"].tolist(), parameters["offset"].tolist(), strict=True)
        for row, (number, offset) in zip(out, pairs, strict=True):
            length = int(decoded.lengths[number])
            sound = samples[starts[number] : starts[number] + length]
            if length >= clip:
                row[:] = sound[offset : offset + clip]
            elif self.short == "tile":
                row[:] = np.resize(np.roll(sound, -offset), clip)
            else:
                row[-offset : -offset + length] = sound
        return torch.from_numpy(out).to(device).float().div_(32767.0)

    def describe(self, index: int) -> dict[str, Any]:
        """File, offset in seconds, and the manifest's other columns."""
        drawn = super().describe(index)
        name = self.decoded.files[drawn["file"]]
        row = next(row for row in self.rows if row["file"] == name)
        return {**row, "file": name, "offset_seconds": drawn["offset"] / self.sample_rate}


# ---------------------------------------------------------------------------------------------------
# Finding files.


def list_files(folder: Path | None, manifest: Path | None) -> tuple[Path, list[dict[str, str]]]:
    """The folder that names are relative to, and a row with at least ``file`` for every file, sorted.

    A folder that holds a ``manifest.csv`` is read through it. Raises :class:`DataMissing`.
    """
    if folder is not None and (Path(folder) / MANIFEST).is_file():
        manifest = Path(folder) / MANIFEST
    if manifest is not None:
        manifest = Path(manifest)
        rows = read_manifest(manifest)
        return manifest.parent, sorted(rows, key=lambda row: row["file"])
    base = Path(folder or ".")
    if not base.is_dir():
        raise DataMissing(f"no folder at {base}. Set source.folder to a folder of sound files.")
    found = sorted(
        p.relative_to(base).as_posix() for p in base.rglob("*") if p.suffix.lower() in SUFFIXES
    )
    if not found:
        raise DataMissing(
            f"no {', '.join(SUFFIXES)} file below {base}. Set source.folder to another one."
        )
    return base, [{"file": name} for name in found]


def read_manifest(manifest: Path) -> list[dict[str, str]]:
    """Rows of a CSV with a ``file`` column; raises :class:`DataMissing` or :class:`BadData`."""
    if not manifest.is_file():
        raise DataMissing(
            f"no manifest at {manifest}. Set source.manifest to a CSV with a file column."
        )
    with manifest.open(newline="", encoding="utf-8") as text:
        reader = csv.DictReader(text)
        if "file" not in (reader.fieldnames or []):
            raise BadData(
                f"{manifest} has no column 'file' (it has {reader.fieldnames}). "
                "Name the column of paths, relative to the manifest, 'file'."
            )
        rows = [dict(row) for row in reader]
    if not rows:
        raise DataMissing(
            f"{manifest} names no file. Add rows, or set source.manifest to another list."
        )
    return rows
