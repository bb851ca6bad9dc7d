"""Evaluation: one run becomes rows and clip-level predictions, one embedding pass per task."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from suite import checkpoint, scoring
from suite.checkpoint import Cost, Trained
from suite.decode import decode
from suite.drawers import probes as probe_drawer
from suite.embed import embed
from suite.experiment import Experiment, experiment_from
from suite.frame_probe import probe_events
from suite.frames import FRAMING, embed_frames
from suite.frontend import FrontEnd
from suite.machine import Machine, provenance
from suite.pooling import check_fits, pooling_of
from suite.probes.base import Examples
from suite.rows import (
    POOLING,
    Answers,
    EventPredictions,
    Predictions,
    Row,
    add_rows,
    predictions_path,
    read_rows,
    task_label,
    write_predictions,
)
from tasks.base import Fold, Task, measured_split_hash, shortfall

ROWS = "rows.jsonl"
PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Evaluated:
    """What one call measured, and what was already there."""

    rows: list[Row]
    measured: int
    already: int


def evaluate(
    run: Path,
    tasks: list[Task],
    probes: list[str],
    machine: Machine,
    cache: Path,
    *,
    pooling: str = POOLING,
    curve: bool = True,
) -> Evaluated:
    """Score a finished run on ``tasks`` by ``probes``; what is already scored is skipped.

    A task whose data are partial is another question than the complete one, and so are other parts, and
    another ``pooling`` of an encoder's tokens.

    Rows go to the run's rows.jsonl and predictions beside them, task by task: an interrupt keeps all
    that is finished. ``curve`` also scores the encoders kept on the way, by the first probe.
    """
    values, command = checkpoint.read_experiment(run)
    experiment = experiment_from(values)
    cost = checkpoint.read_cost(run)
    pooled = poolings(experiment, tasks, pooling)
    for task, probe in itertools.product(tasks, probes):
        probe_drawer.get(probe).metric_for(task)  # refuses, before anything is measured
    existing = read_rows(run / ROWS) if (run / ROWS).exists() else []
    done = {
        (row.samples_seen, row.task, row.task_version, row.split_hash, row.pooling, row.probe)
        for row in existing
    }
    for task in tasks:
        if task.partial:  # clips that cannot be decoded are left out: the split is known afterwards
            decode(task, cache)
    splits = {task.name: measured_split_hash(task.clips()) for task in tasks}
    measured = already = 0
    for samples_seen in [*(checkpoint.points(run) if curve else []), None]:
        trained: Trained | None = None
        at = cost.samples_seen if samples_seen is None else samples_seen
        for task in tasks:
            asked = probes if samples_seen is None else probes[:1]
            how = pooled[task.name]
            question = (at, task.name, task.version, splits[task.name], how)
            left = [name for name in asked if (*question, name) not in done]
            already += len(asked) - len(left)
            if not left:
                continue
            trained = trained or load(run, experiment, machine, samples_seen)
            answer = answering(task, trained, machine, cache, how)
            decoded = decode(task, cache)
            for probe in left:
                predictions, selections = answer(probe)
                where, partial = run / PREDICTIONS, task.is_partial
                path = predictions_path(where, task.name, probe, at, partial=partial, pooling=how)
                write_predictions(path, predictions)
                rows = rows_of(experiment, cost, at, task, probe, predictions, selections)
                config = {**values, "pooling": FRAMING if task.kind == "events" else how}
                made_by: dict[str, Any] = {"command": command, "config": config, "pooling": how}
                made_by |= {"data_hash": decoded.data_hash}
                lacking = shortfall(task, task.clips())
                for row in rows:
                    row["notes"] += (*filter(None, [lacking]), *decoded.notes)
                add_rows(run / ROWS, [Row(**row, **made_by) for row in rows])
                measured += 1
    return Evaluated(read_rows(run / ROWS) if (run / ROWS).exists() else [], measured, already)


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


def summary(rows: list[Row]) -> str:
    """One line for each task, pooling, probe and checkpoint: the mean of the folds.

    Where folds are of unequal size, also the accuracy over all their clips.
    """
    groups: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in rows:
        task = task_label(row.task, partial=row.partial)
        groups.setdefault((task, row.probe_label, row.metric, row.samples_seen), []).append(row)
    lines = []
    for (task, probe, metric, seen), members in sorted(groups.items()):
        mean = sum(row.score for row in members) / len(members)
        clips = sum(row.n_test for row in members)
        pooled = sum(row.score * row.n_test for row in members) / clips
        unequal = metric == "accuracy" and len({row.n_test for row in members}) > 1
        others = "".join(
            f", {name} {sum(row.others[name] for row in members) / len(members):.3f}"
            for name in members[0].others
        )
        lines.append(
            f"{task:<24} {probe:<10} {metric} {100 * mean:5.1f} %  "
            f"({len(members)} fold{'s' * (len(members) > 1)}, {clips} clips, "
            f"{f'pooled {100 * pooled:.1f} %, ' * unequal}{seen:,} samples seen{others})"
        )
    return "\n".join(lines)


def load(run: Path, experiment: Experiment, machine: Machine, samples_seen: int | None) -> Trained:
    """The run's encoder on the machine; the log-mel statistics control has none."""
    if experiment.control == "mel_statistics":
        return Trained(None, FrontEnd(bands=64), "mel_statistics@1")
    trained = checkpoint.load_encoder(run, experiment.build_encoder(), samples_seen)
    assert trained.encoder is not None
    trained.encoder.to(machine.device)
    return trained


