"""Ablate: a study is checked, priced, made, its winner confirmed, and its file written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.trial import TrialState

from suite import ablation, study_runs
from suite.comparison import running
from suite.configuration import configure
from suite.outcome import described
from suite.studies import FOLDER, write_study
from suite.study import REASON, Place, answering, open_study
from suite.trials import Training, make_trials


@dataclass(frozen=True)
class Done:
    """A study that was gone through: where it is reported from, and what of it failed."""

    name: str
    results: Path
    failures: tuple[str, ...]


def ablate(words: list[str], command: str, say: Callable[[str], None]) -> Done | None:
    """Everything that ``ablate WORDS`` asks; None where only the price was asked.

    Raises :class:`UsageError` before anything is trained where a cell could not be, or where the name
    is in use with another space.
    """
    asked, about = ablation.read(words)
    how = [word for word in words if ablation.is_for_running(word)]
    config = configure([*asked.base, *how])
    settings = running([*asked.base, f"workers={config.workers}"], asked.tasks, asked.probes)
    place = Place(settings.places.runs / FOLDER / asked.name, config.storage)
    cells = study_runs.check_cells(asked, settings)
    known = study_runs.trials_known(asked)
    shared = study_runs.shared_pools(asked, known)
    disk = study_runs.told_disk(asked, [*cells, *known], shared, settings)
    say(f"study {asked.name}: {study_runs.told_price(asked, cells, known, disk, settings)}")
    if config.dry:
        return None
    study = open_study(place, asked)
    say(f"storage: {place.spelt}")
    folder = settings.results / FOLDER / asked.name
    within = replace(settings, results=folder)
    make_trials(asked, place, Training(within, shared), settings.workers)
    failed = study_runs.run_cells(study_runs.controls(asked), within)
    if config.confirm is not None:
        confirming = study_runs.confirming(asked, within)
        failed += study_runs.confirm(study, asked, place, confirming, config.confirm)
    with answering(place):
        write_study(described(study, asked, about, command), folder)
        trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    failures = [f"{each.run_id}\n  {each.reason}\n  again: {each.command}" for each in failed]
    failures += [f"trial {trial.number}: {trial.user_attrs.get(REASON, '')}" for trial in trials]
    return Done(asked.name, settings.results, tuple(failures))
