"""The training stream: batch k is a function of (experiment, k) alone, so it has no state to resume."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from generators.base import Source
from generators.drawer import UsageError
from suite.frontend import FrontEnd
from suite.rows import write_atomically

RENDER_BATCH = 16  # samples rendered at once into a pool: large enough to vectorise, small in memory
POOL_AHEAD = 16 * RENDER_BATCH  # samples that a source of files hears of before a pool needs them
STEPS_AHEAD = 4  # batches that it hears of before a step needs them
MEASURED = 512  # samples whose pixels give the source's mean and standard deviation


def seed_of(*parts: Any) -> int:
    """A 63-bit seed from anything printable: independent streams for independent purposes."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_of(*parts: Any) -> torch.Generator:
    """A CPU generator seeded by :func:`seed_of`."""
    return torch.Generator().manual_seed(seed_of(*parts))


@dataclass
class Clock:
    """Seconds spent making samples, and making log-mels of them; on a GPU, issuing that work."""

    generation: float = 0.0
    frontend: float = 0.0


@dataclass(frozen=True)
class TimedFrontEnd:
    """A front-end as a source sees it, its time told to a clock."""

    frontend: FrontEnd
    clock: Clock = field(compare=False)  # sources keep what they measured by front-end

    @property
    def bands(self) -> int:
        return self.frontend.bands

    def log_mel(self, waveforms: Tensor) -> Tensor:
        began = time.perf_counter()
        images = self.frontend.log_mel(waveforms)
        self.clock.frontend += time.perf_counter() - began
        return images

    def pad_frames(self, images: Tensor, frames: int) -> Tensor:
        return self.frontend.pad_frames(images, frames)


def timed_images(
    source: Source,
    indices: Tensor,
    frontend: FrontEnd,
    clock: Clock,
    device: torch.device | str = "cpu",
) -> Tensor:
    """``source.images(indices, frontend, device)``, its time split between the two."""
    began, heard_before = time.perf_counter(), clock.frontend
    images = source.images(indices, TimedFrontEnd(frontend, clock), device)
    clock.generation += time.perf_counter() - began - (clock.frontend - heard_before)
    return images


@dataclass(frozen=True)
class Pool:
    """Distinct samples of a source rendered once: float16 ``(size, F, T)`` on disk."""

    images: np.ndarray  # memory-mapped

    def read(self, indices: Tensor) -> Tensor:
        """Raw images ``(B, F, T)``, float32."""
        return torch.from_numpy(self.images[indices.numpy()]).float()


def pool_path(cache: Path, source: Source, frontend: FrontEnd, size: int) -> Path:
    """Where the pool lies: its name is a hash of everything that decides its content."""
    made_of = {
        "source": {key: str(value) for key, value in source.identity().items() if key != "size"},
        "size": size,
        "frontend": None if source.kind == "picture" else [frontend.family, frontend.bands],
    }
    if source.kind == "image":  # sounds among pictures are padded to their width
        made_of["padding"] = frontend.padding
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    return cache / "pools" / f"{source.name}-{key}.npy"


def open_pool(
    cache: Path,
    source: Source,
    frontend: FrontEnd,
    size: int,
    progress: Any = None,
    clock: Clock | None = None,
) -> Pool:
    """The pool of ``size`` samples, rendered now if it is not there yet.

    One process renders, others wait; the file is complete when it is renamed into place.
    ``progress(done, size)`` is called after each batch.
    """
    path = pool_path(cache, source, frontend, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            part = path.with_suffix(".part")
            shape = source.images([0], frontend).shape
            # Written in order, not through a memory map: a full disk is an error, not a dead process.
            with removed_if_unfinished(part), part.open("wb") as file:
                description = {"descr": "<f2", "fortran_order": False, "shape": (size, *shape[1:])}
                np.lib.format.write_array_header_1_0(file, description)
                order = torch.arange(size)
                source.expect(order[:POOL_AHEAD])
                for start in range(0, size, RENDER_BATCH):
                    stop = min(start + RENDER_BATCH, size)
                    source.expect(order[start + POOL_AHEAD : stop + POOL_AHEAD])
                    images = timed_images(source, order[start:stop], frontend, clock or Clock())
                    file.write(images.half().numpy().tobytes())
                    if progress is not None:
                        progress(stop, size)
                file.flush()
                os.fsync(file.fileno())
            header = {key: str(value) for key, value in source.identity().items()}
            write_atomically(path.with_suffix(".json"), json.dumps(header, indent=1).encode())
            part.replace(path)
    return Pool(np.load(path, mmap_mode="r"))


@contextlib.contextmanager
def removed_if_unfinished(part: Path) -> Iterator[None]:
    """Give a full disk its space back, and name the file in the error."""
    try:
        yield
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename = error.filename or str(part)
        raise


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
