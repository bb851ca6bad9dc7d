"""Frame embeddings: one vector per time step of a clip, for tasks that ask when something sounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generators.drawer import BadData
from suite.checkpoint import Trained
from suite.chunks import MEL_STEP, mel_steps, time_steps
from suite.decode import Decoded, decode
from suite.embed import Hearing, at_evaluation, content_key, keep
from suite.foreign import Foreign
from suite.kept import one_file
from suite.machine import Machine
from tasks.base import Task

FRAMING = "patch-steps@1"  # what a frame embedding is; its name is part of every cached embedding
FRAME_SECONDS = 0.01  # hop of both front-ends
EVEN = 0.001  # seconds that a foreign encoder's timestamps may be off an even grid


@dataclass(frozen=True)
class Frames:
    """The time steps of all clips, clip after clip.

    ``vectors`` is float32 ``(sum of counts, E)``, memory-mapped; ``counts (clips,)`` are the steps of
    each clip; step i of a clip is centred at ``first + i * hop`` seconds.
    """

    vectors: np.ndarray
    counts: np.ndarray
    first: float
    hop: float

    def times(self) -> np.ndarray:
        """Centres in seconds of the steps of the longest clip."""
        return self.first + self.hop * np.arange(int(self.counts.max()))

    def rows(self, clips: np.ndarray) -> np.ndarray:
        """The rows of ``vectors`` that belong to ``clips``, in their order."""
        ends = np.cumsum(self.counts)
        return np.concatenate([np.arange(ends[i] - self.counts[i], ends[i]) for i in clips])


def embed_frames(task: Task, hearing: Hearing, machine: Machine, cache: Path) -> Frames:
    """Frame embeddings of a task's clips in the order of ``task.clips()``; computed once.

    The control without a network answers with the log-mel statistics of every 16 frames, a foreign
    encoder with its timestamp embeddings.
    """
    decoded = decode(task, cache, hearing.sample_rate)
    made_of, heard, steps = steps_heard(hearing, decoded, machine, cache)
    path = cache / "frames" / f"{task.name}-{content_key(made_of)}.npy"
    kept, ours = {"frames": one_file(path, steps.counts)}, isinstance(hearing, Trained)
    keep(kept, decoded, machine, f"embedding {task.name}", heard, side_by_side=ours)
    return Frames(np.load(path, mmap_mode="r"), steps.counts, steps.first, steps.hop)


@dataclass(frozen=True)
class Steps:
    """How many steps each clip has ``(clips,)``, and when: centres at ``first + i * hop`` seconds."""

    counts: np.ndarray
    first: float
    hop: float


def steps_heard(
    hearing: Hearing, decoded: Decoded, machine: Machine, cache: Path
) -> tuple[list[Any], Callable[[Tensor, list[str]], dict[str, Tensor]], Steps]:
    """What decides the frame embeddings of a task, the call from waveforms to them, and their times."""
    made_of: list[Any]
    if isinstance(hearing, Foreign):
        made_of = ["timestamps@1", hearing.fingerprint, decoded.data_hash]
        times = told(hearing, decoded, machine)
        return made_of, lambda waveforms, _: {"frames": hearing.timestamps(waveforms)[0]}, times
    frontend, encoder = at_evaluation(hearing.frontend, decoded, cache), hearing.encoder
    step = MEL_STEP if encoder is None else encoder.patch[1]

    def heard(waveforms: Tensor, _names: list[str]) -> dict[str, Tensor]:
        raw = frontend.log_mel(waveforms)
        if encoder is None:
            return {"frames": mel_steps(frontend, raw)}
        return {"frames": time_steps(encoder, frontend, raw, machine)}

    counts = np.array([-(-frontend.count_frames(int(n)) // step) for n in decoded.lengths])
    first = frontend.first_centre + (step - 1) / 2 * FRAME_SECONDS
    made_of = [FRAMING, hearing.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    return made_of, heard, Steps(counts, first, step * FRAME_SECONDS)


def told(foreign: Foreign, decoded: Decoded, machine: Machine) -> Steps:
    """The steps of a foreign encoder as its timestamps tell them, of noise of each clip's length.

    Raises :class:`BadData` where they are not at even times that all lengths share.
    """
    lengths = [int(length) for length in np.unique(decoded.lengths)]
    noise = torch.rand(1, lengths[-1], generator=torch.Generator().manual_seed(0)).to(machine.device)
    times = {length: foreign.timestamps(noise[:, :length])[1][0].numpy() for length in lengths}
    longest = max(times.values(), key=len)
    hop = float((longest[-1] - longest[0]) / max(1, len(longest) - 1))
    for length, found in times.items():
        if not np.allclose(found, longest[0] + hop * np.arange(len(found)), atol=EVEN):
            raise BadData(
                f"{foreign.where}: the timestamps of a clip of {length} samples are not "
                f"{1000 * hop:.2f} ms apart from {1000 * longest[0]:.2f} ms on, as those of the "
                "longest clip. Events cannot be judged by them; HEAR asks for an even grid."
            )
    counts = np.array([len(times[int(length)]) for length in decoded.lengths])
    return Steps(counts, float(longest[0]), hop)
