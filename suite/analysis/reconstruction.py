"""How well a run reconstructs what is hidden from it: measured at every kept point, and drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import tasks
from generators.drawer import UsageError
from suite import checkpoint, drawers
from suite.analysis.reconstruction_sheet import Column, Sheet, draw, saved
from suite.analysis.samples import Samples, own_samples, task_clips
from suite.configuration import configure
from suite.encoder import Encoder
from suite.experiment import Experiment, experiment_from
from suite.machine import Machine, open_machine
from suite.masking.base import Mask
from suite.objectives.base import PixelObjective
from suite.rows import write_atomically
from suite.step import Draws

FOLDER = "reconstructions"  # below the run
ON_SCALE = 0.99  # share of the hidden pixels whose error is below the end of the colour scale


@dataclass(frozen=True)
class Reconstruction:
    """Inputs with their hidden patches as predicted, and how far that is from the truth."""

    images: Tensor  # (B, F, T), standardised; visible patches are the input's
    errors: Tensor  # (B,): mean squared error on the hidden patches, in the trained space
    flat: float  # the same error where zero, their mean, is predicted everywhere

    @property
    def error(self) -> float:
        """The objective's loss, without dropout."""
        return self.errors.mean().item()


def reconstruct(words: list[str], tell: Callable[[str], None]) -> None:
    """Draw what the run ``run=...`` predicts of hidden patches, at every kept point of its training.

    ``words`` are the keys as typed. Shown are ``count`` samples of the run's own source that it was
    never trained on, and as many clips of each task where ``tasks=[...]`` is typed. PNG and SVG files
    go to ``reconstructions/`` in the run's folder; ``tell`` hears the error of each.

    Raises :class:`UsageError` where the run predicts no pixels, and DataMissing where it is not there
    or not finished.
    """
    config = configure(words)
    if config.run is None:
        raise UsageError("which run? Type run=runs/<run_id>; `sourcebench list runs` names them.")
    run, data, cache = Path(config.run), Path(config.paths.data), Path(config.paths.cache)
    values, _ = checkpoint.read_experiment(run)
    experiment = experiment_from(values)
    checkpoint.read_cost(run)  # refuses a run that is not finished
    objective = pixel_objective(run, experiment)
    machine = open_machine(config.device, experiment.training.precision, config.threads)
    objective.to(machine.device).eval()
    asked = config.tasks if any(word.startswith("tasks=") for word in words) else []
    chosen = [tasks.create(name, data=data, partial=config.partial) for name in asked]
    shown = [own_samples(run, experiment, config["count"], data, cache)]
    shown += [task_clips(run, task, config["count"], cache) for task in chosen]
    for samples in shown:
        mask = next_mask(experiment, objective, samples, machine)
        made = at_every_point(run, experiment, objective, samples, mask, machine)
        tell(f"{samples.said}; {share_hidden(experiment, mask)}")
        for seen, found in made.items():
            tell(f"  {seen:>13,} samples seen: mean squared error {found.error:.4f}")
        tell(f"         a flat guess: mean squared error {flat(made):.4f}")
        for name, sheet in sheets(experiment, objective, samples, mask, made).items():
            path = run / FOLDER / f"{samples.name}.{name}"
            for kind, content in saved(draw(sheet)).items():
                write_atomically(path.with_name(f"{path.name}.{kind}"), content)
            tell(f"  {path}.{{png,svg}}")


def pixel_objective(run: Path, experiment: Experiment) -> PixelObjective:
    """The run's objective, its weights still to be read; UsageError where it predicts no pixels."""
    cure = "Choose a pre-trained run of objective=mae; `sourcebench list runs` names them."
    if experiment.control is not None:
        raise UsageError(
            f"{run} is the control {experiment.control!r}, which was not trained to predict. {cure}"
        )
    objective = experiment.build_objective()
    if not isinstance(objective, PixelObjective):
        name = experiment.objective["name"]
        what = drawers.objectives.entries()[name].summary.rstrip(".")
        raise UsageError(
            f"{run} was trained by objective={name} ({what}). It predicts no pixels, so there is no "
            f"reconstruction to draw. {cure}"
        )
    return objective


def next_mask(
    experiment: Experiment, objective: PixelObjective, samples: Samples, machine: Machine
) -> Mask:
    """Masks of the run's own strategy, drawn for the step that would have come next."""
    steps = experiment.scale.steps
    draws = Draws(masking=experiment.build_masking(), seed=experiment.seed, step=steps, steps=steps)
    return draws.batch(objective, samples.images.to(machine.device), None, machine).mask


