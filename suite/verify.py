"""Recompute every published number from its predictions, and say where the two disagree."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from generators.drawer import BadData
from suite import metrics, scoring
from suite.report import read_results
from suite.report.summaries import final_rows
from suite.rows import Answers, EventPredictions, Row, predictions_of, read_predictions, task_label
from suite.studies import FILE, FOLDER, Study, read_studies

TOLERANCE = 1e-9  # the metric is defined on the stored float16 scores: only summation order may differ

Kind = Literal[
    "score",  # the recomputed score differs from the row's
    "clips",  # the number of test clips differs from the row's n_test
    "metric",  # the metric is not known, or cannot be computed from what is stored
    "fold",  # the predictions do not hold the row's fold, or hold one without a row
    "unreadable",  # the predictions file is damaged, or its parts do not fit together
    "no_predictions",  # a row without predictions: it cannot be verified
    "no_rows",  # a predictions file that no row speaks of
    "trial",  # the score of a study's trial does not follow from the rows of its runs
]


@dataclass(frozen=True)
class Finding:
    """One disagreement: what kind, which file, and a sentence for a person."""

    kind: Kind
    path: Path
    message: str


@dataclass(frozen=True)
class Verification:
    """How many rows were read, how many agree with their predictions, and every disagreement."""

    rows: int
    verified: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def summary(self) -> str:
        """One line for the terminal."""
        if self.rows == 0 and self.passed:
            return "no rows to verify: type `sourcebench compare comparison=quick` to measure some"
        counts: dict[str, int] = defaultdict(int)
        for finding in self.findings:
            counts[finding.kind] += 1
        found = ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items())) or "none"
        return f"{self.verified} of {self.rows} rows verified; findings: {found}"


def verify(results: Path) -> Verification:
    """Recompute the score of every row below ``results/rows`` from ``results/predictions``.

    So in every folder of ``results/studies``, where the scores of a study's trials are recomputed from
    its rows as well. All disagreements are found in one call, in a stable order. Raises BadData for a
    file of rows or of a study that cannot be read at all.
    """
    folders = [path for path in sorted((results / FOLDER).glob("*")) if path.is_dir()]
    parts = [_verify_folder(folder) for folder in (results, *folders)]
    findings = [finding for part in parts for finding in part.findings]
    findings += [found for study, folder in read_studies(results) for found in _trials(study, folder)]
    rows, verified = sum(part.rows for part in parts), sum(part.verified for part in parts)
    return Verification(rows, verified, tuple(findings))


def _trials(study: Study, folder: Path) -> Iterable[Finding]:
    scores: dict[str, list[float]] = defaultdict(list)
    for row in final_rows(read_results(folder)):
        if (row.task, row.probe) == (study.task, study.probe):
            scores[row.run_id].append(row.score)
    path = folder / FILE
    for trial in study.complete:
        named = f"study {study.name}, trial {trial.number}"
        lacking = [run for run in trial.runs if run not in scores]
        if lacking or not trial.runs:
            listed = ", ".join(lacking) or "it names no run"
            yield Finding("trial", path, f"{named}: no row on {study.task}, {study.probe}: {listed}")
            continue
        score = float(np.mean([np.mean(scores[run]) for run in trial.runs]))
        said = math.nan if trial.score is None else trial.score
        if not math.isclose(score, said, rel_tol=0.0, abs_tol=TOLERANCE):
            yield Finding("trial", path, f"{named}: the study says {said!r}, its rows give {score!r}")


def _verify_folder(results: Path) -> Verification:
    rows = read_results(results)
    by_file: dict[Path, list[Row]] = defaultdict(list)
    for row in rows:
        by_file[predictions_of(row, results / "predictions" / row.run_id)].append(row)
    findings: list[Finding] = []
    verified = 0
    for path in sorted(by_file):
        wrong = list(_file_findings(path, by_file[path]))
        findings += [finding for finding, _ in wrong]
        verified += len(by_file[path]) - len({row.key() for _, row in wrong if row is not None})
    for path in sorted((results / "predictions").glob("*/*.npz")):
        if path not in by_file:
            findings.append(Finding("no_rows", path, f"{path} belongs to no row"))
    return Verification(len(rows), verified, tuple(findings))


def _file_findings(path: Path, rows: list[Row]) -> Iterable[tuple[Finding, Row | None]]:
    if not path.exists():
        for row in rows:
            yield Finding("no_predictions", path, f"{_named(row)}: {path} is missing"), row
        return
    try:
        predictions = read_predictions(path)
        _check_shapes(path, predictions)
    except BadData as error:
        for row in rows:
            yield Finding("unreadable", path, f"{_named(row)}: {error}"), row
        return
    folds = predictions.fold.astype(str)
    for row in rows:
        finding = _row_finding(path, predictions, folds, row)
        if finding is not None:
            yield finding, row
    for fold in sorted(set(folds) - {row.fold for row in rows}):
        message = f"{path}: fold {fold!r} is predicted but has no row"
        yield Finding("fold", path, message), None


def _row_finding(path: Path, predictions: Answers, folds: np.ndarray, row: Row) -> Finding | None:
    inside = np.flatnonzero(folds == row.fold)
    if not inside.size:
        return Finding("fold", path, f"{_named(row)}: {path} holds no clip of this fold")
    if inside.size != row.n_test:
        message = f"{_named(row)}: the row says {row.n_test} test clips, {path} holds {inside.size}"
        return Finding("clips", path, message)
    for metric, said in {row.metric: row.score, **row.others}.items():
        if metric not in metrics.known():
            known = ", ".join(metrics.known())
            return Finding("metric", path, f"{_named(row)}: metric {metric!r} is none of {known}")
        try:
            score = scoring.score(metric, predictions, inside)
        except (ValueError, IndexError) as error:
            message = f"{_named(row)}: {metric} cannot be computed from {path}: {error}"
            return Finding("metric", path, message)
        if not math.isclose(score, said, rel_tol=0.0, abs_tol=TOLERANCE):
            message = f"{_named(row)}: the row says {metric} {said!r}, {path} gives {score!r}"
            return Finding("score", path, message)
    return None


def _check_shapes(path: Path, predictions: Answers) -> None:
    number = len(predictions.clip)
    if isinstance(predictions, EventPredictions):
        parts = (predictions.group, predictions.fold, predictions.frames, predictions.median_ms)
        if predictions.frames.sum() != len(predictions.scores):
            raise BadData(f"{path}: its frames and its scores do not fit together. Evaluate again.")
    else:
        parts = (predictions.group, predictions.fold, predictions.target, predictions.scores)
    if any(len(part) != number for part in parts):
        lengths = ", ".join(str(len(part)) for part in parts)
        raise BadData(f"{path}: {number} clips, but its other parts hold {lengths}. Evaluate again.")
    if len(set(predictions.clip.tolist())) != number:
        raise BadData(f"{path}: a clip is listed more than once. Evaluate again.")
    if predictions.scores.shape[1:] != predictions.classes.shape:
        raise BadData(
            f"{path}: scores {predictions.scores.shape} for {len(predictions.classes)} classes. "
            "Evaluate again."
        )
    if not np.isfinite(predictions.scores).all():
        raise BadData(f"{path}: a score is not a finite number. Evaluate again.")


def _named(row: Row) -> str:
    task = task_label(row.task, partial=row.partial)
    return f"{row.run_id}, {task}, fold {row.fold}, {row.probe_label}, {row.metric}"
