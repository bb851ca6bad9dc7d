"""FSD50K's layout: a made-up folder of it for errors, and the collection that is at hand.

.venv/bin/python -m pytest tests/test_fsd50k.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import tasks
from tasks import BadData, DataMissing
from tasks.fsd50k import FSD50K, OVER_LONG
from tasks.fsd50k_vocabulary import FSD50K_CLASSES, STYLE_CLASSES

RATE = 8000
CLASSES = ("Bark", "Bell", "Rain", "Wind")
SPLITS = ["train"] * 8 + ["val"] * 4


def truth(data: Path, name: str) -> Path:
    return data / "FSD50K" / "FSD50K.ground_truth" / f"{name}.csv"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve clips of dev and four of eval, four classes, two labels each, two clips an uploader."""
    root = tmp_path / "FSD50K"
    for part in ("dev_audio", "eval_audio", "ground_truth", "metadata"):
        (root / f"FSD50K.{part}").mkdir(parents=True)
    vocabulary = [f"{index},{label},/m/{index}" for index, label in enumerate(CLASSES)]
    truth(tmp_path, "vocabulary").write_text("\n".join(vocabulary) + "\n")
    for part, first, count in (("dev", 100, 12), ("eval", 200, 4)):
        rows, info = [], {}
        for number in range(count):
            one, two = sorted((number % 4, (number + 1) % 4))
            clip = str(first + number)
            labels, mids = f"{CLASSES[one]},{CLASSES[two]}", f"/m/{one},/m/{two}"
            rows.append({"fname": clip, "labels": labels, "mids": mids})
            info[clip] = {"title": "x", "uploader": f"{part}{number // 2}"}
            time = np.arange(RATE // 2) / RATE
            tone = 0.5 * np.sin(2 * np.pi * (200 + 10 * number + first) * time)
            soundfile.write(root / f"FSD50K.{part}_audio" / f"{clip}.wav", tone, RATE)
        table = pd.DataFrame(rows)
        if part == "dev":
            table["split"] = SPLITS
        table.to_csv(truth(tmp_path, part), index=False)
        (root / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json").write_text(json.dumps(info))
    monkeypatch.setattr(FSD50K, "vocabulary", CLASSES)
    monkeypatch.setattr(FSD50K, "official_counts", {"train": 8, "valid": 4, "test": 4})
    monkeypatch.setattr(FSD50K, "label_counts", {"dev": 24, "eval": 8})
    return tmp_path


def change(data: Path, name: str, row: int, column: str, value: str) -> None:
    table = pd.read_csv(truth(data, name), dtype=str)
    table.loc[row, column] = value
    table.to_csv(truth(data, name), index=False)


def test_the_official_layout_is_read(data: Path) -> None:
    task = tasks.create("fsd50k", data=data)
    clips = task.clips()
    assert clips.iloc[0].tolist() == ["100", [0, 1], "train", "dev0", "FSD50K.dev_audio/100.wav"]
    (fold,) = task.folds()
    assert [len(part) for part in (fold.train, fold.valid, fold.test)] == [8, 4, 4]
    assert not task.is_partial
    assert task.waveform(0)[1] == RATE


def test_train_and_valid_may_share_an_uploader_but_never_test(data: Path) -> None:
    path = data / "FSD50K" / "FSD50K.metadata" / "dev_clips_info_FSD50K.json"
    info = json.loads(path.read_text())
    info["100"]["uploader"] = info["111"]["uploader"]  # train and valid
    path.write_text(json.dumps(info))
    assert len(tasks.create("fsd50k", data=data).clips()) == 16
    info["100"]["uploader"] = "eval0"
    path.write_text(json.dumps(info))
    with pytest.raises(BadData, match="group 'eval0' occurs in several folds"):
        tasks.create("fsd50k", data=data).clips()


def test_a_clip_without_an_uploader_is_its_own_group(data: Path) -> None:
    path = data / "FSD50K" / "FSD50K.metadata" / "dev_clips_info_FSD50K.json"
    info = json.loads(path.read_text())
    del info["100"]["uploader"]
    path.write_text(json.dumps(info))
    assert tasks.create("fsd50k", data=data).clips()["group"].iloc[0] == "clip 100"


@pytest.mark.parametrize(
    ("name", "column", "value", "said"),
    [
        ("dev", "labels", "Bark,Moo", r"row 2 \(100\): label 'Moo' is not in the vocabulary"),
        ("dev", "labels", "Bark;Bell", "joined by commas"),
        ("eval", "labels", "", "label '' is not"),
        ("dev", "mids", "/m/0,/m/2", "mids /m/0,/m/2 are not those of Bark,Bell"),
        ("dev", "split", "valid", "row 2: split is 'valid'"),
        ("dev", "fname", "101", r"dev\.csv, row \d+: 101 is listed more than once"),
    ],
)
def test_a_planted_fault_is_refused(data: Path, name: str, column: str, value: str, said: str) -> None:
    change(data, name, 0, column, value)
    with pytest.raises(BadData, match=said):
        tasks.create("fsd50k", data=data).clips()


def test_another_vocabulary_is_refused_by_row(data: Path) -> None:
    truth(data, "vocabulary").write_text("0,Bark,/m/0\n1,Rain,/m/2\n2,Bell,/m/1\n3,Wind,/m/3\n")
    with pytest.raises(BadData, match="row 2: 1,Rain, expected 1,Bell"):
        tasks.create("fsd50k", data=data).clips()


def test_other_labels_of_all_clips_are_refused(data: Path) -> None:
    table = pd.read_csv(truth(data, "eval"), dtype=str).assign(labels="Bark", mids="/m/0")
    table.to_csv(truth(data, "eval"), index=False)
    with pytest.raises(BadData, match=r"holds 4 labels of 4 clips, expected 8"):
        tasks.create("fsd50k", data=data).clips()


def test_a_table_in_another_encoding_is_refused(data: Path) -> None:
    truth(data, "dev").write_bytes("fname,labels,mids,split\n1,Bärk,/m/0,train\n".encode("latin-1"))
    with pytest.raises(BadData, match=r"dev\.csv is not a table in utf-8"):
        tasks.create("fsd50k", data=data).clips()


def test_a_missing_file_is_named_and_partial_data_say_so(data: Path) -> None:
    (data / "FSD50K" / "FSD50K.dev_audio" / "103.wav").unlink()
    with pytest.raises(DataMissing, match=r"1 of 12 clips.*row 5 of dev\.csv, 103"):
        tasks.create("fsd50k", data=data).clips()
    task = tasks.create("fsd50k", data=data, partial=True)
    assert len(task.clips()) == 15
    assert task.is_partial


def test_an_empty_split_is_refused(data: Path) -> None:
    table = pd.read_csv(truth(data, "dev"), dtype=str).assign(split="train")
    table.to_csv(truth(data, "dev"), index=False)
    with pytest.raises(BadData, match="no clip of valid"):
        tasks.create("fsd50k", data=data, partial=True).clips()


def test_metadata_that_are_no_json_are_refused(data: Path) -> None:
    (data / "FSD50K" / "FSD50K.metadata" / "dev_clips_info_FSD50K.json").write_text("{")
    with pytest.raises(BadData, match="is not a JSON object of clips"):
        tasks.create("fsd50k", data=data).clips()


def test_the_twelve_long_clips_are_kept_and_no_other(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "FSD50K" / "FSD50K.dev_audio" / "100.wav"
    soundfile.write(path, np.full(31 * RATE, 0.1), RATE)
    task = tasks.create("fsd50k", data=data)
    with pytest.raises(BadData, match=r"lasts 31\.00 s.*30 s"):
        task.waveform(0)
    monkeypatch.setattr("tasks.fsd50k.OVER_LONG", frozenset({"100"}))
    assert len(task.waveform(0)[0]) == 31 * RATE
    assert len(OVER_LONG) == 12


def test_the_vocabulary_has_its_landmarks() -> None:
    assert len(FSD50K_CLASSES) == len(set(FSD50K_CLASSES)) == 200
    assert [FSD50K_CLASSES[i] for i in (0, 25, 100, 175, 199)] == [
        *("Accelerating_and_revving_and_vroom", "Camera", "Human_group_actions", "Toilet_flush"),
        "Zipper_(clothing)",
    ]
    assert len(STYLE_CLASSES) == 43
    assert set(STYLE_CLASSES) < set(FSD50K_CLASSES)
