"""Laws of every task in the registry; a new file in tasks/ is under test at once.

Tasks that need files are tested where SOURCEBENCH_DATA names the folder that holds them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tasks
from suite.metrics import METRICS
from tasks.base import Task, guard, measured_split_hash

every = pytest.mark.parametrize("name", tasks.names())


@pytest.fixture(scope="module", params=tasks.names())
def task(request: pytest.FixtureRequest) -> Task:
    """Every task whose data is there."""
    created = tasks.create(request.param)
    if created.embedded:
        return created
    folder = os.environ.get("SOURCEBENCH_DATA")
    if not folder:
        pytest.skip(f"{request.param} needs files: set SOURCEBENCH_DATA to the folder that holds them")
    return tasks.create(request.param, data=folder)


@every
def test_facts_are_filled_in(name: str) -> None:
    task = tasks.create(name)
    assert task.name == name
    assert task.version >= 1
    assert task.kind in ("one_label", "many_labels", "events")
    assert task.metric in METRICS
    assert len(task.licence) > 2
    assert len(task.reference) > 10
    assert len(task.split_hash) == 64
    assert set(task.split_hash) <= set("0123456789abcdef")
    assert len(set(task.classes)) == len(task.classes) >= 2
    assert task.embedded == (task.folder == "")


@every
def test_a_task_is_listed_with_a_sentence(name: str) -> None:
    assert len(tasks.catalogue.entries()[name].summary) > 20


@every
def test_missing_data_is_an_instruction(name: str, tmp_path: Path) -> None:
    if tasks.create(name).embedded:
        tasks.create(name).clips()  # needs nothing
        return
    for data in (None, tmp_path):
        task = tasks.create(name, data=data)
        with pytest.raises(tasks.DataMissing) as error:
            task.clips()
        said = str(error.value)
        for part in (name, "GB", task.licence, "http", "SOURCEBENCH_DATA=", "paths.data="):
            assert part in said, f"the message does not say {part!r}: {said}"


def test_the_clip_table_has_its_columns_and_order(task: Task) -> None:
    clips = task.clips()
    assert clips.columns.tolist() == ["clip", "label", "fold", "group", "path"]
    assert clips["clip"].is_monotonic_increasing
    assert clips["clip"].is_unique
    assert clips.index.equals(clips.reset_index(drop=True).index)
    assert not clips.isna().any().any()
    assert (clips["path"] == "").all() == task.embedded


def test_labels_are_the_classes(task: Task) -> None:
    labels = np.unique(np.hstack(task.clips()["label"].to_list()))
    assert labels.tolist() == list(range(len(task.classes)))


def test_folds_are_disjoint_and_their_tests_cover_the_task(task: Task) -> None:
    tested = []
    for fold in task.folds():
        parts = (fold.train, fold.valid, fold.test)
        assert all(part.dtype == np.int64 and len(part) for part in parts)
        together = np.concatenate(parts)
        assert sorted(together) == list(range(len(task.clips())))
        tested.append(fold.test)
    if len(tested) > 1:
        assert sorted(np.concatenate(tested)) == list(range(len(task.clips())))


def test_no_group_is_on_both_sides(task: Task) -> None:
    group = task.clips()["group"].to_numpy(dtype=str)
    for fold in task.folds():
        parts = [set(group[part]) for part in (fold.train, fold.valid, fold.test)]
        shared = (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])
        assert shared <= task.group_exceptions


def test_every_exception_to_the_group_rule_is_needed(task: Task) -> None:
    spread = task.clips().groupby("group")["fold"].nunique()
    assert set(spread[spread > 1].index) == task.group_exceptions


def test_every_class_can_be_learnt_in_every_fold(task: Task) -> None:
    label = task.clips()["label"]
    for fold in task.folds():
        for part in (fold.train, fold.test):
            found = np.unique(np.hstack(label.iloc[part].to_list()))
            assert len(found) == len(task.classes)


def test_waveforms_are_mono_finite_and_in_range(task: Task) -> None:
    for position in range(0, len(task.clips()), max(1, len(task.clips()) // 12)):
        samples, rate = task.waveform(position)
        assert isinstance(rate, int)
        assert rate >= 8000
        assert samples.ndim == 1
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1.0
        assert samples.std() > 0.0


def test_the_same_clip_sounds_the_same(task: Task) -> None:
    for position in (3, 7):
        assert np.array_equal(task.waveform(position)[0], task.waveform(position)[0])


def test_the_pinned_hash_is_measured(task: Task) -> None:
    assert measured_split_hash(task.clips()) == task.split_hash


@pytest.mark.parametrize("column", ["fold", "label"])
def test_one_moved_clip_is_refused(task: Task, column: str) -> None:
    clips = task.clips().copy()
    first = clips[column].iloc[0]
    other = clips[column][clips[column] != first].iloc[0]
    clips.loc[clips["group"] == clips["group"].iloc[0], column] = other
    with pytest.raises(tasks.BadData, match="not the official one"):
        guard(task, clips)


def test_a_repeated_clip_and_a_leaking_group_are_refused(task: Task) -> None:
    clips = task.clips().copy()
    clips.loc[1, "clip"] = clips["clip"].iloc[0]
    with pytest.raises(tasks.BadData, match="more than once"):
        guard(task, clips)
    clips = task.clips().copy()
    other = clips.index[clips["fold"] != clips["fold"].iloc[0]][0]
    clips.loc[other, "group"] = clips["group"].iloc[0]
    with pytest.raises(
        tasks.BadData, match=f"group '{clips['group'].iloc[0]}' occurs in several folds"
    ):
        guard(task, clips)
