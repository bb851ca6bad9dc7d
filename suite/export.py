"""Take an encoder away: a folder for HEAR's tools, for timm, or for a model hub."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from generators.drawer import UsageError
from suite import checkpoint, timm_weights
from suite.checkpoint import DONE, EXPERIMENT, FRONTEND, WEIGHTS
from suite.decode import decode
from suite.embed import at_evaluation
from suite.experiment import Experiment, experiment_from
from suite.frontend import FrontEnd
from suite.hear_api import EXPORTED, without_task
from suite.model_card import model_card
from suite.pooling import check_fits, pooling_of
from suite.rows import write_atomically
from tasks.base import Task

OWN_SOURCE = "source"  # statistics_of: the pre-training source's


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is taken away, and how its sounds are standardised and pooled.

    ``task`` is whose sounds give the mean and the deviation; None: the source's own.
    """

    run: Path
    task: Task | None
    pooling: str
    cache: Path


def export(wanted: Wanted, to: str, out: Path) -> Path:
    """Write the folder ``out``; an older export there is replaced when the new one is whole.

    Raises :class:`UsageError` where ``out`` holds anything else: it would be lost.
    """
    if to not in KINDS:
        raise UsageError(f"to={to!r}: expected {', '.join(KINDS)}.")
    values, _ = checkpoint.read_experiment(wanted.run)
    checkpoint.read_cost(wanted.run)  # refuses a run that is not finished
    experiment = experiment_from(values)
    if experiment.control == "mel_statistics":
        raise UsageError(f"{wanted.run} is the control without a network: there is nothing to export.")
    if out.exists() and not (out / EXPORTED).exists() and (out.is_file() or any(out.iterdir())):
        raise UsageError(f"{out} is there and is no export of ours. Type out=FOLDER, one that is not.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.") as place:
        made = Path(place) / out.name
        made.mkdir()
        KINDS[to](wanted, experiment, made)
        if out.exists():
            shutil.rmtree(out)
        made.replace(out)
    return out


def to_hear(wanted: Wanted, experiment: Experiment, out: Path) -> None:
    """A folder that ``suite.load`` and HEAR's tools take: encoder, front-end, pooling."""
    pooling = pooling_of(wanted.pooling)
    check_fits(pooling, experiment.encoder)
    frontend = standardised(wanted, experiment)
    weights = checkpoint.read_weights(wanted.run)
    encoder = {name: value for name, value in weights.items() if name.startswith("encoder.")}
    checkpoint.save_weights(out / WEIGHTS, encoder)
    for name in (EXPERIMENT, FRONTEND, DONE):
        shutil.copyfile(wanted.run / name, out / name)
    of = "source" if wanted.task is None else wanted.task.name
    about = {"mean": frontend.mean, "std": frontend.std, "statistics_of": of, "pooling": pooling.name}
    checkpoint.write_json(out / EXPORTED, about)


def standardised(wanted: Wanted, experiment: Experiment) -> FrontEnd:
    """The run's front-end with the statistics that were asked for."""
    frontend = FrontEnd(**checkpoint.read_json(wanted.run / FRONTEND))
    if wanted.task is None:
        return without_task(frontend, experiment, str(wanted.run))
    decoded = decode(wanted.task, wanted.cache, frontend.sample_rate)
    return at_evaluation(dataclasses.replace(frontend, statistics="task"), decoded, wanted.cache)


def to_hub(wanted: Wanted, experiment: Experiment, out: Path) -> None:
    """The same folder with a model card of the run's rows, ready to be uploaded by its owner."""
    to_hear(wanted, experiment, out)
    write_atomically(out / "README.md", model_card(wanted.run, experiment).encode())


def to_timm(wanted: Wanted, experiment: Experiment, out: Path) -> None:
    """Weights in timm's names, and the configuration that ``timm.create_model`` reads."""
    trained = checkpoint.load_encoder(wanted.run, experiment.build_encoder())
    assert trained.encoder is not None
    timm_weights.write(trained.encoder, standardised(wanted, experiment), out)
    checkpoint.write_json(out / EXPORTED, {"run": experiment.run_id})


KINDS: dict[str, Callable[[Wanted, Experiment, Path], None]] = {
    "hear": to_hear,
    "timm": to_timm,
    "hub": to_hub,
}
