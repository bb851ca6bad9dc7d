"""A study in Optuna's storage: opened, filled with trials, and shared by workers that may die."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from generators.drawer import UsageError
from suite.ablation import Ablation, key_of
from suite.journal import Journal

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = "space"  # user attribute of a study; of a trial:
PARAMS, SEEDS, WORKER, TRIES, REASON = "params", "seeds", "worker", "tries", "reason"
BEAT, STALE = 30.0, 120.0  # seconds between a worker's signs of life, and after which it is dead
MOST_TRIES = 3  # workers that may die over one trial


class StudyLost(RuntimeError):
    """The storage of a study does not answer any more."""

    exit_code = 1


@dataclass(frozen=True)
class Place:
    """Where a study is kept: a database, or a journal file in the study's folder."""

    folder: Path
    storage: str | None = None

    @property
    def journal(self) -> Path:
        return self.folder / "journal.log"

    @property
    def spelt(self) -> str:
        """What the dashboard is given, without a password."""
        if self.storage is None:
            return str(self.journal)
        return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", self.storage)


def open_storage(place: Place) -> BaseStorage:
    """The storage; raises :class:`UsageError` for an address that is none, StudyLost without answer."""
    if place.storage is None:
        place.folder.mkdir(parents=True, exist_ok=True)
        return JournalStorage(Journal(place.journal))
    kind, separator, rest = place.storage.partition("://")
    if kind not in ("postgresql", "postgresql+psycopg") or not separator:
        raise UsageError(
            f"storage={place.spelt}: expected storage=postgresql://user@host/database, or null for a "
            "journal file beside the study."
        )
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs its driver. Type: pip install 'sourcebench[postgres]'"
        ) from error
    with answering(place):
        return RDBStorage(f"postgresql+psycopg://{rest}", engine_kwargs={"pool_pre_ping": True})


@contextmanager
def answering(place: Place) -> Iterator[None]:
    """Turn a database that is gone into what to do about it."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, optuna.exceptions.StorageInternalError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise StudyLost(
            f"the study's storage {place.spelt} does not answer ({reason}). Finished runs are kept: "
            "start it, then type the same command to go on."
        ) from error


def open_study(place: Place, ablation: Ablation) -> optuna.Study:
    """The study of this name, made where there is none.

    Raises :class:`UsageError` where the name is in use with another space of trials.
    """
    storage = open_storage(place)
    higher, lower = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    with answering(place):
        study = optuna.create_study(
            study_name=ablation.name,
            storage=storage,
            directions=[higher] if ablation.cost is None else [higher, lower],
            sampler=sampler_of(ablation, 0),
            pruner=pruner_of(ablation),
            load_if_exists=True,
        )
        asked = json.loads(json.dumps(ablation.space()))
        known = study.user_attrs.get(SPACE)
        if known is None:
            study.set_user_attr(SPACE, asked)
    if known is not None and known != asked:
        changed = [key for key in sorted({*known, *asked}) if known.get(key) != asked.get(key)]
        parts = [f"{key}: {known.get(key)} there, {asked.get(key)} here" for key in changed]
        where = f"remove {place.folder}" if place.storage is None else "delete it in the database"
        raise UsageError(
            f"the study {ablation.name!r} in {place.spelt} asks something else ({'; '.join(parts)}). "
            f"Type ablation.name={ablation.name}-2 for a study of its own, or {where} to begin anew."
        )
    return study


def sampler_of(ablation: Ablation, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of the trial of this number, seeded by the study's seed and the number."""
    seed = (ablation.sampler_seed * 1_000_003 + number) % 2**32
    if ablation.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        n_startup_trials=10,
        multivariate=True,
        constant_liar=True,
        seed=seed,
    )


def pruner_of(ablation: Ablation) -> optuna.pruners.BasePruner:
    """The pruner by its name."""
    if ablation.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5)
    if ablation.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    return optuna.pruners.NopPruner()


