"""UrbanSound8K: ten classes of city sounds in ten official folds (Salamon et al., ACM MM 2014)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task
from tasks.drawer import BadData
from tasks.layout import files_by_stem, read_table, root_of, with_files

COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
CLASSES = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling"),
    *("gun_shot", "jackhammer", "siren", "street_music"),
)
TABLE = "metadata/UrbanSound8K.csv"


@cache
def official_folds() -> dict[tuple[str, str], str]:
    """The official fold by Freesound id and class id, of all 8,732 clips of the release."""
    table = pd.read_csv(Path(__file__).parent / "splits" / "urbansound8k.csv", dtype=str)
    return {(source, label): fold for source, label, fold in table.to_numpy(dtype=str)}


@dataclass(kw_only=True)
class UrbanSound8K(Task, name="urbansound8k"):
    """8,732 excerpts of at most 4 s of ten urban sounds, ten official folds; accuracy.

    ``data`` holds ``UrbanSound8K/`` (``audio/fold1`` to ``fold10``, ``metadata/UrbanSound8K.csv``). The
    group is the Freesound recording (``fsID``). Every row is checked against its file name and against
    the official fold of its recording, in partial data too: there the folds that are present are
    cross-validated. Any WAV, FLAC or Ogg file that libsndfile decodes is read, at its own rate and
    length. Source: spec evaluation.md 1.3.
    """

    licence: ClassVar[str] = "CC BY-NC 3.0"
    reference: ClassVar[str] = (
        "J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM "
        "Multimedia 2014"
    )
    url: ClassVar[str] = "https://zenodo.org/records/1203745"
    download_bytes: ClassVar[int] = 6_000_000_000
    grouped_by: ClassVar[str] = "Freesound recording"
    official_counts: ClassVar[Mapping[str, int]] = {
        "1": 873, "2": 888, "3": 925, "4": 990, "5": 936,
        "6": 823, "7": 838, "8": 806, "9": 816, "10": 837,
    }  # fmt: skip
    # Five recordings that the official release itself puts in two folds, under two classes each.
    group_exceptions: ClassVar[frozenset[str]] = frozenset(
        {"77751", "106905", "132016", "176638", "180937"}
    )
    folder: ClassVar[str] = "UrbanSound8K"
    split_hash: ClassVar[str] = "9118e1b442781facd7a256bd1332a296332dc22dcfb09e0d62874b35be7a464c"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order of ``classID``."""
        return CLASSES

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; a clip's id is the stem of its file name.

        Raises :class:`BadData` naming the row that is malformed or contradicts its file name or the
        official folds, and :class:`DataMissing` naming the first row without a sound file.
        """
        root = root_of(self, TABLE, "audio")
        table = read_table(root / TABLE, COLUMNS)
        for row in table.to_dict("records"):
            check_row(root / TABLE, row)
        table = table.assign(clip=table["slice_file_name"].str.rpartition(".")[0])
        table["place"] = "fold" + table["fold"] + "/" + table["clip"]
        found = {
            f"fold{fold}/{stem}": path
            for fold in self.official_counts
            for stem, path in files_by_stem(root, f"audio/fold{fold}").items()
        }
        table = with_files(self, table, found, "place", TABLE)
        label = table["classID"].astype("int64")
        clips = table[["clip"]].assign(label=label, fold=table["fold"], group=table["fsID"])
        return clips.assign(path=table["path"]).sort_values("clip", ignore_index=True)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Clip at row ``position``: float32 mono of 0.05 to 4 s in [-1, 1], and its own rate."""
        path = Path(self.data or "") / self.folder / str(self.clips()["path"].iloc[position])
        samples, rate = read_mono(path)
        return np.clip(samples, -1.0, 1.0), rate


def check_row(path: Path, row: dict[Any, Any]) -> None:
    """Refuse a row that contradicts its file name, the official class names or the official folds."""
    where = f"{path}, row {row['row']}"
    name = str(row["slice_file_name"])
    parts = name.rpartition(".")[0].split("-")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        raise BadData(
            f"{where}: file name {name!r} is not [fsID]-[classID]-[occurrence]-[slice].wav. Restore "
            "the official file."
        )
    source, label = parts[:2]
    if not int(label) < len(CLASSES):
        raise BadData(
            f"{where} ({name}): class {label} is none of the {len(CLASSES)} classes, 0 to 9. "
            "Restore the official file."
        )
    fold = official_folds().get((source, label))
    if fold is None:
        raise BadData(
            f"{where} ({name}): the official release has no clip of recording {source} in class "
            f"{label}. Restore the official file."
        )
    official = {"fsID": source, "classID": label, "class": CLASSES[int(label)], "fold": fold}
    for column, expected in official.items():
        if row[column] != expected:
            raise BadData(
                f"{where} ({name}): {column} is {row[column]!r}, but the official release says "
                f"{expected!r}. Restore the official file."
            )
