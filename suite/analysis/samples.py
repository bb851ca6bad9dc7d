"""What a run is looked at with: samples of its own source that it never saw, and clips of a task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generators.base import Kind, Source
from suite import checkpoint
from suite.decode import decode
from suite.embed import at_evaluation
from suite.experiment import Experiment
from suite.frontend import HOP, FrontEnd
from suite.pools import open_pool
from suite.preview.sheet import caption
from suite.stream import generator_of, measure_source
from tasks.base import Task

CAPTION = 84  # characters: the width of two panels


@dataclass(frozen=True)
class Samples:
    """Inputs that are looked at together, and what is said of them."""

    name: str  # of the source or the task
    said: str
    kind: Kind
    captions: list[str]  # one for each
    images: Tensor  # (B, F, frames), standardised by ``frontend``
    frontend: FrontEnd


def own_samples(run: Path, experiment: Experiment, count: int, data: Path, cache: Path) -> Samples:
    """Samples of the run's source that come after those it was trained on, cropped as in training.

    A source without further distinct samples shows its first ones, and ``said`` says so. Those of
    recordings are other crops, which may overlap what it was trained on.
    """
    source = experiment.build_source(data, cache)
    scale = experiment.scale
    first = scale.steps * scale.batch if experiment.pool is None else experiment.pool
    said = "other crops than trained on" if source.family == "recording" else "never trained on"
    if source.size is not None:
        if source.size > first:
            count = min(count, source.size - first)
        else:
            first, count, said = 0, min(count, source.size), "trained on: the source has no others"
    indices = list(range(first, first + count))
    frontend = trained_behind(run, experiment, source, cache)
    source.expect(indices)
    raw = frontend.pad_frames(source.images(indices, frontend), frontend.frames)
    spare = raw.shape[2] - frontend.frames
    drawn = torch.rand(count, generator=generator_of("crops to look at", experiment.seed))
    starts = (drawn * (spare + 1)).long().tolist()
    crops = [
        image[:, start : start + frontend.frames] for image, start in zip(raw, starts, strict=True)
    ]
    return Samples(
        name=source.name,
        said=f"samples {first} to {indices[-1]} of {source.name}, {said}",
        kind=source.kind,
        captions=[f"{index}   {caption(source.describe(index), CAPTION)}" for index in indices],
        images=frontend.standardise(torch.stack(crops)),
        frontend=frontend,
    )


def trained_behind(run: Path, experiment: Experiment, source: Source, cache: Path) -> FrontEnd:
    """The front-end with the statistics that standardised the images the run was trained on."""
    given, size = experiment.frontend, experiment.pool
    if given.statistics == "fixed" and source.kind != "waveform":
        # frontend.json has the fixed ones, for the sounds of tasks; pictures are measured anew.
        pool = None if size is None else open_pool(cache, source, given, size)
        return measure_source(source, given, pool)
    return FrontEnd(**checkpoint.read_json(run / checkpoint.FRONTEND))


def task_clips(run: Path, task: Task, count: int, cache: Path) -> Samples:
    """The loudest input of clips that are spread over the task, standardised as at evaluation."""
    decoded = decode(task, cache)
    trained = FrontEnd(**checkpoint.read_json(run / checkpoint.FRONTEND))
    frontend = at_evaluation(trained, decoded, cache)
    clips = task.clips()
    inputs, captions = [], []
    for position in np.unique(np.linspace(0, len(clips) - 1, count).astype(np.int64)):
        raw = frontend.log_mel(decoded.waveforms(np.array([position])))[0]
        inputs.append(frontend.pad_frames(loudest(raw, frontend.frames), frontend.frames))
        labels = np.atleast_1d(clips["label"][position])
        classes = ", ".join(task.classes[int(label)] for label in labels)
        captions.append(f"{clips['clip'][position]}   {classes}"[:CAPTION])
    seconds = frontend.frames * HOP / frontend.sample_rate
    return Samples(
        name=task.name,
        said=f"the loudest {seconds:.2f} s of {len(inputs)} clips of {task.name}",
        kind="waveform",
        captions=captions,
        images=frontend.standardise(torch.stack(inputs)),
        frontend=frontend,
    )


def loudest(raw: Tensor, frames: int) -> Tensor:
    """The ``frames`` frames of a log-mel ``(F, T)`` that hold most power; all of a shorter one."""
    if raw.shape[1] <= frames:
        return raw
    power = raw.double().exp().sum(dim=0).unfold(0, frames, 1).sum(dim=1)  # (T - frames + 1,)
    start = int(power.argmax())
    return raw[:, start : start + frames]
