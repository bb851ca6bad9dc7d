"""Killed at any moment, an evaluation that is typed again ends in the same rows and predictions.

.venv/bin/python -m pytest tests/test_evaluate_interrupted.py
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
from tone_tasks import Bells, Tones

from generators.drawer import BadData
from suite.answered import NOWHERE, Answer, KeptFolds
from suite.evaluate import Evaluated, evaluate
from suite.rows import Row, read_rows
from tasks.base import Fold

ROOT = Path(__file__).resolve().parent.parent
PROBES = ["knn@1", "linear@1", "attentive@1"]  # of an embedding, and of every token by training

# The function in whose how-manyeth call the process is killed: always in the second task, when the
# first one's rows are written.
MOMENTS = {
    "decoding": "tone_tasks Bells.waveform 20",
    "embedding": "suite.views clip_views 6",
    "probing": "suite.clip_probe gather 4",
    "training": "suite.probes.training losses 24",  # its step 8 of 16, in the last of its networks
    "second fold": "suite.clip_probe Answer 9",  # of the same probe, when the first one is answered
    "writing": "suite.rows asdict 10",  # predictions are there, and the rows' lock is held
}
# What there is of the second task by then: probes with rows, predictions, and folds without rows.
LEFT = {
    "probing": (0, 0, 2),
    "training": (2, 2, 0),
    "second fold": (2, 2, 1),
    "writing": (0, 1, 2),
}

# Evaluates a copy of the run for each moment, in processes that share one start of Python, and says by
# which signal each of them ended.
PROGRAM = """
import importlib, os, signal, sys
from functools import reduce
from pathlib import Path
from test_evaluate_interrupted import MOMENTS, score

def killed(place, module, path, call):
    *parents, name = path.split(".")
    owner = reduce(getattr, parents, importlib.import_module(module))
    whole, calls = getattr(owner, name), []

    def fatal(*arguments, **keywords):
        calls.append(name)
        if len(calls) == int(call):
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **keywords)

    setattr(owner, name, fatal)
    score(place / "run", place / "cache")

for moment, where in MOMENTS.items():
    process = os.fork()
    if process == 0:
        killed(Path(sys.argv[1]) / moment, *where.split())
        os._exit(0)
    print(moment, os.WTERMSIG(os.waitpid(process, 0)[1]), flush=True)
"""


def two_folds(bells: Bells) -> Iterator[Fold]:
    (one,) = Tones.folds(bells)
    yield one
    yield Fold("valid", one.train, one.test, one.valid)


def score(run: Path, cache: Path) -> Evaluated:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("suite.probes.training.EPOCHS", 2)
        patched.setattr(Bells, "folds", two_folds)
        return evaluate(run, [Tones(), Bells()], PROBES, tiny_runs.machine(), cache)


def answers(run: Path) -> tuple[list[Row], dict[str, bytes]]:
    """What there is of a run's rows (but for when they were written) and of its predictions."""
    rows = read_rows(run / "rows.jsonl")
    predictions = {path.name: path.read_bytes() for path in (run / "predictions").glob("*.npz")}
    return [replace(row, created_at="") for row in rows], predictions


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run, evaluated in one sitting and, below the name of each moment, by a killed process."""
    place = tmp_path_factory.mktemp("place")
    made = tiny_runs.run(tmp_path_factory.mktemp("made"))
    for name in ("uninterrupted", *MOMENTS):
        shutil.copytree(made, place / name / "run")
    score(place / "uninterrupted" / "run", place / "uninterrupted" / "cache")
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert said.split("\n")[:-1] == [f"{moment} {signal.SIGKILL:d}" for moment in MOMENTS]
    return place


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_evaluation_that_was_killed_ends_in_the_same_answers(moment: str, place: Path) -> None:
    run, cache = place / moment / "run", place / moment / "cache"
    rows, predictions = answers(run)
    left = LEFT.get(moment, (0, 0, 0))
    everything = [(task, probe) for task in ("tones", "bells") for probe in PROBES]
    told = dict.fromkeys((row.task, row.probe) for row in rows)
    assert list(told) == everything[: len(PROBES) + left[0]]
    assert len(predictions) == len(PROBES) + left[1]
    assert len(list((cache / "folds").glob("*.npz"))) == left[2]

    done = score(run, cache)
    assert (done.measured, done.already) == (len(PROBES) - left[0], len(PROBES) + left[0])
    assert answers(run) == answers(place / "uninterrupted" / "run")
    assert list((cache / "folds").glob("*.npz")) == []
    before = (run / "rows.jsonl").read_bytes()
    assert score(run, cache).measured == 0
    assert (run / "rows.jsonl").read_bytes() == before


def test_a_fold_that_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    scores = np.array([[0.1, 1e-7], [-3.0, 6e4]], np.float16)
    kept = KeptFolds(tmp_path, ("1", "2"), ("run", 64))
    calls: list[str] = []

    def make() -> Answer:
        calls.append("made")
        return Answer(scores, {"rate": 0.1 + 0.2, "epoch": 3})

    for _ in range(2):
        answer = kept.answer("1", make)
        assert answer.scores.tobytes() == scores.tobytes()
        assert answer.selection == {"rate": 0.1 + 0.2, "epoch": 3}
    assert (calls, kept.there) == (["made"], 1)
    KeptFolds(tmp_path, ("1", "2"), ("another run", 64)).answer("1", make)
    assert len(calls) == 2
    kept.forget()
    kept.answer("1", make)
    assert len(calls) == 3
    NOWHERE.answer("1", make)
    assert (len(calls), len(list(tmp_path.iterdir()))) == (4, 2)


def test_a_damaged_answer_is_named(tmp_path: Path) -> None:
    kept = KeptFolds(tmp_path, ("1",), ("run",))
    kept.answer("1", lambda: Answer(np.zeros((9, 3), np.float16), {}))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadData, match=rf"{path.name} cannot be read .* Delete it"):
        kept.answer("1", lambda: Answer(np.zeros((9, 3), np.float16), {}))
