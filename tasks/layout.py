"""Data sets as they lie on disk: their folder, their tables, and the sound file of every row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from os.path import normpath
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.archives import of_folder
from tasks.base import Task
from tasks.drawer import BadData, DataMissing

ENCODINGS = (".wav", ".flac", ".ogg")  # on disk, in order of preference where a clip has several


def root_of(task: Task, *landmarks: str) -> Path:
    """The task's folder below ``data``, where every landmark (a path in it) has to exist.

    Raises :class:`DataMissing` with size, licence, where to download and what to type.
    """
    root = None if task.data is None else Path(task.data) / task.folder
    missing = [root / mark for mark in landmarks if not (root / mark).exists()] if root else []
    if root is None or missing:
        where = f"{normpath(missing[0])} is not there" if missing else "no data folder was given"
        wanted = " and ".join(normpath(f"FOLDER/{task.folder}/{mark}") for mark in landmarks)
        fetch = f"type `sourcebench fetch {task.name}`, or " if of_folder(task.folder) else ""
        raise DataMissing(
            f"task {task.name!r} needs its data (about {task.download_bytes / 1e9:.2g} GB, "
            f"{task.licence}), but {where}. To get the official release, {fetch}download it from "
            f"{task.url} and unpack it so that {wanted} exist. SOURCEBENCH_DATA=FOLDER before the "
            "command, or paths.data=FOLDER after it, says where FOLDER is."
        )
    return root


def again(task: Task) -> str:
    """What to do where a file of the official release is lost: the end of an error message."""
    if not of_folder(task.folder):
        return "Unpack the official release again"
    folder = normpath(Path(task.data or "") / task.folder)
    return f"Move {folder} away and type `sourcebench fetch {task.name}`"


def read_table(
    path: Path,
    columns: Iterable[str],
    *,
    header: bool = True,
    encoding: str = "utf-8-sig",
    separator: str = ",",
) -> pd.DataFrame:
    """A CSV file as text columns, with ``row`` (line in the file) added.

    Raises :class:`BadData` where it is no table, is empty, is not in ``encoding``, or lacks one of
    ``columns``.
    """
    wanted = list(columns)
    try:
        table = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            encoding=encoding,
            sep=separator,
            header=0 if header else None,
            names=None if header else wanted,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise BadData(
            f"{path} is not a table in {encoding} ({error}). Restore the official file; a spreadsheet "
            "may have saved it in another encoding."
        ) from error
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise BadData(
            f"{path} has no column {missing[0]!r}; expected {', '.join(wanted)}. "
            "Restore the official file."
        )
    if table.empty:
        raise BadData(f"{path} holds no row. Restore the official file.")
    return table.assign(row=np.arange(2 if header else 1, len(table) + (2 if header else 1)))


def files_by_stem(root: Path, folder: str, *, more: tuple[str, ...] = ()) -> dict[str, str]:
    """Sound files in ``root/folder`` by their name without ending, relative to ``root``.

    Of several encodings of one clip the preferred one counts; ``more`` are further endings.
    """
    found: dict[str, str] = {}
    if not (root / folder).is_dir():
        return found
    with os.scandir(root / folder) as entries:
        names = [entry.name for entry in entries]  # 100,000 are quick as text, not as paths
    for suffix in reversed((*ENCODINGS, *more)):  # the preferred encoding is written last
        of_suffix = (name for name in names if name.endswith(suffix))
        found.update((name.removesuffix(suffix), f"{folder}/{name}") for name in of_suffix)
    return found


def with_files(
    task: Task, table: pd.DataFrame, found: Mapping[str, str], key: str, source: str
) -> pd.DataFrame:
    """``table`` with ``path``: for every row the file that ``found`` has for its column ``key``.

    Rows without a file are refused, the first by name; with ``partial`` they are left out. A row that
    is there twice is refused too. ``source`` names the file that the table was read from.
    """
    repeated = table[table[key].duplicated()]
    if len(repeated):
        raise BadData(
            f"task {task.name!r}: {source}, row {repeated['row'].iloc[0]}: {repeated[key].iloc[0]} is "
            "listed more than once. Restore the official file."
        )
    paths = table[key].map(found)
    missing = table[paths.isna()]
    if len(missing) == len(table) or (len(missing) and not task.partial):
        raise DataMissing(
            f"task {task.name!r}: {len(missing)} of {len(table)} clips have no sound file in "
            f"{Path(task.data or '') / task.folder}; the first is row {missing['row'].iloc[0]} of "
            f"{source}, {missing[key].iloc[0]} ({' or '.join(ENCODINGS)}). {again(task)}, or type "
            "partial=true to accept what is there: every row is then marked as partial."
        )
    return table.assign(path=paths)[paths.notna()]
