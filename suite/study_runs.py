"""The runs of a study beside its trials: what is checked and priced first, controls, confirmations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from generators.drawer import BadData, UsageError
from suite.ablation import Ablation, Params, key_of
from suite.compare import Cell, Failure, Settings, check_names, is_finished, price, publish, run_all
from suite.comparison import cell_of
from suite.experiment import Experiment
from suite.study import PARAMS, SEEDS, Place, answering

CONFIRMED = "confirmation"  # user attribute of a study


def representatives(ablation: Ablation) -> list[Params]:
    """Cells that show every choice and both ends of every range: of a search, axis by axis."""
    if ablation.design == "grid":
        return list(ablation.cells())
    shown = [ablation.default]
    for axis in ablation.asked:
        met = {name: values[0] for name, values in axis.where.items()}
        for value in [axis.low, axis.high] if axis.is_range else list(axis.choices):
            cell = ablation.completed({**met, axis.name: value})
            if cell not in shown:
                shown.append(cell)
    return shown


def check_cells(ablation: Ablation, settings: Settings) -> list[Cell]:
    """The representatives as cells; raises :class:`UsageError` for one that could never be trained."""
    cells = []
    for params in representatives(ablation):
        try:
            cell = cell_of([*ablation.words(params), "seed=0"])
            check_experiment(cell.experiment, settings)
        except UsageError as error:
            spelt = ", ".join(f"{name} {value}" for name, value in params.items())
            raise UsageError(f"{error} (In the cell {spelt} of ablation {ablation.name!r}.)") from error
        cells.append(cell)
    check_names([*cells, *controls(ablation)], settings)
    return cells


def check_experiment(experiment: Experiment, settings: Settings) -> None:
    """Raise :class:`UsageError` where the source, the mask or the objective could not be made."""
    experiment.build_source(settings.places.data, settings.places.cache)
    frontend, (bands, frames) = experiment.frontend, experiment.scale.patch
    experiment.build_masking().visible((frontend.frames // frames, frontend.bands // bands))
    experiment.objective_settings()


def trials_known(ablation: Ablation) -> list[Cell]:
    """The trials that can be told before any is made: all of a grid; of a search the default."""
    grid = ablation.design == "grid"
    return [
        cell_of([*ablation.words(params), f"seed={seed}"])
        for seed in range(ablation.seeds)
        for params in (ablation.cells() if grid else [ablation.default])
    ]


def shared_pools(ablation: Ablation, trials: list[Cell]) -> frozenset[str]:
    """The keys of the pools that outlive their trial: the default's, and those of several trials."""
    keys = Counter(trial.experiment.pool_key for trial in trials)
    default = [
        cell_of([*ablation.words(ablation.default), f"seed={seed}"]).experiment.pool_key
        for seed in range(ablation.seeds)
    ]
    return frozenset({*default, *(key for key, count in keys.items() if count > 1)})


def told_disk(ablation: Ablation, cells: list[Cell], shared: frozenset[str], settings: Settings) -> int:
    """Bytes of pools on disk at once, at most: the shared ones, and those of trials in the making."""
    left = [cell.experiment for cell in cells if not is_finished(cell.experiment, settings)]
    sizes = {experiment.pool_key: experiment.pool_bytes for experiment in left}
    own = [size for key, size in sizes.items() if key not in shared]
    seeds = ablation.seeds if ablation.design == "search" else 1  # of one trial
    return sum(sizes.values()) - sum(own) + settings.workers * seeds * max(own, default=0)


def told_price(
    ablation: Ablation, cells: list[Cell], trials: list[Cell], disk: int, settings: Settings
) -> str:
    """What the study will take, measured on a few steps."""
    if ablation.design == "grid":
        return str(replace(price(trials, settings), disk_bytes=disk))
    one = price(cells[:1], settings)
    runs = (ablation.trials or 0) * (ablation.seeds + sum(ablation.rungs))
    return (
        f"{ablation.trials} trials of {ablation.seeds} run{'s' * (ablation.seeds > 1)}"
        f"{f' behind {len(ablation.rungs)} shorter' * bool(ablation.rungs)}, where none is given up; "
        f"{one.steps:,} steps a run at {one.samples_per_second:.0f} samples/s (measured): about "
        f"{one.hours * runs * 60:.0f} min of pre-training, plus rendering and evaluation; "
        f"up to {disk / 1e9:.1f} GB of pools."
    )


def controls(ablation: Ablation, names: Sequence[str] | None = None) -> list[Cell]:
    """The controls of a grid, at each of its seeds; those of ``names`` alone."""
    made = {}
    for name in ablation.controls if names is None else names:
        own = ["source=noise"] if name == "noise" else [f"control={name}"]
        for seed in range(ablation.seeds):
            cell = cell_of([*ablation.words(ablation.default), *own, f"seed={seed}"])
            made[cell.experiment.run_id] = cell
    return list(made.values())


def run_cells(cells: Sequence[Cell], settings: Settings) -> list[Failure]:
    """Train and evaluate cells that are no trials, and publish them; returns the failures."""
    failures = []
    for outcome in run_all(list(cells), settings):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            publish(outcome, settings.results)
    return failures


def winner(study: optuna.Study, ablation: Ablation) -> tuple[int, Params]:
    """The first trial of the best cell, by the mean score over its seeds; the default loses ties.

    Raises :class:`UsageError` where no trial has a score.
    """
    scores: dict[str, list[float]] = {}
    first: dict[str, tuple[int, Params]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        key = key_of(trial.user_attrs[PARAMS])
        scores.setdefault(key, []).append(trial.values[0])
        first.setdefault(key, (trial.number, trial.user_attrs[PARAMS]))
    if not scores:
        raise UsageError(f"the study {ablation.name!r} has no trial with a score to confirm.")
    default = key_of(ablation.default)
    best = max(scores, key=lambda key: (float(np.mean(scores[key])), key != default))
    return first[best]


def confirm(
    study: optuna.Study, ablation: Ablation, place: Place, settings: Settings, seeds: int
) -> list[Failure]:
    """Train the winner and the default anew with ``seeds`` seeds that no trial had, and publish both.

    What is written down earlier is repeated only where another winner, or more seeds, are asked.
    """
    number, params = winner(study, ablation)
    if params == ablation.default:
        print("the default itself scored best: there is nothing to confirm")
        return []
    used = [seed for trial in study.get_trials(deepcopy=False) for seed in trial.user_attrs[SEEDS]]
    fresh = [max(used) + 1 + i for i in range(seeds)]
    both = {
        who: [cell_of([*ablation.words(cell), f"seed={seed}"]) for seed in fresh]
        for who, cell in (("winner", params), ("default", ablation.default))
    }
    failures = run_cells([*both["winner"], *both["default"]], settings)
    if failures:
        return failures
    runs = {who: [cell.experiment.run_id for cell in cells] for who, cells in both.items()}
    if runs["winner"] == runs["default"]:
        raise BadData(f"trial {number} and the default are one and the same experiment.")
    confirmed: dict[str, Any] = {"trial": number, "params": params, "seeds": fresh, **runs}
    with answering(place):
        study.set_user_attr(CONFIRMED, confirmed)
    return []


def confirming(ablation: Ablation, settings: Settings) -> Settings:
    """How a winner is confirmed: asked the tasks that the study keeps for it."""
    names = ablation.confirm_tasks or settings.task_names
    return replace(settings, task_names=tuple(names))
