"""Event tasks: a probe fitted on every frame, its post-processing chosen on validation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from generators.drawer import BadData
from suite.answered import NOWHERE, Answer, KeptFolds
from suite.drawers import probes as probe_drawer
from suite.frames import Frames
from suite.metrics import EVENT_METRICS, Events
from suite.metrics.detection import PostProcessing, detect
from suite.probes.base import Examples
from suite.rows import EventPredictions
from tasks.base import Fold, Task

EDGE = 1e-7  # seconds by which HEAR widens an event's end when frames are labelled (0.0001 ms)


def probe_events(
    task: Task, probe_name: str, frames: Frames, kept: KeptFolds = NOWHERE
) -> tuple[EventPredictions, dict[str, dict[str, Any]]]:
    """Fit the probe on the frames of every fold and answer for its test clips, each test fold once.

    Every frame is an example with many labels: a label is there where the frame's centre lies within an
    event. On the probe's held-out answers for valid, the task's post-processing with the best score by
    its metric is chosen (the first of equals), and applied to test. Source: spec evaluation.md 2.3.
    """
    events = task_events(task)
    targets = frame_targets(events, frames, len(task.classes))
    threshold = probe_drawer.get(probe_name).threshold

    def part(clips: np.ndarray) -> Examples:
        rows = frames.rows(clips)  # only these are read from disk
        features, labels = (torch.from_numpy(table[rows]) for table in (frames.vectors, targets))
        return Examples(features, labels, len(task.classes))

    def fitted(fold: Fold) -> Answer:
        probe = probe_drawer.create(probe_name)
        probe.fit(part(fold.train), part(fold.valid))
        choice, score = chosen(task, events, frames, fold, probe.held_out().numpy(), threshold)
        scores = probe.predict(part(fold.test).features).half().numpy()
        processed = {"median_ms": choice.median_ms, "minimum_ms": choice.minimum_ms}
        return Answer(scores, {**probe.selection, **processed, f"valid_{task.metric}": score})

    answers = {fold.name: kept.answer(fold.name, partial(fitted, fold)) for fold in task.folds()}
    selections = {name: answer.selection for name, answer in answers.items()}
    choices = [PostProcessing(each["median_ms"], each["minimum_ms"]) for each in selections.values()]
    scores = [answer.scores for answer in answers.values()]
    return gather(task, events, frames, scores, choices, threshold), selections


def chosen(
    task: Task, events: Events, frames: Frames, fold: Fold, scores: np.ndarray, threshold: float
) -> tuple[PostProcessing, float]:
    """The post-processing of the task's grid that is best on valid, and its score there."""
    reference = of_clips(events, fold.valid)
    best: tuple[PostProcessing, float] | None = None
    for median_ms, minimum_ms in task.post_processing:
        choice = PostProcessing(median_ms, minimum_ms)
        found = detect(scores, frames.counts[fold.valid], frames.times(), choice, threshold=threshold)
        score = EVENT_METRICS[task.metric](reference, found, len(fold.valid))
        if best is None or score > best[1]:
            best = choice, score
    if best is None:
        raise BadData(f"task {task.name!r} states no post_processing; list (median ms, minimum ms).")
    return best


def gather(
    task: Task,
    events: Events,
    frames: Frames,
    answers: list[np.ndarray],
    choices: list[PostProcessing],
    threshold: float,
) -> EventPredictions:
    """One table of the frame scores of all folds' test clips, with their reference events."""
    folds = list(task.folds())
    order = np.concatenate([fold.test for fold in folds])
    sizes = [len(fold.test) for fold in folds]
    clips = task.clips()
    reference = of_clips(events, order)
    return EventPredictions(
        clip=clips["clip"].to_numpy(dtype=str)[order],
        group=clips["group"].to_numpy(dtype=str)[order],
        fold=np.repeat([fold.name for fold in folds], sizes),
        classes=np.array(task.classes),
        frames=frames.counts[order],
        scores=np.concatenate(answers),
        times=np.array([frames.first, frames.hop]),
        threshold=np.array(threshold),
        median_ms=np.repeat([float(choice.median_ms) for choice in choices], sizes),
        minimum_ms=np.repeat([float(choice.minimum_ms) for choice in choices], sizes),
        event_clip=reference.clip,
        event_label=reference.label,
        event_onset=reference.onset,
        event_offset=reference.offset,
    )


def task_events(task: Task) -> Events:
    """The task's events with the positions of their clips in ``task.clips()``."""
    table = task.events()
    columns = (table["position"], table["label"], table["onset"], table["offset"])
    kinds = (np.int64, np.int64, np.float64, np.float64)
    return Events(*(column.to_numpy(dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


def of_clips(events: Events, clips: np.ndarray) -> Events:
    """The events of ``clips``, whose positions become their places in ``clips``."""
    place = np.full(max(int(events.clip.max(initial=0)), int(clips.max(initial=0))) + 1, -1)
    place[clips] = np.arange(len(clips))
    kept = events.where(place[events.clip] >= 0)
    return Events(place[kept.clip], kept.label, kept.onset, kept.offset)


def frame_targets(events: Events, frames: Frames, classes: int) -> np.ndarray:
    """Zeros and ones ``(frames, classes)``, float32: 1 where the centre is in [onset, offset]."""
    ends = np.cumsum(frames.counts)
    targets = np.zeros((int(ends[-1]), classes), np.float32)
    times = frames.times()
    first = np.searchsorted(times, events.onset, side="left")
    last = np.searchsorted(times, events.offset + EDGE, side="right")
    for clip, label, low, high in zip(events.clip, events.label, first, last, strict=True):
        begin = ends[clip] - frames.counts[clip]
        targets[begin + low : min(begin + high, ends[clip]), label] = 1.0
    return targets
