"""Rows and predictions: one row is one measured number; predictions let anyone recompute it."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from generators.drawer import BadData

POOLING = "mean-std-change@1"  # of rows that name none, and of those whose features are not pooled


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number with its identity, its question, its answer, its cost and its provenance.

    ``source`` is a source's name, a control (``untrained``, ``mel_statistics``) or the module of a
    foreign encoder, which stands in tables as a control does. Aggregates are never stored: tables are
    computed from rows. A row's key (:meth:`key`) is unique; writing the same key
    again replaces the row.
    """

    # identity
    run_id: str
    source: str
    control: bool  # True for untrained, noise, mel_statistics and foreign encoders
    masking: str
    objective: str
    scale: str
    seed: int
    # question
    task: str
    task_version: int
    split_hash: str
    data_hash: str  # SHA-256 over the decoded clips: a subset or a re-encoding shows
    fold: str
    probe: str  # versioned, for example linear@1
    metric: str
    # answer
    score: float
    n_test: int
    partial: bool = False  # measured on less, or other, data than the complete official release
    pooling: str = POOLING  # versioned; what a clip's embedding is
    selection: dict[str, Any] = field(default_factory=dict)  # what was chosen on validation
    others: dict[str, float] = field(default_factory=dict)  # further metrics of the same predictions
    # cost
    steps: int = 0
    samples_seen: int = 0
    parameters: int = 0  # of the encoder
    flops: float = 0.0  # of pre-training, forward and backward
    seconds: float = 0.0  # of pre-training, wall
    peak_memory: int = 0  # bytes
    # provenance
    version: str = ""
    commit: str = ""
    dirty: bool = False
    torch: str = ""
    device: str = ""
    created_at: str = ""
    notes: tuple[str, ...] = ()  # nothing degrades silently: what was different from the default
    command: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def key(self) -> tuple[str, int, str, str, str, str, bool, str]:
        asked = (self.task, self.fold, self.probe, self.metric, self.partial, self.pooling)
        return (self.run_id, self.samples_seen, *asked)

    @property
    def probe_label(self) -> str:
        return probe_label(self.probe, pooling=self.pooling)

    @property
    def question(self) -> tuple[int, str, str, str, bool, str]:
        """What was asked of one encoder, of whichever fold: one split answers it."""
        asked = (self.task, self.probe, self.metric, self.partial, self.pooling)
        return (self.samples_seen, *asked)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a probe answered for every test clip of one task, all folds together.

    ``target`` is int64 ``(n,)`` for one label or uint8 ``(n, classes)`` for many; ``scores`` is float16
    ``(n, classes)``, and every metric is computed from these stored values.
    """

    clip: np.ndarray  # str (n,)
    group: np.ndarray  # str (n,)
    fold: np.ndarray  # str (n,)
    target: np.ndarray
    scores: np.ndarray
    classes: np.ndarray  # str (classes,)


@dataclass(frozen=True, kw_only=True)
class EventPredictions:
    """What a probe answered for every frame of every test clip of an event task, all folds together.

    Frames lie clip after clip. With the fold's choice of post-processing they give events
    (:func:`suite.scoring.detected`), and every metric is computed from these and the reference.
    """

    clip: np.ndarray  # str (n,)
    group: np.ndarray  # str (n,)
    fold: np.ndarray  # str (n,)
    classes: np.ndarray  # str (classes,)
    frames: np.ndarray  # int64 (n,): frames of each clip
    scores: np.ndarray  # float16 (sum of frames, classes)
    times: np.ndarray  # float64 (2,): centre of a clip's first frame and distance of two, seconds
    threshold: np.ndarray  # float64 (): the score from which a frame is active
    median_ms: np.ndarray  # float64 (n,): chosen on validation, by fold
    minimum_ms: np.ndarray  # float64 (n,): chosen on validation, by fold
    event_clip: np.ndarray  # int64 (m,): of each reference event, the position of its clip here
    event_label: np.ndarray  # int64 (m,)
    event_onset: np.ndarray  # float64 (m,), seconds
    event_offset: np.ndarray  # float64 (m,), seconds


Answers = Predictions | EventPredictions


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` is either the old file or the complete new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def add_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add ``rows`` to the JSON-lines file ``path``; rows of the same key are replaced.

    So are the rows of the same question on another split (a new version of the task, other partial
    data): their folds belong to predictions that are not there any more.

    Safe with several writers: a lock file beside it orders them, and the file is replaced whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        rows = list(rows)
        split = {(row.run_id, *row.question): row.split_hash for row in rows}
        kept = {
            row.key(): row
            for row in (read_rows(path) if path.exists() else [])
            if split.get((row.run_id, *row.question), row.split_hash) == row.split_hash
        }
        kept.update({row.key(): row for row in rows})
        lines = [json.dumps(asdict(row), sort_keys=True) for row in kept.values()]
        write_atomically(path, ("\n".join(lines) + "\n").encode())


def read_rows(path: Path) -> list[Row]:
    """Rows of one JSON-lines file; raises :class:`BadData` naming the line that is not a row."""
    known = {item.name for item in fields(Row)}
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            values = json.loads(line)
            unknown = set(values) - known
            if unknown:
                raise ValueError(f"unknown fields {sorted(unknown)}")
            rows.append(Row(**{**values, "notes": tuple(values.get("notes", ()))}))
        except (ValueError, TypeError) as error:
            raise BadData(
                f"{path}, line {number} is not a row: {error}. Delete the file and evaluate again."
            ) from error
    return rows


def predictions_path(
    folder: Path,
    task: str,
    probe: str,
    samples_seen: int,
    *,
    partial: bool = False,
    pooling: str = POOLING,
) -> Path:
    """Where the predictions of one (task, pooling, probe, checkpoint) of a run lie below ``folder``."""
    pooled = f".{pooling}" * (pooling != POOLING)
    return folder / f"{task}{'.partial' * partial}{pooled}.{probe}.{samples_seen}.npz"


def predictions_of(row: Row, folder: Path) -> Path:
    """Where the predictions that ``row`` was computed from lie below ``folder``."""
    asked = (row.task, row.probe, row.samples_seen)
    return predictions_path(folder, *asked, partial=row.partial, pooling=row.pooling)


def task_label(task: str, *, partial: bool) -> str:
    """A task as tables name it: what was not measured on the complete release says so."""
    return f"{task} (partial)" if partial else task


def probe_label(probe: str, *, pooling: str) -> str:
    """A probe as tables name it: what is not on the default embeddings says so."""
    return probe if pooling == POOLING else f"{probe} on {pooling}"


def write_predictions(path: Path, predictions: Answers) -> None:
    """Write one compressed file, complete when it is renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    arrays = {item.name: getattr(predictions, item.name) for item in fields(predictions)}
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_predictions(path: Path) -> Answers:
    """Read a predictions file; raises :class:`BadData` where it is missing a part or truncated."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            kind = EventPredictions if "event_clip" in arrays.files else Predictions
            return kind(**{item.name: arrays[item.name] for item in fields(kind)})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise BadData(f"{path} cannot be read ({error}). Delete it and evaluate again.") from error
