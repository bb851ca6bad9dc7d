"""UrbanSound8K: made-up sounds under official names, with planted faults; every flavour of WAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import tasks
from tasks import BadData, DataMissing
from tasks.urbansound8k import CLASSES, COLUMNS, UrbanSound8K, official_folds

RATE = 8000


def table() -> pd.DataFrame:
    """The first two official recordings of every class and fold, one excerpt each."""
    taken: dict[tuple[str, str], int] = {}
    rows = []
    for (source, label), fold in official_folds().items():
        if source in UrbanSound8K.group_exceptions or taken.get((label, fold), 0) == 2:
            continue
        taken[label, fold] = taken.get((label, fold), 0) + 1
        name = f"{source}-{label}-0-0.wav"
        rows.append((name, source, 0.0, 0.1, 1, int(fold), int(label), CLASSES[int(label)]))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("slice_file_name", ignore_index=True)


def write(data: Path, rows: pd.DataFrame, encoding: str = "utf-8") -> None:
    (data / "UrbanSound8K" / "metadata").mkdir(parents=True, exist_ok=True)
    path = data / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv"
    rows.to_csv(path, index=False, encoding=encoding)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = table()
    write(tmp_path, rows)
    for row in rows.itertuples():
        folder = tmp_path / "UrbanSound8K" / "audio" / f"fold{row.fold}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(row.slice_file_name)).touch()
    return tmp_path


def read(data: Path) -> pd.DataFrame:
    return UrbanSound8K(data=data, partial=True).clips()


def test_the_official_folds_are_all_there() -> None:
    folds = official_folds()
    assert len({source for source, _ in folds}) == 1297
    sources = pd.Series([source for source, _ in folds]).groupby(list(folds.values())).nunique()
    assert sources.sum() == 1297 + 5  # five recordings are in two folds
    assert sum(UrbanSound8K.official_counts.values()) == 8732


def test_a_part_is_refused_with_its_size_and_accepted_as_partial(data: Path) -> None:
    with pytest.raises(BadData, match=r"200 of the 8732 clips .* in 10 of 10 folds .*partial=true"):
        UrbanSound8K(data=data).clips()
    task = UrbanSound8K(data=data, partial=True)
    assert task.is_partial
    folds = list(task.folds())
    assert [fold.name for fold in folds] == [str(number) for number in range(1, 11)]
    assert set(task.clips()["fold"].iloc[folds[0].valid]) == {"2"}
    assert set(task.clips()["fold"].iloc[folds[9].valid]) == {"1"}


def test_folds_that_are_not_there_are_not_cross_validated(data: Path) -> None:
    rows = table()
    write(data, rows[rows["fold"].isin([1, 2, 10])])
    task = UrbanSound8K(data=data, partial=True)
    assert [fold.name for fold in task.folds()] == ["1", "2", "10"]
    write(data, rows[rows["fold"].isin([1, 2])])
    with pytest.raises(BadData, match="fold 1 and 2 alone cannot be cross-validated"):
        read(data)


def test_a_shuffled_fold_map_is_refused_though_partial(data: Path) -> None:
    rows = table()
    rows["fold"] = np.random.default_rng(0).permutation(rows["fold"].to_numpy())
    write(data, rows)
    with pytest.raises(BadData, match=r"row \d+ .*fold is '\d+', but the official release says"):
        read(data)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("slice_file_name", "7-1-0-0.wav", "no clip of recording 7"),
        ("slice_file_name", "siren.wav", "is not"),
        ("slice_file_name", "344-12-0-0.wav", "none of the 10 classes"),
        ("fsID", "7", "fsID is '7'"),
        ("classID", "x", "classID is 'x'"),
        ("class", "flute", "class is 'flute'"),
        ("fold", "0", "fold is '0'"),
    ],
)
def test_a_malformed_row_is_named(data: Path, column: str, value: str, said: str) -> None:
    rows = table().astype(str)
    rows.loc[0, column] = value
    write(data, rows)
    with pytest.raises(BadData, match=rf"row 2.*{said}"):
        read(data)


def test_a_row_that_is_there_twice_is_refused(data: Path) -> None:
    rows = table()
    write(data, pd.concat([rows, rows.iloc[:1]]))
    with pytest.raises(
        BadData, match=rf"row 202: .*{rows['slice_file_name'].iloc[0][:-4]} is listed more"
    ):
        read(data)


def test_a_table_in_another_encoding_is_refused(data: Path) -> None:
    rows = table().astype(str)
    rows.loc[0, "class"] = "sirène"
    write(data, rows, encoding="utf-16")
    with pytest.raises(BadData, match=r"UrbanSound8K\.csv is not a table in utf-8"):
        read(data)


def test_a_missing_column_is_named(data: Path) -> None:
    write(data, table().drop(columns="salience"))
    with pytest.raises(BadData, match="no column 'salience'"):
        read(data)


def test_a_clip_in_the_folder_of_another_fold_is_missing(data: Path) -> None:
    row = table().iloc[0]
    folder = data / "UrbanSound8K" / "audio"
    other = folder / f"fold{row['fold'] % 10 + 1}" / row["slice_file_name"]
    (folder / f"fold{row['fold']}" / row["slice_file_name"]).rename(other)
    with pytest.raises(DataMissing, match=r"1 of 200 clips have no sound file.*row 2.*partial=true"):
        UrbanSound8K(data=data).clips()
    assert len(read(data)) == 199


def test_the_folder_of_another_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "UrbanSound8K" / "audio").mkdir(parents=True)
    with pytest.raises(DataMissing, match=r"6 GB.*metadata/UrbanSound8K\.csv is not there"):
        tasks.create("urbansound8k", data=tmp_path).clips()


FLAVOURS = [
    *(("WAV", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *(("WAV", kind) for kind in ("MS_ADPCM", "IMA_ADPCM", "ULAW", "ALAW", "GSM610")),
    *(("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS")),
]


@pytest.mark.parametrize(("form", "kind"), FLAVOURS)
def test_every_flavour_of_wav_is_read(data: Path, form: str, kind: str) -> None:
    channels = 1 if kind in ("GSM610",) else 2
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    clips = read(data)
    path = data / "UrbanSound8K" / clips["path"].iloc[0]
    soundfile.write(path, np.stack([tone] * channels, axis=1), RATE, format=form, subtype=kind)
    samples, rate = UrbanSound8K(data=data, partial=True).waveform(0)
    assert (rate, samples.dtype) == (RATE, np.float32)
    assert len(samples) == pytest.approx(RATE, abs=800)  # block codecs fill their last block
    assert np.abs(samples[1000:7000] - tone[1000:7000]).mean() < 0.05


@pytest.mark.parametrize("rate", [8000, 11024, 22050, 96000, 192000])
def test_every_rate_of_the_release_is_kept(data: Path, rate: int) -> None:
    path = data / "UrbanSound8K" / read(data)["path"].iloc[0]
    soundfile.write(path, np.full((rate // 10, 1), 0.25), rate)
    samples, found = UrbanSound8K(data=data, partial=True).waveform(0)
    assert (len(samples), found) == (rate // 10, rate)
