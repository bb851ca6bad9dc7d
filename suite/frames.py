"""Frame embeddings: one vector per time step of a clip, for tasks that ask when something sounds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from suite.checkpoint import Trained
from suite.decode import decode
from suite.embed import at_evaluation, content_key, in_batches, mel_statistics, time_steps
from suite.machine import Machine
from tasks.base import Task

FRAMING = "patch-steps@1"  # what a frame embedding is; its name is part of every cached embedding
MEL_STEP = 16  # log-mel frames of one step of the control without a network: an encoder's patch
FRAME_SECONDS = 0.01  # hop of both front-ends


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


def embed_frames(task: Task, trained: Trained, machine: Machine, cache: Path) -> Frames:
    """Frame embeddings of a task's clips in the order of ``task.clips()``; computed once.

    The control without a network answers with the log-mel statistics of every 16 frames.
    """
    decoded = decode(task, cache)
    frontend = at_evaluation(trained.frontend, decoded, cache)
    encoder = trained.encoder
    step = MEL_STEP if encoder is None else encoder.patch[1]
    counts = np.array([-(-frontend.count_frames(int(n)) // step) for n in decoded.lengths])
    first = frontend.first_centre + (step - 1) / 2 * FRAME_SECONDS
    made_of = [FRAMING, trained.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    path = cache / "frames" / f"{task.name}-{content_key(made_of)}.npy"
    if not path.exists():

        def one(raw: Tensor) -> Tensor:
            if encoder is None:
                return mel_steps(frontend.pad_frames(raw, -(-raw.shape[2] // step) * step))
            return time_steps(encoder, frontend, raw, machine)

        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")  # runs side by side share the cache
        ends = np.cumsum(counts)
        vectors: np.ndarray | None = None
        for positions, steps in in_batches(decoded, frontend, machine, f"embedding {task.name}", one):
            if vectors is None:
                shape = (int(ends[-1]), steps.shape[2])
                vectors = np.lib.format.open_memmap(part, "w+", np.float32, shape)
            for position, rows in zip(positions, steps, strict=True):
                vectors[ends[position] - counts[position] : ends[position]] = rows
        assert isinstance(vectors, np.memmap)
        vectors.flush()
        part.replace(path)
    return Frames(np.load(path, mmap_mode="r"), counts, first, step * FRAME_SECONDS)


def mel_steps(raw: Tensor) -> Tensor:
    """Log-mel statistics ``(B, T / 16, 4 F)`` of every 16 frames of ``(B, F, T)``."""
    windows = raw.unfold(2, MEL_STEP, MEL_STEP).transpose(1, 2)  # (B, T', F, 16)
    return mel_statistics(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
