"""ESC-50 and ESC-10: environmental sounds in five official folds (Piczak, ACM MM 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task
from tasks.drawer import BadData
from tasks.layout import files_by_stem, read_table, root_of, with_files

# Class names in target order 0-49, from the official esc50.csv.
# fmt: off
ESC50_CLASSES = (
    "dog", "rooster", "pig", "cow", "frog",
    "cat", "hen", "insects", "sheep", "crow",
    "rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds",
    "water_drops", "wind", "pouring_water", "toilet_flush", "thunderstorm",
    "crying_baby", "sneezing", "clapping", "breathing", "coughing",
    "footsteps", "laughing", "brushing_teeth", "snoring", "drinking_sipping",
    "door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening",
    "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick", "glass_breaking",
    "helicopter", "chainsaw", "siren", "car_horn", "engine",
    "train", "church_bells", "airplane", "fireworks", "hand_saw",
)
# fmt: on
ESC10_TARGETS = (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)  # targets of the rows with esc10 == True

COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
SECONDS = 5.0
TOLERANCE = 0.05  # seconds; lossy encoders may add or drop a few hundred samples


@dataclass(kw_only=True)
class ESC50(Task, name="esc50"):
    """2000 clips of 5 s, 50 environmental sounds, five official folds; accuracy.

    ``data`` holds ``ESC-50-master/`` (``audio/``, ``meta/esc50.csv``) as the official zip unpacks it.
    Audio may be .wav, .flac or .ogg: a clip's id is the stem of its file name, so the pinned split is
    the same for every encoding. The stem itself is ``{fold}-{source}-{take}-{target}``; a row of the
    metadata that contradicts it is refused. Source: spec evaluation.md 1.1.
    """

    licence: ClassVar[str] = "CC BY-NC 3.0"
    reference: ClassVar[str] = (
        "K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015"
    )
    url: ClassVar[str] = "https://github.com/karolpiczak/ESC-50"
    download_bytes: ClassVar[int] = 600_000_000
    grouped_by: ClassVar[str] = "Freesound source"
    official_counts: ClassVar[Mapping[str, int]] = dict.fromkeys("12345", 400)
    folder: ClassVar[str] = "ESC-50-master"
    split_hash: ClassVar[str] = "d33514b58d58e98fe47e0146e3b0676417af24cfe3691707c9dd08c96921adab"
    # Four Freesound sources that the official release itself puts in two folds, under two classes each.
    group_exceptions: ClassVar[frozenset[str]] = frozenset({"131943", "134049", "209698", "234879"})
    targets: ClassVar[tuple[int, ...]] = tuple(range(50))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(ESC50_CLASSES[target] for target in self.targets)

    @property
    def root(self) -> Path:
        """The folder ``ESC-50-master``; raises :class:`DataMissing` where it is not there."""
        return root_of(self, "meta/esc50.csv", "audio")

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; ``group`` is the Freesound source.

        Raises :class:`BadData` naming the row that is malformed or contradicts its file name, and
        :class:`DataMissing` naming the first row without a sound file.
        """
        root = self.root
        metadata = read_metadata(root / "meta" / "esc50.csv")
        metadata = metadata[metadata["target"].isin(self.targets)]
        metadata = with_files(self, metadata, files_by_stem(root, "audio"), "clip", "esc50.csv")
        label = {target: index for index, target in enumerate(self.targets)}
        clips = pd.DataFrame(
            {
                "clip": metadata["clip"],
                "label": metadata["target"].map(label).astype("int64"),
                "fold": metadata["fold"].astype(str),
                "group": metadata["src_file"],
                "path": metadata["path"],
            }
        )
        return clips.sort_values("clip", ignore_index=True)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono ``(samples,)`` of 5 s in [-1, 1], and its rate.

        The digital silence at the end of short events is part of the official clips and is kept.
        Raises :class:`BadData` where the file cannot be decoded or does not last 5 s.
        """
        path = self.root / str(self.clips()["path"].iloc[position])
        samples, rate = read_mono(path)
        seconds = len(samples) / rate
        if abs(seconds - SECONDS) > TOLERANCE:
            raise BadData(
                f"{path} lasts {seconds:.3f} s, expected {SECONDS:.0f} s: it is truncated or not the "
                "official clip. Restore it from the official zip."
            )
        return np.clip(samples, -1.0, 1.0), rate  # lossy decoders overshoot full scale slightly


@dataclass(kw_only=True)
class ESC10(ESC50, name="esc10"):
    """400 clips of 5 s: the ten ESC-50 classes with ``esc10 == True``, same five folds; accuracy.

    Labels 0-9 follow the order of the ESC-50 targets.
    """

    licence: ClassVar[str] = "CC BY 3.0"
    official_counts: ClassVar[Mapping[str, int]] = dict.fromkeys("12345", 80)
    split_hash: ClassVar[str] = "24c0dfc2cc9656fe3520e6ea2081248df118e8331adf2349d14c214149441059"
    group_exceptions: ClassVar[frozenset[str]] = frozenset()
    targets: ClassVar[tuple[int, ...]] = ESC10_TARGETS


def read_metadata(path: Path) -> pd.DataFrame:
    """Rows of ``esc50.csv`` with ``clip`` (stem) and ``row`` (line in the file) added.

    ``fold`` and ``target`` are int64, the rest text. Raises :class:`BadData` naming the row where a
    value is malformed or contradicts the file name.
    """
    metadata = read_table(path, COLUMNS)
    metadata = metadata.assign(clip=metadata["filename"].str.rpartition(".")[0])
    for row in metadata.to_dict("records"):
        check_row(path, row)
    return metadata.astype({"fold": "int64", "target": "int64"})


def check_row(path: Path, row: dict[Any, Any]) -> None:
    """Refuse a row that contradicts the official file-name rule or the official class names."""
    parts = str(row["clip"]).split("-")
    if len(parts) != 4:
        raise BadData(
            f"{path}, row {row['row']}: file name {row['filename']!r} is not "
            "{fold}-{source}-{take}-{target}.wav. Restore the official file."
        )
    fold, source, take, target = parts
    number = int(target) if target.isdecimal() and int(target) < 50 else None
    official = {
        "fold": fold if fold in "12345" else "1-5",
        "src_file": source,
        "take": take,
        "target": target if number is not None else "0-49",
        "category": "" if number is None else ESC50_CLASSES[number],
        "esc10": str(number in ESC10_TARGETS),
    }
    for column, expected in official.items():
        if row[column] != expected:
            raise BadData(
                f"{path}, row {row['row']} ({row['filename']}): {column} is {row[column]!r}, but the "
                f"file name says {expected!r}. Restore the official file."
            )
