"""Workers take the trials of a study one by one: train, score, tell."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Protocol

import numpy as np
import optuna
from optuna.trial import Trial, TrialState

from suite.ablation import Ablation, Params
from suite.complaints import INTERRUPTED, REFUSALS, complaint
from suite.rows import read_rows
from suite.study import (
    PARAMS,
    REASON,
    SEEDS,
    TRIES,
    Place,
    StudyLost,
    answering,
    beating,
    fill,
    open_study,
    take,
)

if TYPE_CHECKING:
    from suite.compare import Settings

RUNS, SECONDS = "runs", "seconds"  # user attributes of a trial


@dataclass(frozen=True)
class Scored:
    """What a run of a cell came to: the mean over folds, what it cost, and the run's name."""

    score: float
    cost: float | None
    run: str


class Judge(Protocol):
    """What scores the cells of a study."""

    def __call__(self, ablation: Ablation, params: Params, seed: int, share: float) -> Scored:
        """Score a cell at a seed, on a share of the samples."""

    def forget(self, ablation: Ablation, params: Params, seeds: Sequence[int]) -> None:
        """A trial is over: what it alone needed can go."""


@dataclass(frozen=True)
class Training:
    """Scores a cell by pre-training and evaluation; rows of whole runs go to ``settings.results``.

    Pools that no other trial needs are removed with the trial: all but those of ``shared_pools``.
    """

    settings: Settings
    shared_pools: frozenset[str] = frozenset()  # keys

    def __call__(self, ablation: Ablation, params: Params, seed: int, share: float) -> Scored:
        from suite.compare import publish, run_cell
        from suite.comparison import cell_of
        from suite.evaluate import ROWS

        settings, words = self.settings, [*ablation.words(params), f"seed={seed}"]
        cell, (task, probe) = cell_of(words), ablation.scored
        if share < 1.0:
            scale = cell.experiment.scale
            seen = max(scale.batch, round(scale.samples_seen * share))
            cell = cell_of([*words, f"scale.samples_seen={seen}"])
            settings = replace(settings, task_names=(task,), probe_names=(probe,))
        run = run_cell(cell, settings)
        if share == 1.0:
            publish(run, settings.results)
        rows = [row for row in read_rows(run / ROWS) if (row.task, row.probe) == (task, probe)]
        last = max(row.samples_seen for row in rows)
        final = [row for row in rows if row.samples_seen == last]
        cost = None if ablation.cost is None else float(getattr(final[0], ablation.cost))
        return Scored(float(np.mean([row.score for row in final])), cost, run.name)

    def forget(self, ablation: Ablation, params: Params, seeds: Sequence[int]) -> None:
        from suite.comparison import cell_of
        from suite.pools import pool_path, remove_pool

        data, cache = self.settings.places.data, self.settings.places.cache
        for seed in seeds:
            experiment = cell_of([*ablation.words(params), f"seed={seed}"]).experiment
            if experiment.pool is not None and experiment.pool_key not in self.shared_pools:
                source = experiment.build_source(data, cache)
                remove_pool(pool_path(cache, source, experiment.frontend, experiment.pool))


