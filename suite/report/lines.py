"""What a table is made of: groups of comparable scores, lines of replicates, tables of lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from suite.report import significance
from suite.report.significance import Interval
from suite.rows import POOLING, Row, probe_label, task_label


@dataclass(frozen=True, order=True)
class Setting:
    """How the encoders of a table were trained and probed, whatever was asked of them.

    A table compares sources under one masking and objective, or recipes (both of these, then ``""``)
    on one ``source``, then named.
    """

    probe: str  # and the pooling, as in Group.probe_label
    scale: str
    masking: str
    objective: str
    budget: int  # samples seen
    source: str = ""

    @property
    def recipe(self) -> str:
        """What is held fixed beside probe and scale, in words."""
        fixed = (self.source, self.masking, self.objective)
        return ", ".join([*(n for n in fixed if n not in ("", "-")), f"{self.budget:,} samples seen"])

    @property
    def words(self) -> tuple[str, ...]:
        """The same as words of a file name."""
        fixed = (self.source,) if self.source else (self.masking, self.objective)
        return (self.scale, *fixed, str(self.budget))


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
    partial: bool = False
    pooling: str = POOLING
    source: str = ""  # named where recipes are compared, as in Setting

    @property
    def setting(self) -> Setting:
        """The group without its question."""
        recipe = (self.masking, self.objective, self.budget, self.source)
        return Setting(self.probe_label, self.scale, *recipe)

    @property
    def task_label(self) -> str:
        """The task, marked where its data were partial."""
        return task_label(self.task, partial=self.partial)

    @property
    def probe_label(self) -> str:
        """The probe, with the pooling where it is not the default."""
        return probe_label(self.probe, pooling=self.pooling)

    @property
    def words(self) -> str:
        """The group as the words of a file name; versions and hashes are left out."""
        task = (self.task, *["partial"] * self.partial)
        return file_words(*task, self.probe_label, self.metric, *self.setting.words)

    @property
    def question(self) -> tuple[str, str, str, int, str, str]:
        """What was asked, of whichever encoder."""
        versions = (self.task_version, self.split_hash, self.data_hash)
        return (self.task, self.probe, self.metric, *versions)


@dataclass(frozen=True)
class Line:
    """One source, or one recipe, of a table.

    ``scores`` is ``(seeds, folds)``; scores and intervals are fractions. ``family`` names its colour
    and marker: the source, or the objective where recipes are compared.
    """

    label: str
    source: str
    family: str
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
    def pooled(self) -> float | None:
        """Accuracy over all clips at once; None for other metrics, and where folds are of one size."""
        sizes = np.array([row.n_test for row in self.rows[: len(self.folds)]], dtype=np.float64)
        if self.rows[0].metric != "accuracy" or len(set(sizes)) == 1:
            return None
        return float((self.scores @ sizes).mean() / sizes.sum())

    @property
    def masking(self) -> str:
        return self.rows[0].masking

    @property
    def objective(self) -> str:
        return self.rows[0].objective

    @cached_property
    def over_seeds(self) -> Interval | None:
        return interval_over_seeds(self.scores.mean(axis=1), self.rows[0].metric)

    @cached_property
    def over_folds(self) -> Interval | None:
        return significance.k_fold_interval(self.scores.mean(axis=0))

    def mean(self, name: str) -> float:
        """Mean over runs of a numeric field of the rows, such as ``seconds``."""
        return float(np.mean([getattr(row, name) for row in self.rows]))


@dataclass(frozen=True)
class Table:
    """Lines of one group, best first, with remarks on what is missing.

    ``pairs`` holds the Holm-corrected p over seeds and over clips for each pair of labels (NaN where
    it cannot be tested); ``chance`` is the score without listening, None where it is not known.
    """

    name: str  # of its files, without ending; unique
    group: Group
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    pairs: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    chance: float | None = None


def file_words(*parts: str) -> str:
    """Parts joined to a name that is safe as a file's; ``-`` is written ``none``."""
    joined = ".".join("none" if part == "-" else part for part in parts)
    return "".join(c if c.isalnum() or c in "._@" else "_" for c in joined)


def interval_over_seeds(scores: np.ndarray, metric: str) -> significance.Interval | None:
    """t interval over one score per seed, cut to 0..1 where the metric cannot leave it."""
    found = significance.t_interval(scores)
    if found is None or metric.startswith("dprime"):
        return found
    return significance.Interval(max(0.0, found.low), min(1.0, found.high))
