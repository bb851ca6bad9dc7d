"""AudioSet as a task: a miniature of its lists, of which some clips are missing.

.venv/bin/python -m pytest tests/test_audioset_task.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_runs

import tasks
from suite.evaluate import evaluate
from tasks import BadData, DataMissing, audioset
from tasks.audioset import BALANCED, EVALUATION, UNBALANCED, AudioSet, AudioSet20k
from tasks.base import check_duplicates, guard

ROWS = {UNBALANCED: 30, BALANCED: 40, EVALUATION: 20}
MIDS = ("/m/09x0r", "/m/0dgw9r", "/t/dd00088", "/m/04rlf")
NAMES = ("Speech", "Human sounds", "Gush", "Music, all of it")
HEADER = "# made up\n# num_ytids=0\n# YTID, start_seconds, end_seconds, positive_labels\n"
ABSENT = ("bal00000011", "bal00000020", "eva00000003")
COUNTS = {"train": 36, "valid": 4, "test": 20}

Row = tuple[str, float, str]


def rows(name: str) -> list[Row]:
    """Video, start in seconds and labels of every row of a list, each with one or two labels."""
    labels = [
        ",".join(MIDS[label] for label in sorted({i % 4, (i // 4) % 4})) for i in range(ROWS[name])
    ]
    return [(f"{name[:3]}{i:08d}", 30.0 + i / 2, labels[i]) for i in range(ROWS[name])]


def write(data: Path, name: str, listed: list[Row]) -> Path:
    path = data / "audioset" / f"{name}_segments.csv"
    path.write_text(
        HEADER + "".join(f'{v}, {start:.3f}, {start + 10:.3f}, "{mids}"\n' for v, start, mids in listed)
    )
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with complete lists, for 4 classes, and without the sound of three segments."""
    folder = tmp_path / "data" / "audioset"
    (folder / "clips" / "deeper").mkdir(parents=True)
    labels = {name: sum(mids.count(",") + 1 for *_, mids in rows(name)) for name in ROWS}
    for task, more in ((AudioSet20k, 0), (AudioSet, ROWS[UNBALANCED])):
        monkeypatch.setattr(task, "class_count", len(MIDS))
        monkeypatch.setattr(task, "official_counts", {**COUNTS, "train": COUNTS["train"] + more})
    monkeypatch.setattr(audioset, "SEGMENTS", ROWS)
    monkeypatch.setattr(audioset, "LABELS", {name: labels[name] for name in (BALANCED, EVALUATION)})
    lines = [f'{i},{mid},"{NAMES[i]}"\n' for i, mid in enumerate(MIDS)]
    (folder / "class_labels_indices.csv").write_text("index,mid,display_name\n" + "".join(lines))
    for name in ROWS:
        write(tmp_path / "data", name, rows(name))
        for number, (video, *_) in enumerate(rows(name)):
            if video not in ABSENT:
                place = folder / "clips" / ("deeper" if number % 2 else "") / f"Y{video}.flac"
                noise = np.random.default_rng([number, ord(name[0])]).uniform(-0.5, 0.5, 1600)
                soundfile.write(place, noise, 16000)
    return tmp_path / "data"


def test_the_lists_are_joined_with_the_clips_that_are_there(data: Path) -> None:
    task = tasks.create("audioset_20k", data=data)
    clips = task.clips()
    assert task.classes == NAMES
    assert len(clips) == 40 + 20 - 3
    assert not set(ABSENT) & set(clips["group"])
    first = clips[clips["clip"] == "bal00000001_30500"].iloc[0]
    assert first.tolist()[1:] == [[0, 1], "train", "bal00000001", "clips/deeper/Ybal00000001.flac"]
    assert clips.groupby("fold").size().to_dict() == {"train": 35, "valid": 3, "test": 19}
    assert set(clips["group"][clips["fold"] == "valid"]) == {f"bal000000{i}0" for i in "013"}
    assert all(group.startswith("eva") for group in clips["group"][clips["fold"] == "test"])
    (fold,) = task.folds()
    assert [len(fold.train), len(fold.valid), len(fold.test)] == [35, 3, 19]
    samples, rate = task.waveform(0)
    assert (len(samples), rate, samples.dtype) == (1600, 16000, np.float32)


