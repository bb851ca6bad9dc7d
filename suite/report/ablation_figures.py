"""Figures of an ablation study: effects, importance, interactions, and the course of a search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import matplotlib as mpl

mpl.use("Agg")  # before pyplot is imported: figures are written, never shown

import seaborn as sns
from matplotlib.figure import Figure

from suite.report.ablations import Ablation
from suite.report.effect_plots import effects_figure, importance_figure, interaction_figure
from suite.report.panels import STYLE, saved
from suite.report.search_plots import history_figure, pareto_figure, slices_figure


def figures(studies: Iterable[Ablation]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, {"svg": ..., "png": ...}) of every figure of every study, in a stable order."""
    for found in studies:
        for kind in found.figures:
            with sns.axes_style("whitegrid"), mpl.rc_context(STYLE):
                yield f"{found.name}.{kind}", saved(drawn(found, kind))


def drawn(found: Ablation, kind: str) -> Figure:
    """One figure of a study."""
    study = found.study
    if kind == "effects":
        return effects_figure([each for each in found.shown if each.effects], study, found.choices)
    if kind == "importance":
        return importance_figure(study)
    if kind == "interaction":
        return interaction_figure(study)
    return {"history": history_figure, "slices": slices_figure, "pareto": pareto_figure}[kind](study)
