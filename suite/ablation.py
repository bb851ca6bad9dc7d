"""An ablation as the user writes it: its axes, score and budget, and the words of each trial."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import yaml

from generators.drawer import UsageError, neighbours
from suite import drawers
from suite.axes import Axis, Value, axis_of
from suite.drawers import CONTROLS
from suite.values import typed

FOLDER = Path(__file__).parent / "conf" / "ablation"
SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "median", "halving")
COSTS = ("flops", "seconds", "samples_seen", "parameters")  # fields of a row
DECIDED = {  # keys that a study sets itself, and what to type instead
    "seed": "ablation.seeds=3",
    "tasks": "ablation.tasks=[esc50]",
    "probes": "ablation.probes=[linear@1]",
    "control": "ablation.controls=[untrained]",
    "run": "sourcebench evaluate run=...",
    "encoder": "comparison.encoders=[suite.hear_naive], of `sourcebench compare`",
}
INCIDENTAL = (  # keys of the base that change no score
    *("paths", "device", "threads", "curve", "checkpoint_seconds", "log_every", "micro_batch"),
)
OF_THE_STUDY = ("ablation", "trials", "confirm", "storage", "workers", "dry")  # mean nothing to a run

Params = dict[str, Value]  # what a trial takes on each axis that applies to it


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One study: what is varied, around which experiment, judged how, at which budget.

    ``design=grid`` fills every cell at every seed, a trial each; ``design=search`` makes ``trials`` by
    a sampler, each scored by the mean of ``seeds`` seeds. ``base`` are the words of the experiment
    that all trials share, to which each axis adds its own. ``score`` names the task and the probe
    that a search maximises; with a ``cost`` it is weighed against that. A search may give up a trial
    early: the pruner looks at whole runs alone, of a share of the samples (``rungs``) or of a single
    seed, which mean the same in every trial.
    """

    name: str
    design: Literal["grid", "search"] = "grid"
    base: tuple[str, ...] = ()
    axes: dict[str, Any]
    seeds: int = 1
    tasks: tuple[str, ...]
    probes: tuple[str, ...]
    score: str = ""  # "esc50 linear@1"; the first task and probe where nothing is said
    controls: tuple[str, ...] = ()  # trained, or not, beside a grid's cells
    trials: int | None = None
    sampler: str = "tpe"
    sampler_seed: int = 0
    pruner: str = "none"
    rungs: tuple[float, ...] = ()
    cost: str | None = None
    confirm_tasks: tuple[str, ...] = ()  # what confirm=N asks; the study's own tasks by default

    @property
    def scored(self) -> tuple[str, str]:
        """The task and the probe of the score."""
        task, _, probe = self.score.partition(" ")
        return task or self.tasks[0], drawers.probe_id(probe or self.probes[0])

    @property
    def asked(self) -> tuple[Axis, ...]:
        """The axes in their order."""
        return tuple(axis_of(name, values) for name, values in self.axes.items())

    @property
    def default(self) -> Params:
        """What every axis has where nothing is ablated."""
        return self.completed({})

    def completed(self, params: Mapping[str, Value]) -> Params:
        """``params`` with the default of every axis that it leaves out, and no axis that is not met."""
        full: Params = {}
        for axis in self.asked:
            if axis.applies(full):
                full[axis.name] = params.get(axis.name, axis.default)
        return full

    def cells(self) -> Iterator[Params]:
        """Every cell of a grid once, the default first, then with the last axis running fastest."""
        axes = self.asked
        seen = []
        for values in product(*(axis.grid for axis in axes)):
            drawn = dict(zip((axis.name for axis in axes), values, strict=True))
            cell = self.completed(drawn)
            if cell not in seen:
                seen.append(cell)
                yield cell

    def words(self, params: Mapping[str, Value]) -> list[str]:
        """The words of an experiment without its seed."""
        spoken = [axis.words(params[axis.name]) for axis in self.asked if axis.name in params]
        return [*self.base, *(word for words in spoken for word in words)]

    def space(self) -> dict[str, Any]:
        """What decides the meaning of a trial's number: a study goes on only where it is equal."""
        values: dict[str, Any] = {
            "design": self.design,
            "base": [word for word in self.base if room_of(word) not in INCIDENTAL],
            "axes": {axis.name: axis.plain() for axis in self.asked},
            "score": " ".join(self.scored),
            "tasks": list(self.tasks),
            "probes": [drawers.probe_id(name) for name in self.probes],
        }
        if self.design == "search":
            values |= {"sampler": self.sampler, "sampler_seed": self.sampler_seed}
            values |= {"pruner": self.pruner, "rungs": list(self.rungs), "cost": self.cost}
            values |= {"seeds": self.seeds}
        return values


def key_of(params: Params) -> str:
    """A cell as text: equal cells have equal keys."""
    return json.dumps(params, sort_keys=True)


def room_of(word: str) -> str:
    """The first part of a word's key: ``paths`` of ``paths.runs=here``."""
    return word.partition("=")[0].partition(".")[0]


def is_for_running(word: str) -> bool:
    """Whether a word says how the study is run, and is a key of the configuration."""
    return word.partition("=")[0] in OF_THE_STUDY[1:]