def test_the_whole_of_audioset_validates_and_tests_on_the_same_clips(data: Path) -> None:
    small, large = (tasks.create(name, data=data).clips() for name in ("audioset_20k", "audioset"))
    for fold in ("valid", "test"):
        same = [clips[clips["fold"] == fold]["clip"].tolist() for clips in (small, large)]
        assert same[0] == same[1]
    more = set(large["clip"]) - set(small["clip"])
    assert len(more) == 30
    assert set(large["fold"][large["clip"].isin(more)]) == {"train"}


def test_missing_clips_are_no_error_and_every_row_says_how_many(data: Path, tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "control=mel_statistics")
    task = tasks.create("audioset_20k", data=data)
    done = evaluate(run, [task], ["linear@1"], tiny_runs.machine(), tmp_path / "cache")
    (row,) = done.rows
    assert row.partial
    assert row.n_test == 19
    (note,) = [note for note in row.notes if "clips" in note]
    assert note == (
        "57 of the 60 clips of the official release are there, in 3 of 3 folds (train: 35 of 36, "
        "valid: 3 of 4, test: 19 of 20)"
    )


def test_all_clips_are_the_official_release(data: Path) -> None:
    for video in ABSENT:
        soundfile.write(data / "audioset" / f"{video}.wav", np.full(1600, 0.1), 16000)
    task = tasks.create("audioset_20k", data=data)
    assert task.clips().groupby("fold").size().to_dict() == COUNTS
    assert not task.is_partial


def test_a_broken_clip_is_left_out_of_partial_data_only(data: Path, tmp_path: Path) -> None:
    from suite.decode import decode

    (data / "audioset" / "clips" / "Yeva00000002.flac").write_bytes(b"fLaC broken")
    with pytest.raises(BadData, match=r"1 of 57 clips.*Yeva00000002.*partial=true"):
        decode(tasks.create("audioset_20k", data=data), tmp_path)
    task = tasks.create("audioset_20k", data=data, partial=True)
    decode(task, tmp_path)
    assert task.left_out == ("eva00000002_31000",)


def test_a_sound_of_two_folds_is_noted(data: Path) -> None:
    task = tasks.create("audioset_20k", data=data)
    clips = task.clips()
    hashes = list(clips["clip"])
    tested = int(np.flatnonzero(clips["fold"] == "test")[0])
    hashes[tested] = hashes[0]
    assert check_duplicates(task, hashes) == [clips["clip"].iloc[tested]]


def test_a_clip_longer_than_a_segment_is_refused(data: Path) -> None:
    soundfile.write(data / "audioset" / "clips" / "Ybal00000000.flac", np.full(8000 * 60, 0.1), 8000)
    with pytest.raises(BadData, match=r"Ybal00000000\.flac lasts 60\.0 s.*10 s at most"):
        tasks.create("audioset_20k", data=data).waveform(0)


# ---------------------------------------------------------------------------------------------------
# Lists that are not the official ones


def refused(data: Path, message: str, name: str = "audioset_20k", *, partial: bool = False) -> None:
    with pytest.raises(BadData, match=message):
        tasks.create(name, data=data, partial=partial).clips()


@pytest.mark.parametrize("partial", [False, True])
def test_a_row_there_twice_is_named(data: Path, partial: bool) -> None:
    write(data, BALANCED, [*rows(BALANCED)[:-1], rows(BALANCED)[7]])
    refused(data, r"balanced_train_segments\.csv, line 43: bal00000007 at 33\.5 s", partial=partial)


