"""Every token of every clip: what the last layer says, priced, then kept in shards on disk."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generators.drawer import BadData, UsageError
from suite.chunks import MEL_STEP
from suite.decode import Decoded
from suite.embed import Hearing, at_evaluation
from suite.foreign import Foreign
from suite.frames import told
from suite.kept import Kept
from suite.machine import Machine
from suite.probes.base import Tokens
from tasks.base import Task

SHARD_BYTES = 2**30  # at most, of one file
WIDEST = 1024  # numbers of a token that is kept


@dataclass(frozen=True)
class Price:
    """How many tokens there will be, known before the first is made."""

    counts: np.ndarray  # int64 (clips,): tokens of each clip
    width: int

    @property
    def bytes(self) -> np.ndarray:
        """Bytes of each clip's tokens on disk, in float16."""
        return np.asarray(self.counts * self.width * 2)

    def shards(self) -> Iterator[tuple[int, int]]:
        """First clip and end of each shard: neighbours of at most SHARD_BYTES, or a single clip."""
        first, held = 0, 0
        for clip, size in enumerate(self.bytes.tolist()):
            if clip > first and held + size > SHARD_BYTES:
                yield first, clip
                first, held = clip, 0
            held += size
        yield first, len(self.counts)


def price(hearing: Hearing, decoded: Decoded, machine: Machine, cache: Path) -> Price:
    """The tokens of clips: the patches of each, and the class token of each of its chunks, if any.

    A foreign encoder's tokens are its timestamp embeddings, :func:`projected`.
    """
    if isinstance(hearing, Foreign):
        width = min(WIDEST, int(hearing.model.timestamp_embedding_size))
        return Price(told(hearing, decoded, machine).counts, width)
    encoder, frontend = hearing.encoder, at_evaluation(hearing.frontend, decoded, cache)
    frames = np.array([max(1, frontend.count_frames(int(n))) for n in decoded.lengths], np.int64)
    if encoder is None:
        return Price(-(-frames // MEL_STEP), 4 * frontend.bands)
    bands, step = encoder.patch
    steps = -(-frames // step)
    chunks = -(-steps * step // frontend.frames)
    class_tokens = chunks if encoder.class_token is not None else 0
    return Price(steps * (frontend.bands // bands) + class_tokens, encoder.width)


def projected(tokens: Tensor) -> Tensor:
    """Tokens ``(..., D)`` as they are up to 1,024 numbers; wider ones projected to 1,024 by chance.

    Probes of tokens cost as D or as its square, and their tokens as D on the disk: at HEAR's 4,096 a
    fold of ESC-50 takes half an hour. A product with independent normal numbers, drawn once for each
    D, keeps the angles between any tokens to about 0.03, and loses nothing of tokens that span fewer
    than 1,024 directions (Johnson and Lindenstrauss, 1984). No token is looked at to choose it.
    """
    width = tokens.shape[-1]
    return tokens if width <= WIDEST else tokens @ projection(width)


@lru_cache(maxsize=1)
def projection(width: int) -> Tensor:
    """The fixed matrix ``(D, 1024)``; it keeps the size of the numbers, for float16."""
    drawn = torch.randn(width, WIDEST, generator=torch.Generator().manual_seed(0))
    return drawn / width**0.5


def shards(folder: Path, cost: Price) -> Kept:
    """Tokens in files of at most 1 GiB, float16, in ``folder``."""
    files = {folder / f"{number:05d}.npy": bounds for number, bounds in enumerate(cost.shards())}
    return Kept(folder, cost.counts, files)


def afford(task: Task, cost: Price, kept: Kept) -> None:
    """Print what the shards that are not there take, if any.

    Raises :class:`UsageError` where the disk has less.
    """
    needed = int(cost.bytes[kept.lacks()].sum())
    if not needed:
        return
    kept.place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(kept.place).free
    print(
        f"tokens of {task.name}: {len(cost.counts):,} clips, {int(cost.counts.sum()):,} tokens of "
        f"{cost.width} numbers, {needed / 1e9:.2f} GB to write to {kept.place}",
        file=sys.stderr,
        flush=True,
    )
    if needed > free:
        raise UsageError(
            f"the tokens of task {task.name!r} need {needed:,} bytes in {kept.place}, but {free:,} "
            "bytes are free there. Free some (cache/ may be deleted), choose another disk with "
            "paths.cache=FOLDER, or type probes=[linear@1], which reads one vector a clip."
        )


def narrowed(tokens: Tensor, task: Task) -> Tensor:
    """Tokens as float16; raises :class:`BadData` where that does not hold them."""
    narrow = tokens.half()
    if not narrow.isfinite().all():
        raise BadData(
            f"the tokens of task {task.name!r} cannot be kept: the encoder says NaN, or a token is "
            "beyond float16 (65504). Its loss may have diverged. Type probes=[linear@1], which reads "
            "float32, or another run."
        )
    return narrow


def read_tokens(kept: Kept) -> Tokens:
    """The tokens of all clips in their order, memory-mapped."""
    vectors: list[np.ndarray] = []
    for path, (first, end) in kept.files.items():
        shard = np.asarray(np.load(path, mmap_mode="r"))  # a plain view: a memmap for each clip is slow
        vectors += np.split(shard, np.cumsum(kept.counts[first:end])[:-1])
    return Tokens(vectors)
