"""Writes rows and predictions as ``evaluate`` would, with known effects, for the report's tests."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suite.rows import Predictions, Row, add_rows, predictions_path, write_predictions

CLASSES = 5


@dataclass(frozen=True)
class Plan:
    """What to synthesise: ``sources`` maps a name to its chance of answering a clip rightly."""

    sources: dict[str, float]
    seeds: tuple[int, ...] = (0, 1, 2)
    tasks: tuple[str, ...] = ("esc50", "toy_pitch")
    probes: tuple[str, ...] = ("linear@1", "knn@1")
    folds: int = 5  # toy tasks have one
    clips: int = 100  # per fold
    budget: int = 20_000
    scale: str = "nano"
    objective: str = "mae"
    masking: str = "random"
    checkpoints: tuple[int, ...] = ()


CONTROLS = {"untrained": 0.4, "noise": 0.42, "mel_statistics": 0.5}
SMALL = Plan(sources={"audiopg": 0.75, "dead_leaves": 0.72, "fractals": 0.55})


def write_results(results: Path, plan: Plan = SMALL, *, controls: bool = True) -> list[Row]:
    """Rows and predictions of every source and control of ``plan`` below ``results``."""
    rows: list[Row] = []
    for source, skill in plan.sources.items():
        for seed in plan.seeds:
            for samples_seen in (*plan.checkpoints, plan.budget):
                grown = 0.4 + (skill - 0.4) * samples_seen / plan.budget
                rows += write_run(results, plan, source, grown, seed, samples_seen=samples_seen)
    if controls:
        for seed in plan.seeds:
            rows += write_run(results, plan, "untrained", CONTROLS["untrained"], seed, samples_seen=0)
            rows += write_run(
                results, plan, "noise", CONTROLS["noise"], seed, samples_seen=plan.budget, control=True
            )
        rows += write_run(
            results, plan, "mel_statistics", CONTROLS["mel_statistics"], 0, samples_seen=0
        )
    return rows


def write_run(
    results: Path,
    plan: Plan,
    source: str,
    skill: float,
    seed: int,
    *,
    samples_seen: int,
    control: bool | None = None,
) -> list[Row]:
    """One run: every task and probe of ``plan``; returns its rows."""
    is_control = source in CONTROLS if control is None else control
    networkless = source == "mel_statistics"
    scale, objective, masking = (
        ("-", "-", "-") if networkless else (plan.scale, plan.objective, plan.masking)
    )
    run_id = f"{source}-{objective}-{scale}-s{seed}-{hash_of(source, replace(plan, probes=())):08x}"
    rows = []
    for task in plan.tasks:
        for probe in plan.probes:
            predictions = answers(task, source, skill, seed, samples_seen, probe, plan)
            folder = results / "predictions" / run_id
            write_predictions(predictions_path(folder, task, probe, samples_seen), predictions)
            for fold in np.unique(predictions.fold):
                inside = predictions.fold == fold
                correct = predictions.scores[inside].argmax(axis=1) == predictions.target[inside]
                rows.append(
                    Row(
                        run_id=run_id,
                        source=source,
                        control=is_control,
                        masking=masking,
                        objective=objective,
                        scale=scale,
                        seed=seed,
                        task=task,
                        task_version=1,
                        split_hash="5" * 64,
                        data_hash="d" * 64,
                        fold=str(fold),
                        probe=probe,
                        metric="accuracy",
                        score=float(correct.mean()),
                        n_test=int(inside.sum()),
                        selection={"penalty": 0.1},
                        samples_seen=samples_seen,
                        parameters=0 if networkless else 1_200_000,
                        flops=samples_seen * 3e8,
                        seconds=samples_seen / 400 * (1 + 0.2 * (len(source) % 5)),
                        version="0.1.0",
                        commit="0123456789abcdef",
                        dirty=source == "fractals",
                        command=f"sourcebench pretrain source={source} seed={seed}",
                        config={"seed": seed, "source": {"name": source}, "steps": samples_seen // 64},
                        notes=("bf16 is missing <on this device>",) if source == "fractals" else (),
                    )
                )
    add_rows(results / "rows" / f"{run_id}.jsonl", rows)
    return rows


def answers(
    task: str, source: str, skill: float, seed: int, samples_seen: int, probe: str, plan: Plan
) -> Predictions:
    """Predictions of one probe; clips and targets depend on the task alone, clips share groups of 4."""
    folds = 1 if task.startswith("toy") else plan.folds
    number = folds * plan.clips
    shared = np.random.default_rng(hash_of(task))
    target = shared.integers(0, CLASSES, number)
    difficulty = np.repeat(shared.normal(0, 0.05, (number + 3) // 4), 4)[:number]
    own = np.random.default_rng(hash_of(task, source, seed, samples_seen, probe))
    lift = own.normal(0, 0.01) - (0.1 if probe.startswith("knn") else 0.0)
    right = own.random(number) < np.clip(skill + difficulty + lift, 0.02, 0.98)
    wrong = (target + own.integers(1, CLASSES, number)) % CLASSES
    scores = own.normal(0, 0.3, (number, CLASSES))
    scores[np.arange(number), np.where(right, target, wrong)] += 4
    names = np.array(["test"]) if folds == 1 else np.arange(1, folds + 1).astype(str)
    return Predictions(
        clip=np.array([f"{task}-{i:05d}" for i in range(number)]),
        group=np.array([f"recording-{i // 4}" for i in range(number)]),
        fold=np.repeat(names, plan.clips),
        target=target.astype(np.int64),
        scores=scores.astype(np.float16),
        classes=np.array([f"class {i}" for i in range(CLASSES)]),
    )


def hash_of(*parts: object) -> int:
    """A number for a seed, the same in every process (``hash`` is not)."""
    return zlib.crc32(repr(parts).encode())