def test_a_row_of_two_lists_is_named(data: Path) -> None:
    write(data, EVALUATION, [*rows(EVALUATION)[:-1], rows(BALANCED)[7]])
    refused(data, r"eval_segments\.csv, line 23: bal00000007 at 33\.5 s is listed more than once")


def test_a_video_on_both_sides_is_named(data: Path) -> None:
    write(data, EVALUATION, [*rows(EVALUATION)[:-1], ("bal00000007", 90.0, rows(EVALUATION)[-1][2])])
    for second in ("33.500", "90.000"):
        soundfile.write(data / "audioset" / f"bal00000007_{second}.wav", np.full(1600, 0.1), 16000)
    refused(data, "group 'bal00000007' occurs in several folds")


@pytest.mark.parametrize(("mids", "message"), [("/m/none", r"label '/m/none'"), ("", "no label")])
def test_an_unknown_label_is_named(data: Path, mids: str, message: str) -> None:
    listed = rows(EVALUATION)
    write(data, EVALUATION, [*listed[:5], (*listed[5][:2], mids), *listed[6:]])
    refused(data, rf"eval_segments\.csv, line 9 \(eva00000005 at 32\.5 s\): {message}")


def test_another_list_is_refused_unless_it_may_be_partial(data: Path) -> None:
    write(data, BALANCED, rows(BALANCED)[:35])
    refused(data, r"balanced_train_segments\.csv names 35 segments, expected 40.*partial=true")
    task = tasks.create("audioset_20k", data=data, partial=True)
    assert task.clips().groupby("fold").size().to_dict() == {"train": 30, "valid": 3, "test": 19}


def test_other_labels_than_the_official_ones_are_refused(data: Path) -> None:
    listed = rows(EVALUATION)
    write(data, EVALUATION, [(*listed[1][:2], MIDS[1]), *listed[:1], *listed[2:]])
    refused(data, r"eval_segments\.csv holds 34 labels, expected 35", partial=True)


@pytest.mark.parametrize(
    "text",
    ["index,mid,display_name\n0,/m/09x0r,Speech\n", "index,mid\n0,/m/09x0r\n", "\xff\xfe\x00"],
    ids=["too few", "a column less", "another encoding"],
)
def test_another_vocabulary_is_refused(data: Path, text: str) -> None:
    (data / "audioset" / "class_labels_indices.csv").write_bytes(text.encode("latin-1"))
    refused(data, r"class_labels_indices\.csv")


def test_a_list_that_is_none_is_refused(data: Path) -> None:
    path = data / "audioset" / "eval_segments.csv"
    path.write_bytes(path.read_text().encode("utf-16"))
    refused(data, r"eval_segments\.csv does not name the columns YTID")


def test_a_part_without_clips_is_refused(data: Path) -> None:
    for path in (data / "audioset" / "clips").rglob("Yeva*"):
        path.unlink()
    refused(data, "no clip of test is there", partial=True)


def test_lists_without_any_clip_and_clips_without_lists_say_what_to_do(data: Path) -> None:
    for path in (data / "audioset" / "clips").rglob("*.flac"):
        path.rename(path.with_suffix(".m4a"))
    with pytest.raises(DataMissing, match=r"none of the 60 listed clips.*ID\.flac.*87 \.m4a.*convert"):
        tasks.create("audioset_20k", data=data).clips()
    (data / "audioset" / "eval_segments.csv").unlink()
    with pytest.raises(DataMissing, match=r"eval_segments\.csv is not there.*put the clips below"):
        tasks.create("audioset", data=data).clips()


def test_only_missing_clips_are_forgiven(data: Path) -> None:
    task = tasks.create("audioset_20k", data=data)
    guard(task, task.clips().iloc[5:].reset_index(drop=True))
    clips = task.clips().copy()
    clips.at[0, "label"] = [4]
    with pytest.raises(BadData, match=r"clip 'bal00000000_30000' has label \[4\]"):
        guard(task, clips)
