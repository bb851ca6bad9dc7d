"""Evaluation: one encoder becomes rows and clip-level predictions, one embedding pass per task."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from suite import scoring
from suite.answered import KeptFolds
from suite.clip_probe import ORACLE, probe_task
from suite.decode import decode
from suite.drawers import probes as probe_drawer
from suite.embed import Hearing
from suite.frame_probe import probe_events
from suite.frames import FRAMING, embed_frames
from suite.judged import Judged, judged_run
from suite.machine import Machine, provenance
from suite.rows import (
    POOLING,
    Answers,
    EventPredictions,
    Row,
    add_rows,
    predictions_path,
    read_rows,
    task_label,
    write_predictions,
)
from suite.views import check_reads, reads_of, views
from tasks.base import Task, measured_split_hash, shortfall

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
    """Score a finished run; see :func:`judge`."""
    judged = judged_run(run, machine)
    return judge(judged, tasks, probes, machine, cache, pooling=pooling, curve=curve)


def judge(
    judged: Judged,
    tasks: list[Task],
    probes: list[str],
    machine: Machine,
    cache: Path,
    *,
    pooling: str = POOLING,
    curve: bool = True,
) -> Evaluated:
    """Score an encoder on ``tasks`` by ``probes``; what is already scored is skipped.

    A task whose data are partial is another question than the complete one, and so are other parts, and
    another ``pooling`` of an encoder's tokens.

    Rows go to the folder's rows.jsonl and predictions beside them, task by task: an interrupt keeps all
    that is finished. ``curve`` also scores the encoders kept on the way, by the first probe.
    """
    check_reads(tasks, probes)
    probes = answerable(judged, probes)
    rows_file = judged.folder / ROWS
    pooled = judged.poolings(tasks, pooling)
    existing = read_rows(rows_file) if rows_file.exists() else []
    done = {
        (row.samples_seen, row.task, row.task_version, row.split_hash, row.pooling, row.probe)
        for row in existing
    }
    for task in tasks:
        if task.partial:  # clips that cannot be decoded are left out: the split is known afterwards
            decode(task, cache)
    splits = {task.name: measured_split_hash(task.clips()) for task in tasks}
    measured = already = 0
    for samples_seen in [*(judged.points if curve else []), None]:
        hearing: Hearing | None = None
        at = judged.cost.samples_seen if samples_seen is None else samples_seen
        for task in tasks:
            asked = probes if samples_seen is None else probes[:1]
            # what is not one embedding of a clip is not pooled
            hows = {name: pooled[task.name] if reads_of(name) == "clip" else POOLING for name in asked}
            question = (at, task.name, task.version, splits[task.name])
            left = [name for name in asked if (*question, hows[name], name) not in done]
            already += len(asked) - len(left)
            if not left:
                continue
            hearing = hearing or judged.load(samples_seen)
            answer = answering(task, hearing, machine, cache, pooled[task.name], left)
            decoded = decode(task, cache)  # at our own rate, so that data hashes can be compared
            for probe in left:
                how = hows[probe]
                folds = tuple(fold.name for fold in task.folds())
                who = (judged.identity["run_id"], hearing.fingerprint)
                where = (machine.device.type, machine.precision)
                made_of = (*who, *where, *question, how, decoded.data_hash, probe)
                kept = KeptFolds(cache / "folds", folds, made_of)
                if kept.there:
                    print(f"{task.name} {probe}: {kept.there} of {len(folds)} folds are there already")
                predictions, selections = answer(probe, kept)
                stored, partial = judged.folder / PREDICTIONS, task.is_partial
                path = predictions_path(stored, task.name, probe, at, partial=partial, pooling=how)
                write_predictions(path, predictions)
                rows = rows_of(judged, at, task, probe, predictions, selections)
                config = {**judged.config, "pooling": FRAMING if task.kind == "events" else how}
                made_by: dict[str, Any] = {"command": judged.command, "config": config, "pooling": how}
                made_by |= {"data_hash": decoded.data_hash}
                lacking = shortfall(task, task.clips())
                for row in rows:
                    row["notes"] += (*judged.notes, *filter(None, [lacking]), *decoded.notes)
                add_rows(rows_file, [Row(**row, **made_by) for row in rows])
                kept.forget()
                measured += 1
    return Evaluated(read_rows(rows_file) if rows_file.exists() else [], measured, already)


def answerable(judged: Judged, probes: list[str]) -> list[str]:
    """The probes without those that train the encoder, where there is none of ours; which is said."""
    left_out = [name for name in probes if reads_of(name) == "sounds" and not judged.trainable]
    if left_out:
        print(
            f"{judged.identity['run_id']}: {', '.join(left_out)} would train the encoder, and there is "
            "no network of ours in it: left out",
            file=sys.stderr,
        )
    return [name for name in probes if name not in left_out]


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
        oracles = [row.selection[ORACLE] for row in members if ORACLE in row.selection]
        too_good = f", oracle {100 * sum(oracles) / len(oracles):.1f} %" if oracles else ""
        others = "".join(
            f", {name} {sum(row.others[name] for row in members) / len(members):.3f}"
            for name in members[0].others
        )
        lines.append(
            f"{task:<24} {probe:<10} {metric} {100 * mean:5.1f} %  "
            f"({len(members)} fold{'s' * (len(members) > 1)}, {clips} clips, "
            f"{f'pooled {100 * pooled:.1f} %, ' * unequal}{seen:,} samples seen{others}{too_good})"
        )
    return "\n".join(lines)


def answering(
    task: Task, hearing: Hearing, machine: Machine, cache: Path, pooling: str, probes: list[str]
) -> Callable[[str, KeptFolds], tuple[Answers, dict[str, dict[str, Any]]]]:
    """What probes answer for the task, by their name; all they read is embedded in one pass."""
    if task.kind == "events":
        frames = embed_frames(task, hearing, machine, cache)
        return lambda probe, kept: probe_events(task, probe, frames, kept)
    read = views(task, hearing, machine, cache, {reads_of(probe) for probe in probes}, pooling)
    return lambda probe, kept: probe_task(task, probe, read[reads_of(probe)], kept)


def rows_of(
    judged: Judged,
    samples_seen: int,
    task: Task,
    probe: str,
    predictions: Answers,
    selections: dict[str, dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per fold, computed from the predictions as they are stored."""
    origin, cost = provenance(), judged.cost
    share = samples_seen / cost.samples_seen if cost.samples_seen else 1.0
    metric = probe_drawer.get(probe).metric_for(task)
    others = task.other_metrics if metric == task.metric else ()  # they score the task's answers
    shared: dict[str, Any] = {
        **judged.identity,
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
