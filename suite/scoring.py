"""Scores of stored predictions, of clips and of events alike: what rows and ``verify`` share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generators.drawer import BadData
from suite.metrics import EVENT_METRICS, METRICS, NAMED_METRICS, Events, Metric
from suite.metrics.detection import PostProcessing, detect
from suite.rows import Answers, EventPredictions


def score(metric: str, answers: Answers, chosen: np.ndarray) -> float:
    """The metric of the clips ``chosen`` by a mask or by positions, from what is stored.

    Raises :class:`BadData` where the metric is for another kind of task.
    """
    if metric in EVENT_METRICS:
        return EVENT_METRICS[metric].finish(counts(metric, answers)[chosen].sum(axis=0))
    if isinstance(answers, EventPredictions):
        raise BadData(f"{metric} scores clips, but these predictions are of events.")
    return clip_metric(metric, answers.classes)(answers.target[chosen], answers.scores[chosen])


def clip_metric(metric: str, classes: np.ndarray) -> Metric:
    """A clip metric of targets and scores, the class names filled in where it reads them."""
    if metric in NAMED_METRICS:
        named = NAMED_METRICS[metric]
        return lambda target, scores: named(target, scores, classes.tolist())
    return METRICS[metric]


def counts(metric: str, answers: Answers) -> np.ndarray:
    """What an event metric counts in each clip: ``(clips, k)``, see :mod:`suite.metrics.events`."""
    if not isinstance(answers, EventPredictions):
        raise BadData(f"{metric} scores events, but these predictions are of whole clips.")
    return EVENT_METRICS[metric].count(reference(answers), detected(answers), len(answers.clip))


def of_counts(metric: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """The event metric of counts ``(clips, k)`` in the place of scores; NaN without a reference event.

    A draw of the bootstrap may hold only clips without events; it says nothing and is left out.
    """
    finish = EVENT_METRICS[metric].finish

    def value(_: np.ndarray, drawn: np.ndarray) -> float:
        try:
            return finish(drawn.sum(axis=0))
        except BadData:
            return float("nan")

    return value


def reference(answers: EventPredictions) -> Events:
    """The reference events of the stored clips."""
    return Events(answers.event_clip, answers.event_label, answers.event_onset, answers.event_offset)


def detected(answers: EventPredictions) -> Events:
    """The events in the stored frame scores, by each clip's stored post-processing."""
    first, hop = (float(value) for value in answers.times)
    times = first + hop * np.arange(int(answers.frames.max(initial=0)))
    parts = []
    choices = np.stack([answers.median_ms, answers.minimum_ms], axis=1)
    for median_ms, minimum_ms in np.unique(choices, axis=0):
        clips = np.flatnonzero((choices == (median_ms, minimum_ms)).all(axis=1))
        inside = np.repeat(np.isin(np.arange(len(answers.frames)), clips), answers.frames)
        found = detect(
            answers.scores[inside],
            answers.frames[clips],
            times,
            PostProcessing(float(median_ms), float(minimum_ms)),
            threshold=float(answers.threshold),
        )
        parts.append(Events(clips[found.clip], found.label, found.onset, found.offset))
    columns = ("clip", "label", "onset", "offset")
    return Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