class WorkerStopped(RuntimeError):
    """A worker met something that concerns the whole study, which it has told."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("a worker stopped, as told above; type the same command to go on")
        self.exit_code = exit_code


def make_trials(ablation: Ablation, place: Place, judge: Judge, workers: int = 1) -> optuna.Study:
    """Make every trial that is not made; re-typing goes on with the same numbers.

    With several workers each is a process of its own; where one is killed, another takes its trial.
    """
    study = open_study(place, ablation)
    fill(study, ablation, place)
    if workers == 1:
        work(ablation, place, judge)
        return study
    context = multiprocessing.get_context("spawn")
    while left := unfinished(study, place):
        crew = [
            context.Process(target=work_alone, args=(ablation, place, judge))
            for _ in range(min(workers, left))
        ]
        killed = watch(crew)
        if killed:
            print(f"{killed} of {len(crew)} workers were killed: their trials go on", flush=True)
    return study


def watch(crew: Sequence[BaseProcess]) -> int:
    """Run processes to their end; returns how many were killed.

    Raises KeyboardInterrupt when all have saved after Ctrl-C, and :class:`WorkerStopped`.
    """
    for process in crew:
        process.start()
    try:
        for process in crew:
            process.join()
    except KeyboardInterrupt:  # which they got as well
        for process in crew:
            process.join()
        raise
    codes = [process.exitcode or 0 for process in crew]
    stopped = max(codes)
    if stopped == INTERRUPTED:
        raise KeyboardInterrupt
    if stopped > 0:
        raise WorkerStopped(stopped)
    return sum(code < 0 for code in codes)


def work_alone(ablation: Ablation, place: Place, judge: Judge) -> None:
    """The life of a worker process: its end is told by its exit code."""
    from suite import progress

    progress.plainly()
    try:
        work(ablation, place, judge)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        told = complaint(error)
        if told is None:  # a bug of ours
            raise
        print(f"error: {told.text}", file=sys.stderr, flush=True)
        sys.exit(told.exit_code)


def work(ablation: Ablation, place: Place, judge: Judge) -> None:
    """Make trials until none is left."""
    study = open_study(place, ablation)
    while (trial := take(study, ablation, place)) is not None:
        make(study, trial, ablation, place, judge)


def make(study: optuna.Study, trial: Trial, ablation: Ablation, place: Place, judge: Judge) -> None:
    """Score a trial and tell the study.

    What concerns this trial alone is told of it and the next one follows; a full disk or a lost
    storage is raised, and the trial stays to be gone on with.
    """
    began, state, values, reason = time.perf_counter(), TrialState.COMPLETE, None, ""
    try:
        with beating(trial, place):
            values = score(trial, ablation, judge)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except KeyboardInterrupt:  # no death: it is not counted
        trial.set_user_attr(TRIES, trial.user_attrs[TRIES] - 1)
        raise
    except Exception as error:
        refused = isinstance(error, OSError) and error.errno in REFUSALS
        if refused or isinstance(error, StudyLost):
            raise
        with answering(place):  # which raises where the storage is what failed
            study.get_trials(deepcopy=False)
        state, reason = TrialState.FAIL, f"{type(error).__name__}: {error}"
    with answering(place):
        trial.set_user_attr(SECONDS, round(time.perf_counter() - began, 3))
        if reason:
            trial.set_user_attr(REASON, reason)
        study.tell(trial, values, state=state)
    if state != TrialState.FAIL:  # which is asked again
        judge.forget(ablation, trial.user_attrs[PARAMS], trial.user_attrs[SEEDS])
    print(spoken(study, trial, values, state, reason), flush=True)


def score(trial: Trial, ablation: Ablation, judge: Judge) -> list[float]:
    """The values of a trial; raises TrialPruned where it is given up.

    First the rungs, short runs of the first seed, then a whole run of each seed. The pruner is told
    each score by its place in this order, so that like is compared with like.
    """
    params, seeds = trial.user_attrs[PARAMS], trial.user_attrs[SEEDS]
    for step, share in enumerate(ablation.rungs, start=1):
        give_up(trial, ablation, judge(ablation, params, seeds[0], share).score, step)
    found: list[Scored] = []
    for step, seed in enumerate(seeds, start=len(ablation.rungs) + 1):
        found.append(judge(ablation, params, seed, 1.0))
        if seed != seeds[-1]:
            give_up(trial, ablation, found[-1].score, step)
    trial.set_user_attr(RUNS, [each.run for each in found])
    costs = [each.cost for each in found if each.cost is not None]
    return [float(np.mean([each.score for each in found])), *([float(np.mean(costs))] if costs else [])]


def give_up(trial: Trial, ablation: Ablation, score: float, step: int) -> None:
    """Report a score; raises TrialPruned where the pruner has seen enough."""
    if ablation.pruner == "none":
        return
    trial.report(score, step)
    if trial.should_prune():
        raise optuna.TrialPruned


def unfinished(study: optuna.Study, place: Place) -> int:
    """How many trials are not over."""
    with answering(place):
        states = (TrialState.WAITING, TrialState.RUNNING)
        return len(study.get_trials(deepcopy=False, states=states))


def spoken(
    study: optuna.Study, trial: Trial, values: list[float] | None, state: TrialState, reason: str
) -> str:
    """One line about a trial that is over."""
    trials = study.get_trials(deepcopy=False)
    over = sum(t.state.is_finished() for t in trials)
    said = ", ".join(f"{name} {value}" for name, value in trial.params.items())
    seeds = ",".join(map(str, trial.user_attrs[SEEDS]))
    what = {"PRUNED": "given up", "FAIL": f"failed: {reason}"}.get(state.name, "")
    if values is not None:
        best = max(t.values[0] for t in trials if t.state == TrialState.COMPLETE)
        what = f"{100 * values[0]:.1f} % (best {100 * best:.1f} %)"
    return f"trial {trial.number}, {over} of {len(trials)} over: {what} | {said}, seed {seeds}"
