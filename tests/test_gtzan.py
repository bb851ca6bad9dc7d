"""GTZAN: the lists of tracks, and miniature folders with planted faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import tasks
from tasks import BadData, DataMissing
from tasks.base import measured_split_hash
from tasks.gtzan import COPIES, GENRES, TRACKS, filtered_split


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All 1000 tracks, as empty files."""
    for track in TRACKS:
        path = tmp_path / "genres" / track.partition(".")[0] / f"{track}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize("name", ["gtzan", "gtzan_filtered"])
def test_the_whole_release_has_the_pinned_split(data: Path, name: str) -> None:
    task = tasks.create(name, data=data)
    clips = task.clips()
    assert measured_split_hash(clips) == task.split_hash
    assert clips.groupby("fold").size().to_dict() == task.official_counts
    for fold in task.folds():
        for part in (fold.train, fold.test):
            assert clips["label"].iloc[part].nunique() == len(GENRES)


def test_the_filter_keeps_930_tracks_and_no_copy_beside_its_original() -> None:
    split = filtered_split()
    assert len(split) == 930
    assert not [copy for copy, first in COPIES.items() if copy in split and first in split]


def test_a_copied_track_is_in_the_fold_of_its_original(data: Path) -> None:
    clips = tasks.create("gtzan", data=data).clips().set_index("clip")
    assert len(COPIES) == 14
    for copy, first in COPIES.items():
        assert clips.loc[copy, "fold"] == clips.loc[first, "fold"]
        assert clips.loc[copy, "group"] == first


@pytest.mark.parametrize("suffix", [".au", ".flac"])
def test_the_archive_s_own_encoding_is_read(data: Path, suffix: str) -> None:
    path = data / "genres" / "blues" / "blues.00000.wav"
    path.unlink()
    soundfile.write(path.with_suffix(suffix), np.full(22_050, 0.5), 22_050)
    samples, rate = tasks.create("gtzan", data=data).waveform(0)
    assert (len(samples), rate) == (22_050, 22_050)


def test_a_missing_track_is_named_or_left_out(data: Path) -> None:
    (data / "genres" / "jazz" / "jazz.00054.wav").unlink()
    with pytest.raises(DataMissing, match=r"1 of 1000 clips .*jazz\.00054"):
        tasks.create("gtzan", data=data).clips()
    task = tasks.create("gtzan", data=data, partial=True)
    assert task.is_partial
    assert len(task.clips()) == 999


def test_a_track_of_another_collection_is_refused(data: Path) -> None:
    (data / "genres" / "jazz" / "jazz.00100.wav").touch()
    with pytest.raises(BadData, match=r"jazz\.00100\.wav is none of the 1000 tracks"):
        tasks.create("gtzan", data=data).clips()
