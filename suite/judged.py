"""What evaluation judges: a finished run with its encoders on the way, or a foreign encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.drawer import UsageError
from suite import checkpoint, health
from suite.checkpoint import Cost, Trained
from suite.embed import Hearing
from suite.experiment import Experiment, experiment_from
from suite.foreign import load_foreign
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.pooling import check_fits, pooling_of
from suite.rows import POOLING
from tasks.base import Task

ENCODER = "encoder.json"  # of a foreign encoder: what was typed, its fingerprint, its health


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An encoder, or several of one run, and what rows say of it.

    ``load(samples_seen)`` gives the encoder of the learning curve, None the last one;
    ``poolings(tasks, asked)`` the pooling by which each task's rows go, by the task's name.
    """

    folder: Path  # where rows and predictions go
    identity: dict[str, Any]  # the fields of a row that say who it is
    config: dict[str, Any]
    command: str
    cost: Cost
    load: Callable[[int | None], Hearing]
    poolings: Callable[[list[Task], str], dict[str, str]]
    trainable: bool = False  # whether there is a network that fine-tuning can train
    points: tuple[int, ...] = ()  # samples seen of the encoders kept on the way
    notes: tuple[str, ...] = ()


def judged_run(run: Path, machine: Machine) -> Judged:
    """A finished run; raises DataMissing where it is none or not finished."""
    values, command = checkpoint.read_experiment(run)
    experiment = experiment_from(values)
    network = experiment.control != "mel_statistics"
    return Judged(
        folder=run,
        identity={
            "run_id": experiment.run_id,
            "source": experiment.label,
            "control": experiment.is_control,
            "masking": experiment.masking["name"] if network else "-",
            "objective": experiment.objective["name"] if network else "-",
            "scale": experiment.scale.name if network else "-",
            "seed": experiment.seed,
        },
        config=values,
        command=command,
        cost=checkpoint.read_cost(run),
        load=lambda samples_seen: load(run, experiment, machine, samples_seen),
        poolings=lambda tasks, asked: poolings(experiment, tasks, asked),
        trainable=network,
        points=tuple(checkpoint.points(run)),
    )


def judged_module(where: str, runs: Path, machine: Machine, command: str) -> Judged:
    """A module with HEAR's calls, its health checked once; its rows go to ``runs/<name>-<hash8>``."""
    foreign = load_foreign(where, machine.device)
    folder = runs / f"{foreign.name}-{foreign.fingerprint[:8]}"
    path = folder / ENCODER
    if not path.exists():
        found = health.check(foreign, machine)
        about = {"where": where, "fingerprint": foreign.fingerprint, "sample_rate": foreign.sample_rate}
        about |= {"verdict": found.verdict, "health": found.plain()}
        checkpoint.write_json(path, about)
    about = checkpoint.read_json(path)

    def not_pooled(tasks: list[Task], asked: str) -> dict[str, str]:
        if pooling_of(asked).name != POOLING:
            raise UsageError(
                f"pooling={asked}: a foreign encoder makes its clips' embeddings itself. Leave it out."
            )
        return dict.fromkeys((task.name for task in tasks), POOLING)

    return Judged(
        folder=folder,
        identity={
            "run_id": folder.name,
            "source": foreign.name,
            "control": True,  # stands beside the sources that are compared, and is none of them
            "masking": "-",
            "objective": "-",
            "scale": "-",
            "seed": 0,
        },
        config={"encoder": where, "sample_rate": foreign.sample_rate, "health": about["health"]},
        command=command,
        cost=Cost(parameters=foreign.parameters, device=machine.describe()),
        load=lambda _: foreign,
        poolings=not_pooled,
        notes=(about["verdict"],),
    )


def health_lines(judged: Judged) -> list[str]:
    """The findings of a foreign encoder's health check, a line each; none for a run of ours."""
    path = judged.folder / ENCODER
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))["health"]
    return health.Health(tuple(health.Finding(**finding) for finding in found)).lines


def load(run: Path, experiment: Experiment, machine: Machine, samples_seen: int | None) -> Trained:
    """The run's encoder on the machine; the log-mel statistics control has none."""
    if experiment.control == "mel_statistics":
        return Trained(None, FrontEnd(bands=64), "mel_statistics@1")
    trained = checkpoint.load_encoder(run, experiment.build_encoder(), samples_seen)
    assert trained.encoder is not None
    trained.encoder.to(machine.device)
    return trained


def poolings(experiment: Experiment, tasks: list[Task], pooling: str) -> dict[str, str]:
    """The pooling by which each task's rows of an experiment go, by the task's name.

    That is the default where nothing is pooled: for the control without a network, and for events.
    Raises :class:`UsageError` for an unknown pooling, and where the encoder has not what is pooled.
    """
    asked = pooling_of(pooling)
    pooled = {}
    for task in tasks:
        unused = task.kind == "events" or experiment.control == "mel_statistics"
        if not unused:
            check_fits(asked, experiment.encoder)
        pooled[task.name] = POOLING if unused else asked.name
    return pooled
