"""FSD50K: 200 sound events of Freesound, many labels per clip (Fonseca et al., TASLP 30, 2022)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task, TaskKind
from tasks.drawer import BadData
from tasks.fsd50k_vocabulary import FSD50K_CLASSES, STYLE_CLASSES
from tasks.layout import files_by_stem, read_table, root_of, with_files

SPLITS = {"train": "train", "val": "valid"}  # of dev.csv's column split
LONGEST = 30.05  # seconds
# The only clips longer than 30 s. They are official and kept; HEAR's edition leaves them out.
OVER_LONG = frozenset(
    {
        *("83299", "83298", "121426", "121351", "121472", "121471"),
        *("124796", "397150", "124797", "124800", "124834", "124858"),
    }
)


@dataclass(kw_only=True)
class FSD50K(Task, name="fsd50k"):
    """51,197 Freesound clips of 0.3 to 30 s, 200 sound events, dev and eval; macro mAP.

    ``data`` holds ``FSD50K/`` with the five folders of the official zips: ``FSD50K.dev_audio``,
    ``FSD50K.eval_audio``, ``FSD50K.ground_truth`` (dev.csv, eval.csv, vocabulary.csv) and
    ``FSD50K.metadata`` (who uploaded what). dev is split into train and valid by its own column; eval
    is test. A clip's group is its uploader, or the clip itself where the metadata name none: no
    uploader is in both dev and eval. The release is recognised by its vocabulary, its clips per part
    and its labels per part, all published; the list of its clips was not at hand to pin. Train labels
    are correct but may be incomplete, test labels are exhaustive. Source: spec evaluation.md 1.2.
    """

    kind: ClassVar[TaskKind] = "many_labels"
    metric: ClassVar[str] = "macro_map"
    other_metrics: ClassVar[tuple[str, ...]] = (
        *("micro_map", "lwlrap", "auc", "dprime_mean", "dprime_of_mean_auc"),
    )
    licence: ClassVar[str] = "CC BY 4.0; each clip CC0, CC BY, CC BY-NC or CC Sampling+"
    reference: ClassVar[str] = (
        "E. Fonseca, X. Favory, J. Pons, F. Font, X. Serra, FSD50K: an Open Dataset of Human-Labeled "
        "Sound Events, IEEE/ACM TASLP 30, 2022"
    )
    url: ClassVar[str] = "https://zenodo.org/records/4060432"
    download_bytes: ClassVar[int] = 24_500_000_000
    folder: ClassVar[str] = "FSD50K"
    grouped_by: ClassVar[str] = "uploader"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 36_796, "valid": 4_170, "test": 10_231}
    label_counts: ClassVar[Mapping[str, int]] = {"dev": 114_271, "eval": 38_596}
    split_rule: ClassVar[str] = (
        "dev.csv's column split and eval.csv, recognised by vocabulary, clips and labels per part; no "
        "uploader in both dev and eval"
    )
    valid_shares_groups: ClassVar[bool] = True
    vocabulary: ClassVar[tuple[str, ...]] = FSD50K_CLASSES
    metadata: ClassVar[tuple[str, ...]] = ("dev_clips_info_FSD50K.json", "eval_clips_info_FSD50K.json")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.vocabulary

    @property
    def root(self) -> Path:
        """The data set's folder; raises :class:`DataMissing` where a part of it is not there."""
        truth = [f"FSD50K.ground_truth/{name}.csv" for name in ("dev", "eval", "vocabulary")]
        metadata = [f"FSD50K.metadata/{name}" for name in self.metadata]
        return root_of(self, *truth, *metadata, "FSD50K.dev_audio", "FSD50K.eval_audio")

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; ``label`` lists class indices, ascending.

        Raises :class:`BadData` naming the row with an unknown label or split, a wrong mid or no label,
        and :class:`DataMissing` naming the first row without a sound file.
        """
        root = self.root
        mids = read_vocabulary(root / "FSD50K.ground_truth" / "vocabulary.csv", self.vocabulary)
        parts = []
        for part in ("dev", "eval"):
            path = root / "FSD50K.ground_truth" / f"{part}.csv"
            table = read_table(path, ("fname", "labels", "mids", *["split"] * (part == "dev")))
            folds = table["split"] if part == "dev" else pd.Series("test", index=table.index)
            labels = [read_labels(path, row, mids) for row in table.itertuples()]
            self.check_labels(path, part, labels, len(table))
            found = files_by_stem(root, f"FSD50K.{part}_audio")
            column = pd.Series(labels, index=table.index, dtype=object)
            table = table.assign(label=column, fold=read_splits(path, part, folds))
            parts.append(with_files(self, table, found, "fname", path.name))
        clips = pd.concat(parts).rename(columns={"fname": "clip"})
        groups = self.read_groups(root)
        clips["group"] = [groups.get(clip, f"clip {clip}") for clip in clips["clip"]]
        clips = clips[["clip", "label", "fold", "group", "path"]]
        return clips.sort_values("clip", ignore_index=True)

    def check_labels(self, path: Path, part: str, labels: list[list[int]], clips: int) -> None:
        """Refuse a complete table whose number of labels is not the published one."""
        expected = sum(
            n for fold, n in self.official_counts.items() if (fold == "test") != (part == "dev")
        )
        found = sum(map(len, labels))
        if clips == expected and found != self.label_counts[part]:
            raise BadData(
                f"{path} holds {found} labels of {clips} clips, expected {self.label_counts[part]}: "
                "other labels than the official ones. Restore the file (FSD50K.ground_truth.zip)."
            )

    def read_groups(self, root: Path) -> dict[str, str]:
        """The uploader of every clip whose metadata name one."""
        groups = {}
        for name in self.metadata:
            path = root / "FSD50K.metadata" / name
            try:
                records = json.loads(path.read_text(encoding="utf-8"))
                groups.update(
                    {
                        str(clip): str(info["uploader"])
                        for clip, info in records.items()
                        if info.get("uploader")
                    }
                )
            except (ValueError, AttributeError, TypeError) as error:
                raise BadData(
                    f"{path} is not a JSON object of clips ({error}). Restore the official file "
                    "(FSD50K.metadata.zip)."
                ) from error
        return groups

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono ``(samples,)`` in [-1, 1], whole, and its rate.

        Raises :class:`BadData` where the file cannot be decoded or lasts more than 30 s and is none of
        the twelve official clips that do.
        """
        clip, path = (self.clips()[column].iloc[position] for column in ("clip", "path"))
        samples, rate = read_mono(self.root / str(path))
        if len(samples) / rate > LONGEST and clip not in OVER_LONG:
            raise BadData(
                f"{self.root / str(path)} lasts {len(samples) / rate:.2f} s, but no such clip of "
                "FSD50K is longer than 30 s. Restore it from the official zip."
            )
        return np.clip(samples, -1.0, 1.0), rate  # lossy decoders overshoot full scale slightly


