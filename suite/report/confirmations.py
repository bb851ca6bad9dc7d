"""Whether the best of a study is better than the default: only fresh seeds can tell.

A study picks its winner by scores, so the winner's own score is too good, for luck was picked too.
``confirm`` trains winner and default anew; their differences are paired by seed and fold. One test was
decided before anything was seen, and stands uncorrected: the task and the probe that the study's score
names. Where that task is named ``X-without-F``, the search never saw fold F of task X, and that fold
alone is this test. All other lines are corrected by Holm among themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suite.report import significance
from suite.report.contrasts import Contrast, Pair, contrasts
from suite.report.effects import Cell, cell_of, is_significant
from suite.report.formats import p_value, percent
from suite.report.replicates import Folder
from suite.report.study_scores import Measured, Question
from suite.studies import Confirmation, Study, StudyTrial

HELD_OUT = "-without-"


@dataclass(frozen=True)
class Confirmed:
    """Winner minus default on fresh seeds, of one question and the clips that ``clips`` says.

    ``decided`` marks the one test that was decided beforehand; the p of all others are corrected.
    """

    question: Question
    clips: str
    decided: bool
    contrast: Contrast
    p_seeds: float
    p_clips: float

    @property
    def significant(self) -> bool:
        """Whether both tests say that the two differ."""
        return is_significant(self.contrast, self.p_seeds, self.p_clips)

    @property
    def verdict(self) -> str:
        """What may be said of the winner."""
        if not self.significant:
            return "not significantly better"
        return "better" if self.contrast.difference > 0 else "significantly worse"


@dataclass(frozen=True)
class Best:
    """The cell with the best mean score over its trials; the default's score where it has one."""

    trial: int  # the first of the cell
    params: dict[str, object]
    score: float
    default: float | None
    is_default: bool


def best_of(study: Study) -> Best | None:
    """The winner as ``confirm`` finds it: the default loses ties. None where no trial has a score."""
    scores: dict[Cell, list[float]] = defaultdict(list)
    first: dict[Cell, StudyTrial] = {}
    for trial in study.complete:
        if trial.score is not None:
            scores[cell_of(trial)].append(trial.score)
            first.setdefault(cell_of(trial), trial)
    if not scores:
        return None
    default = tuple(sorted(study.default.items()))
    best = max(scores, key=lambda cell: (float(np.mean(scores[cell])), cell != default))
    return Best(
        trial=first[best].number,
        params=first[best].params,
        score=float(np.mean(scores[best])),
        default=float(np.mean(scores[default])) if default in scores else None,
        is_default=best == default,
    )


def confirmed(
    study: Study, questions: Sequence[Measured], predictions: Folder, notes: list[str]
) -> list[Confirmed]:
    """Every line of the confirmation, the test that was decided beforehand first."""
    if study.confirmation is None:
        return []
    task, separator, fold = study.task.rpartition(HELD_OUT)
    aim = task if separator else study.task
    found: list[Confirmed] = []
    for measured in questions:
        pairs = _pairs(study.confirmation, measured, notes)
        if not pairs:
            continue
        question = measured.question
        decided = (question.task, question.probe) == (aim, study.probe)
        parts: list[tuple[str, tuple[str, ...] | None, bool]] = []
        if separator and question.task == aim and fold in measured.folds:
            parts.append((f"fold {fold}, which the study never saw", (fold,), decided))
            if len(measured.folds) > 1:
                parts.append((f"all folds; the study saw all but {fold}", None, False))
        elif question.task == study.task:
            parts.append(("the same that the study was scored on", None, decided))
        else:
            parts.append(("a task that gave no score", None, False))
        for words, folds, is_decided in parts:
            contrast = contrasts({words: pairs}, measured, predictions, notes, folds=folds)[words]
            tests = (contrast.p_seeds, contrast.p_clips)
            found.append(Confirmed(question, words, is_decided, contrast, *tests))
    score = (aim, study.probe)
    return sorted(
        _corrected(found),
        key=lambda line: (not line.decided, (line.question.task, line.question.probe) != score),
    )


def _pairs(confirmation: Confirmation, measured: Measured, notes: list[str]) -> list[Pair]:
    by_seed = zip(confirmation.seeds, confirmation.winner, confirmation.default, strict=True)
    pairs = [Pair(*each) for each in by_seed]
    there = [p for p in pairs if {p.first, p.second} <= measured.scores.keys()]
    if there and len(there) < len(pairs):
        lacking = sorted({pair.seed for pair in pairs} - {pair.seed for pair in there})
        notes.append(f"{measured.question.label}: no rows of seed {', '.join(map(str, lacking))}")
    return there


def _corrected(lines: Sequence[Confirmed]) -> list[Confirmed]:
    others = [i for i, line in enumerate(lines) if not line.decided]
    seeds = significance.holm([lines[i].p_seeds for i in others])
    clips = significance.holm([lines[i].p_clips for i in others])
    corrected = list(lines)
    for place, p_seeds, p_clips in zip(others, seeds, clips, strict=True):
        line = lines[place]
        asked = (line.question, line.clips, line.decided, line.contrast)
        corrected[place] = Confirmed(*asked, float(p_seeds), float(p_clips))
    return corrected


def verdict(study: Study, lines: Sequence[Confirmed]) -> str:
    """What may be said of the study's best, in one sentence or two."""
    best = best_of(study)
    if best is None:
        return "No trial has a score yet."
    if best.is_default:
        return f"The default itself scored best ({percent(best.score)} %): there is nothing to confirm."
    held = "" if best.default is None else f" against the default's {percent(best.default)} %"
    chosen = (
        f"trial {best.trial} scored best, {percent(best.score)} %{held}, on the seeds and the clips "
        "that it was chosen by"
    )
    if study.confirmation is None:
        return f"Not confirmed: {chosen}. To train both anew, type: {study.command} confirm=5"
    of = study.confirmation
    if of.params != best.params:
        return f"Not confirmed: {chosen}; the confirmation is of trial {of.trial}, an earlier winner."
    decided = next((line for line in lines if line.decided), None)
    if decided is None:
        return f"Not confirmed on {study.task}, {study.probe}, which it was chosen by: {chosen}."
    contrast = decided.contrast
    fresh = f"{len(contrast.seeds)} fresh seed{'s' * (len(contrast.seeds) > 1)}"
    numbers = (
        f"{percent(contrast.difference, signed=True)} points on {decided.question.task_label}, "
        f"{decided.question.probe_label} (p {p_value(decided.p_seeds)} over seeds, "
        f"{p_value(decided.p_clips)} over clips; clips: {decided.clips})"
    )
    if decided.verdict == "better":
        return f"Confirmed: with {fresh} trial {of.trial} is better than the default by {numbers}."
    says = decided.verdict[0].upper() + decided.verdict[1:]
    return f"{says}: with {fresh} trial {of.trial} differs from the default by {numbers}."
