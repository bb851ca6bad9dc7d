"""From frame scores to events, as HEAR does it: median filter, threshold, minimum duration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from suite.metrics.events import Events


@dataclass(frozen=True)
class PostProcessing:
    """How frame scores become events; both durations in milliseconds."""

    median_ms: float
    minimum_ms: float


def detect(
    scores: np.ndarray,
    frames: np.ndarray,
    times: np.ndarray,
    choice: PostProcessing,
    *,
    threshold: float,
) -> Events:
    """Events in frame scores ``(sum of frames, classes)`` of clips of ``frames (clips,)`` frames each.

    ``times`` holds the centre of every frame of a clip in seconds, as many as the longest has. Along
    time, per clip and class: a median filter of round(median_ms / hop) frames, then frames whose score
    reaches ``threshold`` are active, and a run of them is an event from the centre of its first frame
    to the centre of its last, kept where it lasts ``minimum_ms`` or more. Of an even number of frames
    the filter takes the upper middle one, as scipy's does; at both ends it reflects. Filtering the
    active frames gives the same as filtering the scores, because a median commutes with a threshold.
    Source: spec evaluation.md 2.3 (3).
    """
    hop = float(times[1] - times[0]) if len(times) > 1 else 1.0
    width = max(1, round(choice.median_ms / 1000.0 / hop))
    ends = np.cumsum(frames)
    active = scores >= threshold
    if width > 1:
        for end, count in zip(ends, frames, strict=True):
            part = active[end - count : end]
            part[:] = median_filter(part.astype(np.uint8), size=(width, 1), mode="reflect")
    before, after = np.zeros_like(active), np.zeros_like(active)
    before[1:], after[:-1] = active[:-1], active[1:]
    occupied = frames > 0
    before[(ends - frames)[occupied]] = False
    after[(ends - 1)[occupied]] = False
    label, first = np.nonzero((active & ~before).T)  # class by class, in the order of time
    _, last = np.nonzero((active & ~after).T)
    clip = np.searchsorted(ends, first, side="right")
    begin = (ends - frames)[clip]
    found = Events(clip, label, times[first - begin], times[last - begin])
    # A nanosecond forgives that 0.875 - 0.625 need not be 0.25 in binary.
    return found.where(found.offset - found.onset >= choice.minimum_ms / 1000.0 - 1e-9)
