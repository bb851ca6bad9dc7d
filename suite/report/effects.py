"""What each choice of a grid's axes changes: choice minus default, between trials alike in all else.

A pair are two complete trials of one seed that agree in every other axis that applies to both: where an
axis applies under one of the two choices only, each of its cells is paired. Controls are held against
the default cell. How pairs become one difference with two intervals is said in
:mod:`suite.report.contrasts`. Holm's correction runs over all choices of one question, and over its
controls apart: whether the default has learnt anything is asked once, however many choices there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.report import significance
from suite.report.contrasts import Contrast, Pair, contrasts
from suite.report.replicates import Folder
from suite.report.resampling import smallest_p
from suite.report.study_scores import Measured, Question
from suite.studies import Study, StudyAxis, StudyTrial

LEVEL = 0.05
CONTROL = "control"  # stands where an effect of a choice has its axis

Cell = tuple[tuple[str, Any], ...]  # an axis and what a trial takes there, in the order of the names
Runs = dict[Cell, dict[int, str]]  # cell -> seed -> run


@dataclass(frozen=True)
class Effect:
    """One choice against its axis' default, or a control against the default cell.

    ``p_seeds`` and ``p_clips`` are corrected; NaN where there is no such test. ``cells`` is the number
    of pairs of cells that the difference is averaged over.
    """

    axis: str
    choice: str
    contrast: Contrast
    cells: int
    p_seeds: float
    p_clips: float

    @property
    def control(self) -> bool:
        return self.axis == CONTROL

    @property
    def significant(self) -> bool:
        """Whether both tests say so, of two seeds or more: one training proves nothing of another."""
        return is_significant(self.contrast, self.p_seeds, self.p_clips)


@dataclass(frozen=True)
class Effects:
    """All effects on one question, by axis in the study's order, controls last.

    ``defaults`` maps an axis to the mean score of the trials that have its default.
    """

    measured: Measured
    effects: tuple[Effect, ...]
    defaults: dict[str, float]
    notes: tuple[str, ...]

    @property
    def question(self) -> Question:
        return self.measured.question


def is_significant(contrast: Contrast, p_seeds: float, p_clips: float) -> bool:
    """Both p below 5 %, over two seeds or more; a test that could not be made proves nothing."""
    return len(contrast.seeds) > 1 and p_seeds < LEVEL and p_clips < LEVEL


def cell_of(trial: StudyTrial) -> Cell:
    """A trial's parameters as a key."""
    return tuple(sorted(trial.params.items()))


def runs_of(trials: Iterable[StudyTrial], measured: Measured) -> Runs:
    """The runs of complete trials that have scores, by cell and seed, in the order of the trials."""
    runs: Runs = defaultdict(dict)
    for trial in trials:
        for seed, run in zip(trial.seeds, trial.runs, strict=True):
            if run in measured.scores:
                runs[cell_of(trial)][seed] = run
    return dict(runs)


def effects(study: Study, measured: Measured, predictions: Folder) -> Effects | None:
    """The effects on one question; None where it compares nothing, and is not the study's own.

    A search draws its choices, so that no two of its trials differ in one axis alone: it has its
    controls only.
    """
    runs = runs_of(study.complete, measured)
    asked: dict[tuple[str, str], list[Pair]] = {}
    cells: dict[tuple[str, str], int] = {}
    defaults: dict[str, float] = {}
    for axis in study.axes if study.design == "grid" else ():
        there = [cell for cell in runs if dict(cell).get(axis.name) == axis.default]
        if there:
            defaults[axis.name] = mean_over_seeds([runs[cell] for cell in there], measured)
        for choice in axis.choices:
            if choice != axis.default:
                partners = list(paired_cells(axis, choice, runs))
                asked[axis.name, choice], cells[axis.name, choice] = _pairs(partners, runs)
    default = runs.get(tuple(sorted(study.default.items())), {})
    for control, of_control in study.controls.items():
        asked[CONTROL, control] = against_default(of_control, default, measured)
        cells[CONTROL, control] = 1
    if default and study.controls:
        defaults[CONTROL] = measured.mean(default.values())
    if not any(asked.values()) and not (defaults and measured.question.is_score_of(study)):
        return None  # what another study asked of a run of this one, too
    notes = list(measured.notes)
    found = contrasts(asked, measured, predictions, notes)
    over_seeds = corrected({key: contrast.p_seeds for key, contrast in found.items()})
    over_clips = corrected({key: contrast.p_clips for key, contrast in found.items()})
    listed = [
        Effect(*key, contrast, cells[key], over_seeds[key], over_clips[key])
        for key, contrast in found.items()
    ]
    unpaired = [f"{axis} {choice}" for axis, choice in asked if (axis, choice) not in found]
    if unpaired:
        notes.append(f"Without a pair of complete runs, and so without a line: {', '.join(unpaired)}")
    reused = any(
        len({pair.first for pair in pairs}) < len(pairs)
        or len({pair.second for pair in pairs}) < len(pairs)
        for (axis, _), pairs in asked.items()
        if axis != CONTROL
    )
    notes += remarks(listed, len(measured.folds), reused=reused)
    return Effects(measured, tuple(listed), defaults, tuple(notes))