def at_every_point(
    run: Path,
    experiment: Experiment,
    objective: PixelObjective,
    samples: Samples,
    mask: Mask,
    machine: Machine,
) -> dict[int, Reconstruction]:
    """The reconstructions of the same masked samples by every kept state, by samples seen."""
    images = samples.images.to(machine.device)
    made = {}
    for point in [*checkpoint.points(run), None]:
        objective.load_state_dict(checkpoint.read_weights(run, point))
        seen = experiment.scale.steps * experiment.scale.batch if point is None else point
        made[seen] = reconstruction(objective, images, mask, machine)
    return made


def reconstruction(
    objective: PixelObjective, images: Tensor, mask: Mask, machine: Machine
) -> Reconstruction:
    """What ``objective`` makes of standardised ``images (B, F, T)`` behind ``mask``."""
    with torch.no_grad():  # inference mode would spoil the constants that decoders cache for training
        with machine.autocast():
            predicted = objective.reconstruct(images, mask)
        predicted, targets = predicted.float(), objective.targets(images, mask)
        pixels = objective.pixels(predicted, images, mask)
        return Reconstruction(
            images=with_hidden(pixels, objective.encoder, images, mask).cpu(),
            errors=(predicted - targets).square().mean(dim=(1, 2)).cpu(),
            flat=targets.square().mean().item(),
        )


def with_hidden(pixels: Tensor | float, encoder: Encoder, images: Tensor, mask: Mask) -> Tensor:
    """``images (B, F, T)`` with ``pixels (B, N - K, P)``, or one number, where ``mask`` hides them."""
    patches = encoder.patchify(images).float().clone()
    rows = torch.arange(len(images), device=images.device)[:, None]
    patches[rows, mask.hide] = pixels
    in_place = patches.unflatten(2, encoder.patch).unflatten(1, mask.grid)  # (B, T', F', pf, pt)
    return in_place.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)


def share_hidden(experiment: Experiment, mask: Mask) -> str:
    """How much of an input is hidden, in words."""
    name, hidden = experiment.masking["name"], mask.hide.shape[1]
    patches = hidden + mask.keep.shape[1]
    return f"{hidden} of {patches} patches hidden ({100 * hidden / patches:.0f} %, {name})"


def sheets(
    experiment: Experiment,
    objective: PixelObjective,
    samples: Samples,
    mask: Mask,
    made: dict[int, Reconstruction],
) -> dict[str, Sheet]:
    """A sheet for every point, by its samples seen, and ``progress`` with all points side by side.

    All of one set of samples have the same masks and scales: they can be compared.
    """
    inputs = samples.frontend.raw(samples.images)
    on_cpu = mask.rows(0, len(inputs), inputs.device)
    covered = with_hidden(math.nan, objective.encoder, inputs, on_cpu)
    first = [Column("input", inputs), Column("masked: hatched is hidden", covered)]
    columns, errors = {}, {}
    for seen, found in made.items():
        raw = samples.frontend.raw(found.images)
        notes = [f"error {error:.3f}" for error in found.errors.tolist()]
        columns[seen] = Column(f"after {seen:,} samples: error {found.error:.3f}", raw, notes)
        errors[seen] = Column("absolute error", (raw - inputs).abs())
    worst = max(scale_end(error.images) for error in errors.values())
    lines = (
        f"{samples.said}; {share_hidden(experiment, mask)}",
        f"error: mean squared error on hidden patches; a flat guess has {flat(made):.3f}",
        "pixels are normalised patch by patch: a hidden patch has its true mean and deviation back here"
        if objective.normalise_pixels
        else "pixels are standardised and no more: level and contrast are predicted too",
    )

    def sheet(shown: list[int], error: Column | None) -> Sheet:
        return Sheet(
            title=f"Reconstructions by {experiment.run_id}",
            lines=lines,
            captions=samples.captions,
            columns=[*first, *(columns[seen] for seen in shown)],
            error=error,
            worst=worst,
            frontend=samples.frontend,
            kind=samples.kind,
        )

    every = {str(seen): sheet([seen], error) for seen, error in errors.items()}
    return every if len(made) < 2 else {**every, "progress": sheet(list(made), None)}


def flat(made: dict[int, Reconstruction]) -> float:
    """The error of a flat guess, which is the same at every point."""
    return next(iter(made.values())).flat


def scale_end(errors: Tensor) -> float:
    """The end of the errors' colour scale: a few are beyond it, visible patches do not count."""
    wrong = errors[errors > 0.0].numpy()
    return float(np.quantile(wrong, ON_SCALE)) if len(wrong) else 1.0
