"""GTZAN: ten genres of music, whole or by the fault-filtered split (Tzanetakis and Cook, 2002)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from tasks.audio import read_mono
from tasks.base import Task
from tasks.drawer import BadData
from tasks.layout import files_by_stem, root_of, with_files

GENRES = (
    *("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"),
)
TRACKS = tuple(f"{genre}.{number:05d}" for genre in GENRES for number in range(100))
# Tracks of the release that are, byte for byte, an earlier one.
COPIES = {
    **{f"metal.{60 + i:05d}": f"metal.{39 + i:05d}" for i in range(1, 7)},
    "metal.00094": "metal.00034",
    "metal.00058": "rock.00016",
    "disco.00099": "disco.00098",
    "hiphop.00045": "hiphop.00039",
    "hiphop.00078": "hiphop.00076",
    "reggae.00082": "reggae.00081",
    "pop.00060": "pop.00054",
    "pop.00071": "pop.00067",
}


@cache
def filtered_split() -> dict[str, str]:
    """train, valid or test by track, for the 930 tracks that the fault filter keeps."""
    table = pd.read_csv(Path(__file__).parent / "splits" / "gtzan_filtered.csv", dtype=str)
    return dict(zip(table["track"], table["split"], strict=True))


@dataclass(kw_only=True)
class GTZANFiltered(Task, name="gtzan_filtered"):
    """930 tracks of 30 s of ten genres, the fault-filtered split without shared artists; accuracy.

    ``data`` holds ``genres/<genre>/<genre>.<number>.wav`` (.au, .flac and .ogg too) as the archive
    unpacks. Sturm's filter leaves out repetitions, distortions and mislabelled tracks, and no artist is
    on two sides: 443 train, 197 validate, 290 test. The lists name no artists, so a group is a track.
    """

    licence: ClassVar[str] = "none stated"
    reference: ClassVar[str] = (
        "G. Tzanetakis, P. Cook, Musical Genre Classification of Audio Signals, IEEE TSAP 2002; split: "
        "C. Kereliuk, B. L. Sturm, J. Larsen, Deep Learning and Music Adversaries, IEEE TMM 2015"
    )
    url: ClassVar[str] = "http://marsyas.info/downloads/datasets.html"
    download_bytes: ClassVar[int] = 1_230_000_000
    grouped_by: ClassVar[str] = "track, or the track it copies"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 443, "valid": 197, "test": 290}
    folder: ClassVar[str] = "genres"
    split_hash: ClassVar[str] = "31c8288163e8020b125c284a496206886d98c8002e2cee0cf78438fbaf2c4382"

    @property
    def classes(self) -> tuple[str, ...]:
        """Genres in alphabetical order."""
        return GENRES

    def split(self) -> dict[str, str]:
        """The fold of every track that is used."""
        return filtered_split()

    def read_clips(self) -> pd.DataFrame:
        """The clip table of :meth:`Task.read_clips`; a clip's id is its genre and number.

        Raises :class:`BadData` naming a track that is not of the release, and :class:`DataMissing`
        naming the first that is not there.
        """
        root = root_of(self, GENRES[0])
        found: dict[str, str] = {}
        for genre in GENRES:
            found.update(files_by_stem(root, genre, more=(".au",)))
        strange = sorted(set(found) - set(TRACKS))
        if strange:
            raise BadData(
                f"task {self.name!r}: {root / found[strange[0]]} is none of the 1000 tracks of GTZAN. "
                "Remove it: it may be another collection."
            )
        split = self.split()
        tracks = sorted(split)
        table = pd.DataFrame(
            {
                "clip": tracks,
                "label": [GENRES.index(track.partition(".")[0]) for track in tracks],
                "fold": [split[track] for track in tracks],
                "group": [COPIES.get(track, track) for track in tracks],
                "row": range(1, len(tracks) + 1),
            }
        )
        table = with_files(self, table, found, "clip", "the list of tracks")
        columns = ["clip", "label", "fold", "group", "path"]
        return table[columns].sort_values("clip", ignore_index=True)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        """Track at row ``position``: float32 mono of about 30 s in [-1, 1], and its rate."""
        path = Path(self.data or "") / self.folder / str(self.clips()["path"].iloc[position])
        samples, rate = read_mono(path)
        return np.clip(samples, -1.0, 1.0), rate


@dataclass(kw_only=True)
class GTZAN(GTZANFiltered, name="gtzan"):
    """All 1000 tracks of 30 s of ten genres, ten folds of consecutive tracks, artists shared; accuracy.

    GTZAN has no official split. Fold k holds tracks 10 k to 10 k + 9 of every genre (neighbours are
    often of one artist), a copied track the fold of its original. Mislabelled tracks stay in, and
    artists are in several folds: scores are higher than those of ``gtzan_filtered``.
    """

    reference: ClassVar[str] = (
        "G. Tzanetakis, P. Cook, Musical Genre Classification of Audio Signals, IEEE TSAP 2002"
    )
    official_counts: ClassVar[Mapping[str, int]] = {
        "0": 100, "1": 101, "2": 100, "3": 102, "4": 105,
        "5": 100, "6": 94, "7": 99, "8": 100, "9": 99,
    }  # fmt: skip
    split_hash: ClassVar[str] = "ceff114fa3ad09d0c1fe19c6059ddd30e1f6587ef41f97795cce3a028f3cb9c9"

    def split(self) -> dict[str, str]:
        """The fold of every track, 0 to 9."""
        return {track: str(int(COPIES.get(track, track)[-5:]) // 10) for track in TRACKS}
