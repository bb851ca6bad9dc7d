"""A task without one of its folds: nothing of that fold is left, and the rest is as it was.

.venv/bin/python -m pytest tests/test_held_out.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks.base import fold_names, measured_split_hash

DATA = os.environ.get("SOURCEBENCH_DATA")


@pytest.mark.parametrize("name", ["toy_pitch", "toy_count"])
def test_an_embedded_task_without_its_test_part_is_cross_validated_by_groups(name: str) -> None:
    whole, rest = tasks.create(name), tasks.create(f"{name}-without-test")
    clips = whole.clips()
    kept = clips[clips["fold"] != "test"]
    assert rest.name == f"{name}-without-test"
    assert sorted(rest.clips()["clip"]) == sorted(kept["clip"])
    assert fold_names(rest.clips()) == ["1", "2", "3", "4"]
    folds = list(rest.folds())
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(len(kept)))
    for fold in folds:
        groups = [set(rest.clips()["group"].iloc[part]) for part in (fold.train, fold.valid, fold.test)]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
    first, second = tasks.create(f"{name}-without-test"), rest
    assert measured_split_hash(first.clips()) == measured_split_hash(second.clips())
    positions = {clip: i for i, clip in enumerate(clips["clip"])}
    for place in (0, len(kept) - 1):
        there = whole.waveform(positions[rest.clips()["clip"].iloc[place]])
        assert np.array_equal(rest.waveform(place)[0], there[0])


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(tasks.UsageError, match=r"no fold .tset. to leave out.*toy_pitch-without-"):
        tasks.create("toy_pitch-without-tset").clips()
    with pytest.raises(tasks.UsageError, match="unknown task 'toy_pich'"):
        tasks.create("toy_pich-without-test")


@pytest.mark.skipif(DATA is None, reason="needs SOURCEBENCH_DATA")
def test_esc50_without_a_fold_is_guarded_as_esc50_is() -> None:
    rest = tasks.create("esc50-without-5", data=Path(str(DATA)))
    assert len(rest.clips()) == 1600
    assert not rest.is_partial
    assert [fold.name for fold in rest.folds()] == ["1", "2", "3", "4"]
    assert [len(fold.train) for fold in rest.folds()] == [800] * 4
    assert not any(clip.startswith("5-") for clip in rest.clips()["clip"])