def fill(study: optuna.Study, ablation: Ablation, place: Place) -> None:
    """Add the trials that are still to be made, so that their numbers are known from the beginning.

    Of a grid every cell at every seed, seed by seed; of a search the default, then free ones. What
    failed is asked again under a new number.
    """
    with locked(place), answering(place):
        there = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
        if ablation.design == "search":
            seeds = list(range(ablation.seeds))
            for number in range(len(there), ablation.trials or 0):
                study.enqueue_trial(ablation.default if number == 0 else {}, user_attrs={SEEDS: seeds})
            return
        known = {(key_of(t.user_attrs[PARAMS]), *t.user_attrs[SEEDS]) for t in there}
        for seed in range(ablation.seeds):
            for cell in ablation.cells():
                if (key_of(cell), seed) not in known:
                    study.enqueue_trial(cell, user_attrs={PARAMS: cell, SEEDS: [seed]})


def take(study: optuna.Study, ablation: Ablation, place: Place) -> Trial | None:
    """The next trial for this process: one of a dead worker first; None where none is left.

    A trial whose worker died keeps its number and its parameters, and its run goes on at its last
    checkpoint. Where that happened three times, it fails.
    """
    with locked(place), answering(place):
        trials = study.get_trials(deepcopy=False)
        for frozen in trials:
            if frozen.state == TrialState.RUNNING and is_dead(frozen, place):
                trial, tries = Trial(study, frozen._trial_id), frozen.user_attrs.get(TRIES, 0)
                if tries < MOST_TRIES:
                    return suggested(claim(trial, tries + 1), ablation)
                trial.set_user_attr(REASON, f"its worker died {MOST_TRIES} times")
                study.tell(trial, state=TrialState.FAIL)
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        if not waiting:
            return None
        study.sampler = sampler_of(ablation, len(trials) - waiting)
        return suggested(claim(study.ask(), 1), ablation)


def suggested(trial: Trial, ablation: Ablation) -> Trial:
    """The trial with a value on every axis that applies: as asked for, as before, or as sampled."""
    for axis in ablation.asked:
        if not axis.applies(trial.params):
            continue
        if not axis.is_range:
            trial.suggest_categorical(axis.name, list(axis.choices))
        elif axis.whole:
            trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
        else:
            trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)
    trial.set_user_attr(PARAMS, trial.params)
    return trial


def claim(trial: Trial, tries: int) -> Trial:
    """Sign a trial as this process's."""
    trial.set_user_attr(TRIES, tries)
    sign(trial)
    return trial


def sign(trial: Trial) -> None:
    """Say which process has a trial, and that it is alive."""
    trial.set_user_attr(WORKER, [socket.gethostname(), os.getpid(), time.time()])


@contextmanager
def beating(trial: Trial, place: Place) -> Iterator[None]:
    """Give a sign of life every half minute, for hosts that cannot see this process."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            try:
                with answering(place):
                    sign(trial)
            except (StudyLost, OSError):  # the worker meets it as well, when it tells its score
                continue

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_dead(trial: FrozenTrial, place: Place) -> bool:
    """Whether the process that runs a trial is gone, or has been silent for two minutes.

    One who takes a trial has none: what this process took before, it has left.
    """
    if WORKER not in trial.user_attrs:  # taken by one who died before signing, or just now elsewhere
        taken = trial.datetime_start
        return place.storage is None or taken is None or age(taken.timestamp()) > BEAT
    host, process, seen = trial.user_attrs[WORKER]
    if host == socket.gethostname() and (process == os.getpid() or not exists(process)):
        return True
    return age(seen) > STALE


def age(seen: float) -> float:
    """Seconds since a moment."""
    return time.time() - seen


def exists(process: int) -> bool:
    """Whether a process of this host is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """One process of this file system at a time decides what is to be done next."""
    place.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(place.folder / "next.lock"):
        yield


def importances(study: optuna.Study, ablation: Ablation) -> dict[str, float]:
    """The share of the scores' variance that each axis explains (fANOVA); empty where none can be told.

    Axes that do not apply to every trial have none. Source: Hutter et al. 2014, in Optuna.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shared = [axis.name for axis in ablation.asked if all(axis.name in t.params for t in done)]
    varied = [name for name in shared if len({t.params[name] for t in done}) > 1]
    if len(varied) < 2 or len({t.values[0] for t in done}) < 2 or len(done) < 4:
        return {}
    found = optuna.importance.get_param_importances(
        study,
        evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
        params=varied,
        target=lambda trial: trial.values[0],
    )
    return {name: round(float(share), 6) for name, share in found.items()}
