"""What the runs of a study scored, question by question: of every run one score a fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from suite.report.lines import file_words
from suite.report.summaries import final_rows
from suite.rows import Row, probe_label, task_label
from suite.studies import Study


@dataclass(frozen=True, order=True)
class Question:
    """What was asked of a study's encoders: one task, version, split and data, by one probe."""

    task: str
    probe: str
    metric: str
    pooling: str
    partial: bool
    task_version: int
    split_hash: str
    data_hash: str

    @property
    def task_label(self) -> str:
        """The task, marked where its data were partial."""
        return task_label(self.task, partial=self.partial)

    @property
    def probe_label(self) -> str:
        """The probe, with the pooling where it is not the default."""
        return probe_label(self.probe, pooling=self.pooling)

    @property
    def label(self) -> str:
        """The question in words."""
        return f"{self.task_label}, {self.probe_label}, {self.metric} (%)"

    @property
    def words(self) -> str:
        """The question as the words of a file name."""
        return file_words(self.task_label, self.probe_label, self.metric)

    def is_score_of(self, study: Study) -> bool:
        """Whether this is what the study's trials were scored by."""
        return (self.task, self.probe) == (study.task, study.probe)


@dataclass(frozen=True)
class Measured:
    """The answers to one question.

    ``scores`` maps a run to its scores ``(folds,)``, fractions; ``rows`` to one of its rows, for seed
    and predictions; ``clips`` holds the number of test clips of each fold.
    """

    question: Question
    folds: tuple[str, ...]
    scores: dict[str, np.ndarray]
    rows: dict[str, Row]
    clips: tuple[int, ...]
    notes: tuple[str, ...]

    def mean(self, runs: Iterable[str]) -> float:
        """Mean over runs of the mean over folds."""
        return float(np.mean([self.scores[run].mean() for run in runs]))


def measured(rows: Iterable[Row], study: Study) -> list[Measured]:
    """The questions that rows of a study answer, that of its score first.

    Of each run the rows with most samples seen count; a run that lacks a fold is left out, and said.
    """
    asked: dict[Question, list[Row]] = defaultdict(list)
    for row in final_rows(rows):
        asked[_question(row)].append(row)
    order = sorted(asked, key=lambda question: (not question.is_score_of(study), question))
    return [_measured(question, asked[question]) for question in order]


def _question(row: Row) -> Question:
    return Question(
        task=row.task,
        probe=row.probe,
        metric=row.metric,
        pooling=row.pooling,
        partial=row.partial,
        task_version=row.task_version,
        split_hash=row.split_hash,
        data_hash=row.data_hash,
    )


def _measured(question: Question, rows: Sequence[Row]) -> Measured:
    by_run: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_run[row.run_id][row.fold] = row
    folds = tuple(sorted({row.fold for row in rows}))
    whole = {run: found for run, found in by_run.items() if len(found) == len(folds)}
    notes = [
        f"{run} is left out: {len(found)} of {len(folds)} folds are evaluated"
        for run, found in by_run.items()
        if run not in whole
    ]
    sizes = next(iter(whole.values()), {})
    return Measured(
        question=question,
        folds=folds,
        scores={run: np.array([found[f].score for f in folds]) for run, found in whole.items()},
        rows={run: found[folds[0]] for run, found in whole.items()},
        clips=tuple(sizes[fold].n_test for fold in folds) if sizes else (),
        notes=tuple(notes),
    )
