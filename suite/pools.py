"""Pools: a source's samples rendered once to disk, replayed by every run that needs the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from generators.base import Source
from suite.clock import Clock, timed_images
from suite.frontend import FrontEnd
from suite.rows import write_atomically

RENDER_BATCH = 16  # samples rendered at once: large enough to vectorise, small in memory
POOL_AHEAD = 16 * RENDER_BATCH  # samples that a source of files hears of before a pool needs them


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


def remove_pool(path: Path) -> None:
    """Give the disk a pool back. Who reads it now reads on; who asks for it again renders it anew."""
    with FileLock(f"{path}.lock"):
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)


@contextlib.contextmanager
def removed_if_unfinished(part: Path) -> Iterator[None]:
    """Give a full disk its space back, and name the file in the error."""
    try:
        yield
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename = error.filename or str(part)
        raise
