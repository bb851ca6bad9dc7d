"""Few-shot probes: which clips are drawn, what their votes are, and what a row says of them.

.venv/bin/python -m pytest tests/test_few_shot.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from beep_task import Beeps
from sklearn.linear_model import LogisticRegression
from tone_tasks import Tones

from generators.drawer import UsageError
from suite import probes
from suite.evaluate import evaluate
from suite.metrics import METRICS
from suite.probes.base import Examples
from suite.probes.few_shot import DRAWS, drawn
from suite.rows import predictions_path, read_predictions
from suite.verify import verify

NAMES = ("fewshot-1@1", "fewshot-4@1", "fewshot-16@1")


def examples(n: int, seed: int, classes: int = 5) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 20, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % classes
    features = centres[labels] + 1.5 * torch.randn(n, 20, generator=generator)
    return Examples(5.0 + 3.0 * features, labels, classes)


@pytest.mark.parametrize("shots", [1, 4, 16])
def test_a_draw_has_its_shots_of_every_class_and_all_of_a_small_one(shots: int) -> None:
    labels = torch.cat([torch.arange(60) % 3, torch.tensor([3, 3])])
    rows = drawn(labels, 5, shots, draw=0)
    assert len(rows.unique()) == len(rows)
    counts = labels[rows].bincount(minlength=5).tolist()
    assert counts == [shots, shots, shots, min(shots, 2), 0]


def test_draws_differ_and_fewer_shots_are_among_more() -> None:
    labels = torch.arange(100) % 5
    first = [set(drawn(labels, 5, shots, draw=0).tolist()) for shots in (1, 4, 16)]
    assert first[0] < first[1] < first[2]
    assert len({tuple(drawn(labels, 5, 1, draw).tolist()) for draw in range(DRAWS)}) == DRAWS


@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_the_mean_accuracy_of_ten_regressions(name: str) -> None:
    train, test = examples(150, 1), examples(200, 2)
    probe = probes.create(name)
    probe.fit(train, examples(50, 3))
    shots = int(name.removeprefix("fewshot-").removesuffix("@1"))
    assert probe.selection == {"draws": 10, "clips": 5 * shots, "unconverged": []}
    votes = probe.predict(test.features)
    assert (votes.sum(dim=1) == 10).all()

    mean, deviation = train.features.mean(0), train.features.std(0, correction=0)
    inputs, asked = ((part.features - mean) / deviation for part in (train, test))
    accuracies = []
    for draw in range(DRAWS):
        rows = drawn(train.targets, 5, shots, draw)
        model = LogisticRegression(C=1.0, tol=1e-6, max_iter=1000).fit(
            inputs[rows], train.targets[rows]
        )
        accuracies.append(model.score(asked, test.targets))
    score = METRICS["vote_accuracy"](test.targets.numpy(), votes.half().numpy())
    assert score == pytest.approx(np.mean(accuracies), abs=2e-3)  # a borderline clip may fall elsewhere
    assert METRICS["accuracy"](test.targets.numpy(), votes.numpy()) != pytest.approx(score, abs=5e-3)


def test_more_shots_teach_more() -> None:
    train, test = examples(150, 1), examples(500, 2)
    scores = []
    for name in NAMES:
        probe = probes.create(name)
        probe.fit(train, train)
        votes = probe.predict(test.features)
        scores.append(METRICS["vote_accuracy"](test.targets.numpy(), votes.numpy()))
    assert scores == sorted(scores)
    assert scores[0] > 0.25


def test_a_row_says_its_metric_and_is_verified(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "control=mel_statistics")
    done = evaluate(run, [Tones()], ["fewshot-4@1"], tiny_runs.machine(), tmp_path / "cache")
    (row,) = done.rows
    assert (row.metric, row.n_test, row.others) == ("vote_accuracy", 12, {})
    assert row.score > 0.8
    stored = predictions_path(run / "predictions", "tones", "fewshot-4@1", 0)
    predictions = read_predictions(stored)
    assert row.score == METRICS["vote_accuracy"](predictions.target, predictions.scores)
    results = tmp_path / "results"
    copy = predictions_path(results / "predictions" / row.run_id, "tones", "fewshot-4@1", 0)
    for source, target in [
        (run / "rows.jsonl", results / "rows" / f"{row.run_id}.jsonl"),
        (stored, copy),
    ]:
        target.parent.mkdir(parents=True)
        target.write_bytes(source.read_bytes())
    assert verify(results).passed


def test_tasks_of_many_labels_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "control=mel_statistics")
    asked = ["knn@1", "fewshot-1@1"]
    with pytest.raises(UsageError, match=r"one label per clip, and beeps has events.*Leave beeps out"):
        evaluate(run, [Tones(), Beeps()], asked, tiny_runs.machine(), tmp_path / "cache")
    assert not (run / "rows.jsonl").exists()
