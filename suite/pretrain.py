"""Pre-training: one experiment becomes one checkpoint, interruptible at any moment."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from generators.base import Source
from generators.drawer import BadData, DataMissing, UsageError
from suite import checkpoint, frozen, leakage
from suite.checkpoint import Cost
from suite.clock import Clock
from suite.experiment import Experiment, full
from suite.machine import Machine, peak_memory, provenance
from suite.optimiser import Optimiser, learning_rate
from suite.pools import open_pool
from suite.progress import Progress
from suite.step import Draws, count_flops, gather_gradients
from suite.stream import Stream, measure_source, seed_of


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders a run reads from and writes to."""

    data: Path
    runs: Path
    cache: Path


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What is kept and told of a run on its way; nothing here changes the weights.

    ``curve`` names shares of the samples at which the weights are kept for learning curves;
    ``micro_batch`` is how many clips are in memory at once (None: a rank's whole batch).
    """

    curve: tuple[float, ...] = ()
    checkpoint_seconds: float = 30.0
    log_every: int = 50  # steps
    micro_batch: int | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Keeping:
        """From the configuration's keys of these names."""
        values = {key.name: config[key.name] for key in fields(cls)}
        return cls(**{**values, "curve": tuple(values["curve"])})


def pretrain(
    experiment: Experiment,
    places: Places,
    machine: Machine,
    *,
    command: str,
    keeping: Keeping = Keeping(),
) -> Path:
    """Train the experiment's encoder, or go on where it was interrupted; returns the run's folder.

    The same bits come out whether or not it was interrupted, on one device with one thread count.
    """
    run = places.runs / experiment.run_id
    if (run / checkpoint.DONE).exists():
        return run
    began = time.perf_counter()
    if machine.writes:
        checkpoint.write_experiment(run, full(experiment), command)
        checkpoint.write_json(run / checkpoint.ENVIRONMENT, asdict(provenance()))
    if experiment.control == "mel_statistics":
        if machine.writes:
            checkpoint.finish(run, Cost(device=machine.describe()))
        return run

    # ----------------------------------------------------------------------------------------------
    # Build: weights and statistics are functions of the experiment alone.
    torch.manual_seed(seed_of("weights", experiment.seed))
    wanted = experiment.objective_settings().frozen()
    size = 0 if wanted is None else frozen.size_of(wanted, experiment.frontend)
    objective = experiment.build_objective(size).to(machine.device)
    encoder_parameters = sum(parameter.numel() for parameter in objective.encoder.parameters())
    if experiment.control == "untrained":
        if machine.writes:
            checkpoint.save_weights(run / checkpoint.WEIGHTS, objective.state_dict())
            checkpoint.write_json(run / checkpoint.FRONTEND, experiment.frontend.plain())
            checkpoint.finish(run, Cost(parameters=encoder_parameters, device=machine.describe()))
        return run
    source = experiment.build_source(places.data, places.cache)
    heard = leakage.check(source, places.data, places.cache, experiment.pool or 0)
    clock = Clock()
    stream = open_stream(source, experiment, places, machine, clock)
    vectors = (
        None if wanted is None else frozen.vectors(wanted, experiment, stream, places.cache, machine)
    )
    masking = experiment.build_masking()
    scale, training = experiment.scale, experiment.training
    if scale.batch % machine.world:
        raise UsageError(f"scale.batch={scale.batch} does not divide into {machine.world} ranks.")
    few = stream.batch(0, machine.rank, machine.world, machine.device)
    draws = Draws(masking=masking, seed=experiment.seed, step=0, steps=scale.steps)
    some = None if vectors is None else vectors[:2].to(machine.device)
    flops = count_flops(objective, draws, few[:2], some) * scale.batch
    optimiser = Optimiser(objective, training)
    if training.compile:
        objective.compile()
    model = DistributedDataParallel(objective) if machine.world > 1 else objective
    kept_at = {max(1, round(share * scale.steps)) for share in keeping.curve if 0.0 < share < 1.0}

    # ----------------------------------------------------------------------------------------------
    # Resume.
    first, seconds_before = 0, 0.0
    state = checkpoint.load_state(run)
    if state is not None:
        objective.load_state_dict(state["objective"])
        optimiser.load_state_dict(state["optimiser"])
        first, seconds_before = state["step"], state["seconds"]
    if machine.writes:
        # Pictures are standardised by their own statistics, but sounds by the fixed ones all the same.
        fixed = experiment.frontend.statistics == "fixed"
        evaluated = experiment.frontend if fixed else stream.frontend
        checkpoint.write_json(run / checkpoint.FRONTEND, evaluated.plain())
        forget_after(run / checkpoint.METRICS, first)

    # ----------------------------------------------------------------------------------------------
    # The loop.
    progress = Progress(experiment.run_id, scale.steps, first, scale.batch, show=machine.writes)
    batches = stream.ahead(first, scale.steps, machine.rank, machine.world, machine.device)
    saved_at, waited, trained = time.perf_counter(), 0.0, 0.0

    def seconds() -> float:
        return seconds_before + time.perf_counter() - began

    def save(step: int) -> None:
        if machine.writes:
            checkpoint.save_state(
                run,
                {
                    "objective": objective.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "seconds": seconds(),
                },
            )

    step, warned = first, ""
    with interruption(machine) as interrupted, instead_of_running_out(experiment, machine):
        for step in range(first, scale.steps):
            asked = time.perf_counter()
            try:
                indices, images = next(batches)
            except (BadData, DataMissing):  # of a file: what was learnt so far is kept
                save(step)
                raise
            began_step = time.perf_counter()
            waited += began_step - asked
            draws = Draws(masking=masking, seed=experiment.seed, step=step, steps=scale.steps)
            said = None if vectors is None else vectors[indices].to(machine.device)
            batch = draws.batch(objective, images, said, machine)
            rate = learning_rate(step, scale.steps, scale.learning_rate, training)
            losses = gather_gradients(model, batch, machine, keeping.micro_batch)
            loss = losses["loss"].item()
            checkpoint.check_finite("loss", loss, step, run)
            norm = optimiser.clip()
            checkpoint.check_finite("gradient norm", norm.item(), step, run)
            optimiser.step(rate)
            done = step + 1
            objective.after_step(done, scale.steps)
            trained += time.perf_counter() - began_step
            if machine.writes:
                progress.update(done, loss=loss, rate=rate, waited=waited)
                if done % keeping.log_every == 0 or done == scale.steps:
                    line = {name: value.item() for name, value in losses.items()}
                    line |= {"step": done, "samples_seen": done * scale.batch, "lr": rate}
                    line |= {"gradient_norm": norm.item(), "seconds": seconds(), "waited": waited}
                    line |= {"training": trained, **asdict(clock)}
                    line |= {} if batch.mask.strays is None else {"strays": batch.mask.strays}
                    warned = warn(objective.warning(line), warned)
                    with (run / checkpoint.METRICS).open("a") as file:
                        file.write(json.dumps(line) + "\n")
                if done in kept_at:
                    folder = run / checkpoint.CURVE / str(done * scale.batch)
                    checkpoint.save_weights(folder / "weights.safetensors", objective.state_dict())
            stop = interrupted()
            if stop or time.perf_counter() - saved_at > keeping.checkpoint_seconds:
                save(done)
                saved_at = time.perf_counter()
            if stop:
                progress.close()
                raise KeyboardInterrupt(f"saved at step {done}; type the same command to go on")

    # ----------------------------------------------------------------------------------------------
    # Finish.
    progress.close()
    if machine.writes:
        environment = {**asdict(provenance()), **heard, **leakage.facts(source)}
        checkpoint.write_json(run / checkpoint.ENVIRONMENT, environment)
        checkpoint.save_weights(run / checkpoint.WEIGHTS, objective.state_dict())
        checkpoint.finish(
            run,
            Cost(
                steps=scale.steps,
                samples_seen=scale.steps * scale.batch,
                parameters=encoder_parameters,
                flops=flops * scale.steps,
                seconds=seconds(),
                training_seconds=trained,
                waited_seconds=waited,
                generation_seconds=clock.generation,
                frontend_seconds=clock.frontend,
                peak_memory=peak_memory(machine),
                device=machine.describe(),
            ),
        )
    return run


@contextmanager
def interruption(machine: Machine) -> Iterator[Callable[[], bool]]:
    """Hold back Ctrl-C until the step is whole: the saved state is always that of a finished step.

    The ranks agree: all stop after the same step, or the one that went on would wait for the others.
    """
    asked = [False]

    def remember(_signal: int, _frame: object) -> None:
        asked[0] = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals only ever reach the main thread
        return

    def by_any_rank() -> bool:
        if machine.world == 1:
            return asked[0]
        flag = torch.tensor([float(asked[0])], device=machine.device)
        distributed.all_reduce(flag)
        return flag.item() > 0

    previous = signal.signal(signal.SIGINT, remember)
    try:
        yield by_any_rank
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def instead_of_running_out(experiment: Experiment, machine: Machine) -> Iterator[None]:
    """Turn torch's out-of-memory error into the cure."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError of a GPU, a plain one of a CPU
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        raise UsageError(
            f"out of memory with scale.batch={experiment.scale.batch} on {machine.device}. Halve "
            f"scale.batch (and scale.learning_rate with it), or choose a smaller scale. ({error})"
        ) from error


def open_stream(
    source: Source, experiment: Experiment, places: Places, machine: Machine, clock: Clock
) -> Stream:
    """The experiment's training stream, its pool rendered where it has one."""
    pool = None
    if experiment.pool is not None:
        progress = Progress(f"rendering {source.name}", experiment.pool, 0, 1, show=machine.writes)
        pool = open_pool(
            places.cache, source, experiment.frontend, experiment.pool, progress.update, clock
        )
        progress.close()
    frontend = measure_source(source, experiment.frontend, pool)
    scale = experiment.scale
    return Stream(source, frontend, scale.batch, experiment.seed, pool, scale.steps, clock)


def warn(warning: str | None, before: str) -> str:
    """Say a warning that was not said before; returns what was said last."""
    if warning is None or warning.split(" is ")[0] == before:
        return before
    print(f"warning: {warning}", flush=True)
    return warning.split(" is ")[0]


def forget_after(path: Path, step: int) -> None:
    """Drop metric lines written after the checkpoint that the run goes on from."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept))
