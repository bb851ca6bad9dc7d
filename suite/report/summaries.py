"""From rows and predictions to comparable tables: who is grouped with whom, and every number of a line.

**What may stand in one table.** Rows of the same task (version, split, data), probe, metric, scale,
masking, objective and budget (samples seen). Of a run only its largest number of samples seen counts;
earlier checkpoints are for learning curves. Controls without a budget join: ``mel_statistics`` (scale
``-``) every table of its task, probe and metric, ``untrained`` every budget of its scale.

**A line** is a source with one configuration; its replicates are pre-training seeds. The score is the
mean over seeds of the mean over folds. A run that lacks a fold is left out, and the table says so.

**Tests between two lines**, both two-sided, both Holm-corrected over all pairs of lines of the table:

- *over seeds*: with K >= 2 folds, score differences paired by fold and by seed (the seeds both have;
  lists without common seeds pair in order; a line with one seed is paired with each seed of the other)
  enter the corrected repeated k-fold t test, factor 1/(SK) + 1/(K-1), SK - 1 degrees of freedom. With
  one test set, Welch's t over seeds; a single-seed line counts as a constant.
- *over clips*: paired cluster bootstrap by group of seed-averaged correctness (other metrics are
  recomputed on each draw).

A difference is called significant when every test that could be made says so at 5 %.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from suite.report import significance
from suite.report.replicates import Folder, clip_replicates
from suite.report.resampling import bootstrap_p, percentile_interval
from suite.report.significance import Interval
from suite.rows import Row


@dataclass(frozen=True, order=True)
class Group:
    """Everything that must be equal for two scores to be compared."""

    task: str
    probe: str
    metric: str
    scale: str
    masking: str
    objective: str
    budget: int  # samples seen
    task_version: int
    split_hash: str
    data_hash: str

    @property
    def question(self) -> tuple[str, str, str, int, str, str]:
        return (
            *(self.task, self.probe, self.metric),
            *(self.task_version, self.split_hash, self.data_hash),
        )


@dataclass(frozen=True)
class Line:
    """One source of a table. ``scores`` is ``(seeds, folds)``; scores and intervals are fractions."""

    label: str
    source: str
    control: bool
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    folds: tuple[str, ...]
    scores: np.ndarray
    clips: int  # distinct test clips of all folds
    over_clips: Interval | None = None
    difference: float | None = None  # to untrained
    p_seeds: float | None = None  # Holm-corrected, to untrained
    p_clips: float | None = None
    among_best: bool = False

    @property
    def score(self) -> float:
        return float(self.scores.mean())

    @cached_property
    def over_seeds(self) -> Interval | None:
        return significance.t_interval(self.scores.mean(axis=1))

    @cached_property
    def over_folds(self) -> Interval | None:
        return significance.k_fold_interval(self.scores.mean(axis=0))

    def mean(self, name: str) -> float:
        """Mean over runs of a numeric field of the rows, such as ``seconds``."""
        return float(np.mean([getattr(row, name) for row in self.rows]))


@dataclass(frozen=True)
class Table:
    """Lines of one group, best first, Holm-corrected p of each pair, and remarks on what is missing."""

    group: Group
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    pairs: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """File name of the table, without its ending."""
        group = self.group
        parts = (group.task, group.probe, group.metric, group.scale, group.masking, group.objective)
        words = ".".join("none" if part == "-" else part for part in (*parts, str(group.budget)))
        return "".join(c if c.isalnum() or c in "._@" else "_" for c in words)


def final_rows(rows: Iterable[Row]) -> list[Row]:
    """Of each run only the rows with its largest number of samples seen, in a stable order."""
    ordered = sorted(rows, key=Row.key)
    last: dict[str, int] = defaultdict(int)
    for row in ordered:
        last[row.run_id] = max(last[row.run_id], row.samples_seen)
    return [row for row in ordered if row.samples_seen == last[row.run_id]]


def summarise(rows: Iterable[Row], predictions: Folder) -> list[Table]:
    """One table for each group of comparable rows, in a stable order.

    ``predictions(run_id)`` is the folder that holds a run's predictions; where a file is missing the
    clip interval is left out and the table says so.
    """
    groups = grouped(final_rows(rows))
    return [_table(group, groups[group], predictions) for group in sorted(groups)]


def grouped(rows: Sequence[Row]) -> dict[Group, list[Row]]:
    """Rows by group, with the controls without a budget added to the groups they belong to."""
    fixed: dict[Group, list[Row]] = defaultdict(list)
    floating: dict[Group, list[Row]] = defaultdict(list)
    for row in rows:
        (floating if _floats(row) else fixed)[_group(row)].append(row)
    joined: set[Group] = set()
    for group, members in fixed.items():
        for guest in _guests(group, floating):
            members += floating[guest]
            joined.add(guest)
    for guest in sorted(set(floating) - joined):  # controls that no trained source can be held against
        fixed[replace(guest, masking="-", objective="-")] += floating[guest]
    return dict(fixed)


def _floats(row: Row) -> bool:
    return row.control and row.samples_seen == 0


def _guests(group: Group, floating: dict[Group, list[Row]]) -> list[Group]:
    # Untrained weights of the same objective and masking are the same architecture; a control that
    # names neither fits all; failing both, the scale's other untrained encoders are shown.
    here = [g for g in sorted(floating) if g.question == group.question]
    no_network = [g for g in here if g.scale == "-"]
    untrained = [g for g in here if g.scale == group.scale != "-"]
    same = [g for g in untrained if g.objective == group.objective and g.masking == group.masking]
    fits = [g for g in untrained if g.objective in (group.objective, "-")]
    return no_network + (same or fits or untrained)


def _group(row: Row) -> Group:
    return Group(
        *(row.task, row.probe, row.metric, row.scale, row.masking, row.objective, row.samples_seen),
        *(row.task_version, row.split_hash, row.data_hash),
    )


def _table(group: Group, rows: Sequence[Row], predictions: Folder) -> Table:
    notes: list[str] = []
    every_fold = tuple(sorted({row.fold for row in rows}))
    lines = []
    for label, members in _labelled(rows):
        line = _line(label, members, every_fold, notes)
        if line is not None:
            lines.append(line)
    replicates = clip_replicates({line.label: line.rows for line in lines}, predictions, notes)
    lines.sort(key=lambda line: (-line.score, line.label))
    if sum(line.source == "untrained" for line in lines) > 1:
        notes.append("several untrained encoders: no difference to untrained is given")
    pairs = _pairs(lines, replicates)
    lines = [_judged(line, lines, pairs, replicates.get(line.label)) for line in lines]
    return Table(group, tuple(lines), tuple(notes), pairs)


def _line(label: str, rows: Sequence[Row], folds: tuple[str, ...], notes: list[str]) -> Line | None:
    by_run: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_run[row.run_id][row.fold] = row
    complete: dict[int, str] = {}
    for run_id in sorted(by_run):
        run = by_run[run_id]
        seed = next(iter(run.values())).seed
        if set(run) != set(folds):
            notes.append(f"{run_id} is left out: {len(run)} of {len(folds)} folds are evaluated")
        elif seed in complete:
            notes.append(
                f"{run_id} is left out: same source, configuration and seed as {complete[seed]}"
            )
        else:
            complete[seed] = run_id
    if not complete:
        return None
    seeds = tuple(sorted(complete))
    kept = [[by_run[complete[seed]][fold] for fold in folds] for seed in seeds]
    first = kept[0][0]
    return Line(
        *(label, first.source, first.control),
        *(tuple(row for run in kept for row in run), seeds, folds),
        np.array([[row.score for row in run] for run in kept], dtype=np.float64),
        sum(row.n_test for row in kept[0]),
    )


def _labelled(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    # One source with two configurations is two lines, told apart by the keys that differ.
    by_source: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_source[row.source][json.dumps(configuration(row), sort_keys=True)].append(row)
    labelled = []
    for source, variants in sorted(by_source.items()):
        settings = [flatten(json.loads(text)) for text in sorted(variants)]
        keys = sorted({key for each in settings for key in each})
        differ = [k for k in keys if len({json.dumps(each.get(k)) for each in settings}) > 1]
        for text, each in zip(sorted(variants), settings, strict=True):
            detail = ", ".join(f"{key}={each.get(key, 'unset')}" for key in differ)
            labelled.append((f"{source} ({detail})" if detail else source, variants[text]))
    return labelled


def configuration(row: Row) -> dict[str, Any]:
    """What was configured, but for the seed: runs that agree in it are replicates of one another."""
    return {key: value for key, value in row.config.items() if key != "seed"}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"source": {"leaves": 3}}`` as ``{"source.leaves": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


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
    return significance.corrected_paired_t(a - b).p  # a single seed broadcasts over the other's


def _pairs(
    lines: Sequence[Line], replicates: dict[str, np.ndarray]
) -> dict[tuple[str, str], tuple[float, float]]:
    pairs = list(combinations(lines, 2))
    over_seeds = significance.holm([seed_test(a, b) for a, b in pairs])
    raw = []
    for a, b in pairs:
        both = a.label in replicates and b.label in replicates
        both = both and len(replicates[a.label]) == len(replicates[b.label])
        raw.append(bootstrap_p(replicates[a.label] - replicates[b.label]) if both else math.nan)
    over_clips = significance.holm(raw)
    return {
        (a.label, b.label): (float(over_seeds[i]), float(over_clips[i]))
        for i, (a, b) in enumerate(pairs)
    }


def _judged(
    line: Line,
    lines: Sequence[Line],
    pairs: dict[tuple[str, str], tuple[float, float]],
    replicates: np.ndarray | None,
) -> Line:
    changes: dict[str, Any] = {}
    if replicates is not None:
        changes["over_clips"] = percentile_interval(replicates)
    untrained = [other for other in lines if other.source == "untrained"]
    if len(untrained) == 1 and untrained[0] is not line:
        found = pairs.get((line.label, untrained[0].label), pairs.get((untrained[0].label, line.label)))
        assert found is not None
        seeds, clips = (None if math.isnan(p) else p for p in found)
        changes |= {"difference": line.score - untrained[0].score, "p_seeds": seeds, "p_clips": clips}
    best = lines[0]
    asked = [p for p in pairs.get((best.label, line.label), ()) if not math.isnan(p)]
    worse = bool(asked) and max(asked) < 0.05
    return replace(line, **changes, among_best=line is best or (len(asked) > 0 and not worse))
