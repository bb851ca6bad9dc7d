"""What a study came to, as plain values for its file."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from suite.ablation import Ablation
from suite.studies import Study, StudyAxis, StudyTrial, confirmation_of
from suite.study import PARAMS, REASON, SEEDS, importances
from suite.study_runs import CONFIRMED, controls
from suite.trials import RUNS, SECONDS


def described(study: optuna.Study, ablation: Ablation, about: str, command: str) -> Study:
    """The study as plain values."""
    confirmed = study.user_attrs.get(CONFIRMED)  # lists, as JSON has them
    return Study(
        name=ablation.name,
        about=about,
        command=command,
        design=ablation.design,
        task=ablation.scored[0],
        probe=ablation.scored[1],
        cost=ablation.cost,
        sampler=f"{ablation.sampler}, seed {ablation.sampler_seed}" * (ablation.design == "search"),
        pruner=ablation.pruner,
        axes=tuple(
            StudyAxis(
                name=axis.name,
                default=axis.default,
                choices=() if axis.is_range else tuple(map(str, axis.grid)),
                low=axis.low if axis.is_range else None,
                high=axis.high if axis.is_range else None,
                log=axis.log,
            )
            for axis in ablation.asked
        ),
        default=ablation.default,
        trials=tuple(trial_of(trial, ablation) for trial in study.get_trials(deepcopy=False)),
        controls={
            control: tuple(cell.experiment.run_id for cell in controls(ablation, [control]))
            for control in ablation.controls
        },
        importance=importances(study, ablation),
        confirmation=None if confirmed is None else confirmation_of(confirmed),
    )


def trial_of(trial: optuna.trial.FrozenTrial, ablation: Ablation) -> StudyTrial:
    """One trial as plain values."""
    said, values = trial.user_attrs, trial.values if trial.state == TrialState.COMPLETE else None
    return StudyTrial(
        number=trial.number,
        state=trial.state.name.lower(),
        params=said.get(PARAMS, {}),
        seeds=tuple(said.get(SEEDS, ())),
        runs=tuple(said.get(RUNS, ())),
        score=None if values is None else values[0],
        cost=None if values is None or ablation.cost is None else values[1],
        seconds=said.get(SECONDS),
        reason=said.get(REASON, ""),
    )
