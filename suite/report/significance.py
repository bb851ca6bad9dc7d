"""Intervals and tests over seeds, folds, clips in pairs, and tasks: the arithmetic of every claim.

All functions take plain numbers or numpy arrays and return plain dataclasses. The methods, with their
reference values, are those of the evaluation specification, section 2.10 and Part 5. Resampling of
clips and tasks is in :mod:`suite.report.resampling`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

# Critical values q_.05 of the studentised range over sqrt(2), for k = 2 ... 20 models (Demsar 2006).
NEMENYI_Q05 = (
    *(1.960, 2.344, 2.569, 2.728, 2.850, 2.948, 3.031, 3.102, 3.164, 3.219),
    *(3.268, 3.313, 3.354, 3.391, 3.426, 3.458, 3.489, 3.517, 3.544),
)

NO_SPREAD = 1e-12  # standard deviation of numbers that are equal but for the last bits


@dataclass(frozen=True)
class Interval:
    """A two-sided interval, in the unit of what it is about."""

    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A test of "no difference": the mean difference, its statistic, two-sided p and 95 % interval."""

    difference: float
    statistic: float
    degrees: float
    p: float
    low: float
    high: float


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion, for ``trials`` independent clips (Wilson 1927)."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"expected 0 <= successes <= trials, trials > 0; got {successes} of {trials}")
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return Interval(max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))


def t_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval | None:
    """Mean +- t s / sqrt(n) over independent replicates ``(n,)``; None where they do not differ.

    Two seeds that agree on 300 clips do so by rounding: their spread is not zero, it is not known.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 2 or sample.std() <= NO_SPREAD:
        return None
    half = _quantile(confidence, sample.size - 1) * sample.std(ddof=1) / math.sqrt(sample.size)
    return Interval(float(sample.mean() - half), float(sample.mean() + half))


def k_fold_interval(scores: ArrayLike, *, confidence: float = 0.95) -> Interval | None:
    """Interval of one model's mean over its k fold scores ``(k,)``; None for a single fold.

    The variance is (1/k + 1/(k-1)) s^2: training sets overlap, so s / sqrt(k) alone is too narrow
    (Nadeau and Bengio 2003, with n_test / n_train = 1 / (k - 1)).
    """
    sample = np.asarray(scores, dtype=np.float64)
    folds = sample.size
    if folds < 2:
        return None
    spread = math.sqrt((1 / folds + 1 / (folds - 1)) * float(sample.var(ddof=1)))
    half = _quantile(confidence, folds - 1) * spread
    return Interval(float(sample.mean() - half), float(sample.mean() + half))


def corrected_paired_t(differences: ArrayLike, *, confidence: float = 0.95) -> Comparison | None:
    """Corrected resampled paired t test on score differences ``(k,)`` or ``(repeats, k)``.

    Variance factor 1/(T k) + 1/(k - 1) with T repeats, degrees of freedom T k - 1 (Nadeau and Bengio
    2003; Bouckaert and Frank 2004). None where all differences are equal: there is no spread to test
    against. Raises ValueError for fewer than two folds.
    """
    table = np.atleast_2d(np.asarray(differences, dtype=np.float64))
    folds = table.shape[1]
    if folds < 2:
        raise ValueError("the corrected t test pairs folds: at least two are needed")
    variance = (1 / table.size + 1 / (folds - 1)) * float(table.var(ddof=1))
    return _t_test(float(table.mean()), variance, table.size - 1, confidence)


def welch_t(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Comparison | None:
    """Difference of two means over replicates ``(n,)`` and ``(m,)`` with unequal variances.

    Where one side has a single replicate (a deterministic control) it counts as a constant: a
    one-sample t test of the other side. None where both have one, or neither side varies.
    """
    samples = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    difference = float(samples[0].mean() - samples[1].mean())
    variances = [float(side.var(ddof=1)) / side.size if side.size > 1 else 0.0 for side in samples]
    parts = [(v, side.size - 1) for v, side in zip(variances, samples, strict=True) if side.size > 1]
    total = sum(variances)
    if total <= NO_SPREAD**2:
        return None
    degrees = total * total / sum(v * v / freedom for v, freedom in parts)
    return _t_test(difference, total, degrees, confidence)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test from the discordant counts of two models on one test set."""
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    tail = float(stats.binom.cdf(min(only_first, only_second), discordant, 0.5))
    return min(1.0, 2 * tail)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's step-down adjustment of a family of p-values ``(m,)``; NaN stays NaN, uncounted."""
    raw = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(raw.shape, np.nan)
    asked = np.flatnonzero(~np.isnan(raw))
    order = asked[np.argsort(raw[asked], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * factors))
    return adjusted


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p of the signed-rank test for two models over N tasks; 1.0 where all scores tie."""
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return float(stats.wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def friedman(scores: ArrayLike) -> tuple[float, float]:
    """Chi-square (tie-corrected) and p of "all are equal" from scores ``(tasks, models >= 3)``."""
    table = np.asarray(scores, dtype=np.float64)
    if np.all(table == table[:, :1]):
        return 0.0, 1.0
    result = stats.friedmanchisquare(*table.T)
    return float(result.statistic), float(result.pvalue)


def nemenyi_distance(models: int, tasks: int) -> float:
    """Critical difference of mean ranks at 5 %: q sqrt(k (k + 1) / (6 N)), for 2 to 20 models."""
    if not 2 <= models <= 20 or tasks < 1:
        raise ValueError(f"expected 2 to 20 models and 1 or more tasks, not {models} over {tasks}")
    return NEMENYI_Q05[models - 2] * math.sqrt(models * (models + 1) / (6 * tasks))


def ranks(scores: ArrayLike) -> np.ndarray:
    """Ranks along the last axis, 1 is the largest score, ties share their mean rank."""
    return np.asarray(stats.rankdata(-np.asarray(scores, dtype=np.float64), axis=-1))


def borda(scores: Sequence[Sequence[float | None]]) -> np.ndarray:
    """Borda points ``(models,)`` from scores ``(tasks, models)``, None or NaN where a score is missing.

    Per task n_models - mean rank, missing models get 0 and do not move the others (MTEB's rule).
    """
    table = np.array([[np.nan if v is None else v for v in row] for row in scores], dtype=np.float64)
    points = np.zeros(table.shape[1])
    for row in table:
        present = ~np.isnan(row)
        points[present] += table.shape[1] - ranks(row[present])
    return points


def _quantile(confidence: float, degrees: float) -> float:
    return float(stats.t.ppf(0.5 + confidence / 2, degrees))


def _t_test(mean: float, variance: float, degrees: float, confidence: float) -> Comparison | None:
    error = math.sqrt(variance)
    if error <= NO_SPREAD:
        return None
    statistic, half = mean / error, _quantile(confidence, degrees) * error
    p = float(2 * stats.t.sf(abs(statistic), degrees))
    return Comparison(mean, statistic, degrees, p, mean - half, mean + half)
