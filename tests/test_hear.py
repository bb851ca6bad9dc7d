"""HEAR's layout: made-up folders of scenes and events, folds and splits, for what is read and refused.

.venv/bin/python -m pytest tests/test_hear.py
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import tasks
from tasks import BadData, DataMissing
from tasks.hear import HearBeijingOpera, HearDcase2016, HearFSD50K
from tasks.hear_facts import FACTS

RATE = 16_000
LABELS = ("a", "b", "c", "d")


def prepared(data: Path, name: str, *, clips: int, labels: int = 4, rate: int = RATE) -> Path:
    """A folder of ``clips`` short tones per split, as HEAR prepares it."""
    facts = FACTS[name]
    stem, version, mode = facts.folder.split("-", 1)[0], *facts.folder.split("-", 1)[1].rsplit("-", 1)
    splits = [f"fold{i:02d}" for i in range(facts.folds)] or ["train", "valid", "test"]
    root = data / "hear" / "tasks" / facts.folder
    root.mkdir(parents=True)
    kind = "event" if facts.kind == "events" else "scene"
    answer = "multiclass" if facts.kind == "one_label" else "multilabel"
    metadata = {"task_name": stem, "version": version, "mode": mode, "splits": splits}
    metadata |= {"embedding_type": kind, "prediction_type": answer, "sample_duration": facts.seconds}
    (root / "task_metadata.json").write_text(json.dumps(metadata))
    rows = [f"{index},{label}" for index, label in enumerate(LABELS[:labels])]
    (root / "labelvocabulary.csv").write_text("\n".join(["idx,label", *rows]) + "\n")
    for place, split in enumerate(splits):
        (root / str(rate) / split).mkdir(parents=True)
        records: dict[str, Any] = {}
        for number in range(clips):
            file = f"clip{place}_{number:02d}.wav"
            label = LABELS[number % labels]
            records[file] = [label]
            if facts.kind == "events":
                records[file] = [{"label": label, "start": 100.5, "end": 250.0}]
            time = np.arange(int((facts.seconds or 0.5) * rate)) / rate
            tone = 0.5 * np.sin(2 * np.pi * (300 + 50 * number + 7 * place) * time)
            soundfile.write(root / str(rate) / split / file, tone, rate)
        (root / f"{split}.json").write_text(json.dumps(records))
    return root


def shrunk(monkeypatch: pytest.MonkeyPatch, entry: Any, clips: int, classes: int) -> None:
    """Lets a made-up folder pass for the official one: its totals become the published ones."""
    facts = replace(entry.facts, clips=clips, classes=classes, seconds=0.5)
    monkeypatch.setattr(entry, "facts", facts)
    monkeypatch.setitem(FACTS, entry.name, facts)
    monkeypatch.setattr(entry, "official_total", clips)


@pytest.fixture
def opera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shrunk(monkeypatch, HearBeijingOpera, 20, 4)
    return prepared(tmp_path, "hear_beijing_opera", clips=4)


def created(root: Path, name: str, **fields: Any) -> Any:
    return tasks.create(name, data=root.parents[2], **fields)


def test_scenes_in_folds_are_read(opera: Path) -> None:
    task = created(opera, "hear_beijing_opera")
    first = task.clips().iloc[1].tolist()
    assert first == ["clip0_01", 1, "fold00", "clip0_01", "16000/fold00/clip0_01.wav"]
    assert task.classes == LABELS
    assert [fold.name for fold in task.folds()] == [f"fold{i:02d}" for i in range(5)]
    assert not task.is_partial


def test_many_labels_in_named_splits_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrunk(monkeypatch, HearFSD50K, 12, 4)
    root = prepared(tmp_path, "hear_fsd50k", clips=4)
    change(root / "test.json", lambda records: records["clip2_00.wav"].append("c"))
    task = created(root, "hear_fsd50k")
    assert task.clips()["label"].tolist()[-4:] == [[0, 2], [1], [2], [3]]
    (fold,) = task.folds()
    assert len(fold.test) == 4


def test_events_are_read_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrunk(monkeypatch, HearDcase2016, 12, 4)
    root = prepared(tmp_path, "hear_dcase2016_task2", clips=4)
    change(root / "train.json", lambda records: records.update({"clip0_00.wav": []}))
    task = created(root, "hear_dcase2016_task2", partial=True)
    assert task.clips()["label"].tolist()[:2] == [[], [1]]
    events = task.events()
    assert len(events) == 11
    assert events.iloc[0].tolist() == [1, 1, 0.1005, 0.25]
    assert task.post_processing == ((250.0, 125.0), (250.0, 250.0))


def change(path: Path, edit: Any) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("start_end", [(300.0, 200.0), (-5.0, 200.0)])
def test_times_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_end: tuple[float, float]
) -> None:
    shrunk(monkeypatch, HearDcase2016, 12, 4)
    root = prepared(tmp_path, "hear_dcase2016_task2", clips=4)
    event = dict(zip(("label", "start", "end"), ("a", *start_end), strict=True))
    change(root / "train.json", lambda records: records["clip0_01.wav"].append(event))
    with pytest.raises(BadData, match="'a' in clip 'clip0_01' goes from"):
        created(root, "hear_dcase2016_task2").clips()


def test_a_moved_event_is_refused_where_events_are_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrunk(monkeypatch, HearDcase2016, 12, 4)
    root = prepared(tmp_path, "hear_dcase2016_task2", clips=4)
    pinned = replace(HearDcase2016.facts, split_hash="0" * 64, events_hash="1" * 64)
    monkeypatch.setattr(HearDcase2016, "facts", pinned)
    with pytest.raises(BadData, match="the events are not the official ones"):
        created(root, "hear_dcase2016_task2").clips()


@pytest.mark.parametrize(
    ("there", "read"), [((16000, 48000), 16000), ((22050, 44100), 22050), ((8000,), 8000)]
)
def test_any_sample_rate_folder_is_read(opera: Path, there: tuple[int, ...], read: int) -> None:
    (opera / "16000").rename(opera / "x")
    for rate in there:
        shutil.copytree(opera / "x", opera / str(rate))
    path = created(opera, "hear_beijing_opera").clips()["path"].iloc[0]
    assert path == f"{read}/fold00/clip0_00.wav"


def test_a_folder_without_audio_is_refused(opera: Path) -> None:
    shutil.rmtree(opera / "16000")
    with pytest.raises(BadData, match="no audio folder"):
        created(opera, "hear_beijing_opera").clips()


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ({"clip0_00.wav": ["z"]}, "clip0_00.wav: label 'z' is not in labelvocabulary"),
        ({"clip0_00.wav": ["a", "b"]}, "2 labels, expected one"),
        ({"clip1_00.wav": ["a"]}, "clip 'clip1_00' is listed more than once|have no sound file"),
        ({}, "lists no clip"),
    ],
)
def test_a_planted_fault_is_refused(opera: Path, records: dict[str, Any], said: str) -> None:
    (opera / "fold00.json").write_text(json.dumps(records))
    with pytest.raises((BadData, DataMissing), match=said):
        created(opera, "hear_beijing_opera").clips()


def test_a_file_listed_twice_in_one_split_is_refused(opera: Path) -> None:
    (opera / "fold00.json").write_text('{"clip0_00.wav": ["a"], "clip0_00.wav": ["b"]}')
    with pytest.raises(BadData, match=r"'clip0_00\.wav' is listed more than once"):
        created(opera, "hear_beijing_opera").clips()


def test_split_files_in_another_encoding_are_refused(opera: Path) -> None:
    (opera / "fold00.json").write_bytes('{"clip0_00.wav": ["ä"]}'.encode("latin-1"))
    with pytest.raises(BadData, match="is not JSON in UTF-8"):
        created(opera, "hear_beijing_opera").clips()
    (opera / "fold00.json").unlink()
    with pytest.raises(BadData, match=r"fold00\.json is not there"):
        created(opera, "hear_beijing_opera").clips()


def test_a_missing_sound_is_named_and_partial_data_say_so(opera: Path) -> None:
    (opera / "16000" / "fold00" / "clip0_02.wav").unlink()
    with pytest.raises(DataMissing, match=r"row 3 of fold00\.json, clip0_02"):
        created(opera, "hear_beijing_opera").clips()
    task = created(opera, "hear_beijing_opera", partial=True)
    assert (len(task.clips()), task.is_partial) == (19, True)


def test_fewer_clips_than_published_are_refused(opera: Path) -> None:
    change(opera / "fold00.json", lambda records: records.pop("clip0_03.wav"))
    with pytest.raises(BadData, match=r"19 clips are there, of the 20 clips.*partial=true"):
        created(opera, "hear_beijing_opera").clips()


def test_a_clip_of_another_length_is_refused(opera: Path) -> None:
    path = opera / "16000" / "fold00" / "clip0_00.wav"
    soundfile.write(path, np.full(RATE, 0.1), RATE)
    with pytest.raises(BadData, match=r"lasts 1\.000 s, expected 0\.5 s"):
        created(opera, "hear_beijing_opera").waveform(0)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", "v0.9", "task, version and mode are 'beijing_opera-v0.9-full'"),
        ("mode", "small", "task, version and mode are"),
        ("embedding_type", "event", "embedding_type is 'event'"),
        ("prediction_type", "multilabel", "prediction_type is"),
        ("splits", ["fold00"], "splits is"),
    ],
)
def test_another_version_is_refused_even_as_partial(
    opera: Path, key: str, value: Any, said: str
) -> None:
    change(opera / "task_metadata.json", lambda metadata: metadata.update({key: value}))
    with pytest.raises(BadData, match=said):
        created(opera, "hear_beijing_opera", partial=True).clips()


@pytest.mark.parametrize("rows", ["0,a\n1,b\n2,c\n", "0,a\n1,b\n2,c\n3,c\n", "0,a\n2,b\n1,c\n3,d\n"])
def test_another_vocabulary_is_refused(opera: Path, rows: str) -> None:
    (opera / "labelvocabulary.csv").write_text(f"idx,label\n{rows}")
    with pytest.raises(BadData, match=r"labelvocabulary\.csv"):
        created(opera, "hear_beijing_opera").clips()


def test_a_folder_of_another_version_is_pointed_to(tmp_path: Path) -> None:
    (tmp_path / "hear" / "tasks" / "mridangam_stroke-v1.5-mini").mkdir(parents=True)
    with pytest.raises(DataMissing, match=r"another version.*its own task is mridangam_stroke_mini"):
        tasks.create("hear_mridangam_stroke", data=tmp_path).clips()


def test_the_nineteen_tasks_of_hear_are_there() -> None:
    entries = set(tasks.names())
    assert set(FACTS) <= entries
    official = [name for name in FACTS if name.startswith("hear_")]
    assert len(official) == 19 + 1  # the two directions of Beehive are one column of HEAR's table
    assert sum(FACTS[name].kind == "events" for name in official) == 2
    assert FACTS["hear_mridangam_stroke"].clips == FACTS["hear_mridangam_tonic"].clips == 6977


@pytest.mark.parametrize(
    ("name", "clip", "group"),
    [
        ("hear_esc50", "1-100032-A-0", "100032"),
        ("ravdess_emotion", "03-01-01-01-02-01-11", "11"),
        ("hear_gtzan", "blues.00000", "blues.00000"),
    ],
)
def test_the_group_is_what_the_file_name_tells(name: str, clip: str, group: str) -> None:
    assert tasks.create(name).group_of(clip) == group
