"""Rows and predictions survive several writers, interruptions and damage."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_results import SMALL, write_run

from generators.drawer import BadData
from suite import rows as rows_module
from suite.rows import Row, add_rows, read_predictions, read_rows, write_atomically

PLAN = replace(SMALL, tasks=("toy_pitch",), probes=("linear@1",), clips=20)


@pytest.fixture
def row(tmp_path: Path) -> Row:
    (found,) = write_run(tmp_path / "given", PLAN, "audiopg", 0.7, 0, samples_seen=100)
    return found


def predictions_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "given").glob("predictions/*/*.npz")
    return path


def add_some(path: Path, row: Row, writer: int, number: int) -> None:
    """What one of several processes does; at module level so that it can be started anew."""
    for i in range(number):
        add_rows(path, [replace(row, fold=f"{writer}-{i}")])


def test_rows_come_back_as_they_were_written(tmp_path: Path, row: Row) -> None:
    rows = [row, replace(row, fold="ü", notes=("a", "b"), config={"a": {"b": [1, 2.5, None]}})]
    add_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows


def test_a_row_of_the_same_key_replaces_the_old_one(tmp_path: Path, row: Row) -> None:
    path = tmp_path / "rows.jsonl"
    add_rows(path, [row, replace(row, fold="other")])
    add_rows(path, [replace(row, score=0.125)])
    assert [(found.fold, found.score) for found in read_rows(path)] == [
        ("test", 0.125),
        ("other", row.score),
    ]


def test_two_writers_lose_nothing(tmp_path: Path, row: Row) -> None:
    path = tmp_path / "rows.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_some, args=(path, row, writer, 15)) for writer in range(2)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(30)
        assert process.exitcode == 0
    expected = {f"{writer}-{i}" for writer in range(2) for i in range(15)}
    assert {found.fold for found in read_rows(path)} == expected
    assert not list(tmp_path.glob("*.part"))


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    add_rows(path, [row])
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows_module.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        add_rows(path, [replace(row, fold="new")])
    assert path.read_bytes() == before


def test_atomic_writing_makes_the_folder_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [found.name for found in path.parent.iterdir()] == ["b.txt"]


def test_a_truncated_rows_file_names_its_line(tmp_path: Path, row: Row) -> None:
    path = tmp_path / "rows.jsonl"
    add_rows(path, [row, replace(row, fold="other")])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadData, match=r"rows\.jsonl, line 2 is not a row"):
        read_rows(path)


def test_unknown_and_missing_fields_are_refused(tmp_path: Path, row: Row) -> None:
    path = tmp_path / "rows.jsonl"
    add_rows(path, [row])
    text = path.read_text()
    path.write_text(text.replace('"score"', '"skore"'))
    with pytest.raises(BadData, match="skore"):
        read_rows(path)


def test_predictions_come_back_as_they_were_written(tmp_path: Path, row: Row) -> None:
    found = read_predictions(predictions_file(tmp_path))
    assert found.scores.dtype == np.float16
    assert found.target.dtype == np.int64
    assert float((found.scores.argmax(axis=1) == found.target).mean()) == row.score


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_truncated_predictions_are_named(tmp_path: Path, row: Row, share: float) -> None:
    path = predictions_file(tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BadData, match=r"\.npz cannot be read"):
        read_predictions(path)


def test_a_flipped_byte_in_predictions_is_found(tmp_path: Path, row: Row) -> None:
    path = predictions_file(tmp_path)
    content = bytearray(path.read_bytes())
    position = content.index(b"scores.npy") + 80  # inside the compressed scores
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(BadData, match=r"\.npz cannot be read"):
        read_predictions(path)
