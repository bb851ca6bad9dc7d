"""ESC-50 and ESC-10: the official folder where SOURCEBENCH_DATA has it, a made-up one for errors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import tasks
from tasks import BadData, DataMissing
from tasks.base import measured_split_hash
from tasks.esc50 import ESC10, ESC10_TARGETS, ESC50, ESC50_CLASSES

RATE = 8000


def metadata() -> pd.DataFrame:
    """A table of the official form with made-up sources: 8 clips per class and fold."""
    rows = []
    for target in range(50):
        for number in range(40):
            fold, source = number // 8 + 1, 1000 + 100 * target + number
            rows.append(
                {
                    "filename": f"{fold}-{source}-A-{target}.wav",
                    "fold": fold,
                    "target": target,
                    "category": ESC50_CLASSES[target],
                    "esc10": target in ESC10_TARGETS,
                    "src_file": source,
                    "take": "A",
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the official layout of empty sound files, whose split is pinned."""
    folder = tmp_path / "ESC-50-master"
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    table = metadata()
    write(tmp_path, table)
    for name in table["filename"]:
        (folder / "audio" / name).touch()
    for entry in (ESC50, ESC10):
        monkeypatch.setattr(entry, "group_exceptions", frozenset())
        monkeypatch.setattr(entry, "split_hash", measured_split_hash(entry(data=tmp_path).read_clips()))
    return tmp_path


def write(data: Path, table: pd.DataFrame) -> None:
    table.to_csv(data / "ESC-50-master" / "meta" / "esc50.csv", index=False)


def sound(data: Path, stem: str, suffix: str, seconds: float = 5.0, rate: int = RATE) -> Path:
    """Replace a clip's file by a tone in another encoding."""
    folder = data / "ESC-50-master" / "audio"
    (folder / f"{stem}.wav").unlink(missing_ok=True)
    path = folder / f"{stem}{suffix}"
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * time), rate)
    return path


def position(task: ESC50, stem: str) -> int:
    return int(task.clips().index[task.clips()["clip"] == stem][0])


def test_the_made_up_folder_is_read(data: Path) -> None:
    task = tasks.create("esc50", data=str(data))
    clips = task.clips()
    assert len(clips) == 2000
    assert clips.iloc[0].tolist() == ["1-1000-A-0", 0, "1", "1000", "audio/1-1000-A-0.wav"]
    folds = list(task.folds())
    assert [fold.name for fold in folds] == ["1", "2", "3", "4", "5"]
    assert [len(part) for part in (folds[4].train, folds[4].valid, folds[4].test)] == [1200, 400, 400]
    assert set(clips["fold"].iloc[folds[4].valid]) == {"1"}  # the next fold, cyclically


def test_esc10_keeps_ten_classes_in_target_order(data: Path) -> None:
    task = tasks.create("esc10", data=data)
    clips = task.clips()
    assert len(clips) == 400
    assert task.classes == tuple(ESC50_CLASSES[target] for target in ESC10_TARGETS)
    for clip, label in zip(clips["clip"], clips["label"], strict=True):
        assert ESC10_TARGETS[label] == int(clip.split("-")[3])


@pytest.mark.parametrize("partial", [False, True])
def test_a_row_there_twice_and_a_table_without_rows_are_named(data: Path, partial: bool) -> None:
    table = metadata()
    write(data, pd.concat([table, table.iloc[7:8]]))
    with pytest.raises(BadData, match=r"esc50\.csv, row 2002: 1-1007-A-0 is listed more than once"):
        tasks.create("esc50", data=data, partial=partial).clips()
    write(data, table.iloc[:0])
    with pytest.raises(BadData, match=r"esc50\.csv holds no row\. Restore"):
        tasks.create("esc50", data=data, partial=partial).clips()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_every_encoding_is_the_same_clip(data: Path, suffix: str) -> None:
    path = sound(data, "1-1000-A-0", suffix)
    task = tasks.create("esc50", data=data)
    assert task.clips()["path"].iloc[0] == f"audio/{path.name}"
    samples, rate = task.waveform(0)
    assert rate == RATE
    assert len(samples) == pytest.approx(5 * RATE, abs=0.05 * RATE)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)


