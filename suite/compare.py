"""Compare: a grid of recipes and seeds through pre-training and evaluation, with its price first."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

import tasks
from suite import checkpoint, frozen, progress
from suite.evaluate import PREDICTIONS, ROWS, evaluate, judge
from suite.experiment import Experiment
from suite.foreign import load_foreign
from suite.judged import judged_module, poolings
from suite.machine import open_machine
from suite.pretrain import Keeping, Places, pretrain
from suite.rows import add_rows, read_rows
from suite.step import Draws, gather_gradients
from suite.views import check_reads
from tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the cells of a comparison are run; nothing here changes a result."""

    places: Places
    results: Path
    encoders: tuple[str, ...]  # foreign ones, typed as for `evaluate encoder=`
    task_names: tuple[str, ...]
    probe_names: tuple[str, ...]
    pooling: str
    partial: bool
    keeping: Keeping
    device: str
    threads: int | None
    workers: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of the grid and the command that makes it alone."""

    experiment: Experiment
    command: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that did not finish, and why."""

    run_id: str
    command: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a comparison will take on this machine, before anything is spent."""

    runs: int
    finished: int
    steps: int
    samples: int
    samples_per_second: float
    hours: float
    disk_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.finished} of them finished; to do: {self.steps:,} steps, "
            f"{self.samples:,} samples at {self.samples_per_second:.0f} samples/s (measured): about "
            f"{self.hours * 60:.0f} min of pre-training, plus rendering and evaluation; "
            f"up to {self.disk_bytes / 1e9:.1f} GB of pools."
        )


def price(cells: list[Cell], settings: Settings) -> Price:
    """Count what is left to do and measure a few steps of each objective in it."""
    left = [cell.experiment for cell in cells if not is_finished(cell.experiment, settings)]
    trained = [experiment for experiment in left if experiment.control is None]
    samples, seconds = 0, 0.0
    speeds: dict[str, float] = {}
    for experiment in trained:
        asked = json.dumps([experiment.objective, dataclasses.asdict(experiment.scale)])
        if asked not in speeds:
            speeds[asked] = measure_speed(experiment, settings) * settings.workers
        seen = experiment.scale.steps * experiment.scale.batch
        samples, seconds = samples + seen, seconds + seen / speeds[asked]
    pools = {experiment.pool_key: experiment.pool_bytes for experiment in trained}
    return Price(
        runs=len(cells),
        finished=len(cells) - len(left),
        steps=sum(experiment.scale.steps for experiment in trained),
        samples=samples,
        samples_per_second=samples / seconds if trained else 0.0,
        hours=seconds / 3600,
        disk_bytes=sum(pools.values()),
    )


def is_finished(experiment: Experiment, settings: Settings) -> bool:
    """Whether the run is there and complete."""
    return (settings.places.runs / experiment.run_id / checkpoint.DONE).exists()


def measure_speed(experiment: Experiment, settings: Settings, steps: int = 4) -> float:
    """Samples per second of one worker over a few training steps on random images."""
    machine = open_machine(settings.device, experiment.training.precision, share_of_threads(settings))
    frontend, clips = experiment.frontend, experiment.scale.batch
    wanted = experiment.objective_settings().frozen()
    size = 0 if wanted is None else frozen.size_of(wanted, frontend)
    objective = experiment.build_objective(size).to(machine.device)
    images = torch.randn(clips, frontend.bands, frontend.frames, device=machine.device)
    vectors = torch.randn(clips, size, device=machine.device) if size else None
    masking = experiment.build_masking()
    optimiser = torch.optim.AdamW(objective.parameters(), fused=True)
    seconds = []
    for step in range(steps):
        began = time.perf_counter()
        drawn = Draws(masking=masking, seed=0, step=step, steps=steps)
        batch = drawn.batch(objective, images, vectors, machine)
        loss = gather_gradients(objective, batch, machine, None)["loss"]
        optimiser.step()
        optimiser.zero_grad()
        loss.item()
        seconds.append(time.perf_counter() - began)
    return len(images) / min(seconds[1:])


Outcome = Path | Failure  # the folder of a run whose rows are there, or why they are not


def compare(cells: list[Cell], settings: Settings) -> list[Failure]:
    """Run every cell that is not done, publish all rows to ``results``; returns the failures.

    A failed cell does not stop the others. What is finished is skipped, so re-typing the command goes
    on. With several workers each cell runs in a process of its own with its share of the threads.
    """
    settings.results.mkdir(parents=True, exist_ok=True)
    failures = []
    modules = (attempt_module(where, settings) for where in settings.encoders)
    for outcome in chain(run_all(cells, settings), modules):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            print(f"FAILED {outcome.run_id}: {outcome.reason}", flush=True)
        else:
            publish(outcome, settings.results)
    return failures


def run_all(cells: list[Cell], settings: Settings) -> Iterator[Outcome]:
    """What became of each cell, as they finish."""
    if settings.workers == 1:
        yield from (attempt(cell, settings) for cell in cells)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        settings.workers, mp_context=context, initializer=progress.plainly
    ) as pool:
        waiting: dict[Future[Outcome], Cell] = {
            pool.submit(attempt, cell, settings): cell for cell in cells
        }
        try:
            for finished in as_completed(waiting):
                try:
                    outcome = finished.result()
                except BrokenProcessPool as error:  # killed from outside, as when memory runs out
                    outcome = failed(waiting[finished], error)
                yield outcome
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def attempt(cell: Cell, settings: Settings) -> Outcome:
    """Pre-train and evaluate one cell; its error is returned, not raised."""
    try:
        return run_cell(cell, settings)
    except Exception as error:  # reported at the end, with exit code 1: the next cell must run
        return failed(cell, error)


def run_cell(cell: Cell, settings: Settings) -> Path:
    """Pre-train and evaluate one cell; what is there already is not repeated."""
    machine = open_machine(
        settings.device, cell.experiment.training.precision, share_of_threads(settings)
    )
    run = pretrain(
        cell.experiment, settings.places, machine, command=cell.command, keeping=settings.keeping
    )
    evaluate(
        run,
        asked_tasks(settings),
        list(settings.probe_names),
        machine,
        settings.places.cache,
        pooling=settings.pooling,
    )
    return run


def attempt_module(where: str, settings: Settings) -> Outcome:
    """Evaluate a foreign encoder by the comparison's tasks and probes."""
    tasks, probes = (",".join(names) for names in (settings.task_names, settings.probe_names))
    words = ["evaluate", f"encoder={where}", f"tasks=[{tasks}]", f"probes=[{probes}]"]
    command = shlex.join(["sourcebench", *words])
    try:
        machine = open_machine(settings.device, "auto", settings.threads)
        judged = judged_module(where, settings.places.runs, machine, command)
        judge(
            judged,
            asked_tasks(settings),
            list(settings.probe_names),
            machine,
            settings.places.cache,
            pooling=settings.pooling,
        )
    except Exception as error:  # as of a cell
        return Failure(run_id=where, command=command, reason=f"{type(error).__name__}: {error}")
    return judged.folder


