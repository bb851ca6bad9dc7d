"""What a task is: clips with labels, official folds, and the guard that refuses any other split."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    (``SOURCEBENCH_DATA``); embedded tasks ignore it. ``partial`` accepts data that are not the complete
    official release (clips, folds or classes missing, or another clip-to-fold map): what is there is
    still guarded, and :attr:`is_partial` marks every row. A task pins its split by ``split_hash``, or,
    where no list of all clips is published, by the rule that made it and by ``official_counts``.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    kind: ClassVar[TaskKind] = "one_label"
    metric: ClassVar[str] = "accuracy"
    other_metrics: ClassVar[tuple[str, ...]] = ()  # further figures of the same answers, in every row
    post_processing: ClassVar[tuple[tuple[float, float], ...]] = ()  # of events: median, minimum (ms)
    licence: ClassVar[str]
    reference: ClassVar[str]
    url: ClassVar[str] = ""  # where the official release is downloaded
    download_bytes: ClassVar[int] = 0  # of the official release, about
    grouped_by: ClassVar[str] = ""  # what a group is: recording, speaker, uploader
    embedded: ClassVar[bool] = False  # synthesised by the suite itself: needs no data folder
    split_hash: ClassVar[str] = ""  # pinned; see :meth:`measured_split_hash`
    split_rule: ClassVar[str] = ""  # in words, where it stands in for a pinned hash
    official_counts: ClassVar[Mapping[str, int]] = {}  # clips of the complete release, by fold
    official_total: ClassVar[int] = 0  # clips of the complete release, where only this is published
    class_count: ClassVar[int] = 0  # where the names of the classes come with the data
    valid_shares_groups: ClassVar[bool] = False  # whether train and valid may share groups; never test
    group_exceptions: ClassVar[frozenset[str]] = frozenset()  # groups officially in several folds
    duplicate_exceptions: ClassVar[frozenset[str]] = frozenset()  # clips officially there twice
    vanishing: ClassVar[bool] = False  # clips vanish for good: what is left is measured, as partial
    folder: ClassVar[str] = ""  # below ``data``

    data: Path | None = None
    partial: bool = False

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

    @cached_property
    def is_partial(self) -> bool:
        """Whether what is there differs from the complete official release."""
        return shortfall(self, self.clips()) != ""

    @property
    def left_out(self) -> tuple[str, ...]:
        """The clips that :meth:`leave_out` took away."""
        return tuple(self.__dict__.get("_left_out", ()))

    def leave_out(self, clips: Collection[str]) -> None:
        """Go on without ``clips`` (ids), which cannot be used: positions count those that are left.

        What is left is guarded again; only ``partial`` data may lack clips.
        """
        left = self.clips()
        left = left[~left["clip"].isin(list(clips))].reset_index(drop=True)
        guard(self, left)
        self.__dict__.update(_clips=left, _left_out=(*self.left_out, *clips))
        self.__dict__.pop("is_partial", None)

    def folds(self) -> Iterator[Fold]:
        """The official splits: train/valid/test as named, or one :class:`Fold` per official fold.

        With k official folds, fold i is tested, the next one (cyclically) validates, the rest
        trains: selection never sees the test fold.
        """
        fold = self.clips()["fold"].to_numpy(dtype=str)
        names = fold_names(self.clips())
        if set(names) == {"train", "valid", "test"}:
            yield Fold("test", *(np.flatnonzero(fold == part) for part in ("train", "valid", "test")))
            return
        for position, tested in enumerate(names):
            valid = names[(position + 1) % len(names)]
            is_test, is_valid = fold == tested, fold == valid
            train = np.flatnonzero(~is_test & ~is_valid)
            yield Fold(tested, train, np.flatnonzero(is_valid), np.flatnonzero(is_test))


def fold_names(clips: pd.DataFrame) -> list[str]:
    """The folds of a clip table in their order: 2 comes before 10."""
    return sorted(set(clips["fold"].astype(str)), key=lambda name: (len(name), name))


def measured_split_hash(clips: pd.DataFrame) -> str:
    """SHA-256 over "clip label fold group" lines in clip order: what a split *is*."""
    rows = clips if clips["clip"].is_monotonic_increasing else clips.sort_values("clip")
    columns = [map(str, rows[name].to_numpy(object)) for name in ("clip", "label", "fold", "group")]
    lines = "\n".join(map("\t".join, zip(*columns, strict=True)))
    return hashlib.sha256(lines.encode()).hexdigest()


def guard(task: Task, clips: pd.DataFrame) -> None:
    """Refuse a clip table that no honest score can be computed from.

    Always refused: no clips, duplicate clips, unknown labels, groups on both sides of a split, folds
    that leave a part empty. Without ``partial``, also everything but the complete official release.
    """
    if clips.empty:
        raise BadData(f"task {task.name!r}: no clip is there. Restore the official release.")
    repeated = clips["clip"][clips["clip"].duplicated()]
    if len(repeated):
        raise BadData(f"task {task.name!r}: clip {repeated.iloc[0]!r} is listed more than once.")
    many = task.kind != "one_label"
    labels = np.hstack(clips["label"].to_list()) if many else clips["label"].to_numpy()
    strange = np.flatnonzero((labels < 0) | (labels >= len(task.classes)))
    if len(strange):
        ends = np.cumsum(clips["label"].map(len)) if many else np.arange(1, len(clips) + 1)
        clip, label = clips[["clip", "label"]].iloc[np.searchsorted(ends, strange[0], side="right")]
        raise BadData(
            f"task {task.name!r}: clip {clip!r} has label {label}, but there are "
            f"{len(task.classes)} classes, numbered from 0."
        )
    sides = clips["fold"].astype(str)
    if task.valid_shares_groups:
        sides = sides.replace("valid", "train")
    spread = sides.groupby(clips["group"]).nunique()
    leaking = sorted(set(spread[spread > 1].index.astype(str)) - task.group_exceptions)
    if leaking:
        raise BadData(
            f"task {task.name!r}: group {leaking[0]!r} occurs in several folds "
            f"({len(leaking)} such groups): the same recording would be trained on and tested."
        )
    missing = shortfall(task, clips)
    if missing and not (task.partial or task.vanishing):
        raise BadData(
            f"task {task.name!r}: {missing}. Scores on other data or another split cannot be compared. "
            f"Restore the official release in {task.data or 'the package'}, or type partial=true to "
            "accept what is there: every row is then marked as partial."
        )
    check_folds(task, clips)


def check_folds(task: Task, clips: pd.DataFrame) -> None:
    """Refuse folds of which train, valid or test would be empty."""
    names = fold_names(clips)
    split = {"train", "valid", "test"}
    if split & set(names):
        empty = sorted(split - set(names))
        if empty:
            raise BadData(
                f"task {task.name!r}: no clip of {' and '.join(empty)} is there; only "
                f"{', '.join(names)}. Restore the official release."
            )
    elif len(names) < 3:
        raise BadData(
            f"task {task.name!r}: fold {' and '.join(names)} alone cannot be cross-validated; at least "
            "3 folds are needed to train, validate and test. Restore the official release."
        )


def shortfall(task: Task, clips: pd.DataFrame) -> str:
    """What keeps ``clips`` from being the complete official release; "" where nothing does."""
    there: dict[str, int] = dict(Counter(clips["fold"].astype(str)))
    official = task.official_counts
    wrong = [
        f"{name}: {there.get(name, 0)} of {official.get(name, 0)}"
        for name in [*official, *sorted(set(there) - set(official))]
        if there.get(name, 0) != official.get(name, 0)
    ]
    if official and wrong:
        folds = f"{len(set(there) & set(official))} of {len(official)} folds"
        more = " ..." if len(wrong) > 4 else ""
        return (
            f"{len(clips)} of the {sum(official.values())} clips of the official release are there, in "
            f"{folds} ({', '.join(wrong[:4])}{more})"
        )
    if task.official_total and len(clips) != task.official_total:
        total = task.official_total
        return f"{len(clips)} clips are there, of the {total} clips of the official release"
    measured = measured_split_hash(clips)
    if task.split_hash:
        differs = (
            "the clip-to-fold map is not the official one "
            f"(hash {measured[:12]}, expected {task.split_hash[:12]})"
        )
        return differs if measured != task.split_hash else ""
    if not task.split_rule:
        return f"no split is pinned (measured hash {measured})"
    classes = len(np.unique(np.hstack(clips["label"].to_list())))
    short = classes != len(task.classes)
    return f"{classes} of {len(task.classes)} classes are there" if short else ""


def check_duplicates(task: Task, hashes: Sequence[str]) -> list[str]:
    """Refuse one sound in two folds: it would be trained on and tested.

    ``hashes`` are those of the decoded clips in the order of the clip table, "" for silence. A clip
    that the official release itself holds twice is listed by its id in ``duplicate_exceptions``. Of a
    vanishing release, which nobody can list, those clips are returned, to be reported.
    """
    repeated = []
    first: dict[str, tuple[str, str]] = {}
    table = task.clips()
    for clip, fold, digest in zip(table["clip"], table["fold"].astype(str), hashes, strict=True):
        if not digest:
            continue
        other, where = first.setdefault(digest, (clip, fold))
        if where == fold or {clip, other} <= task.duplicate_exceptions:
            continue
        repeated.append(clip)
        if not task.vanishing:
            raise BadData(
                f"task {task.name!r}: clips {other!r} (fold {where}) and {clip!r} (fold {fold}) are "
                "the same sound: it would be trained on and tested. Restore the official files; if the "
                "official release holds both, add them to duplicate_exceptions of the task's class."
            )
    return repeated
