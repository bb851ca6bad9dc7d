"""Metrics, computed in numpy from what is stored, so that anyone can recompute a result.

``METRICS`` score clips from targets and scores, ``NAMED_METRICS`` need the class names too, and
``EVENT_METRICS`` score labelled intervals of time.
"""

from __future__ import annotations

from suite.metrics.clips import (
    METRICS,
    NAMED_METRICS,
    Metric,
    average_precision,
    class_auc,
    class_average_precision,
    mean_of_folds,
)
from suite.metrics.events import EVENT_METRICS, EventMetric, Events

__all__ = [
    "EVENT_METRICS",
    "METRICS",
    "NAMED_METRICS",
    "EventMetric",
    "Events",
    "Metric",
    "average_precision",
    "class_auc",
    "class_average_precision",
    "known",
    "mean_of_folds",
]


def known() -> list[str]:
    """The names of all metrics."""
    return sorted([*METRICS, *NAMED_METRICS, *EVENT_METRICS])
