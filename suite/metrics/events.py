"""Metrics of sound events: labelled intervals of time, matched by onset and offset, or by segments.

The rules are those of sed_eval (Mesaros, Heittola, Virtanen, Applied Sciences 6, 2016) as HEAR uses
them; spec evaluation.md 2.3 (5) and the vectors of its Part 5. A metric is counted clip by clip and
finished from sums over clips, so that a bootstrap over clips draws rows of counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from generators.drawer import BadData

SEARCH_MARGIN = 1e-3  # seconds by which candidates are searched wider than the exact comparison


@dataclass(frozen=True)
class Events:
    """Labelled intervals of many clips; times in seconds from the clip's beginning.

    ``clip`` and ``label`` are int64 ``(n,)`` (position of the clip, class index), ``onset`` and
    ``offset`` float64 ``(n,)``.
    """

    clip: np.ndarray
    label: np.ndarray
    onset: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.clip, self.label, self.onset, self.offset)}
        if shapes != {(len(self.clip),)}:
            raise BadData(f"the columns of events must be of one length; got shapes {sorted(shapes)}.")
        if not (np.isfinite(self.onset).all() and np.isfinite(self.offset).all()):
            raise BadData("an event's onset or offset is not a finite number.")
        if (self.offset < self.onset).any():
            first = int(np.flatnonzero(self.offset < self.onset)[0])
            raise BadData(
                f"event {first} ends ({self.offset[first]:.3f} s) before it begins "
                f"({self.onset[first]:.3f} s)."
            )

    def __len__(self) -> int:
        return len(self.clip)

    def where(self, chosen: np.ndarray) -> Events:
        """The events ``chosen`` by a mask or by positions."""
        return Events(self.clip[chosen], self.label[chosen], self.onset[chosen], self.offset[chosen])


def match(
    reference: Events,
    estimated: Events,
    *,
    collar: float,
    share: float | None = None,
    same_label: bool = True,
) -> np.ndarray:
    """For each reference event the estimated event matched to it, or -1: int64 ``(len(reference),)``.

    Two events of one clip (and label) can be matched where their onsets differ by at most ``collar``
    seconds and, with ``share``, their offsets by at most max(collar, share * reference length). The
    matching is a largest one, found for all clips and labels in a single sparse graph.
    """
    labels = int(max(reference.label.max(initial=0), estimated.label.max(initial=0))) + 1
    keys = [e.clip * labels + e.label if same_label else e.clip for e in (reference, estimated)]
    _, rank = np.unique(np.concatenate(keys), return_inverse=True)
    place = np.split(rank, [len(reference)])  # dense numbers of the (clip, label) pairs
    times = np.concatenate([reference.onset, estimated.onset])
    if not len(reference) or not len(estimated):
        return np.full(len(reference), -1, dtype=np.int64)
    span = float(times.max() - times.min()) + 4.0 * (collar + SEARCH_MARGIN)
    line = [p * span + e.onset for p, e in zip(place, (reference, estimated), strict=True)]
    order = np.argsort(line[1], kind="stable")
    reach = collar + SEARCH_MARGIN
    low = np.searchsorted(line[1], line[0] - reach, side="left", sorter=order)
    high = np.searchsorted(line[1], line[0] + reach, side="right", sorter=order)
    row = np.repeat(np.arange(len(reference)), high - low)
    within = np.arange(len(row)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    column = order[np.repeat(low, high - low) + within]
    fits = place[0][row] == place[1][column]
    fits &= np.abs(reference.onset[row] - estimated.onset[column]) <= collar
    if share is not None:
        allowed = np.maximum(collar, share * (reference.offset - reference.onset))
        fits &= np.abs(reference.offset[row] - estimated.offset[column]) <= allowed[row]
    row, column = row[fits], column[fits]
    graph = csr_matrix(
        (np.ones(len(row), np.int8), (row, column)), shape=(len(reference), len(estimated))
    )
    matched = maximum_bipartite_matching(graph, perm_type="column")
    return np.asarray(matched, dtype=np.int64)


def event_counts(
    reference: Events, estimated: Events, clips: int, *, collar: float, share: float | None = None
) -> np.ndarray:
    """Per clip: events found, events estimated, events in the reference; int64 ``(clips, 3)``."""
    found = match(reference, estimated, collar=collar, share=share) >= 0
    columns = (reference.clip[found], estimated.clip, reference.clip)
    return np.stack([np.bincount(column, minlength=clips) for column in columns], axis=1)


def event_error_counts(
    reference: Events, estimated: Events, clips: int, *, collar: float, share: float | None = None
) -> np.ndarray:
    """Per clip: substituted, deleted, inserted events, and those of the reference; ``(clips, 4)``.

    A substitution is a missed event that matches a superfluous one of another label.
    """
    partner = match(reference, estimated, collar=collar, share=share)
    spare = np.setdiff1d(np.arange(len(estimated)), partner)
    missed, spares = reference.where(partner < 0), estimated.where(spare)
    swapped = match(missed, spares, collar=collar, share=share, same_label=False) >= 0
    left, over, of, all_of = (
        np.bincount(clip, minlength=clips)
        for clip in (missed.clip, spares.clip, missed.clip[swapped], reference.clip)
    )
    return np.stack([of, left - of, over - of, all_of], axis=1)


def segment_counts(
    reference: Events, estimated: Events, clips: int, *, seconds: float = 1.0
) -> np.ndarray:
    """Per clip, over segments of ``seconds``: true, estimated and reference labels, then substituted,
    deleted and inserted ones; int64 ``(clips, 6)``.

    A label is active in the segments from floor(onset) up to ceil(offset). In a segment with R labels
    in the reference, E estimated and T right: S = min(R, E) - T, D = max(0, R - E), I = max(0, E - R).
    """
    labels = int(max(reference.label.max(initial=0), estimated.label.max(initial=0))) + 1
    last = max(reference.offset.max(initial=0.0), estimated.offset.max(initial=0.0))
    segments = int(np.ceil(last / seconds)) + 1
    said = active_segments(reference, labels, segments, seconds)
    heard = active_segments(estimated, labels, segments, seconds)
    both = np.intersect1d(said, heard, assume_unique=True)
    size = clips * segments
    R, E, T = (np.bincount(part // labels, minlength=size) for part in (said, heard, both))
    columns = (T, E, R, np.minimum(R, E) - T, np.maximum(0, R - E), np.maximum(0, E - R))
    return np.stack([column.reshape(clips, segments).sum(axis=1) for column in columns], axis=1)


def active_segments(events: Events, labels: int, segments: int, seconds: float) -> np.ndarray:
    """The (clip, segment, label) triples that are active, as sorted unique numbers."""
    first = np.floor(events.onset / seconds).astype(np.int64)
    count = np.ceil(events.offset / seconds).astype(np.int64) - first
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    segment = np.repeat(first, count) + within
    clip, label = np.repeat(events.clip, count), np.repeat(events.label, count)
    return np.unique((clip * segments + segment) * labels + label)


def f_measure(sums: np.ndarray) -> float:
    """2 found / (estimated + reference) of summed counts ``(>= 3,)``; 0 where nothing is estimated.

    Raises :class:`BadData` where the reference is empty too: there is nothing to find.
    """
    found, estimated, reference = (float(value) for value in sums[:3])
    if reference == 0.0:
        raise BadData("the clips hold no reference event: the F-measure is not defined.")
    return 2.0 * found / (estimated + reference)


def error_rate(sums: np.ndarray) -> float:
    """(substituted + deleted + inserted) / reference; may exceed 1, lower is better."""
    substituted, deleted, inserted, reference = (float(value) for value in sums)
    if reference == 0.0:
        raise BadData("the clips hold no reference event: the error rate is not defined.")
    return (substituted + deleted + inserted) / reference


def segment_error_rate(sums: np.ndarray) -> float:
    """:func:`error_rate` of summed :func:`segment_counts`."""
    return error_rate(sums[[3, 4, 5, 2]])


@dataclass(frozen=True)
class EventMetric:
    """``count(reference, estimated, clips)`` gives ``(clips, k)``; ``finish`` scores their sum."""

    count: Callable[[Events, Events, int], np.ndarray]
    finish: Callable[[np.ndarray], float]

    def __call__(self, reference: Events, estimated: Events, clips: int) -> float:
        return self.finish(self.count(reference, estimated, clips).sum(axis=0))


# HEAR's names: event_onset_200ms_fms, event_onset_50ms_fms, event_onset_offset_50ms_20perc_fms,
# segment_1s_er.
EVENT_METRICS: dict[str, EventMetric] = {
    "onset_f1_200ms": EventMetric(partial(event_counts, collar=0.2), f_measure),
    "onset_f1_50ms": EventMetric(partial(event_counts, collar=0.05), f_measure),
    "onset_offset_f1_200ms_20percent": EventMetric(
        partial(event_counts, collar=0.2, share=0.2), f_measure
    ),
    "onset_offset_f1_50ms_20percent": EventMetric(
        partial(event_counts, collar=0.05, share=0.2), f_measure
    ),
    "onset_error_rate_200ms": EventMetric(partial(event_error_counts, collar=0.2), error_rate),
    "segment_f1_1s": EventMetric(segment_counts, f_measure),
    "segment_error_rate_1s": EventMetric(segment_counts, segment_error_rate),
}
