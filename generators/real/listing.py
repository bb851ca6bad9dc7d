"""Which sound files a folder or a manifest holds, with what is said of them, in the usual layouts."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import BrokenSound
from ..drawer import BadData, DataMissing, UsageError, neighbours
from .decoding import header, resampled_length
from .formats import suffixes

MANIFEST = "manifest.csv"
ESC = "meta/esc50.csv"  # of ESC-50 and ESC-10, sounds in audio/
HEAR = "task_metadata.json"  # of a task of HEAR, sounds in <rate>/<split>/


@dataclass(frozen=True)
class Listing:
    """Sound files sorted by name, relative to ``base``, and columns of facts about them."""

    base: Path
    files: list[str]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, number: int) -> str:
        """The name of file ``number``."""
        return self.files[number]

    def names(self) -> list[str]:
        """All names."""
        return self.files

    def facts(self, number: int) -> dict[str, str]:
        """What the columns say of file ``number``."""
        return {key: column[number] for key, column in self.columns.items()}

    def lengths(self, rate: int) -> np.ndarray:
        """Samples at ``rate`` as the headers say, 0 where one cannot be read: int64 ``(files,)``."""
        found = np.zeros(len(self.files), dtype=np.int64)
        for number, name in enumerate(self.files):
            try:
                frames, own_rate = header(self.base / name)
            except BrokenSound:
                continue
            found[number] = resampled_length(frames, own_rate, rate)
        return found

    def fingerprint(self) -> str:
        """A hash of names and sizes, where nothing is decoded yet."""
        lines = [f"{name}\t{(self.base / name).stat().st_size}" for name in self.files]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def only(self, folds: tuple[str | int, ...]) -> Listing:
        """The files of these folds; raises :class:`UsageError` where there are none such."""
        if not folds:
            return self
        column = self.columns.get("fold") or self.columns.get("split")
        if column is None:
            raise UsageError(
                f"source.folds={list(folds)}, but {self.base} has no folds: it is laid out neither "
                "like ESC-50 nor like a task of HEAR, and has no manifest with a column fold or split."
            )
        wanted = [str(fold) for fold in folds]
        for fold in wanted:
            if fold not in column:
                known = neighbours(fold, sorted(set(column)))
                raise UsageError(f"source.folds: {self.base} has no fold {fold!r}.{known}")
        rows = [row for row, fold in enumerate(column) if fold in wanted]
        columns = {key: [values[row] for row in rows] for key, values in self.columns.items()}
        return Listing(self.base, [self.files[row] for row in rows], columns)


def list_files(folder: Path | None, manifest: Path | None, rate: int) -> Listing:
    """The files of a manifest, or of a folder by what it holds; raises :class:`DataMissing`.

    A folder with a ``manifest.csv`` is read through it; one with ``meta/esc50.csv`` is laid out like
    ESC-50, one with ``task_metadata.json`` like a task of HEAR (the folder of the lowest sample rate
    that is not below ``rate``, else of the highest). Of any other folder every sound file at any depth
    is taken, except hidden ones.
    """
    base = Path(folder or ".")
    if manifest is None and not base.is_dir():
        raise DataMissing(f"no folder at {base}. Set source.folder to a folder of sound files.")
    if manifest is not None or (base / MANIFEST).is_file():
        return list_manifest(Path(manifest or base / MANIFEST))
    if (base / ESC).is_file():
        return list_esc(base)
    if (base / HEAR).is_file():
        return list_hear(base, rate)
    files = sound_files(base)
    if not files:
        raise DataMissing(
            f"no sound file ({', '.join(suffixes())}) below {base}. Set source.folder to another."
        )
    return Listing(base, files, {})


def sound_files(base: Path) -> list[str]:
    """Sound files at any depth below ``base``, sorted; hidden files and folders are passed over."""
    found = []
    for place, folders, names in os.walk(base, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(suffixes()) and not name.startswith("."):
                found.append((Path(place) / name).relative_to(base).as_posix())
    return sorted(found)


def read_table(path: Path, key: str, cure: str) -> dict[str, list[str]]:
    """The columns of a CSV that has the column ``key``; raises :class:`BadData` naming the line."""
    with path.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.DictReader(text)
        names = list(reader.fieldnames or [])
        if key not in names:
            raise BadData(f"{path} has no column {key!r} (it has {', '.join(names) or 'none'}). {cure}")
        columns: dict[str, list[str]] = {name: [] for name in names}
        for row in reader:
            for name in names:
                if row[name] is None:
                    raise BadData(
                        f"{path}, line {reader.line_num} has no value for column {name!r}. {cure}"
                    )
                columns[name].append(row[name])
    if not columns[key]:
        raise DataMissing(f"{path} names no file. {cure}")
    return columns


def by_name(base: Path, files: list[str], columns: dict[str, list[str]]) -> Listing:
    """A listing in the order of the names."""
    order = sorted(range(len(files)), key=files.__getitem__)
    sorted_columns = {key: [values[row] for row in order] for key, values in columns.items()}
    return Listing(base, [files[row] for row in order], sorted_columns)


def list_manifest(manifest: Path) -> Listing:
    """A CSV with a column ``file`` of paths relative to it; its other columns are facts."""
    if not manifest.is_file():
        raise DataMissing(
            f"no manifest at {manifest}. Set source.manifest to a CSV with a file column."
        )
    columns = read_table(manifest, "file", "Name the column of paths, relative to the CSV, 'file'.")
    return by_name(manifest.parent, columns.pop("file"), columns)


def list_esc(base: Path) -> Listing:
    """ESC-50's layout: every row of ``meta/esc50.csv`` is a file of ``audio/`` of that stem."""
    columns = read_table(base / ESC, "filename", "Restore the official esc50.csv.")
    there = {Path(name).stem: name for name in reversed(sound_files(base / "audio"))}
    files = []
    for name in columns.pop("filename"):
        if Path(name).stem not in there:
            raise DataMissing(f"{base / ESC} lists {name}, which {base / 'audio'} does not hold.")
        files.append(f"audio/{there[Path(name).stem]}")
    return by_name(base, files, columns)


def list_hear(base: Path, rate: int) -> Listing:
    """The layout of a HEAR task: ``<rate>/<split>/<file>``; the column ``split`` says which."""
    try:
        splits = [str(name) for name in json.loads((base / HEAR).read_text())["splits"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{base / HEAR} names no splits ({error!r}). Restore it.") from error
    rates = sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal())
    if not rates:
        raise DataMissing(f"{base} has no folder of sounds (such as 16000/). Unpack the task again.")
    chosen = next((found for found in rates if found >= rate), rates[-1])
    files, column = [], []
    for split in splits:
        found = [f"{chosen}/{split}/{name}" for name in sound_files(base / str(chosen) / split)]
        files += found
        column += [split] * len(found)
    if not files:
        raise DataMissing(f"{base / str(chosen)} holds no sound file of {', '.join(splits)}.")
    return by_name(base, files, {"split": column})
