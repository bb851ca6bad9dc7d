"""Cluster bootstrap over clips, paired between models, and bootstrap of ranks over tasks.

Clips of one recording, speaker or uploader (``group``) stand or fall together, so whole groups are
drawn with replacement. Every model of a task sees the same draws: differences of two columns of
replicates are paired. Replicates are rounded to ten decimals, far below what is shown, so that a tie
at a percentile is a tie on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import norm

from suite.report.significance import Interval, ranks

DRAWS = 10_000  # evaluation specification, section 2.10
METRIC_DRAWS = 1_000  # for metrics that must be recomputed on every draw
SEED = 20_261_120  # any fixed number: the report is a function of the rows


@lru_cache(maxsize=4)
def draw_counts(clusters: int, draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """How often each cluster is drawn: uint8 ``(draws, clusters)``, every row sums to ``clusters``."""
    generator = np.random.default_rng(seed)
    counts = np.empty((draws, clusters), dtype=np.uint8)
    step = max(1, 2_000_000 // clusters)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        picked = generator.integers(0, clusters, size=(rows, clusters), dtype=np.int64)
        picked += np.arange(rows)[:, None] * clusters
        table = np.bincount(picked.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        counts[start : start + rows] = table
    counts.setflags(write=False)
    return counts


def bootstrap_means(
    values: np.ndarray,
    group: np.ndarray,
    fold: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> np.ndarray:
    """Replicates ``(draws, models)`` of the mean over folds of per-clip ``values`` ``(clips, models)``.

    For accuracy the values are correctness, averaged over seeds. A clip weighs 1 / (size of its fold);
    a replicate is a ratio of two sums over drawn clusters, so it equals the mean over folds when every
    cluster is drawn once, and folds of a single speaker keep the variance between speakers.
    """
    table = np.asarray(values, dtype=np.float64).reshape(len(group), -1)
    _, fold_index, fold_size = np.unique(fold, return_inverse=True, return_counts=True)
    _, cluster = np.unique(group, return_inverse=True)
    weight = 1.0 / fold_size[fold_index]
    clusters = int(cluster.max()) + 1
    sums = np.zeros((clusters, table.shape[1] + 1))
    np.add.at(sums, cluster, np.column_stack([table * weight[:, None], weight]))
    counts = draw_counts(clusters, draws, seed)
    replicates = np.empty((draws, table.shape[1]))
    for start in range(0, draws, 1000):  # float64 copies of 1,000 draws at a time
        totals = counts[start : start + 1000].astype(np.float64) @ sums
        replicates[start : start + 1000] = totals[:, :-1] / totals[:, -1:]
    return np.round(replicates, 10)


def bootstrap_metric(
    metric: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    scores: Sequence[np.ndarray],
    group: np.ndarray,
    fold: np.ndarray,
    *,
    draws: int = METRIC_DRAWS,
    seed: int = SEED,
) -> np.ndarray:
    """Replicates ``(draws,)`` of the mean over folds and seeds of any ``metric(target, scores)``.

    ``scores`` holds one ``(clips, classes)`` per seed. Clips are drawn by group and the metric is
    recomputed on them; folds left empty by a draw are dropped from its mean.
    """
    names, cluster = np.unique(group, return_inverse=True)
    counts = draw_counts(len(names), draws, seed)
    members = [np.flatnonzero(fold == name) for name in np.unique(fold)]
    replicates = np.empty(draws)
    for draw in range(draws):
        parts = []
        for rows in members:
            chosen = np.repeat(rows, counts[draw][cluster[rows]])
            if chosen.size:
                parts += [metric(target[chosen], each[chosen]) for each in scores]
        replicates[draw] = np.nanmean(parts)
    return np.round(replicates, 10)


def percentile_interval(replicates: np.ndarray, *, confidence: float = 0.95) -> Interval:
    """The central ``confidence`` share of bootstrap replicates ``(draws,)``."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Interval(float(low), float(high))


def bootstrap_p(differences: np.ndarray, clusters: int) -> float:
    """Two-sided p of "no difference" from paired replicates ``(draws,)`` of so many clusters.

    It is never below 2 / 2^clusters, the smallest p of a test that flips the sign of each cluster's
    difference: two speakers who agree prove nothing, however the draws fall. Where no draw reaches
    zero, counting says only that p is below 2 / (draws + 1), which no correction for hundreds of pairs
    survives: the normal tail of the replicates' mean and deviation says how far.
    """
    rounded = np.round(differences, 9)
    below, above = int((rounded <= 0).sum()), int((rounded >= 0).sum())
    counted = min(1.0, 2 * (1 + min(below, above)) / (rounded.size + 1))
    spread = float(rounded.std(ddof=1)) if rounded.size > 1 else 0.0
    if min(below, above) == 0 and spread > 1e-9:
        counted = min(counted, 2 * float(norm.sf(abs(float(rounded.mean())) / spread)))
    return max(counted, smallest_p(clusters))


def smallest_p(clusters: int) -> float:
    """The smallest p over clips that so many clusters can give."""
    return float(2.0 ** (1 - clusters))


@dataclass(frozen=True)
class RankInterval:
    """Where a model lands when the tasks are drawn anew: mean rank, 95 % interval, P(best)."""

    mean: float
    low: float
    high: float
    best: float


def rank_intervals(scores: np.ndarray, *, draws: int = DRAWS, seed: int = SEED) -> list[RankInterval]:
    """Rank of each model by its mean rank over tasks drawn with replacement.

    ``scores`` is ``(tasks, models)``, no gaps. ``mean`` is the mean rank over the tasks at hand;
    ``low`` and ``high`` bound the place (1 = first) in 95 % of the draws; ``best`` is the share of
    draws in which the model comes first (ties share it).
    """
    table = ranks(scores)
    tasks = table.shape[0]
    counts = draw_counts(tasks, draws, seed).astype(np.float64)
    means = np.round(counts @ table / tasks, 10)  # (draws, models)
    places = ranks(-means)
    first = means == means.min(axis=1, keepdims=True)
    share = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = np.quantile(places, [0.025, 0.975], axis=0)
    rows = zip(table.mean(axis=0), low, high, share, strict=True)
    return [RankInterval(*(float(value) for value in row)) for row in rows]
