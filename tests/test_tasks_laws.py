"""Laws of every task in the registry; a new file in tasks/ is under test at once.

Tasks that need files are tested where SOURCEBENCH_DATA names the folder that holds them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tasks
from suite.fetch import known as data_set_of
from suite.metrics import EVENT_METRICS, known
from tasks.archives import named, of_folder
from tasks.base import Task, check_duplicates, guard, measured_split_hash

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
    created = tasks.create(request.param, data=folder, partial=True)  # what is there obeys the laws
    try:
        created.clips()
    except tasks.DataMissing as missing:
        pytest.skip(str(missing))
    return created


@every
def test_facts_are_filled_in(name: str) -> None:
    task = tasks.create(name)
    assert task.name == name
    assert task.version >= 1
    assert task.kind in ("one_label", "many_labels", "events")
    assert {task.metric, *task.other_metrics} <= set(known())
    assert (task.kind == "events") == (task.metric in EVENT_METRICS) == bool(task.post_processing)
    assert len(task.licence) > 2
    assert len(task.reference) > 10
    assert re.fullmatch("[0-9a-f]{64}", task.split_hash) or len(task.split_rule) > 20
    assert len(task.grouped_by) > 3
    assert task.official_total > 0 or min(task.official_counts.values()) > 0
    folds = set(task.official_counts)
    assert folds == {"train", "valid", "test"} or len(folds) >= 3 or task.official_total
    if task.class_count:
        assert task.class_count >= 2
    else:
        assert len(set(task.classes)) == len(task.classes) >= 2
    assert task.embedded == (task.folder == "") == (task.url == "") == (task.download_bytes == 0)


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
        assert (f"`sourcebench fetch {name}`" in said) == (of_folder(task.folder) is not None)
        assert of_folder(task.folder) is None or named([data_set_of(name)])


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
    known = list(range(len(task.classes)))
    assert labels.tolist() == known or (task.is_partial and set(labels) < set(known))


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
    assert set(spread[spread > 1].index) == task.group_exceptions or task.is_partial


def test_every_class_can_be_learnt_in_every_fold(task: Task) -> None:
    label = task.clips()["label"]
    for fold in task.folds():
        for part in (fold.train, fold.test):
            found = np.unique(np.hstack(label.iloc[part].to_list()))
            assert len(found) == len(task.classes) or task.is_partial


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


def test_the_complete_release_has_the_pinned_split(task: Task) -> None:
    if task.is_partial:
        pytest.skip("partial data")
    assert measured_split_hash(task.clips()) == task.split_hash or task.split_rule
    if task.official_counts:
        assert task.clips().groupby("fold").size().to_dict() == dict(task.official_counts)
    assert len(task.clips()) == (task.official_total or sum(task.official_counts.values()))


def test_partial_data_are_refused_by_default_with_what_to_type(task: Task) -> None:
    if task.vanishing:
        pytest.skip("nobody has all its clips: those that are there are measured, as partial")
    less = task.clips().iloc[1:].reset_index(drop=True)
    refusing = tasks.create(task.name, data=task.data)
    with pytest.raises(tasks.BadData, match=r"of the \d+ clips .*partial=true"):
        guard(refusing, less)
    guard(tasks.create(task.name, data=task.data, partial=True), less)


def test_a_sound_in_two_folds_is_found_and_both_clips_are_named(task: Task) -> None:
    clips = task.clips()
    hashes = [str(position) for position in range(len(clips))]
    check_duplicates(task, hashes)
    other = int(np.flatnonzero(clips["fold"] != clips["fold"].iloc[0])[0])
    hashes[other] = hashes[0]
    with pytest.raises(tasks.BadData, match="are the same sound") as error:
        check_duplicates(task, hashes)
    assert repr(clips["clip"].iloc[0]) in str(error.value)
    assert repr(clips["clip"].iloc[other]) in str(error.value)
    hashes[0] = hashes[other] = ""  # silence is nobody's
    check_duplicates(task, hashes)


def test_an_empty_part_is_refused_even_of_partial_data(task: Task) -> None:
    clips = task.clips()
    left = clips[clips["fold"] == clips["fold"].iloc[0]].reset_index(drop=True)
    with pytest.raises(tasks.BadData, match=r"no clip of|alone cannot be cross-validated"):
        guard(tasks.create(task.name, data=task.data, partial=True), left)


@pytest.mark.parametrize("column", ["fold", "label"])
def test_one_moved_clip_is_refused(task: Task, column: str) -> None:
    if task.vanishing:
        pytest.skip("which of its clips are there is no split to pin; its lists are checked when read")
    clips = task.clips().copy()
    values = clips[column].tolist()  # labels may be lists
    other = next(value for value in values if value != values[0])
    same = (clips["group"] == clips["group"].iloc[0]).tolist()
    moved = [other if with_it else value for value, with_it in zip(values, same, strict=True)]
    clips[column] = pd.Series(moved, index=clips.index)
    with pytest.raises(tasks.BadData, match=r"not the official one|of the official release are there"):
        guard(tasks.create(task.name, data=task.data), clips)


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
