"""The training stream: batch k is a function of (experiment, k) alone, so it has no state to resume."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from generators.base import Source
from generators.drawer import UsageError
from suite.clock import Clock, timed_images
from suite.frontend import FrontEnd
from suite.pools import Pool

STEPS_AHEAD = 4  # batches that a source of files hears of before a step needs them
MEASURED = 512  # samples whose pixels give the source's mean and standard deviation


def seed_of(*parts: Any) -> int:
    """A 63-bit seed from anything printable: independent streams for independent purposes."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_of(*parts: Any) -> torch.Generator:
    """A CPU generator seeded by :func:`seed_of`."""
    return torch.Generator().manual_seed(seed_of(*parts))


@dataclass
class Stream:
    """Standardised training images, batch by batch.

    Global batch ``k`` holds the same samples, crops and order on any number of ranks, and after any
    resume; :meth:`batch` returns the rows of one rank.
    """

    source: Source
    frontend: FrontEnd  # with the statistics that standardise the images
    batch_size: int  # global
    seed: int
    pool: Pool | None = None  # None: render while training
    steps: int | None = None  # of the whole training; a source whose samples have their time needs it
    clock: Clock = field(default_factory=Clock)
    _order: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def indices(self, step: int) -> Tensor:
        """Sample indices of global batch ``step``: each pass over a pool is a fresh permutation.

        Where the source says which of its samples are due at this step, they are drawn by that.
        """
        first = step * self.batch_size
        wanted = torch.arange(first, first + self.batch_size)
        if self.pool is None:
            return wanted
        size = len(self.pool.images)
        progress = step / max(1, self.steps - 1) if self.steps else 0.0
        chances = self.source.chances(torch.arange(size), progress)
        if chances is not None:
            return self.due(chances, step)
        epochs = wanted // size
        needed = range(int(epochs[0]), int(epochs[-1]) + 1)  # several where the pool is small
        self._order = {epoch: self._order[epoch] for epoch in needed if epoch in self._order}
        for epoch in needed:
            if epoch not in self._order:
                generator = generator_of("order", self.seed, epoch)
                self._order[epoch] = torch.randperm(size, generator=generator)
        return torch.stack(
            [
                self._order[epoch][index % size]
                for epoch, index in zip(epochs.tolist(), wanted.tolist(), strict=True)
            ]
        )

    def due(self, chances: Tensor, step: int) -> Tensor:
        """Rows of the pool for global batch ``step``, drawn with relative probabilities ``chances``."""
        if self.steps is None:
            raise UsageError(
                f"source {self.source.name!r} changes while training and must know how long that is: "
                "give the stream its steps."
            )
        bounds = chances.double().cumsum(0)
        drawn = torch.rand(
            self.batch_size, generator=generator_of("due", self.seed, step), dtype=torch.float64
        )
        return torch.searchsorted(bounds, drawn * bounds[-1], right=True).clamp_max(len(chances) - 1)

    def expect(self, steps: range, rank: int, world: int) -> None:
        """Let the source read files for the rows of one rank in batches that are soon to come."""
        if self.pool is None:
            for step in steps:
                self.source.expect(self.indices(step)[self.rows(rank, world)])

    def rows(self, rank: int, world: int) -> slice:
        """The rows of a global batch that are one rank's."""
        return slice(rank * self.batch_size // world, (rank + 1) * self.batch_size // world)

    def batch(self, step: int, rank: int, world: int, device: torch.device) -> Tensor:
        """Images ``(B / world, F, frames)`` of one rank, standardised, on ``device``."""
        rows = self.rows(rank, world)
        indices = self.indices(step)[rows]
        raw = (
            timed_images(self.source, indices, self.frontend, self.clock, device)
            if self.pool is None
            else self.pool.read(indices)
        )
        raw = self.frontend.pad_frames(raw, self.frontend.frames)
        spare = raw.shape[2] - self.frontend.frames
        draw = torch.rand(self.batch_size, generator=generator_of("crop", self.seed, step))[rows]
        starts = (draw * (spare + 1)).long().tolist()
        cropped = torch.stack(
            [
                image[:, start : start + self.frontend.frames]
                for image, start in zip(raw, starts, strict=True)
            ]
        )
        return self.frontend.standardise(cropped.to(device, non_blocking=True))

    def ahead(
        self, first: int, last: int, rank: int, world: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Sample indices and images of batches ``first`` to ``last - 1``.

        Each is made by a thread while the one before is used. A source of files reads further ahead,
        in processes of its own.
        """

        def make(step: int) -> tuple[Tensor, Tensor]:
            begin = first if step == first else step + STEPS_AHEAD - 1
            self.expect(range(begin, min(step + STEPS_AHEAD, last)), rank, world)
            indices = self.indices(step)[self.rows(rank, world)]
            return indices, self.batch(step, rank, world, device)

        with ThreadPoolExecutor(1, thread_name_prefix="stream") as thread:
            pending = thread.submit(make, first) if first < last else None
            for step in range(first, last):
                assert pending is not None
                ready = pending.result()
                if step + 1 < last:
                    pending = thread.submit(make, step + 1)
                yield ready


def measure_source(source: Source, frontend: FrontEnd, pool: Pool | None) -> FrontEnd:
    """The front-end with the statistics that standardise this source's images at pre-training.

    ``statistics="fixed"`` keeps the given numbers for sounds. Pictures and blends are no log-mels: they
    are always standardised by their own mean and standard deviation, which say nothing of sounds: with
    ``statistics="source"`` evaluated clips could not be standardised, so that raises UsageError.
    """
    if frontend.statistics == "source" and source.kind != "waveform":
        raise UsageError(
            f"source {source.name!r} makes {source.kind}s, whose statistics do not fit the sounds of a "
            "task. Type frontend.statistics=task, or fixed with frontend.mean and frontend.std."
        )
    if frontend.statistics == "fixed" and source.kind == "waveform":
        return frontend
    if pool is not None:
        images = pool.read(torch.arange(min(MEASURED, len(pool.images))))
    else:
        source.expect(torch.arange(MEASURED // 8))
        images = source.images(torch.arange(MEASURED // 8), frontend)
    return frontend.measured_on(images, f"source {source.name!r}")
