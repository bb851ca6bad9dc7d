"""The layout of HEAR's prepared folders, and how a task is read from one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task
from tasks.drawer import BadData, DataMissing
from tasks.hear_facts import FACTS, HearFacts
from tasks.layout import files_by_stem, read_table, root_of, with_files

TOLERANCE = 0.05  # seconds between a clip's length and the one that all clips are padded to
NEEDED = 16_000  # Hz; of several sample-rate folders the lowest that has it is read, and resampled


LAYOUT = "hear layout"  # of no task itself, so the drawer does not list it


class Hear(Task, name=LAYOUT):
    """A prepared folder ``hear/tasks/<task>-<version>-<mode>``; its entries are in hear.py.

    It holds task_metadata.json, labelvocabulary.csv, one JSON file per split and the audio in
    ``<sample rate>/<split>/``. Task, version and mode have to be those of :data:`FACTS`: another
    version has other clips or folds. Where the list of clips was not at hand to pin, a folder
    is recognised by its metadata and its numbers of clips and classes. Each clip is its own group but
    where file names say more.
    """

    facts: ClassVar[HearFacts]

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(name=name, **keywords)
        facts = cls.facts = FACTS[name]
        cls.kind, cls.metric, cls.other_metrics = facts.kind, facts.metrics[0], facts.metrics[1:]
        cls.licence, cls.reference, cls.url = facts.licence, facts.reference, facts.url
        cls.folder = f"hear/tasks/{facts.folder}"
        cls.download_bytes = round(facts.gigabytes * 1e9)
        cls.official_total, cls.class_count = facts.clips, facts.classes
        cls.post_processing, cls.grouped_by = facts.grid, facts.grouped_by
        cls.group_exceptions = frozenset(facts.exceptions)
        cls.split_hash = facts.split_hash
        cls.split_rule = (
            ""
            if facts.split_hash
            else (
                f"HEAR's prepared {facts.folder}, recognised by task, version, mode, {facts.clips} "
                f"clips and {facts.classes} classes"
            )
        )

    @property
    def root(self) -> Path:
        """The prepared folder; raises :class:`DataMissing` where it is not there, naming others."""
        try:
            return root_of(self, "task_metadata.json", "labelvocabulary.csv")
        except DataMissing as missing:
            base = Path(self.data or "") / "hear" / "tasks"
            prefix = self.facts.folder.partition("-")[0]
            others = sorted(path.name for path in base.glob(f"{prefix}-*")) if self.data else []
            names = {facts.folder: name for name, facts in FACTS.items()}
            said = "".join(
                f" {other} is there, but it is another version, with other clips or folds"
                + (f": its own task is {names[other]}." if other in names else ".")
                for other in others
                if other != self.facts.folder
            )
            raise DataMissing(f"{missing}{said}") from missing

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order, from labelvocabulary.csv."""
        path = self.root / "labelvocabulary.csv"
        table = read_table(path, ("idx", "label"))
        if table["idx"].tolist() != [str(number) for number in range(len(table))]:
            raise BadData(f"{path}: idx has to count from 0. Restore the official file.")
        if len(table) != self.facts.classes or table["label"].duplicated().any():
            raise BadData(
                f"{path} holds {table['label'].nunique()} classes, expected "
                f"{self.facts.classes}. Restore the official file."
            )
        return tuple(table["label"])

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the parts, as files and folders are named."""
        count = self.facts.folds
        return tuple(f"fold{i:02d}" for i in range(count)) if count else ("train", "valid", "test")

    def check_metadata(self) -> None:
        """Refuse a folder whose own metadata are not those of this task."""
        path = self.root / "task_metadata.json"
        found = read_json(path)
        event = self.kind == "events"
        expected: dict[str, Any] = {
            "folder": self.facts.folder,
            "embedding_type": "event" if event else "scene",
            "prediction_type": "multiclass" if self.kind == "one_label" else "multilabel",
            "splits": list(self.splits),
        }
        parts = [str(found.get(key)) for key in ("task_name", "version", "mode")]
        measured = {**found, "folder": "-".join(parts), "splits": found.get("splits")}
        for key, value in expected.items():
            if measured.get(key) != value:
                what = "task, version and mode are" if key == "folder" else f"{key} is"
                raise BadData(
                    f"{path}: {what} {measured.get(key)!r}, but task {self.name!r} is {value!r}. "
                    "Scores on another version cannot be compared; restore the official folder."
                )

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        """What the split files say of every sound file, by split and file name."""
        self.check_metadata()
        return {split: read_json(self.root / f"{split}.json") for split in self.splits}

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; a clip's id is its file name without ending.

        Raises :class:`BadData` naming the file and clip with an unknown label, no label or several
        where one is due, or an event that ends before it begins, and :class:`DataMissing` naming the
        first clip without a sound file.
        """
        index = {label: number for number, label in enumerate(self.classes)}
        rate = self.sample_rate_folder()
        parts = []
        for split, records in self.records.items():
            if not records:
                raise BadData(f"{self.root}/{split}.json lists no clip. Restore the official folder.")
            where = f"{self.root}/{split}.json"
            labels = [self.read_label(f"{where}: {file}", x, index) for file, x in records.items()]
            clips = [Path(file).stem for file in records]
            table = pd.DataFrame({"clip": clips, "fold": split, "row": range(1, len(clips) + 1)})
            table["label"] = pd.Series(labels, dtype=object if self.kind != "one_label" else "int64")
            found = files_by_stem(self.root, f"{rate}/{split}")
            parts.append(with_files(self, table, found, "clip", f"{split}.json"))
        table = pd.concat(parts)
        table["group"] = [self.group_of(clip) for clip in table["clip"]]
        table = table[["clip", "label", "fold", "group", "path"]]
        if self.kind == "events":
            self.check_events()
        return table.sort_values("clip", ignore_index=True)

    def sample_rate_folder(self) -> str:
        """The audio folder that is read; any rate is resampled when it is decoded."""
        folders = [path for path in self.root.iterdir() if path.is_dir() and path.name.isdecimal()]
        rates = sorted(int(path.name) for path in folders)
        if not rates:
            raise BadData(f"{self.root} has no audio folder (16000, ..., 48000). Unpack it again.")
        return str(next((rate for rate in rates if rate >= NEEDED), rates[-1]))

    def read_label(self, where: str, said: Any, index: Mapping[str, int]) -> Any:
        """The class index, or the ascending indices, of one clip."""
        names = [event["label"] for event in said] if self.kind == "events" else said
        for name in names:
            if name not in index:
                raise BadData(
                    f"{where}: label {name!r} is not in labelvocabulary.csv. Restore both files."
                )
        if self.kind == "one_label":
            if len(names) != 1:
                raise BadData(f"{where}: {len(names)} labels, expected one. Restore the official file.")
            return index[names[0]]
        if not names and self.kind == "many_labels":
            raise BadData(f"{where}: no label. Restore the official file.")
        return sorted({index[name] for name in names})

    def group_of(self, clip: str) -> str:
        """What the file name says of the clip's origin, or the clip itself."""
        found = re.match(self.facts.group, clip) if self.facts.group else None
        return found[1] if found else clip

    def events(self) -> pd.DataFrame:
        """One row per event of :meth:`Task.events`; the files say milliseconds."""
        if self.kind != "events":
            return super().events()
        position = {clip: number for number, clip in enumerate(self.clips()["clip"])}
        index = {label: number for number, label in enumerate(self.classes)}
        rows = [
            (position[clip], index[label], start / 1000.0, end / 1000.0)
            for clip, label, start, end in self.listed_events()
            if clip in position  # with partial, clips may lack their sound
        ]
        return pd.DataFrame(rows, columns=["position", "label", "onset", "offset"])

    def listed_events(self) -> list[tuple[str, str, float, float]]:
        """Clip, label, start and end in milliseconds of every event of the split files."""
        return [
            (Path(file).stem, str(event["label"]), float(event["start"]), float(event["end"]))
            for records in self.records.values()
            for file, events in records.items()
            for event in events
        ]

    def check_events(self) -> None:
        """Refuse times that cannot be, and any but the pinned ones where they are pinned."""
        listed = self.listed_events()
        for clip, label, start, end in listed:
            if not 0.0 <= start <= end:
                raise BadData(
                    f"{self.root}: {label!r} in clip {clip!r} goes from {start} to {end} ms. "
                    "Restore the official split files."
                )
        lines = "\n".join("\t".join(map(str, event)) for event in sorted(listed))
        measured = hashlib.sha256(lines.encode()).hexdigest()
        if self.facts.split_hash and measured != self.facts.events_hash and not self.partial:
            raise BadData(
                f"task {self.name!r}: the events are not the official ones (hash {measured}). "
                "Restore the split files."
            )

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono ``(samples,)`` in [-1, 1], and its rate.

        Raises :class:`BadData` where the file cannot be decoded, or is not as long as all clips are.
        """
        path = self.root / str(self.clips()["path"].iloc[position])
        samples, rate = read_mono(path)
        wanted = self.facts.seconds
        if wanted is not None and abs(len(samples) / rate - wanted) > TOLERANCE:
            raise BadData(
                f"{path} lasts {len(samples) / rate:.3f} s, expected {wanted} s: it is truncated "
                "or not the prepared clip. Unpack the folder again."
            )
        return np.clip(samples, -1.0, 1.0), rate  # lossy decoders overshoot full scale slightly


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises :class:`BadData` where it is none or names something twice."""
    if not path.is_file():
        raise BadData(f"{path} is not there. Unpack the official folder again.")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise BadData(f"{path}: {key!r} is listed more than once. Restore the official file.")
            found[key] = value
        return found

    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is not JSON in UTF-8 ({error}). Restore the official file.") from error
    if not isinstance(content, dict):
        raise BadData(f"{path} is not a JSON object. Restore the official file.")
    return content
