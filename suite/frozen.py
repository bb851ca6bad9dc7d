"""What a frozen encoder says of every sample of a pool: vectors extracted once, cached by index."""

from __future__ import annotations

import hashlib
import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from generators.drawer import BadData, UsageError
from suite import checkpoint
from suite.checkpoint import Trained
from suite.chunks import clip_embeddings, mel_statistics
from suite.experiment import Experiment, experiment_from
from suite.foreign import Foreign, load_foreign
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.objectives.base import Frozen
from suite.pools import Pool, pool_path
from suite.rows import write_atomically
from suite.stream import MEASURED, Stream, generator_of
from tasks.audio import resample

AT_ONCE = 16  # samples


def size_of(frozen: Frozen, frontend: FrontEnd) -> int:
    """How many numbers a vector has."""
    if frozen.kind == "hear":
        return int(hear_model(frozen.where).model.scene_embedding_size)
    silence = torch.zeros(1, frontend.bands, frontend.frames)
    if frozen.kind == "descriptors":
        return mel_statistics(silence).shape[1]
    trained = run_encoder(Path(frozen.where), frontend)
    return clip_embeddings(
        trained.encoder, trained.frontend, silence, Machine(silence.device, "float32")
    ).shape[1]


def vectors(
    frozen: Frozen, experiment: Experiment, stream: Stream, cache: Path, machine: Machine
) -> Tensor:
    """The vectors ``(pool, E)``, float32, of every sample of the stream's pool; extracted once.

    Raises :class:`UsageError` where there is no pool, or the frozen encoder does not take its samples.
    """
    pool = stream.pool
    if pool is None:
        raise UsageError(
            "a frozen encoder's vectors are extracted once for each sample, which needs a pool. Type "
            "pool=4096, or objective.regulariser=none."
        )
    path = place(frozen, experiment, stream, len(pool.images), cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            content = io.BytesIO()
            np.save(content, extract(frozen, experiment.frontend, stream, pool, machine).numpy())
            write_atomically(path, content.getvalue())
    found = torch.from_numpy(np.load(path))
    if len(found) != len(pool.images):
        raise BadData(
            f"{path} holds {len(found)} vectors, but the pool has {len(pool.images)} samples. Delete "
            "the file and type the command again."
        )
    if not found.isfinite().all():
        raise BadData(f"{path}: the frozen encoder said NaN or infinity. Choose another one.")
    if frozen.standardise:
        found = (found - found.mean(dim=0)) / (found.std(dim=0) + 1e-6)
    if frozen.shuffled:  # by a cycle: no sample keeps its own vector
        order = torch.randperm(len(found), generator=generator_of("shuffled vectors", experiment.seed))
        other = torch.empty_like(order)
        other[order] = order.roll(1)
        found = found[other]
    return found


def place(frozen: Frozen, experiment: Experiment, stream: Stream, size: int, cache: Path) -> Path:
    """Where the vectors lie: the name is a hash of the pool and of the frozen encoder."""
    made_of: list[Any] = [frozen.kind, pool_path(cache, stream.source, experiment.frontend, size).name]
    if frozen.kind == "run":
        made_of.append(run_encoder(Path(frozen.where), experiment.frontend).fingerprint)
    if frozen.kind == "hear":
        made_of.append(frozen.where)
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    return cache / "vectors" / f"{frozen.kind}-{key}.npy"


def extract(frozen: Frozen, frontend: FrontEnd, stream: Stream, pool: Pool, machine: Machine) -> Tensor:
    """The vectors of every sample, as the frozen encoder gives them."""
    pieces = torch.arange(len(pool.images)).split(AT_ONCE)
    if frozen.kind == "descriptors":
        return torch.cat([mel_statistics(pool.read(piece)) for piece in pieces])
    if frozen.kind == "hear":
        return torch.cat([hear_vectors(frozen.where, stream, piece) for piece in pieces])
    trained = run_encoder(Path(frozen.where), frontend)
    assert trained.encoder is not None
    heard = trained.frontend
    if heard.statistics == "task":  # here the task's clips are the pool's
        heard = heard.measured_on(pool.read(torch.arange(min(MEASURED, len(pool.images)))), "the pool")
    encoder = trained.encoder.to(machine.device)
    said = (
        clip_embeddings(encoder, heard, pool.read(piece).to(machine.device), machine)
        for piece in pieces
    )
    return torch.cat([vector.cpu() for vector in said])


def run_encoder(run: Path, frontend: FrontEnd) -> Trained:
    """The encoder of a finished run that hears what ``frontend`` makes."""
    values, _ = checkpoint.read_experiment(run)
    checkpoint.read_cost(run)  # refuses a run that is not finished
    experiment = experiment_from(values)
    if experiment.control == "mel_statistics":
        raise UsageError(f"{run} has no encoder. Type objective.regulariser=descriptors.")
    theirs = experiment.frontend
    if (theirs.family, theirs.bands) != (frontend.family, frontend.bands):
        raise UsageError(
            f"{run} was trained behind {theirs.family} with {theirs.bands} bands, but this run has "
            f"{frontend.family} with {frontend.bands}. Choose a run of the same front-end."
        )
    return checkpoint.load_encoder(run, experiment.build_encoder())


def hear_vectors(where: str, stream: Stream, indices: Tensor) -> Tensor:
    """Scene embeddings ``(B, E)`` of samples, at the model's own sample rate."""
    if stream.source.kind != "waveform":
        raise UsageError(
            f"a HEAR module hears sounds, but source {stream.source.name!r} makes "
            f"{stream.source.kind}s. Type objective.regulariser=descriptors."
        )
    foreign = hear_model(where)
    sounds = [sound for sound in stream.source.sounds(indices) if sound is not None]
    audio = [resample(wave.numpy(), rate, foreign.sample_rate) for wave, rate in sounds]
    return foreign.scenes(torch.from_numpy(np.stack(audio)).float())


@lru_cache(maxsize=1)
def hear_model(where: str) -> Foreign:
    """The frozen encoder that was typed, loaded once."""
    try:
        return load_foreign(where)
    except UsageError as error:
        raise UsageError(f"objective.regulariser_from={error}") from error
