"""The two invented studies that tests of the report share: a grid and a search of known effects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from synthetic_results import Plan
from synthetic_studies import Params, StudyPlan, choices, scale_of

from suite.report import read_results
from suite.report.ablations import Ablation, ablation
from suite.studies import FOLDER, Study

FOLDS = Plan(sources={}, tasks=("esc50",), probes=("linear@1",), clips=60)
ESC50 = ("esc50", "linear@1")


def planted(params: Params) -> float:
    """Blocks are far better than random masks, ratio 0.9 is far worse, the size changes nothing."""
    return 0.55 + 0.2 * (params["mask"] == "blocks") - 0.2 * (params["ratio"] == "0.9")


GRID = StudyPlan(
    name="grid",
    axes=(
        choices("mask", "random", "blocks"),
        choices("ratio", "0.75", "0.6", "0.9"),
        choices("size", "2", "1"),
    ),
    where={"size": ("mask", ("blocks",))},
    skill=planted,
    questions=FOLDS,
    score=ESC50,
    controls={"untrained": 0.25, "mel_statistics": 0.4},
)


def read_again(results: Path, study: Study) -> Ablation:
    folder = results / FOLDER / study.name
    return ablation(study, folder, read_results(folder))


AXES = (
    choices("mask", "random", "blocks"),
    scale_of("rate", 1e-4, 1e-2, 1e-3, log=True),
    scale_of("ratio", 0.3, 0.9, 0.75),
)


def rate_matters(params: Params) -> float:
    return 0.5 + 0.15 * (1 + np.log10(params["rate"]) + 2)


SEARCH = StudyPlan(
    name="search",
    axes=AXES,
    skill=rate_matters,
    seeds=(0,),
    questions=FOLDS,
    score=ESC50,
    lost=frozenset({4}),
    cost="flops",
)
FRESH = replace(FOLDS, clips=120)