def answering(
    task: Task, trained: Trained, machine: Machine, cache: Path, pooling: str
) -> Callable[[str], tuple[Answers, dict[str, dict[str, Any]]]]:
    """What probes answer for the task, by their name; it is embedded now, once for all of them."""
    if task.kind == "events":
        frames = embed_frames(task, trained, machine, cache)
        return lambda probe: probe_events(task, probe, frames)
    features = torch.from_numpy(embed(task, trained, machine, cache, pooling))
    return lambda probe: probe_task(task, probe, features)


def probe_task(
    task: Task, probe_name: str, features: torch.Tensor
) -> tuple[Predictions, dict[str, dict[str, Any]]]:
    """Fit the probe on every fold and answer for its test clips, each test fold once."""
    clips = task.clips()
    targets = target_tensor(task)
    parts, selections = [], {}
    for fold in task.folds():
        probe = probe_drawer.create(probe_name)
        probe.fit(
            examples(features, targets, fold.train, task), examples(features, targets, fold.valid, task)
        )
        parts.append((fold, probe.predict(features[fold.test]).half().numpy()))
        selections[fold.name] = probe.selection
    return gather(parts, clips, targets.numpy(), task), selections


def gather(
    parts: list[tuple[Fold, np.ndarray]], clips: Any, targets: np.ndarray, task: Task
) -> Predictions:
    """One table of the test answers of all folds."""
    order = np.concatenate([fold.test for fold, _ in parts])
    stored = targets[order] if task.kind == "one_label" else targets[order].astype(np.uint8)
    return Predictions(
        clip=clips["clip"].to_numpy(dtype=str)[order],
        group=clips["group"].to_numpy(dtype=str)[order],
        fold=np.concatenate([np.full(len(fold.test), fold.name) for fold, _ in parts]),
        target=stored,
        scores=np.concatenate([scores for _, scores in parts]),
        classes=np.array(task.classes),
    )


def target_tensor(task: Task) -> torch.Tensor:
    """Targets as int64 ``(n,)``, or float32 ``(n, classes)`` of zeros and ones."""
    labels = task.clips()["label"]
    if task.kind == "one_label":
        return torch.tensor(labels.to_numpy(dtype=np.int64))
    many = torch.zeros(len(labels), len(task.classes))
    for row, present in enumerate(labels):
        many[row, list(present)] = 1.0
    return many


def examples(features: torch.Tensor, targets: torch.Tensor, rows: np.ndarray, task: Task) -> Examples:
    """One part of a fold."""
    return Examples(features[rows], targets[rows], len(task.classes))


def rows_of(
    experiment: Experiment,
    cost: Cost,
    samples_seen: int,
    task: Task,
    probe: str,
    predictions: Answers,
    selections: dict[str, dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per fold, computed from the predictions as they are stored."""
    origin = provenance()
    network = experiment.control != "mel_statistics"
    share = samples_seen / cost.samples_seen if cost.samples_seen else 1.0
    metric = probe_drawer.get(probe).metric_for(task)
    others = task.other_metrics if metric == task.metric else ()  # they score the task's answers
    shared: dict[str, Any] = {
        "run_id": experiment.run_id,
        "source": experiment.label,
        "control": experiment.is_control,
        "masking": experiment.masking["name"] if network else "-",
        "objective": experiment.objective["name"] if network else "-",
        "scale": experiment.scale.name if network else "-",
        "seed": experiment.seed,
        "task": task.name,
        "task_version": task.version,
        "split_hash": measured_split_hash(task.clips()),
        "partial": task.is_partial,
        "probe": probe,
        "metric": metric,
        "steps": round(cost.steps * share),
        "samples_seen": samples_seen,
        "parameters": cost.parameters,
        "flops": cost.flops * share,
        "seconds": cost.seconds * share,
        "peak_memory": cost.peak_memory,
        "version": origin.version,
        "commit": origin.commit,
        "dirty": origin.dirty,
        "torch": origin.torch,
        "device": cost.device,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "notes": ("uncommitted changes in the checkout",) if origin.dirty else (),
    }
    emitted = np.zeros(len(predictions.clip), dtype=bool)  # clips with any event
    if isinstance(predictions, EventPredictions):
        emitted[scoring.detected(predictions).clip] = True
    rows = []
    for fold in dict.fromkeys(predictions.fold.tolist()):
        tested = predictions.fold == fold
        notes = shared["notes"]
        if isinstance(predictions, EventPredictions) and not emitted[tested].any():
            notes = (*notes, "no event was emitted: no frame reached the threshold for long enough")
        rows.append(
            {
                **shared,
                "fold": fold,
                "notes": notes,
                "score": scoring.score(metric, predictions, tested),
                "others": {name: scoring.score(name, predictions, tested) for name in others},
                "n_test": int(tested.sum()),
                "selection": selections[fold],
            }
        )
    return rows
