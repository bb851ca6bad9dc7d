"""Metrics against the conformance vectors of the evaluation spec (Part 5) and against scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as reference

from generators.drawer import BadData
from suite.metrics import (
    METRICS,
    NAMED_METRICS,
    average_precision,
    class_auc,
    class_average_precision,
    mean_of_folds,
)

TARGET = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.uint8)
SCORES = np.array([[0.9, 0.2, 0.3], [0.4, 0.6, 0.1], [0.3, 0.8, 0.7], [0.5, 0.1, 0.6], [0.2, 0.3, 0.4]])


def test_the_multi_label_vector_of_the_spec() -> None:
    assert class_average_precision(TARGET, SCORES) == pytest.approx([0.75, 1.0, 0.5])
    assert class_auc(TARGET, SCORES) == pytest.approx([2 / 3, 1.0, 0.5])
    expected = {
        "macro_map": 0.75,
        "micro_map": 0.7818181818,
        "auc": 0.7222222222,
        "dprime_of_mean_auc": 0.8336163837,
        "lwlrap": 0.9444444444,
    }
    for name, value in expected.items():
        assert METRICS[name](TARGET, SCORES) == pytest.approx(value, abs=1e-9), name


def test_the_mean_of_dprime_is_finite_at_an_auc_of_one() -> None:
    areas = np.array([2 / 3, 1.0 - 1e-6, 0.5])
    expected = np.mean(np.sqrt(2.0) * norm.ppf(areas))
    assert METRICS["dprime_mean"](TARGET, SCORES) == pytest.approx(expected)


def test_votes_score_as_the_classifiers_that_cast_them() -> None:
    rng = np.random.default_rng(0)
    target, answers = rng.integers(4, size=50), rng.integers(4, size=(10, 50))
    votes = np.stack([(answers == label).sum(axis=0) for label in range(4)], axis=1)
    expected = np.mean([(answer == target).mean() for answer in answers])
    assert METRICS["vote_accuracy"](target, votes.astype(np.float16)) == pytest.approx(expected)


def test_tied_scores_are_one_step_of_average_precision() -> None:
    positive = np.array([True, False, True, False])
    assert average_precision(positive, np.array([0.5, 0.5, 0.5, 0.1])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_scikit_learn_on_tied_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.arange(6), rng.integers(6, size=60)])
    scores = rng.integers(5, size=(66, 6)) / 4.0  # many ties
    answer = scores.argmax(axis=1)
    many = (rng.random((66, 6)) < 0.3).astype(np.uint8)
    many[0], many[1], many[2] = 0, 1, 0
    some = many.any(axis=1)
    expected = {
        "accuracy": (label, reference.accuracy_score(label, answer)),
        "balanced_accuracy": (label, reference.balanced_accuracy_score(label, answer)),
        "macro_f1": (label, reference.f1_score(label, answer, average="macro")),
        "macro_map": (many, reference.average_precision_score(many, scores, average="macro")),
        "micro_map": (many, reference.average_precision_score(many, scores, average="micro")),
        "auc": (many, reference.roc_auc_score(many, scores, average="macro")),
        "lwlrap": (
            many,
            reference.label_ranking_average_precision_score(
                many[some], scores[some], sample_weight=many[some].sum(axis=1)
            ),
        ),
    }
    for name, (target, value) in expected.items():
        assert METRICS[name](target, scores) == pytest.approx(value, abs=1e-12), name


def test_a_class_without_a_positive_is_left_out_not_zero() -> None:
    target, scores = np.hstack([TARGET, np.zeros((5, 1), np.uint8)]), np.hstack([SCORES, SCORES[:, :1]])
    assert np.isnan(class_average_precision(target, scores)[3])
    assert np.isnan(class_auc(target, scores)[3])
    assert METRICS["macro_map"](target, scores) == pytest.approx(0.75)


def test_a_tie_goes_to_the_lower_class() -> None:
    assert METRICS["accuracy"](np.array([0, 1]), np.zeros((2, 2))) == 0.5


def test_single_labels_are_one_hot_for_ranking_metrics() -> None:
    label = np.array([0, 2, 1])
    scores = np.random.default_rng(0).random((3, 3))
    assert METRICS["lwlrap"](label, scores) == METRICS["lwlrap"](np.eye(3, dtype=int)[label], scores)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_one_where_every_clip_is_ranked_right(name: str) -> None:
    label = np.arange(12) % 4
    scores = np.eye(4, dtype=np.float16)[label] * 8 - 4 * (name != "vote_accuracy")  # counts
    best = np.sqrt(2.0) * norm.ppf(1.0 - 1e-6) if name.startswith("dprime") else 1.0
    assert METRICS[name](label, scores) == pytest.approx(best)


@pytest.mark.parametrize("name", METRICS)
def test_scores_that_are_nan_are_refused_by_row(name: str) -> None:
    scores = np.ones((4, 3), dtype=np.float16)
    scores[2, 1] = np.nan
    with pytest.raises(BadData, match="NaN, first in row 2"):
        METRICS[name](np.array([0, 1, 2, 0]), scores)


@pytest.mark.parametrize("name", METRICS)
def test_targets_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(BadData, match="one row per target"):
        METRICS[name](np.array([0, 1]), np.ones((3, 2)))
    with pytest.raises(BadData, match="not empty"):
        METRICS[name](np.zeros(0, dtype=int), np.ones((0, 2)))
    with pytest.raises(BadData, match=r"in 0\.\.1"):
        METRICS[name](np.array([0, 2]), np.ones((2, 2)))


def test_metrics_need_neither_torch_nor_scikit_learn() -> None:
    code = "import sys, suite.metrics; print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_chroma_compares_pitches_not_class_numbers() -> None:
    classes = ["60", "61", "72", "75"]  # gaps: class numbers modulo 12 would all differ
    scores = np.eye(4)[[2, 1, 0, 1]]
    assert METRICS["pitch_accuracy"](np.array([0, 1, 2, 3]), scores) == 0.25
    assert NAMED_METRICS["chroma_accuracy"](np.array([0, 1, 2, 3]), scores, classes) == 0.75
    with pytest.raises(BadData, match="'dog' is none"):
        NAMED_METRICS["chroma_accuracy"](np.array([0]), np.ones((1, 2)), ["60", "dog"])


def test_the_mean_of_folds_weighs_folds_alike_and_pooling_clips() -> None:
    target, fold = np.array([0, 0, 0, 1]), np.array(["1", "1", "1", "2"])
    scores = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    mean, spread = mean_of_folds(METRICS["accuracy"], target, scores, fold)
    assert mean == pytest.approx((2 / 3 + 0) / 2)
    assert spread == pytest.approx(np.std([2 / 3, 0.0], ddof=1))
    assert METRICS["accuracy"](target, scores) == 0.5
