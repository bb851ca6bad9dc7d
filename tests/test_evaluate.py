"""Evaluation skips what is done and keeps what is finished.

.venv/bin/python -m pytest tests/test_evaluate.py
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_runs
from tone_tasks import Bells, Tones

import suite.evaluate as evaluation
import tasks
from generators.drawer import BadData, DataMissing
from suite.decode import decode
from suite.evaluate import evaluate
from suite.metrics import METRICS
from suite.rows import predictions_path, read_predictions, read_rows
from tasks.base import measured_split_hash

# ---------------------------------------------------------------------------------------------------
# A run is scored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_runs.run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A finished run of this test's own."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def test_every_row_is_computed_from_its_stored_predictions(run: Path, tmp_path: Path) -> None:
    done = evaluate(run, [Tones()], ["linear@1", "knn@1"], tiny_runs.machine(), tmp_path / "cache")
    assert (done.measured, done.already) == (2, 0)
    assert [row.probe for row in done.rows] == ["linear@1", "knn@1"]
    assert done.rows == read_rows(run / "rows.jsonl")
    for row in done.rows:
        path = predictions_path(run / "predictions", row.task, row.probe, row.samples_seen)
        predictions = read_predictions(path)
        assert row.score == METRICS[row.metric](predictions.target, predictions.scores)
        assert row.n_test == len(predictions.clip) == 12
        assert row.samples_seen == 64
        assert row.command.startswith("sourcebench pretrain")
        assert row.data_hash == decode(Tones(), tmp_path / "cache").data_hash
        assert row.config["seed"] == 0


@dataclass(kw_only=True)
class SomeTones(Tones, name="tones"):
    """The task Tones of which the first clips are not there."""

    first: int = 3

    def read_clips(self) -> pd.DataFrame:
        return super().read_clips().iloc[self.first :].reset_index(drop=True)


def test_partial_data_are_another_question_and_every_row_says_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(tasks.BadData, match=r"45 of the 48 clips.*partial=true"):
        evaluate(run, [SomeTones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    for task in (Tones(partial=True), SomeTones(partial=True), SomeTones(partial=True, first=6)):
        done = evaluate(run, [task], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
        assert done.measured == 1
        assert done.rows[-1].split_hash == measured_split_hash(task.clips())
        assert done.rows[-1].data_hash == decode(task, tmp_path / "cache").data_hash
    assert [row.partial for row in done.rows] == [False, True]  # the last part replaced the other
    assert len(list((run / "predictions").glob("*.npz"))) == 2
    assert "tones (partial)" in evaluation.summary(done.rows)


def test_rows_say_what_the_audio_policy_did(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Tones.waveform

    def waveform(task: Tones, position: int) -> tuple[np.ndarray, int]:
        clip = task.clips()["clip"].iloc[position]
        if clip == "01-2":
            raise tasks.BadData("the file is empty.")
        samples, rate = heard(task, position)
        return samples * np.float32(clip != "02-1"), rate

    monkeypatch.setattr(Tones, "waveform", waveform)
    for measured in (1, 0):  # and what is done is known again
        task = Tones(partial=True)
        done = evaluate(run, [task], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
        assert done.measured == measured
    (row,) = done.rows
    assert row.partial
    assert [note for note in row.notes if note.startswith("audio@1")] == [
        "audio@1: 1 clips cannot be decoded and are left out: 01-2",
        "audio@1: 1 clips are silent: 02-1",
    ]


def test_what_is_done_is_skipped(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    before = (run / "rows.jsonl").read_bytes()
    monkeypatch.setattr(evaluation, "probe_task", None)
    done = evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    assert (done.measured, done.already) == (0, 1)
    assert (run / "rows.jsonl").read_bytes() == before


def test_an_interrupt_keeps_the_tasks_before_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, machine, cache = [Tones(), Bells()], tiny_runs.machine(), tmp_path / "cache"
    with monkeypatch.context() as patched:
        patched.setattr(Bells, "waveform", interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, asked, ["knn@1"], machine, cache)
    assert [row.task for row in read_rows(run / "rows.jsonl")] == ["tones"]
    done = evaluate(run, asked, ["knn@1"], machine, cache)
    assert (done.measured, done.already) == (1, 1)
    assert [row.task for row in done.rows] == ["tones", "bells"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_learning_curve_is_scored_by_the_first_probe(tmp_path: Path) -> None:
    from suite.pretrain import Keeping, pretrain

    run = pretrain(
        tiny_runs.experiment(),
        tiny_runs.places(tmp_path),
        tiny_runs.machine(),
        command="x",
        keeping=Keeping(curve=(0.25, 0.5)),
    )
    done = evaluate(run, [Tones()], ["knn@1", "linear@1"], tiny_runs.machine(), tmp_path / "cache")
    asked = [(row.samples_seen, row.probe) for row in done.rows]
    assert asked == [(16, "knn@1"), (32, "knn@1"), (64, "knn@1"), (64, "linear@1")]


@pytest.mark.parametrize("control", ["untrained", "mel_statistics"])
def test_controls_are_scored(tmp_path: Path, control: str) -> None:
    run = tiny_runs.run(tmp_path, f"control={control}")
    done = evaluate(run, [Tones()], ["linear@1"], tiny_runs.machine(), tmp_path / "cache")
    (row,) = done.rows
    assert (row.source, row.control, row.samples_seen) == (control, True, 0)
    if control == "mel_statistics":
        assert row.score > 0.9  # three distant tones
        assert row.parameters == 0


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "DONE").unlink()
    with pytest.raises(DataMissing, match="not finished"):
        evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    with pytest.raises(DataMissing, match="is not a run"):
        evaluate(tmp_path / "nothing", [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")


def test_broken_weights_are_named(run: Path, tmp_path: Path) -> None:
    path = run / "checkpoint" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadData, match=r"weights\.safetensors"):
        evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