def failed(cell: Cell, error: BaseException) -> Failure:
    """What is reported of a cell that raised ``error``."""
    reason = f"{type(error).__name__}: {error}"
    return Failure(run_id=cell.experiment.run_id, command=cell.command, reason=reason)


def share_of_threads(settings: Settings) -> int | None:
    """Threads of one worker: as asked, else its part of the cores; None leaves one worker to torch."""
    if settings.threads is not None or settings.workers == 1:
        return settings.threads
    return max(1, (os.cpu_count() or 1) // settings.workers)


def publish(run: Path, results: Path) -> None:
    """Copy a run's rows and predictions to where ``report`` reads them."""
    rows = read_rows(run / ROWS)
    add_rows(results / "rows" / f"{run.name}.jsonl", rows)
    target = results / PREDICTIONS / run.name
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((run / PREDICTIONS).glob("*.npz")):
        part = target / f"{path.name}.part"
        shutil.copyfile(path, part)
        part.replace(target / path.name)


def check_names(cells: list[Cell], settings: Settings) -> None:
    """Refuse unknown tasks, missing data and what cannot be pooled before anything is spent."""
    asked = asked_tasks(settings)
    for task in asked:
        task.clips()
    check_reads(asked, list(settings.probe_names))
    for cell in cells:
        poolings(cell.experiment, asked, settings.pooling)
    for where in settings.encoders:
        load_foreign(where)


def asked_tasks(settings: Settings) -> list[Task]:
    """The tasks of the comparison, unread."""
    shared: dict[str, Any] = {"data": settings.places.data, "partial": settings.partial}
    return [tasks.create(name, **shared) for name in settings.task_names]
