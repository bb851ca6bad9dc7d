"""How two axes of a study act together, and which trials no other beats in score and cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from suite.studies import Study, StudyAxis

SHOWN = 3  # pairs of axes


@dataclass(frozen=True)
class Interaction:
    """Mean scores ``(choices of first, choices of second)`` as fractions, NaN where no trial has both.

    ``strength`` is the root mean square of what remains when each axis adds its own.
    """

    first: str
    second: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    scores: np.ndarray
    strength: float


def interactions(study: Study) -> list[Interaction]:
    """The pairs of axes with choices that interact most, strongest first; at most three."""
    named = [axis for axis in study.axes if axis.choices]
    found = [interaction(study, *pair) for pair in combinations(named, 2)]
    told = [each for each in found if each is not None]
    return sorted(told, key=lambda each: (-each.strength, each.first, each.second))[:SHOWN]


def interaction(study: Study, first: StudyAxis, second: StudyAxis) -> Interaction | None:
    """The interaction of two axes; None where too few of their pairs have a score to tell."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for trial in study.complete:
        if trial.score is not None and {first.name, second.name} <= trial.params.keys():
            scores[trial.params[first.name], trial.params[second.name]].append(trial.score)
    rows = [choice for choice in first.choices if any(choice == pair[0] for pair in scores)]
    columns = [choice for choice in second.choices if any(choice == pair[1] for pair in scores)]
    if min(len(rows), len(columns)) < 2 or len(scores) <= len(rows) + len(columns) - 1:
        return None
    table = np.array(
        [[np.mean(scores.get((row, column), [np.nan])) for column in columns] for row in rows]
    )
    return Interaction(first.name, second.name, tuple(rows), tuple(columns), table, not_additive(table))


def not_additive(table: np.ndarray) -> float:
    """Root mean square residual of ``row + column`` fitted to the entries that are not NaN."""
    there = ~np.isnan(table)
    row, column = np.nonzero(there)
    design = np.zeros((len(row), sum(table.shape)))
    design[np.arange(len(row)), row] = 1.0
    design[np.arange(len(row)), table.shape[0] + column] = 1.0
    solution = np.linalg.lstsq(design, table[there], rcond=None)[0]
    return float(np.round(np.sqrt(np.mean((table[there] - design @ solution) ** 2)), 12))


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of ``(cost, score)`` no other beats in both, by rising cost."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    kept: list[int] = []
    for i in order:
        if not kept or points[i][1] > points[kept[-1]][1]:
            kept.append(i)
    return kept
