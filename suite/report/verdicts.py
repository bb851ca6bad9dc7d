"""Which differences between the lines of a table are real: the tests and the marks for the best.

**Tests between two lines**, both two-sided, both Holm-corrected over all pairs of lines of the table:

- *over seeds*: with K >= 2 folds, score differences paired by fold and by seed enter the corrected
  repeated k-fold t test, factor 1/(SK) + 1/(K-1), SK - 1 degrees of freedom. Seeds that both lines have
  are paired; lists with fewer than two in common pair in order; a line with one seed (a control) is
  paired with each seed of the other. With one test set: Welch's t over seeds; a line with one seed
  counts as a constant.
- *over clips*: paired cluster bootstrap by group of seed-averaged correctness (other metrics are
  recomputed on each draw); beyond what the number of draws can tell, its normal tail, but never
  below what so few groups can show (:func:`suite.report.resampling.smallest_p`).

A difference is called significant when every test that could be made says so at 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from suite.report import significance
from suite.report.lines import Line
from suite.report.resampling import bootstrap_p, percentile_interval


def seed_test(first: Line, second: Line) -> float:
    """Two-sided p over seeds and folds (see the module's docstring); NaN where it cannot be tested."""
    if len(first.folds) < 2:
        test = significance.welch_t(first.scores[:, 0], second.scores[:, 0])
        return math.nan if test is None else test.p
    common = sorted(set(first.seeds) & set(second.seeds))
    a, b = first.scores, second.scores
    if min(len(a), len(b)) > 1:
        if len(common) > 1:
            a = a[[first.seeds.index(seed) for seed in common]]
            b = b[[second.seeds.index(seed) for seed in common]]
        else:
            a, b = a[: len(b)], b[: len(a)]
    paired = significance.corrected_paired_t(a - b)  # a single seed broadcasts over the other's
    return math.nan if paired is None else paired.p


def pair_tests(
    lines: Sequence[Line], replicates: dict[str, np.ndarray], clusters: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Holm-corrected p values over seeds and over clips of every pair of lines of a table."""
    pairs = list(combinations(lines, 2))
    over_seeds = significance.holm([seed_test(a, b) for a, b in pairs])
    raw = []
    for a, b in pairs:
        both = a.label in replicates and b.label in replicates
        both = both and len(replicates[a.label]) == len(replicates[b.label])
        raw.append(
            bootstrap_p(replicates[a.label] - replicates[b.label], clusters) if both else math.nan
        )
    over_clips = significance.holm(raw)
    return {
        (a.label, b.label): (float(over_seeds[i]), float(over_clips[i]))
        for i, (a, b) in enumerate(pairs)
    }


def untrained_of(line: Line, lines: Sequence[Line]) -> list[Line]:
    """The untrained encoders that ``line`` is held against: of its objective, or else all."""
    untrained = [other for other in lines if other.source == "untrained"]
    return [other for other in untrained if other.objective == line.objective] or untrained


def judged(
    line: Line,
    lines: Sequence[Line],
    pairs: dict[tuple[str, str], tuple[float, float]],
    replicates: np.ndarray | None,
) -> Line:
    """``line`` with its interval over clips, its difference to untrained, and whether it is bold."""
    changes: dict[str, Any] = {}
    if replicates is not None:
        changes["over_clips"] = percentile_interval(replicates)
    untrained = untrained_of(line, lines)
    if len(untrained) == 1 and untrained[0] is not line:
        found = pairs.get((line.label, untrained[0].label), pairs.get((untrained[0].label, line.label)))
        assert found is not None
        seeds, clips = (None if math.isnan(p) else p for p in found)
        changes |= {"difference": line.score - untrained[0].score, "p_seeds": seeds, "p_clips": clips}
    best = lines[0]
    asked = [p for p in pairs.get((best.label, line.label), ()) if not math.isnan(p)]
    worse = bool(asked) and max(asked) < 0.05
    return replace(line, **changes, among_best=line is best or (len(asked) > 0 and not worse))
