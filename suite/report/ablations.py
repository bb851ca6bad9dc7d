"""Ablation studies as the report shows them: what each found, put together from its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.report.confirmations import Best, Confirmed, best_of, confirmed, verdict
from suite.report.effects import CONTROL, Effects, cell_of, effects
from suite.report.formats import spelt
from suite.report.interactions import interactions
from suite.report.study_scores import Question, measured
from suite.rows import Row
from suite.studies import Study, StudyTrial


@dataclass(frozen=True)
class Ablation:
    """One study: its effects on every question that its trials answer, and whether its best holds.

    ``effects`` has the question of the study's score first; of a search they are of its controls.
    """

    name: str  # of its files, without ending
    study: Study
    scored: Question | None  # what its score is of; None before any run has one
    effects: tuple[Effects, ...]
    best: Best | None
    confirmed: tuple[Confirmed, ...]
    verdict: str
    trial_notes: tuple[str, ...]
    confirmation_notes: tuple[str, ...]

    @property
    def shown(self) -> list[Effects]:
        """What its figures show: the score's probe on every task."""
        return [each for each in self.effects if each.question.probe == self.study.probe]

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """What the effects are of, in their order: axes with their choices, then the controls."""
        named = {axis.name: axis.choices for axis in self.study.axes if axis.choices}
        return {**named, CONTROL: tuple(self.study.controls)}

    @property
    def figures(self) -> list[str]:
        """Which figures the study has, in their order."""
        study = self.study
        searched = study.design == "search" and bool(study.complete)
        there = {
            "effects": any(each.effects for each in self.shown),
            "importance": bool(study.importance),
            "interaction": bool(interactions(study)),
            "history": searched,
            "slices": searched,
            "pareto": any(trial.cost is not None for trial in study.complete),
        }
        return [kind for kind, asked in there.items() if asked]


def ablation(study: Study, folder: Path, rows: list[Row]) -> Ablation:
    """A study's report, from the rows and predictions of its folder."""

    def predictions(run_id: str) -> Path:
        return folder / "predictions" / run_id

    questions = measured(rows, study)
    notes: list[str] = []
    lines = confirmed(study, questions, predictions, notes)
    found = [effects(study, each, predictions) for each in questions]
    return Ablation(
        name=f"ablation.{folder.name}",
        study=study,
        scored=next((q.question for q in questions if q.question.is_score_of(study)), None),
        effects=tuple(each for each in found if each is not None),
        best=best_of(study),
        confirmed=tuple(lines),
        verdict=verdict(study, lines),
        trial_notes=tuple(trial_remarks(study.trials)),
        confirmation_notes=tuple(notes),
    )


def trial_remarks(trials: Sequence[StudyTrial]) -> list[str]:
    """How the trials ended, and what is missing: failed and not made again, or not yet made."""
    made = {(cell_of(trial), trial.seeds) for trial in trials if trial.state == "complete"}
    counts = Counter(trial.state for trial in trials)
    named = {"complete": "complete", "pruned": "given up early", "fail": "failed"}
    named |= {"running": "running", "waiting": "waiting"}
    listed = ", ".join(f"{counts[state]} {word}" for state, word in named.items() if counts[state])
    notes = [f"{len(trials)} trials: {listed}."]
    failed = [trial for trial in trials if trial.state == "fail"]
    lost = [trial for trial in failed if (cell_of(trial), trial.seeds) not in made]
    for trial in lost[:5]:
        seeds = ", ".join(map(str, trial.seeds))
        reason = " ".join(trial.reason.split())[:200] or "no reason is known"
        notes.append(
            f"Missing: trial {trial.number} ({spelt(trial.params)}; seed {seeds}) failed: {reason}"
        )
    if len(lost) > 5:
        notes.append(f"{len(lost) - 5} more failed and were not made again.")
    if len(failed) > len(lost):
        notes.append(f"{len(failed) - len(lost)} failed and were made again.")
    return notes
