"""Differences between runs that are paired by seed: their mean, both intervals and both tests.

**Over seeds.** A seed is the replicate: pairs of one seed share their luck (the same initial weights,
the same order of samples), and a run may stand in several pairs, so the pairs of a seed are averaged
first. With K >= 2 folds the table ``(seeds, folds)`` enters the corrected repeated k-fold t test; with
one test set it is a paired t over seeds. Taking each pair as a replicate would count the luck of a seed
once for each cell of a grid.

**Over clips.** Paired cluster bootstrap by group of the same average: of correctness, clip by clip;
other metrics are recomputed for each run on each draw and then averaged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from suite.report import significance
from suite.report.replicates import Folder, correctness, recomputed, refuse_other_clips
from suite.report.resampling import bootstrap_means, bootstrap_p, percentile_interval
from suite.report.significance import Comparison, Interval
from suite.report.study_scores import Measured
from suite.rows import Answers, EventPredictions, predictions_of, read_predictions

Label = TypeVar("Label", bound=Hashable)
Weights = dict[str, float]  # run id -> share


@dataclass(frozen=True)
class Pair:
    """Two runs of one seed, the second of which the first is held against."""

    seed: int
    first: str
    second: str


@dataclass(frozen=True)
class Contrast:
    """What the first runs of pairs score, and by how much more than the second, as fractions.

    ``over_seeds`` is None where there is one seed and one test set, or seeds do not differ;
    ``over_clips`` where predictions are missing. ``p_seeds`` and ``p_clips`` are two-sided, of this
    contrast alone.
    """

    score: float
    difference: float
    seeds: tuple[int, ...]
    pairs: int
    runs: tuple[str, ...]  # the first of each pair, once
    folds: int
    clips: int
    clusters: int = 0  # groups of clips that were drawn; 0 without predictions
    over_seeds: Interval | None = None
    over_clips: Interval | None = None
    p_seeds: float = float("nan")
    p_clips: float = float("nan")


def contrasts(
    asked: Mapping[Label, Sequence[Pair]],
    measured: Measured,
    predictions: Folder,
    notes: list[str],
    *,
    folds: Sequence[str] | None = None,
) -> dict[Label, Contrast]:
    """The contrast of each label's pairs, on ``folds`` or on all.

    Pairs with a run that has no score are to be left out before. A label of runs without predictions
    has no interval over clips, and ``notes`` says so.
    """
    columns = [i for i, fold in enumerate(measured.folds) if folds is None or fold in folds]
    found = {label: _over_seeds(pairs, measured, columns) for label, pairs in asked.items() if pairs}
    chosen = None if folds is None else frozenset(folds)
    drawn, clusters = _replicates(
        {label: weights(asked[label]) for label in found}, measured, predictions, notes, chosen
    )
    for label, replicates in drawn.items():
        found[label] = replace(
            found[label],
            clusters=clusters,
            over_clips=percentile_interval(replicates),
            p_clips=bootstrap_p(replicates, clusters),
        )
    return found


def weights(pairs: Sequence[Pair]) -> Weights:
    """Each run's share in the mean over seeds of the mean over the pairs of a seed."""
    by_seed: dict[int, int] = defaultdict(int)
    for pair in pairs:
        by_seed[pair.seed] += 1
    shares: Weights = defaultdict(float)
    for pair in pairs:
        share = 1.0 / (len(by_seed) * by_seed[pair.seed])
        shares[pair.first] += share
        shares[pair.second] -= share
    return dict(shares)


def seed_test(table: np.ndarray) -> Comparison | None:
    """The test over seeds of differences ``(seeds, folds)``; None for one number, or equal ones."""
    if table.shape[1] > 1:
        return significance.corrected_paired_t(table)
    return significance.welch_t(table[:, 0], [0.0])  # against a constant: a paired t test


