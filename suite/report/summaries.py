"""From rows and predictions to comparable tables: who is grouped with whom, and every number of a line.

**What may stand in one table.** Rows of the same task (version, split, data), pooling, probe, metric,
scale and budget (samples seen), and either of one masking and objective, to compare sources, or of one
source that met several, to compare recipes. Of a run only its largest number of samples seen counts;
earlier checkpoints are for learning curves. Controls without a budget join: ``mel_statistics`` and
foreign encoders (scale ``-``) every table of their task, probe and metric, ``untrained`` every budget
of its scale and pooling.

**A line** is a source, or a recipe, with one configuration; its replicates are pre-training seeds. The
score is the mean over seeds of the mean over folds. A run that lacks a fold is left out, and the table
says so. A run whose objective learnt from a frozen encoder that had seen labels says so in its label.

How two lines are tested against each other is said in :mod:`suite.report.verdicts`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from suite.report.lines import Group, Line, Table, file_words
from suite.report.replicates import Folder, clip_evidence
from suite.report.resampling import smallest_p
from suite.report.verdicts import judged, pair_tests, untrained_of
from suite.rows import Row

PARTIAL = (
    "Partial: measured on less, or other, data than the complete official release (partial=true); not "
    "comparable with published scores."
)


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
    named = Counter(group.words for group in groups)
    tables = []
    for group in sorted(groups):
        versions = (f"v{group.task_version}", group.split_hash[:8], group.data_hash[:8])
        same_words = named[group.words] > 1  # another version of the task, its split or its data
        name = file_words(group.words, *versions) if same_words else group.words
        notes = [f"Task version {versions[0]}, split {versions[1]}, data {versions[2]}"] * same_words
        notes += [PARTIAL] * group.partial
        tables.append(_table(name, group, groups[group], predictions, notes))
    return tables


def grouped(rows: Sequence[Row]) -> dict[Group, list[Row]]:
    """Rows by group, with the controls without a budget added to the groups they belong to."""
    fixed: dict[Group, list[Row]] = defaultdict(list)
    floating: dict[Group, list[Row]] = defaultdict(list)
    for row in rows:
        (floating if _floats(row) else fixed)[_group(row)].append(row)
    tables = by_recipe(fixed)
    for group, members in fixed.items():
        sources = {row.source for row in members}
        if len(sources) > 1 or _of_recipes(group, *sources) not in tables:  # else a line of that table
            tables[group] = members
    joined: set[Group] = set()
    for group, members in tables.items():
        for guest in _guests(group, {row.objective for row in members}, floating):
            members += floating[guest]
            joined.add(guest)
    for guest in sorted(set(floating) - joined):  # controls that no trained source can be held against
        tables.setdefault(replace(guest, masking="-", objective="-"), []).extend(floating[guest])
    return tables


def by_recipe(fixed: dict[Group, list[Row]]) -> dict[Group, list[Row]]:
    """The sources that met several maskings or objectives, each with all of its recipes."""
    recipes: dict[Group, list[Row]] = defaultdict(list)
    for group, members in fixed.items():
        for row in members:
            if not row.control:
                recipes[_of_recipes(group, row.source)].append(row)
    return {
        group: members
        for group, members in recipes.items()
        if len({(row.masking, row.objective) for row in members}) > 1
    }


def _of_recipes(group: Group, source: str) -> Group:
    return replace(group, masking="", objective="", source=source)


def _floats(row: Row) -> bool:
    return row.control and row.samples_seen == 0


def _guests(group: Group, objectives: set[str], floating: dict[Group, list[Row]]) -> list[Group]:
    # Untrained weights of the same objective and masking are the same architecture; a control that
    # names neither fits all; failing both, the scale's other untrained encoders are shown. Beside
    # recipes stand the untrained encoders of all their objectives.
    here = [g for g in sorted(floating) if g.question == group.question]
    no_network = [g for g in here if g.scale == "-"]
    untrained = [g for g in here if g.scale == group.scale != "-" and g.pooling == group.pooling]
    same = [g for g in untrained if g.objective == group.objective and g.masking == group.masking]
    fits = [g for g in untrained if g.objective in (*objectives, "-")]
    return no_network + (same or fits or untrained)


def _group(row: Row) -> Group:
    return Group(
        task=row.task,
        probe=row.probe,
        metric=row.metric,
        scale=row.scale,
        masking=row.masking,
        objective=row.objective,
        budget=row.samples_seen,
        task_version=row.task_version,
        split_hash=row.split_hash,
        data_hash=row.data_hash,
        partial=row.partial,
        pooling=row.pooling,
    )


def _table(
    name: str, group: Group, rows: Sequence[Row], predictions: Folder, notes: list[str]
) -> Table:
    every_fold = tuple(sorted({row.fold for row in rows}))
    lines = []
    for label, members in _labelled(group, rows):
        line = _line(group, label, members, every_fold, notes)
        if line is not None:
            lines.append(line)
    evidence = clip_evidence({line.label: line.rows for line in lines}, predictions, notes)
    lines.sort(key=lambda line: (-line.score, line.label))
    networks = [line for line in lines if line.objective != "-" and line.source != "untrained"]
    if any(len(untrained_of(line, lines)) > 1 for line in networks):
        notes.append("several untrained encoders: no difference to untrained is given")
    pairs = pair_tests(lines, evidence.replicates, evidence.clusters)
    smallest = smallest_p(evidence.clusters)
    if evidence.replicates and smallest > 0.001:
        notes.append(
            f"The clips come from {evidence.clusters} groups (speakers, recordings, uploaders): before "
            f"correction, p over clips cannot be below {smallest:.3g}."
        )
    lines = [judged(line, lines, pairs, evidence.replicates.get(line.label)) for line in lines]
    pooled = [(line.label, line.pooled) for line in lines if line.pooled is not None]
    if pooled:
        listed = ", ".join(f"{label} {100 * score:.1f}" for label, score in pooled)
        notes.append(f"Folds are of unequal size. Accuracy over all clips at once (%): {listed}.")
    return Table(name, group, tuple(lines), tuple(notes), pairs, evidence.chance)


def _line(
    group: Group, label: str, rows: Sequence[Row], folds: tuple[str, ...], notes: list[str]
) -> Line | None:
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
        label=label,
        source=first.source,
        family=first.objective if group.source and not first.control else first.source,
        control=first.control,
        rows=tuple(row for run in kept for row in run),
        seeds=seeds,
        folds=folds,
        scores=np.array([[row.score for row in run] for run in kept], dtype=np.float64),
        clips=sum(row.n_test for row in kept[0]),
    )


def _labelled(group: Group, rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    # One source with two configurations is two lines, told apart by the keys that differ.
    named: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        variants = named[_name(group, row)]
        text = json.dumps(configuration(row), sort_keys=True)
        if row.source == "untrained":  # a key that an older row lacks did not exist then
            text = next((known for known in sorted(variants) if _agree(known, text)), text)
        variants[text].append(row)
    labelled = []
    for name, variants in sorted(named.items()):
        settings = [flatten(json.loads(text)) for text in sorted(variants)]
        keys = sorted({key for each in settings for key in each})
        differ = [k for k in keys if len({json.dumps(each.get(k)) for each in settings}) > 1]
        for text, each in zip(sorted(variants), settings, strict=True):
            detail = ", ".join(f"{key}={each.get(key, 'unset')}" for key in differ)
            labelled.append((f"{name} ({detail})" if detail else name, variants[text]))
    return labelled


def one_encoder(first: Line, second: Line) -> bool:
    """Whether lines of two tables, which may label it differently, are of one encoder.

    They share a run, or are untrained weights of one configuration.
    """
    runs = [{row.run_id for row in line.rows} for line in (first, second)]
    if not first.source == second.source == "untrained":
        return bool(runs[0] & runs[1])
    texts = [json.dumps(configuration(line.rows[0])) for line in (first, second)]
    return _agree(*texts)


def _agree(one: str, other: str) -> bool:
    """Whether two configurations say the same where both say something."""
    first, second = flatten(json.loads(one)), flatten(json.loads(other))
    return all(first[key] == second[key] for key in first.keys() & second.keys())


def _name(group: Group, row: Row) -> str:
    name = row.source
    if group.source and row.objective != "-":
        name = f"{row.source}, {row.objective}" if row.control else f"{row.objective}, {row.masking}"
    saw_labels = row.config.get("objective", {}).get("saw_labels", False)
    return f"{name}, saw labels" if saw_labels else name


# Keys that cannot change what an encoder is: two runs that differ in them are still replicates.
INCIDENTAL = frozenset(
    {"control", "run", "dry", "count", "curve", "checkpoint_seconds", "log_every", "device", "threads"}
    | {"paths", "tasks", "probes", "comparison", "seed", "partial"}
)


SIZES = ("name", "width", "depth", "heads", "patch")  # all of a scale that untrained weights have


def configuration(row: Row) -> dict[str, Any]:
    """What was configured and can change the weights, but for seeds: replicates agree in it.

    Untrained weights depend on the encoder alone.
    """

    def without_seeds(tree: dict[str, Any]) -> dict[str, Any]:
        return {
            key: without_seeds(value) if isinstance(value, dict) else value
            for key, value in tree.items()
            if key != "seed"
        }

    kept = {k: v for k, v in without_seeds(row.config).items() if k not in INCIDENTAL}
    if row.source != "untrained":
        return kept
    encoder = {k: v for k, v in kept.items() if k in ("scale", "encoder", "frontend", "pooling")}
    scale = encoder.get("scale", {})
    return encoder | {"scale": {k: v for k, v in scale.items() if k in SIZES}}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"source": {"leaves": 3}}`` as ``{"source.leaves": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
