"""Any run of this suite behind HEAR's calls, for HEAR's tools and for your own code.

    hear-validator suite.hear_api --model runs/RUN
    sourcebench evaluate encoder=suite.hear_api:runs/RUN tasks=[esc50]

or, in Python, ``suite.load("runs/RUN")``. Runs and what `sourcebench export to=hear` made are both such
folders. Source of the calls: spec evaluation.md 2.1.
"""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import generators
from generators.drawer import UsageError
from suite import checkpoint
from suite.chunks import clip_embeddings, time_steps
from suite.encoder import Encoder
from suite.experiment import Experiment, experiment_from
from suite.frames import FRAME_SECONDS
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.rows import POOLING

EXPORTED = "export.json"  # beside an exported run: pooling, and whose statistics standardise its sounds


class HearModel(nn.Module):
    """A trained encoder with its front-end: waveforms in, embeddings out.

    ``sample_rate`` in hertz, ``scene_embedding_size`` and ``timestamp_embedding_size`` are HEAR's
    attributes. Sounds are standardised by the mean and deviation of ``frontend``, whatever they are.
    """

    def __init__(self, encoder: Encoder, frontend: FrontEnd, pooling: str = POOLING) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.frontend = frontend
        self.pooling = pooling
        self.sample_rate = frontend.sample_rate
        self.eval()
        silence = torch.zeros(1, frontend.sample_rate)
        self.scene_embedding_size = self.scenes(silence).shape[1]
        self.timestamp_embedding_size = self.timestamps(silence)[0].shape[2]

    def scenes(self, audio: Tensor) -> Tensor:
        """One embedding ``(n, E)``, float32, of each sound of ``audio (n, samples)`` in [-1, 1]."""
        raw = self.frontend.log_mel(audio.float())
        machine = Machine(audio.device, "float32")
        return clip_embeddings(self.encoder, self.frontend, raw, machine, self.pooling)

    def timestamps(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings ``(n, T, E)``, float32, and the centres ``(n, T)`` of their windows in ms.

        A window is as long as a patch, the next one follows without a gap; one whose centre would lie
        beyond the sound is left out, but for the first.
        """
        raw = self.frontend.log_mel(audio.float())
        steps = time_steps(self.encoder, self.frontend, raw, Machine(audio.device, "float32"))
        patch = self.encoder.patch[1]
        first = self.frontend.first_centre + (patch - 1) / 2 * FRAME_SECONDS
        times = first + patch * FRAME_SECONDS * torch.arange(steps.shape[1], dtype=torch.float64)
        inside = max(1, int((times <= audio.shape[1] / self.sample_rate).sum()))
        stamps = (1000.0 * times[:inside]).float().to(audio.device)
        return steps[:, :inside], stamps.expand(len(audio), -1)


def load_model(model_file_path: str = "") -> HearModel:
    """The encoder of a run's folder, or of what was exported.

    Where a task's statistics standardised its sounds, those of its pre-training source stand in, and a
    warning says so: HEAR's calls know of no task. `sourcebench export` sets others.
    """
    if not model_file_path:
        raise UsageError("which run? HEAR's tools take its folder as the model: --model runs/RUN.")
    run = Path(model_file_path)
    values, _ = checkpoint.read_experiment(run)
    checkpoint.read_cost(run)  # refuses a run that is not finished
    experiment = experiment_from(values)
    if experiment.control == "mel_statistics":
        raise UsageError(f"{run} is the control without a network: there is no encoder in it.")
    trained = checkpoint.load_encoder(run, experiment.build_encoder())
    assert trained.encoder is not None
    about: dict[str, Any] = {}
    if (run / EXPORTED).exists():
        about = checkpoint.read_json(run / EXPORTED)
        measured = {key: about[key] for key in ("mean", "std")}
        frontend = dataclasses.replace(trained.frontend, statistics="fixed", **measured)
    else:
        frontend = without_task(trained.frontend, experiment, str(run))
    return HearModel(trained.encoder, frontend, about.get("pooling", POOLING))


def without_task(frontend: FrontEnd, experiment: Experiment, where: str) -> FrontEnd:
    """The front-end where there is no task to take statistics from: those of its own source.

    Raises :class:`UsageError` where they say nothing of sounds.
    """
    if frontend.statistics != "task":
        return frontend
    source = experiment.source["name"] if experiment.source else "none"
    if experiment.control or generators.catalogue.entries()[source].facts.get("kind") != "waveform":
        raise UsageError(
            f"{where} was evaluated with the statistics of each task, and there are none of its source "
            f"({experiment.label}) that fit sounds. Type `sourcebench export run={where} to=hear "
            "statistics_of=TASK`: a mean and a deviation over that task's sounds, no labels."
        )
    warnings.warn(
        f"{where}: sounds are standardised by the statistics of its source, {experiment.label} (mean "
        f"{frontend.mean:.2f}, deviation {frontend.std:.2f}), not by a task's. `sourcebench export "
        "statistics_of=TASK` sets those of a task.",
        stacklevel=3,
    )
    return dataclasses.replace(frontend, statistics="fixed")


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """One embedding ``(n, scene_embedding_size)`` of each sound of ``audio (n, samples)``."""
    return model.scenes(audio)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings ``(n, T, timestamp_embedding_size)`` and their times ``(n, T)`` in milliseconds."""
    return model.timestamps(audio)