def _over_seeds(pairs: Sequence[Pair], measured: Measured, columns: Sequence[int]) -> Contrast:
    scores, by_seed = measured.scores, defaultdict(list)
    for pair in pairs:
        by_seed[pair.seed].append((scores[pair.first][columns], scores[pair.second][columns]))
    table = np.array([np.mean(by_seed[seed], axis=0) for seed in sorted(by_seed)])  # (seeds, 2, folds)
    differences = table[:, 0] - table[:, 1]
    test = seed_test(differences)
    return Contrast(
        score=float(table[:, 0].mean()),
        difference=float(differences.mean()),
        seeds=tuple(sorted(by_seed)),
        pairs=len(pairs),
        runs=tuple(dict.fromkeys(pair.first for pair in pairs)),
        folds=len(columns),
        clips=sum(measured.clips[column] for column in columns),
        over_seeds=None if test is None else Interval(test.low, test.high),
        p_seeds=float("nan") if test is None else test.p,
    )


def _replicates(
    shares: Mapping[Label, Weights],
    measured: Measured,
    predictions: Folder,
    notes: list[str],
    folds: frozenset[str] | None,
) -> tuple[dict[Label, np.ndarray], int]:
    # label -> replicates (draws,) of its difference, and the number of groups that were drawn
    needed = sorted({run for of_runs in shares.values() for run in of_runs})
    paths = {run: predictions_of(measured.rows[run], predictions(run)) for run in needed}
    missing = [run for run in needed if not paths[run].exists()]
    if missing:
        listed = ", ".join(missing[:3]) + f" and {len(missing) - 3} more" * (len(missing) > 3)
        notes.append(f"No interval over clips where a run has no predictions: {listed}")
    labels = [label for label, of_runs in shares.items() if not set(missing) & set(of_runs)]
    runs = sorted({run for label in labels for run in shares[label]})
    if not runs:
        return {}, 0
    mixed = np.array([[shares[label].get(run, 0.0) for label in labels] for run in runs])
    metric, reference = measured.question.metric, read_predictions(paths[runs[0]])
    loaded: dict[str, list[Answers]] = {}
    right = np.empty((len(reference.clip), len(runs) if metric == "accuracy" else 0))
    for column, run in enumerate(runs):
        answers = read_predictions(paths[run])
        refuse_other_clips(paths[run], answers, paths[runs[0]], reference)
        if metric == "accuracy":  # of a thousand runs the scores would not fit into memory
            right[:, column] = correctness(answers)
        else:
            loaded[run] = [of_folds(answers, folds)]
    inside = slice(None) if folds is None else np.isin(reference.fold, sorted(folds))
    group, fold = reference.group[inside], reference.fold[inside]
    if metric == "accuracy":
        table = bootstrap_means(right[inside] @ mixed, group, fold)
    else:
        each = recomputed(metric, loaded)
        table = np.round(np.column_stack([each[run] for run in runs]) @ mixed, 10)
    return {label: table[:, i] for i, label in enumerate(labels)}, len(np.unique(group))


def of_folds(answers: Answers, folds: frozenset[str] | None) -> Answers:
    """The answers for the clips of some folds; None asks for all."""
    if folds is None:
        return answers
    inside = np.isin(answers.fold, sorted(folds))
    if not isinstance(answers, EventPredictions):
        names = ("clip", "group", "fold", "target", "scores")
        return replace(answers, **{name: getattr(answers, name)[inside] for name in names})
    places = np.cumsum(inside) - 1  # of each kept clip among the kept
    events = inside[answers.event_clip]
    of_clips = ("clip", "group", "fold", "frames", "median_ms", "minimum_ms")
    of_events = ("event_label", "event_onset", "event_offset")
    return replace(
        answers,
        scores=answers.scores[np.repeat(inside, answers.frames)],
        event_clip=places[answers.event_clip[events]],
        **{name: getattr(answers, name)[inside] for name in of_clips},
        **{name: getattr(answers, name)[events] for name in of_events},
    )
