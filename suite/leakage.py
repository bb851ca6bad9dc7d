"""Nothing is learnt from that is tested: recordings are compared with the test clips of every task.

Two files are the same where they decode to the same 16-bit samples at their own rate (content hash),
whatever their name and lossless format; a resampled or re-encoded copy is not found. Freesound is the
origin of several data sets, so ids that occur on both sides are reported too, where names carry them.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from filelock import FileLock

import tasks
from generators.audio import BrokenSound, content_hash, read_mono
from generators.base import Source
from generators.real.crops import Crops
from generators.real.listing import Listing
from suite.progress import Progress
from suite.rows import write_atomically
from tasks.base import Task
from tasks.drawer import BadData, DataMissing

HASH_VERSION = 1  # raise when the same file gets another hash
KEEP_EVERY = 5000  # files between two times that their hashes are written
SHOWN = 20  # shared ids that are kept by name

# File names that begin with or hold a Freesound id.
FREESOUND = (
    re.compile(r"[1-5]-(\d+)-[A-Z]-\d{1,2}"),  # ESC-50: fold-id-take-target
    re.compile(r"(\d+)-\d-\d{1,3}-\d{1,3}"),  # UrbanSound8K: id-class-occurrence-slice
    re.compile(r"(\d+)__.+"),  # Freesound's own downloads: id__user__title
)
FREESOUND_COLUMNS = ("freesound_id", "fsID", "src_file")  # of manifests: the id itself
ORIGIN_COLUMN = "origin"  # of manifests: the name that a file once had


@dataclass(frozen=True)
class Tested:
    """What the tasks that are on disk test."""

    sounds: dict[str, str] = field(default_factory=dict)  # content hash: task, fold and file
    lengths: frozenset[int] = frozenset()  # of these sounds, in samples at their own rate
    clips: dict[str, int] = field(default_factory=dict)  # compared, by task
    freesound: dict[str, frozenset[str]] = field(default_factory=dict)  # ids by task, of all folds
    unchecked: dict[str, str] = field(default_factory=dict)  # tasks that could not be read, and why


def check(source: Source, data: Path, cache: Path, pooled: int) -> dict[str, Any]:
    """Refuse recordings that a task tests; returns what was compared, for the run's environment.

    Sources without recordings have nothing to compare and give {}. ``pooled`` samples are rendered
    before training: where files are decoded ahead, those of these samples are compared now, the others
    when they are decoded. Raises generators' BadData naming the files. Shared Freesound ids, and tasks
    whose data are there but cannot be read, are one warning each.
    """
    found = recordings_in(source)
    if not found:
        return {}
    uploads = [freesound_ids(recordings) for recordings in found]  # first of all: are the files there?
    tested = test_clips(data, cache)
    compared = 0
    shared: dict[str, set[str]] = {}
    for recordings, ids in zip(found, uploads, strict=True):
        lengths = tuple(sorted(tested.lengths))
        compared += recordings.refuse_tested(tested.sounds, lengths, pooled)
        for task, others in tested.freesound.items():
            if ids & others:
                shared.setdefault(task, set()).update(ids & others)
    for task, reason in tested.unchecked.items():
        warnings.warn(f"task {task}: not compared with the recordings: {reason}", stacklevel=2)
    for task, common in shared.items():
        warnings.warn(
            f"{len(common)} Freesound sounds of the recordings are also in task {task}: "
            f"{', '.join(sorted(common)[:5])}{' ...' if len(common) > 5 else ''}. "
            "Its scores may profit from having heard them.",
            stacklevel=2,
        )
    return {
        "leakage": {
            "files_compared": compared,
            "test_clips": tested.clips,
            "tasks_not_compared": tested.unchecked,
            "shared_freesound_ids": {
                task: {"count": len(common), "ids": sorted(common)[:SHOWN]}
                for task, common in shared.items()
            },
        },
    }


def facts(source: Source) -> dict[str, Any]:
    """What a run should remember of its recordings, once it has read them; {} where it has none."""
    found = recordings_in(source)
    return {"recordings": [recordings.facts() for recordings in found]} if found else {}


def recordings_in(source: Source) -> list[Crops]:
    """The sources of recordings that ``source`` is or is made of."""
    if isinstance(source, Crops):
        return [source]
    found = []
    for value in vars(source).values():
        parts = value.values() if isinstance(value, dict) else [value]
        for part in parts:
            if isinstance(part, Source):
                found += recordings_in(part)
    return found


# ---------------------------------------------------------------------------------------------------
# What is tested.


def test_clips(data: Path, cache: Path) -> Tested:
    """The test clips of every task whose data lie below ``data``, hashed once into ``cache``."""
    sounds: dict[str, str] = {}
    lengths: set[int] = set()
    clips: dict[str, int] = {}
    freesound: dict[str, frozenset[str]] = {}
    unchecked: dict[str, str] = {}
    for name in tasks.names():
        entry = tasks.catalogue.get(name)
        if entry.embedded or not entry.folder or not (data / entry.folder).is_dir():
            continue
        task = tasks.create(name, data=data, partial=True)  # what is there is tested, complete or not
        try:
            hashed = hash_test_files(task, cache)
            paths = [PurePath(task.folder) / path for path in task.clips()["path"]]
        except (BadData, DataMissing) as error:
            unchecked[name] = str(error)
            continue
        clips[name] = len(hashed)
        ids = frozenset(filter(None, map(freesound_id, paths)))
        if ids:
            freesound[name] = ids
        for path, (fold, digest, length) in hashed.items():
            sounds.setdefault(digest, f"a test clip of {name}, fold {fold}: {path}")
            lengths.add(length)
    sounds.pop("", None)  # files that cannot be decoded
    return Tested(sounds, frozenset(lengths), clips, freesound, unchecked)


def hash_test_files(task: Task, cache: Path) -> dict[str, tuple[str, str, int]]:
    """Fold, content hash and samples of every file that a task tests, by its name in the task's folder.

    Hashes are kept with the sizes and times of change of the files; what has changed is hashed again.
    """
    assert task.data is not None
    base = Path(task.data) / task.folder
    folds: dict[str, str] = {}
    for fold in task.folds():
        for path in task.clips()["path"].to_numpy(dtype=str)[fold.test]:
            folds.setdefault(str(path), fold.name)
    slug = hashlib.sha256(f"{HASH_VERSION} {base.resolve()}".encode()).hexdigest()[:16]
    kept = cache / "tested" / f"{task.folder.replace('/', '-')}-{slug}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):
        known: dict[str, list[Any]] = read_kept(kept)
        stale = {}
        for path in folds:
            if not (base / path).is_file():
                raise DataMissing(f"no sound file at {base / path}.")
            status = (base / path).stat()
            stamp = [status.st_size, status.st_mtime_ns]
            if path not in known or known[path][:2] != stamp:
                stale[path] = stamp
        progress = Progress(f"hashing what {task.name} tests", len(stale), 0, 1)
        for done, (path, stamp) in enumerate(stale.items(), start=1):
            known[path] = [*stamp, *hash_and_length(base / path)]
            progress.update(done)
            if done % KEEP_EVERY == 0:
                write_atomically(kept, json.dumps(known).encode())
        progress.close()
        if stale:
            write_atomically(kept, json.dumps(known).encode())
    return {path: (fold, known[path][2], known[path][3]) for path, fold in folds.items()}


def hash_and_length(path: Path) -> tuple[str, int]:
    """Content hash and samples of a file; ("", 0) where it cannot be decoded, and so not tested."""
    try:
        samples, _ = read_mono(path)
    except BrokenSound:
        return "", 0
    return content_hash(samples), len(samples)


def read_kept(path: Path) -> dict[str, list[Any]]:
    """The hashes kept in ``path``, none where there is no such file or it is damaged."""
    try:
        found: dict[str, list[Any]] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


# ---------------------------------------------------------------------------------------------------
# Freesound.


def freesound_id(path: PurePath) -> str | None:
    """The Freesound id that a file's name carries, if it does.

    ESC-50 and UrbanSound8K have it in their names, Freesound's downloads begin with it, and a file of
    FSD50K is named by it alone.
    """
    for pattern in FREESOUND:
        if match := pattern.fullmatch(path.stem):
            return match[1]
    in_fsd50k = any(part.startswith("FSD50K") for part in path.parts[:-1])
    return path.stem if in_fsd50k and path.stem.isdecimal() else None


def freesound_ids(recordings: Crops) -> set[str]:
    """The Freesound ids of recordings, from file names and from the columns of a manifest."""
    files = recordings.files
    if not isinstance(files, Listing):  # AudioSet is YouTube's
        return set()
    found = {freesound_id(PurePath(files.base) / name) for name in files.names()}
    for column in FREESOUND_COLUMNS:
        found.update(value for value in files.columns.get(column, []) if value.isdecimal())
    for value in files.columns.get(ORIGIN_COLUMN, []):
        found.add(freesound_id(PurePath(value.split(" ")[0])))
    return {identifier for identifier in found if identifier}