def corrected(p_values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Holm's correction of p by axis and choice: choices and controls each among themselves."""
    choices = [key for key in p_values if key[0] != CONTROL]
    controls = [key for key in p_values if key[0] == CONTROL]
    return {
        key: float(p)
        for family in (choices, controls)
        for key, p in zip(family, significance.holm([p_values[k] for k in family]), strict=True)
    }


def paired_cells(
    axis: StudyAxis, choice: str, runs: Mapping[Cell, object]
) -> Iterable[tuple[Cell, Cell]]:
    """Each cell with ``choice``, with every cell with the default that agrees in all axes of both."""
    kinds: dict[frozenset[str], list[Cell]] = defaultdict(list)  # default cells by the axes they have
    for cell in runs:
        if dict(cell).get(axis.name) == axis.default:
            kinds[frozenset(name for name, _ in cell)].append(cell)
    known: dict[tuple[frozenset[str], frozenset[str]], dict[Cell, list[Cell]]] = {}
    for cell in runs:
        if dict(cell).get(axis.name) != choice:
            continue
        own = frozenset(name for name, _ in cell)
        for kind, members in kinds.items():
            shared = (own & kind) - {axis.name}
            if (own, kind) not in known:
                index: dict[Cell, list[Cell]] = defaultdict(list)
                for member in members:
                    index[_within(member, shared)].append(member)
                known[own, kind] = index
            for partner in known[own, kind].get(_within(cell, shared), ()):
                yield cell, partner


def _within(cell: Cell, names: frozenset[str]) -> Cell:
    return tuple((name, value) for name, value in cell if name in names)


def _pairs(partners: Sequence[tuple[Cell, Cell]], runs: Runs) -> tuple[list[Pair], int]:
    found, cells = [], set()
    for first, second in partners:
        for seed in sorted(runs[first].keys() & runs[second].keys()):
            found.append(Pair(seed, runs[first][seed], runs[second][seed]))
            cells.add((first, second))
    return found, len(cells)


def against_default(
    control: Sequence[str], default: Mapping[int, str], measured: Measured
) -> list[Pair]:
    """A control's runs paired with the default's by seed; a single run, as of no network, with each."""
    there = {measured.rows[run].seed: run for run in control if run in measured.scores}
    if len(there) == 1:
        (alone,) = there.values()
        return [Pair(seed, alone, run) for seed, run in sorted(default.items())]
    return [Pair(seed, there[seed], default[seed]) for seed in sorted(there.keys() & default.keys())]


def mean_over_seeds(cells: Sequence[Mapping[int, str]], measured: Measured) -> float:
    """Mean over seeds of the mean over the cells that have the seed."""
    by_seed: dict[int, list[str]] = defaultdict(list)
    for runs in cells:
        for seed, run in runs.items():
            by_seed[seed].append(run)
    return float(np.mean([measured.mean(by_seed[seed]) for seed in sorted(by_seed)]))


def remarks(found: Sequence[Effect], folds: int, *, reused: bool) -> list[str]:
    """What the intervals and tests of these effects speak of, and what they cannot tell.

    ``reused`` says whether a run stands in several pairs of one effect.
    """
    if not found:
        return []
    choices = sum(not effect.control for effect in found)
    apart = ", and over its controls apart" if choices < len(found) else ""
    notes = [
        "Δ: the mean over seeds of choice minus default, paired by seed and fold. Bold: both p below "
        f"5 %, over two seeds or more, after Holm's correction over the {choices} choices of this "
        f"table{apart}."
    ]
    cells = {effect.axis: effect.cells for effect in found if not effect.control}
    if any(count > 1 for count in cells.values()):
        listed = ", ".join(
            f"{axis} {_span(effect.cells for effect in found if effect.axis == axis)}" for axis in cells
        )
        notes.append(
            f"Pairs of cells behind each difference: {listed}. They are averaged within a seed before "
            "anything is tested, for pairs of one seed are no independent replicates: an interval "
            "speaks of the average over this grid's other cells, not of other cells."
        )
    if reused:
        notes.append(
            "Where an axis applies to one side only, a run of the other stands in several pairs."
        )
    seeds = sorted({len(effect.contrast.seeds) for effect in found})
    if seeds[0] == 1:
        what = "no test over seeds" if folds == 1 else "an interval over folds alone, not over seeds"
        notes.append(f"One seed gives {what}: nothing of one seed is marked.")
    clusters = max(effect.contrast.clusters for effect in found)
    if clusters and smallest_p(clusters) > 0.001:
        notes.append(
            f"The clips come from {clusters} groups (speakers, recordings, uploaders): before "
            f"correction, p over clips cannot be below {smallest_p(clusters):.3g}."
        )
    return notes


def _span(counts: Iterable[int]) -> str:
    numbers = sorted(counts)
    return f"{numbers[0]}" if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"
