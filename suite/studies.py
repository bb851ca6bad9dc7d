"""A study on disk: its axes, its trials and what was confirmed, as the report reads them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generators.drawer import BadData
from suite.rows import write_atomically

FOLDER, FILE = "studies", "study.json"  # results/studies/<name>/{study.json,rows/,predictions/}


@dataclass(frozen=True, kw_only=True)
class StudyAxis:
    """An axis: its choices, the default first, or the ends of a range."""

    name: str
    default: str | float
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class StudyTrial:
    """A trial as it ended: ``complete``, ``pruned``, ``fail``; ``running`` or ``waiting`` where not."""

    number: int
    state: str
    params: dict[str, Any]
    seeds: tuple[int, ...]
    runs: tuple[str, ...] = ()  # one a seed
    score: float | None = None  # mean over seeds of the mean over folds
    cost: float | None = None
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The winner of a study and the default, both trained anew with seeds no trial had."""

    trial: int  # the winner's number
    params: dict[str, Any]
    seeds: tuple[int, ...]
    winner: tuple[str, ...]  # run ids, in the order of the seeds
    default: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything about a study that is not in the rows of its runs."""

    name: str
    about: str
    command: str
    design: str
    task: str  # of the score
    probe: str
    cost: str | None
    sampler: str
    pruner: str
    axes: tuple[StudyAxis, ...]
    default: dict[str, Any]
    trials: tuple[StudyTrial, ...]
    controls: dict[str, tuple[str, ...]] = field(default_factory=dict)  # run ids by control
    importance: dict[str, float] = field(default_factory=dict)  # of each axis, fANOVA
    confirmation: Confirmation | None = None

    @property
    def complete(self) -> list[StudyTrial]:
        """The trials with a score, by number."""
        return [trial for trial in self.trials if trial.state == "complete"]


def write_study(study: Study, folder: Path) -> None:
    """Write ``study.json`` into a study's folder, complete when it is renamed into place."""
    text = json.dumps(dataclasses.asdict(study), indent=1)
    write_atomically(folder / FILE, f"{text}\n".encode())


def read_studies(results: Path) -> Iterator[tuple[Study, Path]]:
    """The studies below ``results``, by name, each with the folder that holds its rows.

    Raises :class:`BadData` naming a file that is no study.
    """
    for path in sorted((results / FOLDER).glob(f"*/{FILE}")):
        try:
            study = study_of(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadData(
                f"{path} is not a study: {error}. Delete it and type the study's command again."
            ) from error
        yield study, path.parent


def study_of(values: dict[str, Any]) -> Study:
    """A study from its JSON."""
    confirmed = values["confirmation"]
    return Study(
        **{
            **values,
            "axes": tuple(StudyAxis(**tupled(axis)) for axis in values["axes"]),
            "trials": tuple(StudyTrial(**tupled(trial)) for trial in values["trials"]),
            "controls": tupled(values["controls"]),
            "confirmation": None if confirmed is None else confirmation_of(confirmed),
        }
    )


def confirmation_of(values: dict[str, Any]) -> Confirmation:
    """A confirmation from its JSON."""
    return Confirmation(**tupled(values))


def tupled(values: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
