"""ESC-50 and ESC-10: environmental sounds in five official folds (Piczak, ACM MM 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task
from tasks.drawer import BadData, DataMissing

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
ENCODINGS = (".wav", ".flac", ".ogg")  # on disk, in order of preference where a clip has several
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
        root = None if self.data is None else Path(self.data) / self.folder
        if root is None or not (root / "meta" / "esc50.csv").is_file():
            where = (
                "no data folder was given" if root is None else f"{root}/meta/esc50.csv is not there"
            )
            raise DataMissing(
                f"task {self.name!r} needs ESC-50 (about 0.6 GB, {self.licence}), but {where}. "
                "Download the official zip from https://github.com/karolpiczak/ESC-50, unpack it so "
                f"that FOLDER/{self.folder}/audio and FOLDER/{self.folder}/meta/esc50.csv exist, and "
                "type SOURCEBENCH_DATA=FOLDER before the command, or paths.data=FOLDER after it."
            )
        return root

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; ``group`` is the Freesound source.

        Raises :class:`BadData` naming the row that is malformed or contradicts its file name, and
        :class:`DataMissing` naming the first row without a sound file.
        """
        metadata = read_metadata(self.root / "meta" / "esc50.csv")
        metadata = metadata[metadata["target"].isin(self.targets)]
        self.check_counts(metadata)
        paths = self.sound_files(metadata)
        label = {target: index for index, target in enumerate(self.targets)}
        clips = pd.DataFrame(
            {
                "clip": metadata["clip"],
                "label": metadata["target"].map(label).astype("int64"),
                "fold": metadata["fold"].astype(str),
                "group": metadata["src_file"],
                "path": paths,
            }
        )
        return clips.sort_values("clip", ignore_index=True)

    def check_counts(self, metadata: pd.DataFrame) -> None:
        """Refuse any table but 40 clips per class, 8 per class and fold."""
        counts = metadata.groupby(["target", "fold"]).size()
        expected = 40 * len(self.targets)
        if len(metadata) != expected or len(counts) != 5 * len(self.targets) or (counts != 8).any():
            raise BadData(
                f"task {self.name!r}: {self.root}/meta/esc50.csv holds {len(metadata)} rows of its "
                f"{len(self.targets)} classes, expected {expected}: 8 clips per class in each of 5 "
                "folds. Restore the official esc50.csv."
            )

    def sound_files(self, metadata: pd.DataFrame) -> list[str]:
        """For every row the file of that stem, relative to :attr:`root`."""
        folder = self.root / "audio"
        if not folder.is_dir():
            raise DataMissing(
                f"task {self.name!r}: {folder} is not there. Unpack the official zip again "
                "(https://github.com/karolpiczak/ESC-50)."
            )
        found: dict[str, str] = {}
        for suffix in reversed(ENCODINGS):  # the preferred encoding is written last
            found.update({path.stem: f"audio/{path.name}" for path in folder.glob(f"*{suffix}")})
        missing = metadata[~metadata["clip"].isin(found.keys())]
        if len(missing):
            raise DataMissing(
                f"task {self.name!r}: {len(missing)} of {len(metadata)} clips have no sound file; the "
                f"first is row {missing['row'].iloc[0]} of esc50.csv, {missing['clip'].iloc[0]} "
                f"({' or '.join(ENCODINGS)}) in {folder}. Unpack the official zip again."
            )
        return [found[clip] for clip in metadata["clip"]]

    @cached_property
    def _paths(self) -> list[Path]:
        return [self.root / path for path in self.clips()["path"]]

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono ``(samples,)`` of 5 s in [-1, 1], and its rate.

        The digital silence at the end of short events is part of the official clips and is kept.
        Raises :class:`BadData` where the file cannot be decoded or does not last 5 s.
        """
        path = self._paths[position]
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
    split_hash: ClassVar[str] = "24c0dfc2cc9656fe3520e6ea2081248df118e8331adf2349d14c214149441059"
    group_exceptions: ClassVar[frozenset[str]] = frozenset()
    targets: ClassVar[tuple[int, ...]] = ESC10_TARGETS


def read_metadata(path: Path) -> pd.DataFrame:
    """Rows of ``esc50.csv`` with ``clip`` (stem) and ``row`` (line in the file) added.

    ``fold`` and ``target`` are int64, the rest text. Raises :class:`BadData` naming the row where a
    value is malformed or contradicts the file name.
    """
    try:
        metadata = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is not a CSV table ({error}). Restore the official file.") from error
    missing = [column for column in COLUMNS if column not in metadata.columns]
    if missing:
        raise BadData(
            f"{path} has no column {missing[0]!r}; expected {', '.join(COLUMNS)}. "
            "Restore the official file."
        )
    metadata = metadata.assign(
        clip=metadata["filename"].str.rpartition(".")[0],
        row=np.arange(2, len(metadata) + 2),  # line 1 is the header
    )
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
