"""Metrics of whole clips, computed in numpy from stored targets and scores.

A target is int ``(n,)`` for one label per clip or 0/1 ``(n, classes)`` for many; scores are
``(n, classes)``, larger is more likely. float16 scores are read as stored: what is on disk counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm, rankdata

from generators.drawer import BadData

Metric = Callable[[np.ndarray, np.ndarray], float]
NamedMetric = Callable[[np.ndarray, np.ndarray, Sequence[str]], float]  # reads the class names too
AUC_LIMIT = 1e-6  # d-prime is infinite at an AUC of 0 or 1: AUC is cut to [1e-6, 1 - 1e-6] first


def accuracy(target: np.ndarray, scores: np.ndarray) -> float:
    """Share of clips whose highest score is the target's; a tie goes to the lower class index."""
    label, scores = one_label(target, scores)
    return float((scores.argmax(axis=1) == label).mean())


def balanced_accuracy(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the classes that occur of the share of their clips answered right."""
    label, scores = one_label(target, scores)
    right = scores.argmax(axis=1) == label
    return float(np.mean([right[label == index].mean() for index in np.unique(label)]))


def vote_accuracy(target: np.ndarray, scores: np.ndarray) -> float:
    """Share of a clip's votes that its target has, averaged over clips.

    Where scores count the answers of several classifiers, this is the mean of their accuracies.
    """
    label, votes = one_label(target, scores)
    if votes.min() < 0 or votes.sum(axis=1).min() <= 0:
        raise BadData("vote_accuracy needs counts of votes: none below zero, and some in every row.")
    return float((votes[np.arange(len(label)), label] / votes.sum(axis=1)).mean())


def macro_f1(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean F1 over the classes that occur in the targets or in the answers."""
    label, scores = one_label(target, scores)
    answer = scores.argmax(axis=1)
    values = []
    for index in np.union1d(label, answer):
        right = int(((answer == index) & (label == index)).sum())
        values.append(2.0 * right / (int((answer == index).sum()) + int((label == index).sum())))
    return float(np.mean(values))


def average_precision(positive: np.ndarray, score: np.ndarray) -> float:
    """Un-interpolated average precision of bool ``(n,)`` by score ``(n,)``; tied scores are one step.

    NaN without a positive.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # the end of every group of ties
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1.0)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def class_average_precision(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of every class ``(classes,)``; NaN for a class without a positive."""
    positive, scores = many_labels(target, scores)
    return np.array([average_precision(*pair) for pair in zip(positive.T, scores.T, strict=True)])


def macro_map(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean of the classes' average precision; classes without a positive are left out, never 0."""
    return mean_of_classes(class_average_precision(target, scores))


def micro_map(target: np.ndarray, scores: np.ndarray) -> float:
    """Average precision over all (clip, class) pairs together."""
    positive, scores = many_labels(target, scores)
    return mean_of_classes(np.array([average_precision(positive.ravel(), scores.ravel())]))


def class_auc(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve per class ``(classes,)``, ties halved; NaN where a side is empty."""
    positive, scores = many_labels(target, scores)
    ranks = rankdata(scores, axis=0)
    positives = positive.sum(axis=0).astype(np.float64)
    negatives = len(positive) - positives
    above = (ranks * positive).sum(axis=0) - positives * (positives + 1.0) / 2.0  # Mann-Whitney U
    with np.errstate(invalid="ignore"):
        return np.asarray(above / (positives * negatives))


def auc(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean area under the ROC curve over the classes that have positives and negatives."""
    return mean_of_classes(class_auc(target, scores))


def dprime_mean(target: np.ndarray, scores: np.ndarray) -> float:
    """HEAR's d-prime: the mean over classes of sqrt(2) * z(AUC), AUC cut to [1e-6, 1 - 1e-6]."""
    return mean_of_classes(dprime(class_auc(target, scores)))


def dprime_of_mean_auc(target: np.ndarray, scores: np.ndarray) -> float:
    """AST's and PANNs' d-prime: sqrt(2) * z(mean AUC), AUC cut to [1e-6, 1 - 1e-6]."""
    return float(dprime(np.array(auc(target, scores))))


def dprime(area: np.ndarray) -> np.ndarray:
    """sqrt(2) * z(AUC), elementwise; NaN stays NaN."""
    return np.asarray(np.sqrt(2.0) * norm.ppf(np.clip(area, AUC_LIMIT, 1.0 - AUC_LIMIT)))


def lwlrap(target: np.ndarray, scores: np.ndarray) -> float:
    """Label-weighted label-ranking average precision: the mean, over all true (clip, label) pairs, of
    the precision among the labels scored at least as high; clips without labels are left out."""
    positive, scores = many_labels(target, scores)
    clip, label = np.nonzero(positive)
    at_least = scores[clip] >= scores[clip, label][:, None]  # (pairs, classes)
    return mean_of_classes((at_least & positive[clip]).sum(axis=1) / at_least.sum(axis=1))


def chroma_accuracy(target: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> float:
    """Share of clips whose answered pitch is the target's up to octaves; classes are MIDI numbers.

    HEAR compares class *indices* modulo 12, which is the same only where the pitches have no gap; here
    the pitches themselves are compared (spec evaluation.md 1.5).
    """
    label, scores = one_label(target, scores)
    pitch = np.array([midi_number(name) for name in classes])
    return float((pitch[scores.argmax(axis=1)] % 12 == pitch[label] % 12).mean())


def midi_number(name: str) -> int:
    """The class name as a MIDI note number; raises :class:`BadData` where it is none."""
    try:
        return int(name)
    except ValueError as error:
        raise BadData(
            f"chroma accuracy needs classes that are MIDI numbers; {name!r} is none. Use accuracy."
        ) from error


def mean_of_folds(
    metric: Metric, target: np.ndarray, scores: np.ndarray, fold: np.ndarray
) -> tuple[float, float]:
    """Unweighted mean and standard deviation (ddof 1; NaN for one fold) of the folds' scores.

    The official figure of k-fold tasks; ``metric(target, scores)`` of all clips is the pooled one.
    """
    values = [metric(target[fold == name], scores[fold == name]) for name in np.unique(fold)]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), spread


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "pitch_accuracy": accuracy,  # HEAR's pitch_acc: top-1 over the pitch classes
    "balanced_accuracy": balanced_accuracy,
    "vote_accuracy": vote_accuracy,
    "macro_f1": macro_f1,
    "macro_map": macro_map,
    "micro_map": micro_map,
    "auc": auc,
    "dprime_mean": dprime_mean,
    "dprime_of_mean_auc": dprime_of_mean_auc,
    "lwlrap": lwlrap,
}
NAMED_METRICS: dict[str, NamedMetric] = {"chroma_accuracy": chroma_accuracy}


def one_label(target: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checked labels ``(n,)`` and float64 scores ``(n, classes)``."""
    scores = checked(target, scores)
    if target.ndim != 1 or target.min() < 0 or target.max() >= scores.shape[1]:
        raise BadData(
            f"this metric needs one label per clip, in 0..{scores.shape[1] - 1}; "
            f"got targets of shape {target.shape}, {target.min()}..{target.max()}."
        )
    return target, scores


def many_labels(target: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checked bool targets and float64 scores, both ``(n, classes)``; single labels become one-hot."""
    if target.ndim == 1:
        target, scores = one_label(target, scores)
        target = target[:, None] == np.arange(scores.shape[1])
    scores = checked(target, scores)
    if target.shape != scores.shape or not np.isin(target, (0, 1)).all():
        raise BadData(
            f"targets must be zeros and ones of the scores' shape {scores.shape}; got {target.shape}."
        )
    return target.astype(bool), scores


def checked(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores as float64; raises :class:`BadData` where they are empty, NaN or unlike the targets."""
    if scores.ndim != 2 or scores.size == 0 or len(scores) != len(target):
        raise BadData(
            f"scores must be (clips, classes) with one row per target, and not empty; got "
            f"{scores.shape} for targets {target.shape}."
        )
    if np.isnan(scores).any():
        row = int(np.flatnonzero(np.isnan(scores).any(axis=1))[0])
        raise BadData(f"scores hold NaN, first in row {row}. The probe or the encoder diverged.")
    return scores.astype(np.float64)


def mean_of_classes(values: np.ndarray) -> float:
    """Mean of the defined values; raises :class:`BadData` where none is."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        raise BadData("no class has both positive and negative clips: the metric is not defined.")
    return float(defined.mean())
