"""How long event scoring takes: 1 000 clips of 50 reference and 50 estimated events.

make bench, or:
.venv/bin/python -m pytest tests/benchmarks/test_event_metric_speed.py --benchmark-enable
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from suite.metrics import EVENT_METRICS, Events

CLIPS, EVENTS, LABELS = 1_000, 50, 11
BAR_SECONDS = 1.0


def pair() -> tuple[Events, Events]:
    """Events in clips of two minutes; half of the estimates lie within 0.2 s of a reference."""
    rng = np.random.default_rng(0)
    count = CLIPS * EVENTS
    clip, label = np.repeat(np.arange(CLIPS), EVENTS), rng.integers(LABELS, size=count)
    onset = rng.uniform(0.0, 118.0, count)
    reference = Events(clip, label, onset, onset + rng.uniform(0.1, 2.0, count))
    moved = np.clip(onset + rng.uniform(-0.4, 0.4, count), 0.0, None)
    return reference, Events(clip, label, moved, moved + rng.uniform(0.1, 2.0, count))


@pytest.mark.parametrize("name", EVENT_METRICS)
@pytest.mark.benchmark(group="event metric")
def test_a_thousand_clips_are_scored(benchmark: BenchmarkFixture, name: str) -> None:
    reference, estimated = pair()
    metric = EVENT_METRICS[name]
    score = benchmark.pedantic(lambda: metric(reference, estimated, CLIPS), rounds=3, warmup_rounds=1)
    assert score > 0.0
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.median
        benchmark.extra_info.update(
            seconds=seconds, bar_seconds=BAR_SECONDS, of_bar=seconds / BAR_SECONDS
        )
