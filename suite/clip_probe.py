"""Tasks of whole clips: a probe fitted on every fold, each test fold answered and scored once."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from suite import scoring
from suite.answered import NOWHERE, Answer, KeptFolds
from suite.drawers import probes as probe_drawer
from suite.probes.base import Examples
from suite.rows import Predictions
from suite.views import View, reads_of
from tasks.base import Fold, Task

ORACLE = "oracle_best_epoch_on_test"  # key of a row's selection


def probe_task(
    task: Task, probe_name: str, features: View, kept: KeptFolds = NOWHERE
) -> tuple[Predictions, dict[str, dict[str, Any]]]:
    """Fit the probe on every fold and answer for its test clips, each test fold once."""
    targets = target_tensor(task)

    def fitted(fold: Fold) -> Answer:
        probe = probe_drawer.create(probe_name)
        test = features[fold.test]
        if reads_of(probe_name) == "sounds":
            probe.watched = test  # sounds without labels
        probe.fit(
            examples(features, targets, fold.train, task), examples(features, targets, fold.valid, task)
        )
        scores = probe.predict(test).half().numpy()
        # What follows reads the test labels: every choice has been made.
        return Answer(scores, {**probe.selection, **oracle(task, probe, targets[fold.test])})

    answers = [(fold, kept.answer(fold.name, partial(fitted, fold))) for fold in task.folds()]
    parts = [(fold, answer.scores) for fold, answer in answers]
    selections = {fold.name: answer.selection for fold, answer in answers}
    return gather(parts, task.clips(), targets.numpy(), task), selections


def oracle(task: Task, probe: Any, targets: torch.Tensor) -> dict[str, float]:
    """The best score of any epoch on test, where a probe was watched: how papers choose, too good.

    It stands in a row's ``selection`` beside the choices and is never a score.
    """
    if not probe.by_epoch:
        return {}
    metric = scoring.clip_metric(task.metric, np.array(task.classes))
    found = [metric(targets.numpy(), scores.half().numpy()) for scores in probe.by_epoch]
    return {ORACLE: max(found)}


def gather(
    parts: list[tuple[Fold, np.ndarray]], clips: Any, targets: np.ndarray, task: Task
) -> Predictions:
    """One table of the test answers of all folds."""
    order = np.concatenate([fold.test for fold, _ in parts])
    stored = targets[order] if task.kind == "one_label" else targets[order].astype(np.uint8)
    return Predictions(
        clip=clips["clip"].to_numpy(dtype=str)[order],
        group=clips["group"].to_numpy(dtype=str)[order],
        fold=np.concatenate([np.full(len(fold.test), fold.name) for fold, _ in parts]),
        target=stored,
        scores=np.concatenate([scores for _, scores in parts]),
        classes=np.array(task.classes),
    )


def target_tensor(task: Task) -> torch.Tensor:
    """Targets as int64 ``(n,)``, or float32 ``(n, classes)`` of zeros and ones."""
    labels = task.clips()["label"]
    if task.kind == "one_label":
        return torch.tensor(labels.to_numpy(dtype=np.int64))
    many = torch.zeros(len(labels), len(task.classes))
    for row, present in enumerate(labels):
        many[row, list(present)] = 1.0
    return many


def examples(features: View, targets: torch.Tensor, rows: np.ndarray, task: Task) -> Examples:
    """One part of a fold."""
    return Examples(features[rows], targets[rows], len(task.classes))
