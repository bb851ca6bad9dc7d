"""Bootstrap replicates of the lines of one table, from the predictions of their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generators.drawer import BadData
from suite.report.resampling import bootstrap_means, bootstrap_metric
from suite.rows import Answers, EventPredictions, Row, predictions_of, read_predictions

Folder = Callable[[str], Path]  # run id -> the folder with its predictions


@dataclass(frozen=True)
class Evidence:
    """What the predictions of a table's lines say.

    ``replicates`` maps a label to bootstrap replicates ``(draws,)`` of the line's score, paired between
    lines; ``clusters`` is the number of groups of clips that were drawn; ``chance`` is the score
    without listening, where it is known.
    """

    replicates: dict[str, np.ndarray]
    clusters: int
    chance: float | None


def clip_evidence(
    lines: Mapping[str, Sequence[Row]], predictions: Folder, notes: list[str]
) -> Evidence:
    """Replicates of each line's score, averaged over its runs, and the score of chance.

    ``lines`` maps a label to all rows (folds x runs) of a line. A line with a missing file gets no
    replicates and a remark in ``notes``. Raises BadData when two runs were scored on different clips.
    """
    loaded: dict[str, list[Answers]] = {}
    reference: tuple[Path, Answers] | None = None
    for label, rows in lines.items():
        runs = {row.run_id: row for row in rows}
        paths = [predictions_of(row, predictions(run_id)) for run_id, row in runs.items()]
        missing = [run_id for run_id, path in zip(runs, paths, strict=True) if not path.exists()]
        if missing:
            notes.append(f"{label}: no interval over clips, {', '.join(missing)} has no predictions")
            continue
        loaded[label] = [read_predictions(path) for path in paths]
        for path, found in zip(paths, loaded[label], strict=True):
            reference = reference or (path, found)
            refuse_other_clips(path, found, *reference)
    if reference is None:
        return Evidence({}, 0, None)
    first = reference[1]
    metric_name = next(iter(lines.values()))[0].metric
    clusters = len(np.unique(first.group))
    if isinstance(first, EventPredictions):
        return Evidence(recomputed(metric_name, loaded), clusters, None)
    chance = chance_score(metric_name, first.target)
    if metric_name == "accuracy":
        columns = [np.mean([correctness(run) for run in runs], axis=0) for runs in loaded.values()]
        table = bootstrap_means(np.column_stack(columns), first.group, first.fold)
        replicates = {label: table[:, column] for column, label in enumerate(loaded)}
        return Evidence(replicates, clusters, chance)
    return Evidence(recomputed(metric_name, loaded), clusters, chance)


def recomputed(metric: str, loaded: Mapping[str, Sequence[Answers]]) -> dict[str, np.ndarray]:
    """Replicates by label of a metric that is no mean over clips: computed anew on every draw."""
    from suite import scoring  # only where it is needed

    first = next(iter(loaded.values()))[0]
    if isinstance(first, EventPredictions):
        return event_replicates(metric, loaded)
    return {
        label: bootstrap_metric(
            scoring.clip_metric(metric, first.classes),
            first.target,
            [run.scores for run in runs],
            first.group,
            first.fold,
        )
        for label, runs in loaded.items()
    }


def event_replicates(metric: str, loaded: Mapping[str, Sequence[Answers]]) -> dict[str, np.ndarray]:
    """Replicates by label of an event metric, whose counts are drawn clip by clip."""
    from suite import scoring

    replicates = {}
    for label, runs in loaded.items():
        first = runs[0]
        counts = [scoring.counts(metric, run) for run in runs]
        unused = np.zeros(len(first.clip))
        replicates[label] = bootstrap_metric(
            scoring.of_counts(metric), unused, counts, first.group, first.fold
        )
    return replicates


def chance_score(metric: str, target: np.ndarray) -> float | None:
    """What an answer scores that knows only how frequent each label is; None for metrics without one.

    Accuracy: the share of the commonest label. Macro mAP: the mean prevalence of the labels. AUC: 0.5.
    """
    if metric in ("accuracy", "vote_accuracy"):
        return float(np.bincount(target).max() / len(target))
    if metric == "macro_map" and target.ndim == 2:
        return float(target.mean())
    return 0.5 if metric == "auc" else None


def refuse_other_clips(path: Path, found: Answers, known: Path, reference: Answers) -> None:
    """Raise BadData where ``path`` answers for other clips than ``known``, which is held beside it."""
    if not same_clips(found, reference):
        raise BadData(
            f"{path} and {known} hold different clips of one task. "
            "Delete the two files and evaluate both runs again."
        )


def same_clips(one: Answers, other: Answers) -> bool:
    """Whether two prediction files answer for the same clips, groups and folds in the same order."""
    names = ("clip", "group", "fold")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def correctness(predictions: Answers) -> np.ndarray:
    """1.0 where the largest score is the target's, else 0.0: float64 ``(n,)``."""
    if isinstance(predictions, EventPredictions) or predictions.target.ndim != 1:
        raise BadData("accuracy needs one label per clip, but the targets are lists of labels.")
    hit = predictions.scores.argmax(axis=1) == predictions.target
    return np.asarray(hit, dtype=np.float64)
