"""Fetch data sets: download -> verify -> unpack -> check -> rename into place.

Everything happens below ``.fetch`` in the data folder, hence on the same disk: ``NAME/archives``
holds what was downloaded, ``NAME/unpacked`` and ``NAME/ready`` what is not yet complete. Killed at any
moment, the same call goes on.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.archives import DataSet
from tasks.drawer import BadData
from tasks.obtaining import Listener, Wishes, check_wishes, found_in, obtain
from tasks.split_zip import segments_of
from tasks.transfer import FetchFailed
from tasks.unpacking import Limits, remove, unpack

WORKPLACE = ".fetch"  # below the data folder
RECORD = ".fetched.json"  # in a data set: what it was unpacked from


Inspect = Callable[[DataSet, Path], None]  # a data set, and the folder that holds its folder


# ---------------------------------------------------------------------------------------------------
# Before: what is there, what it takes


def state(data_set: DataSet, data: Path) -> str | None:
    """What keeps a data set from being complete: "" for nothing, None where its folder is not there."""
    root = data / data_set.folder
    return shortcoming(data_set, root) if root.exists() else None


def shortcoming(data_set: DataSet, root: Path) -> str:
    """The first thing that a folder lacks to be the official data set; "" where it is complete."""
    for path in data_set.holds:
        if not (root / path).exists():
            return f"{path} is not there"
    for pattern, expected in data_set.counts:
        found = sum(not path.name.startswith(".") for path in root.glob(pattern))
        if found != expected:
            return f"{pattern} finds {found:,} files, expected {expected:,}"
    return ""


@dataclass(frozen=True)
class Price:
    """What fetching takes: the data sets that are missing, and bytes."""

    missing: tuple[DataSet, ...]
    lines: tuple[str, ...]  # licence and size, a line each data set
    needed: int  # bytes of disk at the moment when most is there
    free: int


def price(data_sets: list[DataSet], data: Path, wishes: Wishes) -> Price:
    """Licence, sizes and disk, without network; raises :class:`BadData` for a folder in the way."""
    missing, lines, unpacked, needed = [], [], 0, 0
    for data_set in data_sets:
        where = data / data_set.folder
        lacks = state(data_set, data)
        if lacks == "":
            lines.append(f"{data_set.name}: already there, {where} ({data_set.licence})")
            continue
        if lacks is not None:
            raise BadData(
                f"{where} is there, but it is not the complete official {data_set.name}: {lacks}. "
                "Nothing was changed. Move it away and type it again, or fetch to another place: "
                "paths.data=FOLDER."
            )
        missing.append(data_set)
        here = 0 if wishes.offline else held(data_set, data)
        left = 0 if wishes.offline else max(0, data_set.download - here)
        unpacked += data_set.unpacked
        needed = max(needed, unpacked + left + (here if wishes.keep else 0))
        unpacked += data_set.download if wishes.keep and not wishes.offline else 0
        partly = f" ({here / 1e9:.2f} GB of it are here)" if here else ""
        lines.append(
            f"{data_set.name}: licence {data_set.licence}; download "
            f"{data_set.download_text}{partly}, "
            f"unpacked about {data_set.unpacked / 1e9:.2f} GB -> {where}; see {data_set.page}"
        )
    return Price(tuple(missing), tuple(lines), needed, free_bytes(data))


def free_bytes(data: Path) -> int:
    """Free bytes of the disk that ``data`` lies or will lie on."""
    absolute = data.absolute()
    return shutil.disk_usage(next(path for path in (absolute, *absolute.parents) if path.exists())).free


def held(data_set: DataSet, data: Path) -> int:
    """Bytes of its archives that an earlier call left."""
    folder = data / WORKPLACE / data_set.name / "archives"
    names = {archive.name for archive in data_set.archives}
    paths = [folder / f"{name}{end}" for name in names for end in ("", ".part")]
    return sum(path.stat().st_size for path in paths if path.exists())


def check_disk(cost: Price, data: Path) -> None:
    """Raises :class:`FetchFailed` where the disk is too small."""
    if cost.needed > cost.free:
        raise FetchFailed(
            f"this needs {cost.needed / 1e9:.1f} GB at {data}, but {cost.free / 1e9:.1f} GB are free "
            "there. Free some, fetch fewer data sets, or choose another disk: paths.data=FOLDER."
        )


# ---------------------------------------------------------------------------------------------------
# One data set


def fetch(
    data_sets: list[DataSet],
    data: Path,
    wishes: Wishes,
    listener: Listener,
    inspect: Inspect = lambda _data_set, _folder: None,
) -> list[Path]:
    """Fetch what is missing, one process at a time; returns the folders of all data sets.

    ``inspect`` judges an unpacked data set before it is renamed into place. Raises FetchFailed,
    :class:`BadData`, :class:`DataMissing` or :class:`UsageError`; what was downloaded is kept.
    """
    check_wishes(data_sets, wishes)
    check_disk(price(data_sets, data, wishes), data)
    (data / WORKPLACE).mkdir(parents=True, exist_ok=True)
    with alone(data / WORKPLACE / "lock", listener):
        cost = price(data_sets, data, wishes)  # who was waited for may have fetched it
        check_disk(cost, data)
        for data_set in data_sets:
            if data_set in cost.missing:
                fetch_one(data_set, data, wishes, listener, inspect)
            else:
                if unfinished(data_set, data):
                    clean(data / WORKPLACE / data_set.name, keep=wishes.keep)
                listener.say(f"{data_set.name}: already there, {data / data_set.folder}")
    return [data / data_set.folder for data_set in data_sets]


@contextmanager
def alone(path: Path, listener: Listener) -> Iterator[None]:
    """Hold the lock; a second process says that it waits."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        listener.say(f"another fetch is at work in {path.parent.parent}; waiting until it is done")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fetch_one(
    data_set: DataSet, data: Path, wishes: Wishes, listener: Listener, inspect: Inspect
) -> None:
    """Download or find the archives, unpack them, and rename the folder into place."""
    place = data / WORKPLACE / data_set.name
    measured = obtain(data_set, place / "archives", wishes, listener)
    staged = place / "unpacked"
    remove(staged)  # of a call that was interrupted
    groups = segments_of(measured)
    folder = wishes.offline or place / "archives"
    archives = {archive.name: archive for archive in data_set.archives}
    limits = Limits(size=3 * data_set.unpacked + 10**9)
    written = 0
    for names in groups.values():
        before = written

        def reached(size: int, before: int = before) -> None:
            nonlocal written
            written = before + size
            listener.reached(f"unpacking {data_set.name}", written, None)

        unpack([found_in(folder, archives[name]) for name in names], staged, limits, reached)
    found = sorted(staged.glob(data_set.root)) if data_set.root else [staged]
    roots = [path for path in found if path.is_dir()]
    lacks = shortcoming(data_set, roots[0]) if roots else f"there is no {data_set.root}"
    if lacks:
        raise BadData(
            f"what was unpacked is not the official {data_set.name}: {lacks}. Nothing was put in "
            f"place. The archives are in {folder}: delete them and type it again."
        )
    ready = place / "ready"
    remove(ready)
    (ready / data_set.folder).parent.mkdir(parents=True, exist_ok=True)
    roots[0].replace(ready / data_set.folder)
    inspect(data_set, ready)
    write_record(data_set, ready / data_set.folder, measured)
    if hasattr(os, "sync"):
        os.sync()  # one for all its files, before the name says that they are complete
    target = data / data_set.folder
    target.parent.mkdir(parents=True, exist_ok=True)
    (ready / data_set.folder).rename(target)
    clean(place, keep=wishes.keep)
    listener.say(f"{data_set.name}: done, {target}")


def clean(place: Path, *, keep: bool) -> None:
    """Remove what a data set in place no longer needs; ``ready`` goes last, see :func:`unfinished`."""
    if not keep:
        remove(place / "archives")
    remove(place / "unpacked")
    remove(place / "ready")
    if not keep:
        place.rmdir()


def unfinished(data_set: DataSet, data: Path) -> bool:
    """Whether a call was killed after the data set was in place and before it had cleaned up."""
    return (data / WORKPLACE / data_set.name / "ready").exists() and state(data_set, data) == ""


def write_record(data_set: DataSet, root: Path, measured: dict[str, dict[str, str]]) -> None:
    """Say in the data set what it is: licence, archives and their checksums, and when."""
    record = {
        "data_set": data_set.name,
        "licence": data_set.licence,
        "page": data_set.page,
        "archives": measured,
        "fetched_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    (root / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