def test_of_several_encodings_the_lossless_one_is_read(data: Path) -> None:
    sound(data, "1-1000-A-0", ".ogg")
    sound(data, "1-1000-A-0", ".flac")
    task = tasks.create("esc50", data=data)
    assert task.clips()["path"].iloc[0] == "audio/1-1000-A-0.flac"


def test_the_table_may_name_another_extension_than_the_disk(data: Path) -> None:
    table = metadata()
    table["filename"] = table["filename"].str.replace(".wav", ".ogg")
    write(data, table)
    assert tasks.create("esc50", data=data).clips()["path"].iloc[0].endswith(".wav")


def test_stereo_at_44100_is_mixed_and_keeps_its_rate(data: Path) -> None:
    path = data / "ESC-50-master" / "audio" / "1-1000-A-0.wav"
    left = np.full(5 * 44100, 0.5)
    soundfile.write(path, np.stack([left, 0 * left], axis=1), 44100)
    samples, rate = tasks.create("esc50", data=data).waveform(0)
    assert rate == 44100
    assert samples.shape == (5 * 44100,)
    np.testing.assert_allclose(samples, 0.25, atol=1e-4)


def test_samples_beyond_full_scale_are_cut(data: Path) -> None:
    path = data / "ESC-50-master" / "audio" / "1-1000-A-0.wav"
    soundfile.write(path, np.linspace(-1.2, 1.2, 5 * RATE), RATE, subtype="FLOAT")
    samples, _ = tasks.create("esc50", data=data).waveform(0)
    assert (samples.min(), samples.max()) == (-1.0, 1.0)


def test_a_truncated_clip_is_refused_by_name(data: Path) -> None:
    path = sound(data, "1-1000-A-0", ".ogg", seconds=3.2)
    with pytest.raises(BadData, match=r"lasts 3\.2.*truncated") as error:
        tasks.create("esc50", data=data).waveform(0)
    assert str(path) in str(error.value)


def test_a_file_cut_in_transfer_is_refused_by_name(data: Path) -> None:
    for suffix in (".wav", ".flac", ".ogg"):
        path = sound(data, "1-1000-A-0", suffix)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        with pytest.raises(BadData, match=r"1-1000-A-0"):
            tasks.create("esc50", data=data).waveform(0)
        path.unlink()


def test_an_empty_file_is_refused_by_name(data: Path) -> None:
    with pytest.raises(BadData, match=r"1-1000-A-0\.wav cannot be decoded"):
        tasks.create("esc50", data=data).waveform(0)


def test_nan_is_refused_by_name(data: Path) -> None:
    path = data / "ESC-50-master" / "audio" / "1-1000-A-0.wav"
    samples = np.zeros(5 * RATE)
    samples[7] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(BadData, match=r"1-1000-A-0\.wav holds NaN"):
        tasks.create("esc50", data=data).waveform(0)


def test_rows_without_files_are_counted_and_the_first_named(data: Path) -> None:
    for stem in ("1-1003-A-0", "1-1002-A-0"):
        (data / "ESC-50-master" / "audio" / f"{stem}.wav").unlink()
    with pytest.raises(
        DataMissing, match=r"2 of 2000 clips.*row 4 of esc50\.csv, 1-1002-A-0.*partial=true"
    ):
        tasks.create("esc50", data=data).clips()


def test_a_folder_without_audio_is_named(data: Path) -> None:
    (data / "ESC-50-master" / "audio").rename(data / "ESC-50-master" / "elsewhere")
    with pytest.raises(DataMissing, match="audio is not there"):
        tasks.create("esc50", data=data).clips()


def test_a_fold_map_that_contradicts_the_file_names_is_refused_by_row(data: Path) -> None:
    table = metadata()
    table.loc[10, "fold"] = 5
    write(data, table)
    with pytest.raises(BadData, match=r"row 12 \(2-1010-A-0\.wav\): fold is '5'.*says '2'"):
        tasks.create("esc50", data=data).clips()


