"""Writes studies as ``ablate`` would, with rows and predictions of known effects, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_results import Plan, hash_of, write_run

from suite.studies import FOLDER, Confirmation, Study, StudyAxis, StudyTrial, write_study

Params = dict[str, Any]
QUESTIONS = Plan(sources={}, tasks=("toy_pitch",), probes=("linear@1",), clips=120)


def flat(params: Params) -> float:
    """The skill of every cell where no axis changes anything."""
    return 0.6


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What to synthesise: ``skill`` gives a cell's chance of answering a clip rightly.

    ``where`` maps an axis to the earlier axis and the choices under which it applies.
    """

    name: str = "study"
    axes: tuple[StudyAxis, ...]
    skill: Callable[[Params], float] = flat
    seeds: tuple[int, ...] = (0, 1, 2)
    questions: Plan = QUESTIONS
    where: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    controls: Mapping[str, float] = field(default_factory=dict)
    score: tuple[str, str] = ("toy_pitch", "linear@1")
    lost: frozenset[int] = frozenset()  # numbers of trials that failed
    cost: str | None = None


def choices(name: str, *values: str) -> StudyAxis:
    """An axis with choices, the default first."""
    return StudyAxis(name=name, default=values[0], choices=values)


def scale_of(name: str, low: float, high: float, default: float, *, log: bool = False) -> StudyAxis:
    """An axis of numbers."""
    return StudyAxis(name=name, default=default, low=low, high=high, log=log)


def completed(plan: StudyPlan, params: Params) -> Params:
    """Defaults for what is left out, and no axis that does not apply."""
    full: Params = {}
    for axis in plan.axes:
        waits, values = plan.where.get(axis.name, ("", ()))
        if not waits or full.get(waits) in values:
            full[axis.name] = params.get(axis.name, axis.default)
    return full


def cells(plan: StudyPlan) -> list[Params]:
    """Every cell of a grid once, the default first."""
    names = [axis.name for axis in plan.axes]
    found: list[Params] = []
    for values in product(*(axis.choices for axis in plan.axes)):
        cell = completed(plan, dict(zip(names, values, strict=True)))
        if cell not in found:
            found.append(cell)
    return found


def write_cell(results: Path, plan: StudyPlan, params: Params, seed: int) -> tuple[str, float]:
    """Rows and predictions of one run in the study's folder; returns its name and its score."""
    source = f"cell{hash_of(sorted(params.items())):08x}"
    rows = write_run(
        *(results / FOLDER / plan.name, plan.questions, source, plan.skill(params), seed),
        samples_seen=plan.questions.budget,
    )
    scores = [row.score for row in rows if (row.task, row.probe) == plan.score]
    return rows[0].run_id, float(np.mean(scores)) if scores else float("nan")


def write_grid(results: Path, plan: StudyPlan, design: str = "grid") -> Study:
    """A complete grid, a trial each cell and seed, with its controls; ``lost`` trials fail."""
    trials = []
    for number, (seed, params) in enumerate(product(plan.seeds, cells(plan))):
        trial = StudyTrial(number=number, state="fail", params=params, seeds=(seed,), reason="NaN loss")
        if number not in plan.lost:
            run, score = write_cell(results, plan, params, seed)
            trial = replace(trial, state="complete", runs=(run,), score=score, reason="")
        trials.append(trial)
    return written(results, plan, trials, design)


def write_search(results: Path, plan: StudyPlan, number: int, pruned: Sequence[int] = ()) -> Study:
    """A search of ``number`` trials, drawn evenly, the default first; ``pruned`` ones are given up."""
    generator = np.random.default_rng(hash_of(plan.name, number))
    trials = []
    for i in range(number):
        drawn = {axis.name: drawn_from(axis, generator) for axis in plan.axes} if i else {}
        params = completed(plan, drawn)
        trial = StudyTrial(number=i, state="pruned", params=params, seeds=plan.seeds)
        if i in plan.lost:
            trial = replace(trial, state="fail", reason="BadData: the loss is not a number")
        elif i not in pruned:
            found = [write_cell(results, plan, params, seed) for seed in plan.seeds]
            score = float(np.mean([score for _, score in found]))
            price = 1e12 * (1 + 9 * plan.skill(params) ** 4 * generator.uniform(0.5, 1.5))
            cost = price if plan.cost else None
            runs = tuple(run for run, _ in found)
            trial = replace(trial, state="complete", runs=runs, score=score, cost=cost)
        trials.append(trial)
    return written(results, plan, trials, "search")


def drawn_from(axis: StudyAxis, generator: np.random.Generator) -> str | float:
    """A choice, or a number of a range."""
    if axis.choices:
        return str(generator.choice(axis.choices))
    assert axis.low is not None
    assert axis.high is not None
    if axis.log:
        return float(np.exp(generator.uniform(np.log(axis.low), np.log(axis.high))))
    return float(generator.uniform(axis.low, axis.high))


def written(results: Path, plan: StudyPlan, trials: Sequence[StudyTrial], design: str) -> Study:
    """The study's file beside its rows, and the rows of its controls."""
    folder = results / FOLDER / plan.name
    controls = {
        name: tuple(
            write_run(folder, plan.questions, name, skill, seed, samples_seen=0)[0].run_id
            for seed in (plan.seeds if name != "mel_statistics" else (0,))
        )
        for name, skill in plan.controls.items()
    }
    study = Study(
        name=plan.name,
        about="An invented study.",
        command=f"sourcebench ablate ablation={plan.name}",
        design=design,
        task=plan.score[0],
        probe=plan.score[1],
        cost=plan.cost,
        sampler="tpe, seed 0" * (design == "search"),
        pruner="none",
        axes=plan.axes,
        default=completed(plan, {}),
        trials=tuple(trials),
        controls=controls,
    )
    write_study(study, folder)
    return study


def confirm(
    results: Path,
    plan: StudyPlan,
    study: Study,
    seeds: tuple[int, ...] = (100, 101, 102),
    *,
    questions: Plan | None = None,
) -> Study:
    """The best trial and the default trained anew; ``questions`` are what both are asked."""
    asked = plan if questions is None else replace(plan, questions=questions)
    best = max(study.complete, key=lambda trial: trial.score or 0.0)
    winner = tuple(write_cell(results, asked, best.params, seed)[0] for seed in seeds)
    default = tuple(write_cell(results, asked, study.default, seed)[0] for seed in seeds)
    confirmation = Confirmation(
        trial=best.number, params=best.params, seeds=seeds, winner=winner, default=default
    )
    confirmed = replace(study, confirmation=confirmation)
    write_study(confirmed, results / FOLDER / plan.name)
    return confirmed