def read(words: list[str]) -> tuple[Ablation, str]:
    """The ablation that is typed, and the comment that its file opens with.

    ``ablation=NAME`` is a file of ``suite/conf/ablation``, ``ablation=PATH.yaml`` one's own; later
    ``ablation.KEY=value`` replace what it says, and words of an experiment join its base. Raises
    :class:`UsageError` where none is chosen, or it is malformed.
    """
    chosen = [word.partition("=")[2] for word in words if word.startswith("ablation=")]
    if not chosen:
        known = ", ".join(drawers.presets("ablation"))
        raise UsageError(f"which ablation? Type ablation=NAME, one of: {known}, or ablation=FILE.yaml.")
    path = file_of(chosen[-1])
    values = parsed(path)
    for word in words:
        key, separator, value = word.partition("=")
        if key.startswith("ablation.") and separator:
            place(values, key.split(".")[1:], loaded(value, word), word)
    refuse_unknown(f"key of {path.name}", list(values), list(Ablation.__dataclass_fields__))
    for key in ("axes", "tasks", "probes"):
        if not values.get(key):
            raise UsageError(
                f"{path.name}: an ablation needs {key}. See suite/conf/ablation/size.yaml."
            )
    joined = [word for word in words if room_of(word) not in OF_THE_STUDY]
    for word in joined:
        key = word.partition("=")[0]
        if key in DECIDED:
            raise UsageError(f"{word}: an ablation sets {key!r} itself. Type {DECIDED[key]} instead.")
    values["base"] = [*values.get("base", ()), *joined]
    for word in words:
        if word.startswith("trials="):
            values["trials"] = loaded(word.partition("=")[2], word)
    ablation: Ablation = typed(Ablation, {"name": path.stem, **values}, "ablation")
    check(ablation)
    return ablation, path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def file_of(chosen: str) -> Path:
    """The file of an ablation; raises :class:`UsageError` naming the neighbour of an unknown one."""
    if chosen.endswith((".yaml", ".yml")):
        if not Path(chosen).is_file():
            raise UsageError(f"ablation={chosen}: there is no such file.")
        return Path(chosen)
    known = list(drawers.presets("ablation"))
    if chosen not in known:
        raise UsageError(f"unknown ablation {chosen!r}.{neighbours(chosen, known)}")
    return FOLDER / f"{chosen}.yaml"


def parsed(path: Path) -> dict[str, Any]:
    """The file's keys; raises :class:`UsageError` naming the line that is no YAML."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys such as axes, tasks and probes.")
    return values


def loaded(value: str, word: str) -> Any:
    """What is typed behind a key, read as YAML."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"cannot understand {shlex.quote(word)}.") from error


def place(values: dict[str, Any], path: list[str], value: Any, word: str) -> None:
    """Put a typed value where its dots say."""
    *folders, last = path
    for key in folders:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UsageError(f"{word}: {key!r} holds a value, not keys.")
    if value is None and len(path) > 1:
        values.pop(last, None)  # ablation.axes.size=null: without this axis
    else:
        values[last] = value


def refuse_unknown(noun: str, values: Sequence[str], known: Sequence[str]) -> None:
    """Raise :class:`UsageError` with the neighbours of the first value that is not known."""
    for value in values:
        if value not in known:
            raise UsageError(f"unknown {noun} {value!r}.{neighbours(value, list(known))}")


def check(ablation: Ablation) -> None:
    """Refuse what no study can be made of, naming the neighbour of a wrong word."""
    if not re.fullmatch(r"[\w.-]+", ablation.name):
        raise UsageError(
            f"ablation.name={ablation.name!r} cannot name a folder. Type letters, digits, _, . and -."
        )
    refuse_unknown("sampler", [ablation.sampler], SAMPLERS)
    refuse_unknown("pruner", [ablation.pruner], PRUNERS)
    refuse_unknown("cost", [ablation.cost] if ablation.cost else [], COSTS)
    refuse_unknown("control", ablation.controls, (*CONTROLS, "noise"))
    if ablation.seeds < 1:
        raise UsageError(f"ablation.seeds={ablation.seeds}: expected at least 1.")
    if not all(0.0 < rung < 1.0 for rung in ablation.rungs):
        raise UsageError(f"ablation.rungs={list(ablation.rungs)}: expected shares between 0 and 1.")
    if ablation.cost is not None and ablation.pruner != "none":
        raise UsageError(
            "a study of score and cost cannot prune: which of two trials is worse is not defined. Type "
            "ablation.pruner=none, or ablation.cost=null."
        )
    if ablation.pruner != "none" and ablation.seeds == 1 and not ablation.rungs:
        raise UsageError(
            f"ablation.pruner={ablation.pruner} has nothing to look at before a trial is over. Type "
            "ablation.rungs=[0.25], or ablation.seeds=2."
        )
    if ablation.design == "search" and (ablation.trials or 0) < 1:
        raise UsageError(f"ablation {ablation.name!r} is a search: type trials=40.")
    if ablation.design == "grid" and ablation.trials is not None:
        raise UsageError(
            f"ablation {ablation.name!r} is a grid: every cell is filled. Leave trials out, or type "
            "ablation.design=search."
        )
    axes = ablation.asked
    for position, axis in enumerate(axes):
        axis.check_design(ablation.design)
        axis.check_where(axes[:position])
    task, probe = ablation.scored
    if task not in ablation.tasks or probe not in map(drawers.probe_id, ablation.probes):
        raise UsageError(
            f"ablation.score={ablation.score!r} is not among the study's tasks and probes."
        )