def test_a_consistent_but_other_fold_map_is_refused(data: Path) -> None:
    table = metadata()
    names = {8: "1-1008-A-0.wav", 0: "2-1000-A-0.wav"}  # two clips change folds, counts stay
    for row, name in names.items():
        old = data / "ESC-50-master" / "audio" / table.loc[row, "filename"]
        old.rename(old.with_name(name))
        table.loc[row, "filename"] = name
        table.loc[row, "fold"] = int(name[0])
    write(data, table)
    with pytest.raises(BadData, match="not the official one"):
        tasks.create("esc50", data=data).clips()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("target", "x", "target is 'x'"),
        ("target", "3", "says '0'"),
        ("fold", "one", "fold is 'one'"),
        ("category", "cat", "says 'dog'"),
        ("esc10", "False", "esc10 is 'False'"),
        ("src_file", "77", "says '1000'"),
        ("filename", "dog.wav", r"is not \{fold\}-\{source\}-\{take\}-\{target\}"),
        ("filename", "7-1000-A-0.wav", "says '1-5'"),
        ("filename", "1-1000-A-50.wav", "says '0-49'"),
    ],
)
def test_a_malformed_row_is_named(data: Path, column: str, value: str, said: str) -> None:
    table = metadata().astype(str)
    table.loc[0, column] = value
    write(data, table)
    with pytest.raises(BadData, match=rf"row 2.*{said}"):
        tasks.create("esc50", data=data).clips()


@pytest.mark.parametrize("column", ["fold", "esc10", "src_file"])
def test_a_missing_column_is_named(data: Path, column: str) -> None:
    write(data, metadata().drop(columns=column))
    with pytest.raises(BadData, match=f"no column '{column}'"):
        tasks.create("esc50", data=data).clips()


@pytest.mark.parametrize("content", [b"", b'filename,fold\n"unclosed', b"\xff\xfe\x00\x81"])
def test_what_is_not_a_table_is_refused(data: Path, content: bytes) -> None:
    (data / "ESC-50-master" / "meta" / "esc50.csv").write_bytes(content)
    with pytest.raises(BadData, match=r"esc50\.csv"):
        tasks.create("esc50", data=data).clips()


@pytest.mark.parametrize("name", ["esc50", "esc10"])
def test_a_missing_row_is_a_wrong_count(data: Path, name: str) -> None:
    write(data, metadata().iloc[1:])
    with pytest.raises(BadData, match="the official release are there, in 5 of 5 folds \\(1: "):
        tasks.create(name, data=data).clips()


def test_complete_data_are_not_called_partial(data: Path) -> None:
    assert not tasks.create("esc50", data=data, partial=True).is_partial


def test_partial_data_are_accepted_when_the_user_says_so(data: Path) -> None:
    for stem in ("1-1003-A-0", "2-1008-A-0"):
        (data / "ESC-50-master" / "audio" / f"{stem}.wav").unlink()
    task = tasks.create("esc50", data=data, partial=True)
    assert len(task.clips()) == 1998
    assert task.is_partial


def test_the_official_order_of_the_classes() -> None:
    """Two landmarks that off-by-one lists get wrong, and the superclasses' first names."""
    assert (ESC50_CLASSES[38], ESC50_CLASSES[39]) == ("clock_tick", "glass_breaking")
    first = [ESC50_CLASSES[decade] for decade in range(0, 50, 10)]
    assert first == ["dog", "rain", "crying_baby", "door_wood_knock", "helicopter"]
    assert len(set(ESC50_CLASSES)) == 50


@pytest.fixture
def official() -> str:
    folder = os.environ.get("SOURCEBENCH_DATA")
    if not folder:
        pytest.skip("set SOURCEBENCH_DATA to the folder that holds ESC-50-master")
    return folder


def test_the_official_folder_is_read(official: str) -> None:
    task = tasks.create("esc50", data=official)
    clips = task.clips()
    assert (clips.groupby("label").size() == 40).all()
    assert (clips.groupby(["label", "fold"]).size() == 8).all()
    assert clips["group"].nunique() == len({clip.split("-")[1] for clip in clips["clip"]})
    for clip in ("1-100032-A-0", "5-9032-A-0"):
        samples, rate = task.waveform(position(task, clip))
        assert len(samples) == 5 * rate


def test_esc10_needs_no_exception_to_the_group_rule(official: str) -> None:
    assert tasks.create("esc10", data=official).clips().groupby("group")["fold"].nunique().max() == 1
