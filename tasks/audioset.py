"""AudioSet: 527 kinds of sound in segments of videos, many labels each (Gemmeke et al., 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task, TaskKind
from tasks.drawer import BadData, DataMissing
from tasks.layout import read_table, root_of

if TYPE_CHECKING:
    from generators.real.segment_index import ClipIndex
    from generators.real.segments import Segments

VOCABULARY = "class_labels_indices.csv"
BALANCED, UNBALANCED, EVALUATION = "balanced_train", "unbalanced_train", "eval"
SEGMENTS = {BALANCED: 22_160, UNBALANCED: 2_041_789, EVALUATION: 20_371}  # that the lists name
LABELS = {BALANCED: 52_882, EVALUATION: 51_804}  # of all segments of a list, as its header says
VALID_EVERY = 10  # segments of the balanced list
LONGEST = 10.5  # seconds; a segment lasts 10 s at most


@dataclass(kw_only=True)
class AudioSet20k(Task, name="audioset_20k"):
    """22,160 balanced training and 20,371 evaluation segments of AudioSet, 527 classes; macro mAP.

    ``data`` holds ``audioset/``: the official ``balanced_train_segments.csv``, ``eval_segments.csv``
    and ``class_labels_indices.csv`` and, at any depth, the clips, named as the source ``audioset``
    takes them (``ID.flac``, ``YID.wav``, ``ID_30.000.wav``, ...). The lists have to be complete, and
    are recognised by their segments and labels; every tenth segment of the balanced list validates.
    Videos vanish, so nobody has all clips: those that are there are measured, every row is marked as
    partial and says how many are missing. A clip's group is its video. Source: spec evaluation.md 1.0.
    """

    kind: ClassVar[TaskKind] = "many_labels"
    metric: ClassVar[str] = "macro_map"
    other_metrics: ClassVar[tuple[str, ...]] = (
        *("micro_map", "lwlrap", "auc", "dprime_mean", "dprime_of_mean_auc"),
    )
    licence: ClassVar[str] = "lists CC BY 4.0; each clip the licence of its video"
    reference: ClassVar[str] = (
        "J. F. Gemmeke et al., Audio Set: An Ontology and Human-Labeled Dataset for Audio Events, "
        "ICASSP 2017"
    )
    url: ClassVar[str] = "https://research.google.com/audioset/download.html"
    download_bytes: ClassVar[int] = 13_600_000_000  # 10 s of 16-bit sound at 16 kHz each
    folder: ClassVar[str] = "audioset"
    grouped_by: ClassVar[str] = "video"
    class_count: ClassVar[int] = 527
    official_counts: ClassVar[Mapping[str, int]] = {"train": 19_944, "valid": 2_216, "test": 20_371}
    split_rule: ClassVar[str] = (
        "the official lists, recognised by their numbers of segments and labels; every tenth segment "
        "of the balanced list validates"
    )
    vanishing: ClassVar[bool] = True
    lists: ClassVar[tuple[str, ...]] = (BALANCED, EVALUATION)

    @property
    def root(self) -> Path:
        """The folder of lists and clips; raises :class:`DataMissing` where a list is not there."""
        try:
            return root_of(self, VOCABULARY, *(list_name(name) for name in self.lists))
        except DataMissing as missing:
            raise DataMissing(
                f"{missing} The lists come without sound: put the clips below FOLDER/{self.folder}."
            ) from missing

    @property
    def classes(self) -> tuple[str, ...]:
        """The display names in the order of class_labels_indices.csv."""
        return tuple(self.vocabulary["display_name"])

    @cached_property
    def vocabulary(self) -> pd.DataFrame:
        """The rows of class_labels_indices.csv; raises :class:`BadData` for any but 527 classes."""
        path = self.root / VOCABULARY
        table = read_table(path, ("index", "mid", "display_name"))
        expected = [str(number) for number in range(self.class_count)]
        repeated = table["mid"].duplicated() | table["display_name"].duplicated()
        if table["index"].tolist() != expected or repeated.any():
            raise BadData(
                f"{path} has to number {self.class_count} different classes from 0, but holds "
                f"{(~repeated).sum()} in {len(table)} rows. Fetch it again from {self.url}."
            )
        return table

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; a clip's id is ``<video>_<start in ms>``.

        Raises :class:`BadData` naming list and line of a row that is malformed, there twice, or of an
        unknown label, and :class:`DataMissing` where not a single clip is there.
        """
        from generators.drawer import BadData as UnreadableList
        from generators.real.segment_index import find_clips
        from generators.real.segments import read_segments

        root = self.root
        try:
            listed = read_segments(tuple(root / list_name(name) for name in self.lists))
        except UnreadableList as error:
            raise BadData(str(error)) from error
        self.check_lists(listed)
        labels = self.read_labels(listed)
        found = find_clips(root, listed)
        if not len(found):
            raise none_there(self, found)
        row = np.searchsorted(place_of(listed), place_of(found))
        row_in_list = row - np.searchsorted(listed.source, found.source)
        fold = np.where(found.source == self.lists.index(EVALUATION), "test", "train")
        balanced = found.source == self.lists.index(BALANCED)
        fold[balanced & (row_in_list % VALID_EVERY == 0)] = "valid"
        videos = [video.decode() for video in found.ytid.tolist()]
        clips = pd.DataFrame(
            {
                "clip": [f"{v}_{start}" for v, start in zip(videos, found.start.tolist(), strict=True)],
                "label": pd.Series([labels[i] for i in row.tolist()], dtype=object),
                "fold": fold,
                "group": videos,
                "path": found.names(),
            }
        )
        return clips.sort_values("clip", ignore_index=True)

    def check_lists(self, listed: Segments) -> None:
        """Refuse lists that are not the official ones, and, with ``partial`` too, a row there twice."""
        again = listed.repeated()
        if again is not None:
            path, line, segment = listed.line(again)
            raise BadData(
                f"{path}, line {line}: {segment} is listed more than once. Fetch the official list "
                f"again from {self.url}."
            )
        for name, path, rows in zip(self.lists, listed.lists, rows_of_lists(listed), strict=True):
            if rows != SEGMENTS[name] and not self.partial:
                raise BadData(
                    f"{path} names {rows} segments, expected {SEGMENTS[name]}: it is not the "
                    f"official list. Fetch it again from {self.url}, or type partial=true to accept "
                    "what is there."
                )

    def read_labels(self, listed: Segments) -> list[list[int]]:
        """Class indices of every row, ascending; refuses unknown labels, and other official ones."""
        number = {mid: index for index, mid in enumerate(self.vocabulary["mid"])}
        known: dict[str, list[int]] = {}
        texts = listed.all_labels()
        for row, text in enumerate(texts):
            if text in known:
                continue
            mids = [mid.strip() for mid in text.split(",") if mid.strip()]
            strange = [mid for mid in mids if mid not in number]
            if strange or not mids:
                path, line, segment = listed.line(row)
                what = f"label {strange[0]!r} is not in {VOCABULARY}" if strange else "no label"
                raise BadData(f"{path}, line {line} ({segment}): {what}. Fetch both from {self.url}.")
            known[text] = sorted({number[mid] for mid in mids})
        labels = [known[text] for text in texts]
        held = np.bincount(listed.source, weights=list(map(len, labels)))
        for source, (name, rows) in enumerate(zip(self.lists, rows_of_lists(listed), strict=True)):
            expected = LABELS.get(name)
            if rows == SEGMENTS[name] and expected not in (None, held[source]):
                raise BadData(
                    f"{listed.lists[source]} holds {held[source]:.0f} labels, expected {expected}: "
                    f"other labels than the official ones. Fetch it again from {self.url}."
                )
        return labels

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono of at most 10 s in [-1, 1], and its own rate.

        Raises :class:`BadData` where the file cannot be decoded or is longer than any segment.
        """
        path = Path(self.data or "") / self.folder / str(self.clips()["path"].iloc[position])
        samples, rate = read_mono(path)
        if len(samples) / rate > LONGEST:
            raise BadData(
                f"{path} lasts {len(samples) / rate:.1f} s, but a segment lasts 10 s at most. Cut it "
                "at the times of its list."
            )
        return np.clip(samples, -1.0, 1.0), rate


@dataclass(kw_only=True)
class AudioSet(AudioSet20k, name="audioset"):
    """All 2,063,949 training and 20,371 evaluation segments of AudioSet, 527 classes; macro mAP.

    As ``audioset_20k``, with ``unbalanced_train_segments.csv``: the same segments validate and test.
    """

    download_bytes: ClassVar[int] = 667_000_000_000
    official_counts: ClassVar[Mapping[str, int]] = {"train": 2_061_733, "valid": 2_216, "test": 20_371}
    lists: ClassVar[tuple[str, ...]] = (UNBALANCED, BALANCED, EVALUATION)


def list_name(name: str) -> str:
    """The file of an official list."""
    return f"{name}_segments.csv"


def place_of(rows: Segments | ClipIndex) -> np.ndarray:
    """Where rows are in the series of their lists: ascending numbers, int64 ``(rows,)``."""
    return (rows.source.astype(np.int64) << 48) + rows.offset


def rows_of_lists(listed: Segments) -> list[int]:
    """How many segments each list names."""
    return np.bincount(listed.source, minlength=len(listed.lists)).tolist()


def none_there(task: Task, found: ClipIndex) -> DataMissing:
    """The error of a folder with lists and without clips."""
    unread = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.unread.items()))
    convert = f" {unread} there cannot be read: convert them, for example to .flac." if unread else ""
    return DataMissing(
        f"task {task.name!r}: none of the {found.listed} listed clips is below {found.base}. Name them "
        f"ID.flac, YID.wav or ID_30.000.wav, with the list's YTID as ID.{convert}"
    )
