"""What a task is: clips with labels, official folds, and the guard that refuses any other split."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from tasks.drawer import BadData, UsageError

TaskKind = Literal["one_label", "many_labels", "events"]


@dataclass(frozen=True)
class Fold:
    """One train/valid/test split: row positions in :meth:`Task.clips`, int64 arrays.

    ``valid`` is for choosing hyper-parameters; ``test`` is scored once.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


@dataclass(kw_only=True)
class Task(ABC):
    """A labelled data set with official splits.

    A subclass states its facts as class attributes and implements :meth:`read_clips` and
    :meth:`waveform`. ``data`` is the folder that holds the data sets in their official layouts
    (``SOURCEBENCH_DATA``); embedded tasks ignore it.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    kind: ClassVar[TaskKind] = "one_label"
    metric: ClassVar[str] = "accuracy"
    other_metrics: ClassVar[tuple[str, ...]] = ()  # further figures of the same answers, in every row
    post_processing: ClassVar[tuple[tuple[float, float], ...]] = ()  # of events: median, minimum (ms)
    licence: ClassVar[str]
    reference: ClassVar[str]
    embedded: ClassVar[bool] = False  # synthesised by the suite itself: needs no data folder
    split_hash: ClassVar[str]  # pinned; see :meth:`measured_split_hash`
    group_exceptions: ClassVar[frozenset[str]] = frozenset()  # groups officially in several folds
    folder: ClassVar[str] = ""  # below ``data``

    data: Path | None = None

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @abstractmethod
    def read_clips(self) -> pd.DataFrame:
        """One row per clip: ``clip`` (id), ``label``, ``fold``, ``group``, ``path``.

        ``label`` is an index into :attr:`classes` (a list of them for many labels), ``fold`` the
        official fold or split name, ``group`` the recording, speaker or uploader, ``path`` the file
        relative to the data set's folder ("" for embedded tasks). Sorted by ``clip``.
        """

    @abstractmethod
    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono ``(samples,)`` in [-1, 1], and its sample rate."""

    def events(self) -> pd.DataFrame:
        """Of an event task, one row per event: ``position`` (row of the clip in :meth:`clips`),
        ``label`` (index into :attr:`classes`), ``onset`` and ``offset`` in seconds.

        There ``label`` of :meth:`read_clips` lists the classes that occur in the clip.
        """
        raise UsageError(f"task {self.name!r} is about whole clips: it has no events.")

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""

    @cached_property
    def _clips(self) -> pd.DataFrame:
        clips = self.read_clips()
        guard(self, clips)
        return clips

    def clips(self) -> pd.DataFrame:
        """The guarded clip table (see :meth:`read_clips`); raises BadData when the split changed."""
        return self._clips

    def folds(self) -> Iterator[Fold]:
        """The official splits: train/valid/test as named, or one :class:`Fold` per official fold.

        With k official folds, fold i is tested, the next one (cyclically) validates, the rest
        trains: selection never sees the test fold.
        """
        fold = self.clips()["fold"].to_numpy(dtype=str)
        names = sorted(set(fold))
        if set(names) == {"train", "valid", "test"}:
            yield Fold("test", *(np.flatnonzero(fold == part) for part in ("train", "valid", "test")))
            return
        for position, tested in enumerate(names):
            valid = names[(position + 1) % len(names)]
            is_test, is_valid = fold == tested, fold == valid
            train = np.flatnonzero(~is_test & ~is_valid)
            yield Fold(tested, train, np.flatnonzero(is_valid), np.flatnonzero(is_test))


def measured_split_hash(clips: pd.DataFrame) -> str:
    """SHA-256 over "clip label fold group" lines in clip order: what a split *is*."""
    rows = clips.sort_values("clip")[["clip", "label", "fold", "group"]].astype(str)
    lines = "\n".join("\t".join(row) for row in rows.itertuples(index=False, name=None))
    return hashlib.sha256(lines.encode()).hexdigest()


def guard(task: Task, clips: pd.DataFrame) -> None:
    """Refuse duplicate clips, groups on both sides of a split, and any split but the pinned one."""
    repeated = clips["clip"][clips["clip"].duplicated()]
    if len(repeated):
        raise BadData(f"task {task.name!r}: clip {repeated.iloc[0]!r} is listed more than once.")
    spread = clips.groupby("group")["fold"].nunique()
    leaking = sorted(set(spread[spread > 1].index.astype(str)) - task.group_exceptions)
    if leaking:
        raise BadData(
            f"task {task.name!r}: group {leaking[0]!r} occurs in several folds "
            f"({len(leaking)} such groups): the same recording would be trained on and tested."
        )
    measured = measured_split_hash(clips)
    if measured != task.split_hash:
        raise BadData(
            f"task {task.name!r}: the clip-to-fold map is not the official one "
            f"(hash {measured[:12]}, expected {task.split_hash[:12]}). Scores on another split cannot "
            f"be compared. Restore the official metadata in {task.data or 'the package'}."
        )