@dataclass(kw_only=True)
class FSD50KStyle(FSD50K, name="fsd50k_style"):
    """515 clips of the Berklee sound library in FSD50K's layout, 43 of its classes; macro mAP.

    None of the clips is from FSD50K, and scores cannot be compared with it. Labels are weak: derived
    from descriptive file names, with their AudioSet parents. A group is the recorded object, as the
    original file name (``FSD50K.metadata/source_names.csv``) without its take number names it; the
    collection itself puts takes of ``camera`` on both sides.
    """

    licence: ClassVar[str] = "CC BY 3.0 (its source also links CC BY-NC-SA 4.0: stay non-commercial)"
    reference: ClassVar[str] = (
        "Berklee sound library of the One Laptop per Child project, as published by Y. Mann"
    )
    url: ClassVar[str] = "https://github.com/Tonejs/audio"
    download_bytes: ClassVar[int] = 11_100_000
    folder: ClassVar[str] = "fsd50k_style"
    grouped_by: ClassVar[str] = "recorded object"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 227, "valid": 79, "test": 209}
    label_counts: ClassVar[Mapping[str, int]] = {"dev": 0, "eval": 0}
    split_rule: ClassVar[str] = ""
    split_hash: ClassVar[str] = "46a069bf6b78a934d43e0a510849806bf6c8f561d59e6e902c0e20d28a1df0b7"
    valid_shares_groups: ClassVar[bool] = False
    group_exceptions: ClassVar[frozenset[str]] = frozenset({"camera"})
    vocabulary: ClassVar[tuple[str, ...]] = STYLE_CLASSES
    metadata: ClassVar[tuple[str, ...]] = ("source_names.csv",)

    def check_labels(self, path: Path, part: str, labels: list[list[int]], clips: int) -> None:
        """Nothing: the pinned split holds every label."""

    def read_groups(self, root: Path) -> dict[str, str]:
        """The recorded object of every clip."""
        table = read_table(
            root / "FSD50K.metadata" / "source_names.csv",
            ("fname", "subset", "berklee_file", "seconds"),
        )
        names = zip(table["fname"], table["berklee_file"], strict=True)
        return {clip: re.sub(r"[_-]?\d+[a-z]?$", "", name.rpartition(".")[0]) for clip, name in names}


def read_vocabulary(path: Path, classes: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Index and mid of every label of ``vocabulary.csv``, which has no header.

    Raises :class:`BadData` where its labels are not ``classes`` in their order.
    """
    table = read_table(path, ("idx", "label", "mid"), header=False)
    for number, row in enumerate(table.itertuples()):
        expected = classes[number] if number < len(classes) else "no more rows"
        if (row.idx, row.label) != (str(number), expected):
            raise BadData(
                f"{path}, row {row.row}: {row.idx},{row.label}, expected {number},{expected}. Restore "
                "the official file (FSD50K.ground_truth.zip)."
            )
    if len(table) != len(classes):
        raise BadData(f"{path} ends after {len(table)} of {len(classes)} classes. Restore the file.")
    labels, mids = table["label"].tolist(), table["mid"].tolist()
    return {label: (n, mid) for n, (label, mid) in enumerate(zip(labels, mids, strict=True))}


def read_labels(path: Path, row: Any, vocabulary: Mapping[str, tuple[int, str]]) -> list[int]:
    """Class indices of one row, ascending; refuses unknown or repeated labels and mids of others."""
    where = f"{path}, row {row.row} ({row.fname})"
    names, mids = row.labels.split(","), row.mids.split(",")
    for name in names:
        if name not in vocabulary:
            raise BadData(
                f"{where}: label {name!r} is not in the vocabulary. Labels are joined by commas; "
                "restore the official file."
            )
    if [vocabulary[name][1] for name in names] != mids:
        raise BadData(f"{where}: mids {row.mids} are not those of {row.labels}. Restore the file.")
    if len(set(names)) != len(names):
        raise BadData(f"{where}: a label is listed more than once. Restore the official file.")
    return sorted(vocabulary[name][0] for name in names)


def read_splits(path: Path, part: str, folds: pd.Series) -> list[str]:
    """``train``, ``valid`` or ``test`` of every row."""
    if part == "eval":
        return ["test"] * len(folds)
    for number, split in zip(range(2, len(folds) + 2), folds, strict=True):
        if split not in SPLITS:
            raise BadData(f"{path}, row {number}: split is {split!r}, expected train or val.")
    return [SPLITS[split] for split in folds]
