"""A comparison as the user writes it: sources, recipes, controls and seeds, and the cells they make."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.drawer import UsageError, neighbours
from suite import drawers
from suite.compare import Cell, Settings
from suite.configuration import configure, experiment_of, plain_config
from suite.drawers import CONTROLS
from suite.pooling import pooling_of
from suite.pretrain import Keeping, Places
from suite.values import typed

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMPARE_ONLY = ("comparison", "dry", "workers")  # words that mean nothing to a single run
DRAWN_BY_THE_GRID = {  # keys that differ from cell to cell, and what to type instead
    "seed": "comparison.seeds=3",
    "source": "comparison.sources=[audiopg,'noise source.colour=pink']",
    "control": "comparison.controls=[untrained,noise,mel_statistics]",
    "tasks": "comparison.tasks=[esc50]",
    "probes": "comparison.probes=[linear]",
    "encoder": "comparison.encoders=[suite.hear_naive]",
}
DRAWN_WHERE_NAMED = {  # the same of keys that a grid may leave alone
    "objective": ("objectives", "comparison.objectives=[mae,'eat objective.clones=2']"),
    "masking": ("masks", "comparison.masks=[random,'inverse_block masking.size=2']"),
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A grid: every source by every objective by every masking at every seed, controls beside them.

    ``sources`` are lines such as ``dead_leaves source.shape=oriented``, ``objectives`` such as
    ``eat objective.clones=2``, ``masks`` such as ``inverse_block masking.size=2``; where no objectives
    or masks are named, those of ``overrides`` hold, as everything there holds for all cells.
    ``encoders`` are modules behind HEAR's calls, judged beside them.
    """

    name: str
    sources: tuple[str, ...]
    objectives: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    controls: tuple[str, ...]
    seeds: int
    encoders: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    tasks: tuple[str, ...]
    probes: tuple[str, ...]


def read(config: DictConfig) -> Comparison:
    """The comparison that was chosen; raises :class:`UsageError` where none was, or it is malformed."""
    values: dict[str, Any] = plain_config(config).get("comparison") or {}
    if not values:
        known = ", ".join(drawers.presets("comparison"))
        raise UsageError(f"which comparison? Type comparison=NAME, one of: {known}.")
    grid: Comparison = typed(Comparison, values, "comparison")
    if grid.seeds < 1:
        raise UsageError(f"comparison.seeds={grid.seeds!r}: expected a whole number of at least 1.")
    known_controls = [*CONTROLS, "noise"]
    for control in grid.controls:
        if control not in known_controls:
            raise UsageError(f"unknown control {control!r}.{neighbours(control, known_controls)}")
    return grid


def cells(grid: Comparison, words: list[str]) -> list[Cell]:
    """Every run of the grid, seed by seed, so that a partial comparison is a smaller comparison.

    Raises :class:`UsageError` for a word that the grid itself decides.
    """
    refuse_decided(grid, words)
    shared = [*grid.overrides, *(word for word in words if not is_for_compare(word))]
    trained = [*grid.sources, *["noise"] * ("noise" in grid.controls)]
    sources = [entry_words("source", line) for line in trained]
    objectives = [entry_words("objective", line) for line in grid.objectives] or [[]]
    maskings = [entry_words("masking", line) for line in grid.masks] or [[]]
    grown = []
    for seed, objective in product(range(grid.seeds), objectives):
        rest = [*objective, *shared, f"seed={seed}"]
        for masking, source in product(maskings, sources):
            grown.append(cell_of([*source, *masking, *rest]))
        if "untrained" in grid.controls:  # whatever the mask
            grown.append(cell_of(["control=untrained", *rest]))
    if "mel_statistics" in grid.controls:
        grown.append(cell_of(["control=mel_statistics", *shared]))
    return list({cell.experiment.run_id: cell for cell in grown}.values())


def refuse_decided(grid: Comparison, words: list[str]) -> None:
    """Raise :class:`UsageError` for a word that says what the grid varies."""
    decided = dict(DRAWN_BY_THE_GRID)
    decided |= {key: cure for key, (axis, cure) in DRAWN_WHERE_NAMED.items() if getattr(grid, axis)}
    for word in words:
        key = word.partition("=")[0]
        if key in decided:
            raise UsageError(f"{word}: a comparison sets {key!r} itself. Type {decided[key]} instead.")


def entry_words(group: str, line: str) -> list[str]:
    """``dead_leaves source.shape=mixed`` of the group ``source`` as words for the configuration."""
    name, *fields = shlex.split(line)
    return [f"{group}={name}", *fields]


def cell_of(words: list[str]) -> Cell:
    """The cell that ``words`` make, and the command for it alone."""
    return Cell(
        experiment=experiment_of(configure(words)),
        command=shlex.join(["sourcebench", "pretrain", *words]),
    )


def is_for_compare(word: str) -> bool:
    """Whether a word speaks of the grid and not of a cell."""
    return word.partition("=")[0].split(".")[0] in COMPARE_ONLY


def settings(grid: Comparison, words: list[str]) -> Settings:
    """How the cells are run, from the same words that make them."""
    shared = [*grid.overrides, *(word for word in words if not is_for_compare(word))]
    workers = [word for word in words if word.startswith("workers=")]
    return running([*shared, *workers], grid.tasks, grid.probes, grid.encoders)


def running(
    words: list[str], tasks: Sequence[str], probes: Sequence[str], encoders: Sequence[str] = ()
) -> Settings:
    """How cells are run, where ``words`` say so, and what is asked of them."""
    config = configure(words)
    paths = config.paths
    return Settings(
        places=Places(data=Path(paths.data), runs=Path(paths.runs), cache=Path(paths.cache)),
        results=Path(paths.results),
        encoders=tuple(encoders),
        task_names=tuple(tasks),
        probe_names=tuple(drawers.probe_id(name) for name in probes),
        pooling=pooling_of(config.pooling).name,
        partial=config.partial,
        keeping=Keeping.of(config),
        device=config.device,
        threads=config.threads,
        workers=config.workers,
    )
