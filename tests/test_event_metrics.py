"""Event metrics against the vectors of the evaluation spec (Part 5) and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from generators.drawer import BadData
from suite.metrics import EVENT_METRICS, Events
from suite.metrics.detection import PostProcessing, detect
from suite.metrics.events import event_counts, event_error_counts, match, segment_counts

X, Y = 0, 1
Interval = tuple[int, int, float, float]


def events(*rows: Interval) -> Events:
    clip, label, onset, offset = (np.array(column) for column in zip(*rows, strict=True))
    return Events(clip.astype(np.int64), label.astype(np.int64), onset * 1.0, offset * 1.0)


NONE = Events(*(np.zeros(0, np.int64) for _ in range(2)), *(np.zeros(0) for _ in range(2)))
REFERENCE = events((0, X, 1.0, 2.0), (0, X, 3.0, 4.0), (0, Y, 1.5, 2.5))
ESTIMATED = events((0, X, 1.15, 2.6), (0, X, 3.3, 4.0), (0, Y, 1.45, 2.45), (0, Y, 5.0, 5.5))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("onset_f1_200ms", 0.5714286),
        ("onset_error_rate_200ms", 1.0),
        ("onset_offset_f1_200ms_20percent", 0.2857143),
        ("segment_f1_1s", 0.8),
        ("segment_error_rate_1s", 0.5),
    ],
)
def test_the_event_vectors_of_the_spec(name: str, value: float) -> None:
    assert EVENT_METRICS[name](REFERENCE, ESTIMATED, 1) == pytest.approx(value, abs=1e-7)


def test_the_counts_behind_the_vectors() -> None:
    """P .5, R .667 of onsets; with offsets P .25, R .333; segments P .667, R 1, all errors inserted."""
    assert event_counts(REFERENCE, ESTIMATED, 1, collar=0.2).tolist() == [[2, 4, 3]]
    assert event_counts(REFERENCE, ESTIMATED, 1, collar=0.2, share=0.2).tolist() == [[1, 4, 3]]
    assert segment_counts(REFERENCE, ESTIMATED, 1).tolist() == [[4, 6, 4, 0, 0, 2]]
    without_offsets = EVENT_METRICS["onset_error_rate_200ms"].count
    assert without_offsets(REFERENCE, ESTIMATED, 1).tolist() == [[0, 1, 2, 3]]  # S, D, I, reference
    errors = event_error_counts(REFERENCE, ESTIMATED, 1, collar=0.2, share=0.2)
    assert errors[0, :3].sum() / errors[0, 3] == pytest.approx(1.6666667)


def drawn(seed: int, clips: int = 6, count: int = 80) -> Events:
    rng = np.random.default_rng(seed)
    onset = rng.integers(0, 120, count) / 20.0  # of few values, so that many tie
    return Events(
        rng.integers(clips, size=count), rng.integers(3, size=count), onset, onset + rng.random(count)
    )


def largest_matching(edges: list[list[int]]) -> int:
    """Kuhn's augmenting paths, one at a time."""
    owner: dict[int, int] = {}

    def placed(row: int, seen: set[int]) -> bool:
        for column in edges[row]:
            if column not in seen:
                seen.add(column)
                if column not in owner or placed(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return sum(placed(row, set()) for row in range(len(edges)))


@pytest.mark.parametrize("share", [None, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_matching_is_a_largest_one_of_allowed_pairs(seed: int, share: float | None) -> None:
    one, other = drawn(seed), drawn(seed + 100)
    edges = [
        [
            j
            for j in range(len(other))
            if one.clip[i] == other.clip[j]
            and one.label[i] == other.label[j]
            and abs(one.onset[i] - other.onset[j]) <= 0.2
            and (
                share is None
                or abs(one.offset[i] - other.offset[j])
                <= max(0.2, share * (one.offset[i] - one.onset[i]))
            )
        ]
        for i in range(len(one))
    ]
    partner = match(one, other, collar=0.2, share=share)
    taken = partner[partner >= 0]
    assert len(set(taken.tolist())) == len(taken)
    assert all(column in edges[row] for row, column in enumerate(partner) if column >= 0)
    assert (partner >= 0).sum() == largest_matching(edges)


@pytest.mark.parametrize("seed", range(3))
def test_segments_agree_with_sets_of_labels(seed: int) -> None:
    one, other = drawn(seed), drawn(seed + 100)
    expected = np.zeros((6, 6), int)
    for clip in range(6):
        for segment in range(10):
            said, heard = (
                {
                    int(label)
                    for c, label, a, b in zip(e.clip, e.label, e.onset, e.offset, strict=True)
                    if c == clip and np.floor(a) <= segment < np.ceil(b)
                }
                for e in (one, other)
            )
            right, R, E = len(said & heard), len(said), len(heard)
            expected[clip] += [right, E, R, min(R, E) - right, max(0, R - E), max(0, E - R)]
    assert segment_counts(one, other, 6).tolist() == expected.tolist()


def test_a_substitution_is_one_error_not_two() -> None:
    swapped = events((0, Y, 1.0, 2.0))
    assert EVENT_METRICS["onset_error_rate_200ms"](events((0, X, 1.0, 2.0)), swapped, 1) == 1.0


def test_clips_do_not_help_each_other() -> None:
    other = Events(ESTIMATED.clip + 1, ESTIMATED.label, ESTIMATED.onset, ESTIMATED.offset)
    assert event_counts(REFERENCE, other, 2, collar=0.2).tolist() == [[0, 0, 3], [0, 4, 0]]


def test_no_estimate_scores_nothing_and_no_reference_is_refused() -> None:
    assert EVENT_METRICS["onset_f1_200ms"](REFERENCE, NONE, 1) == 0.0
    assert EVENT_METRICS["segment_error_rate_1s"](REFERENCE, NONE, 1) == 1.0
    for metric in EVENT_METRICS.values():
        with pytest.raises(BadData, match="no reference event"):
            metric(NONE, ESTIMATED, 1)


@pytest.mark.parametrize("name", EVENT_METRICS)
def test_what_equals_the_reference_is_perfect(name: str) -> None:
    best = 0.0 if "error" in name else 1.0
    assert EVENT_METRICS[name](REFERENCE, REFERENCE, 1) == best


def test_events_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(BadData, match="event 1 ends"):
        events((0, X, 0.0, 1.0), (0, X, 2.0, 1.0))


# ---------------------------------------------------------------------------------------------------
# From frame scores to events

TIMES = np.arange(20) * 0.1 + 0.05


def runs(rows: list[str], median_ms: float, minimum_ms: float) -> list[Interval]:
    """Events in clips of one class, written as frames: ``#`` is active."""
    scores = np.array([[float(frame == "#")] for row in rows for frame in row])
    frames = np.array([len(row) for row in rows])
    found = detect(scores, frames, TIMES, PostProcessing(median_ms, minimum_ms), threshold=0.5)
    columns = (found.clip.tolist(), found.label.tolist(), found.onset.round(3), found.offset.round(3))
    return list(zip(*columns, strict=True))


def test_an_event_goes_from_its_first_frame_to_its_last() -> None:
    assert runs([".##..###"], 0, 0) == [(0, 0, 0.15, 0.25), (0, 0, 0.55, 0.75)]


def test_events_do_not_run_on_into_the_next_clip() -> None:
    assert runs(["..##", "", "#..."], 0, 0) == [(0, 0, 0.25, 0.35), (2, 0, 0.05, 0.05)]


def test_the_median_closes_gaps_and_drops_single_frames() -> None:
    assert runs(["..#..##.##.."], 300, 0) == [(0, 0, 0.55, 0.95)]


def test_short_events_are_dropped_and_those_of_the_minimum_kept() -> None:
    assert runs(["##..###..####"], 0, 200) == [(0, 0, 0.45, 0.65), (0, 0, 0.95, 1.25)]


def test_a_score_at_the_threshold_is_active() -> None:
    found = detect(np.full((3, 2), 0.5), np.array([3]), TIMES, PostProcessing(0, 0), threshold=0.5)
    assert found.label.tolist() == [0, 1]
