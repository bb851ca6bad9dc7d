"""Every token of every clip: what the last layer says, priced, then cached in shards on disk."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from generators.drawer import BadData, UsageError
from suite.decode import Decoded, decode
from suite.embed import Hearing, at_evaluation, content_key, in_batches, time_chunks
from suite.encoder import Encoder
from suite.foreign import Foreign
from suite.frames import MEL_STEP, mel_steps, steps_heard
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.probes.base import Tokens
from tasks.base import Task

TOKENS = "last-layer-tokens@1"  # what the tokens of a clip are; its name is part of their cache's key
SHARD_BYTES = 2**30  # at most, of one file: what an interrupt can lose


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


@dataclass(frozen=True)
class TokenSource:
    """Where tokens come from: what decides them, what they take, and the call from waveforms."""

    made_of: list[Any]
    cost: Price
    heard: Callable[[Tensor], Tensor]
    side_by_side: bool


def token_source(hearing: Hearing, decoded: Decoded, machine: Machine, cache: Path) -> TokenSource:
    """The tokens of clips: the patches of each, and the class token of each of its chunks, if any.

    A foreign encoder's tokens are its timestamp embeddings.
    """
    if isinstance(hearing, Foreign):
        made_of, heard, steps = steps_heard(hearing, decoded, machine, cache)
        width = int(hearing.model.timestamp_embedding_size)
        return TokenSource([TOKENS, *made_of], Price(steps.counts, width), heard, side_by_side=False)
    encoder, frontend = hearing.encoder, at_evaluation(hearing.frontend, decoded, cache)

    def tokens(waveforms: Tensor) -> Tensor:
        return clip_tokens(encoder, frontend, frontend.log_mel(waveforms), machine)

    made_of = [TOKENS, hearing.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    return TokenSource(made_of, price(decoded, encoder, frontend), tokens, side_by_side=True)


def price(decoded: Decoded, encoder: Encoder | None, frontend: FrontEnd) -> Price:
    """The tokens of clips: the patches of each, and the class token of each of its chunks, if any."""
    frames = np.array([max(1, frontend.count_frames(int(n))) for n in decoded.lengths], np.int64)
    if encoder is None:
        return Price(-(-frames // MEL_STEP), 4 * frontend.bands)
    bands, step = encoder.patch
    steps = -(-frames // step)
    chunks = -(-steps * step // frontend.frames)
    class_tokens = chunks if encoder.class_token is not None else 0
    return Price(steps * (frontend.bands // bands) + class_tokens, encoder.width)


def embed_tokens(task: Task, hearing: Hearing, machine: Machine, cache: Path) -> Tokens:
    """The tokens of a task's clips in the order of ``task.clips()``, memory-mapped; computed once.

    They are stored as float16 in files of at most 1 GiB, each complete when it is renamed into place: a
    killed command goes on at the file it was at. What they take is printed before the first is written.
    Raises :class:`UsageError` where the disk has not that much room, and :class:`BadData` where a token
    is no number or beyond float16.
    """
    decoded = decode(task, cache, hearing.sample_rate)
    source = token_source(hearing, decoded, machine, cache)
    cost = source.cost
    folder = cache / "tokens" / f"{task.name}-{content_key([*source.made_of, 'float16', SHARD_BYTES])}"
    shards = {folder / f"{i:05d}.npy": bounds for i, bounds in enumerate(cost.shards())}
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        for left in folder.glob("*.part"):  # of a command that was killed
            left.unlink()
        missing = {path: bounds for path, bounds in shards.items() if not path.exists()}
        if missing:
            afford(task, cost, missing, folder)
        for path, bounds in missing.items():
            title = f"tokens of {task.name}, file {int(path.stem) + 1} of {len(shards)}"
            write_shard(path, bounds, source, decoded, machine, title)
    vectors: list[np.ndarray] = []
    for path, (first, end) in shards.items():
        shard = np.asarray(np.load(path, mmap_mode="r"))  # a plain view: a memmap for each clip is slow
        vectors += np.split(shard, np.cumsum(cost.counts[first:end])[:-1])
    return Tokens(vectors)


def afford(task: Task, cost: Price, missing: dict[Path, tuple[int, int]], folder: Path) -> None:
    """Print what the missing shards take; raises :class:`UsageError` where the disk has less."""
    needed = sum(int(cost.bytes[first:end].sum()) for first, end in missing.values())
    free = shutil.disk_usage(folder).free
    print(
        f"tokens of {task.name}: {len(cost.counts):,} clips, {int(cost.counts.sum()):,} tokens of "
        f"{cost.width} numbers, {needed / 1e9:.2f} GB to write to {folder}",
        file=sys.stderr,
        flush=True,
    )
    if needed > free:
        raise UsageError(
            f"the tokens of task {task.name!r} need {needed:,} bytes in {folder}, but {free:,} bytes "
            "are free there. Free some (cache/ may be deleted), choose another disk with "
            "paths.cache=FOLDER, or type probes=[linear@1], which reads one vector a clip."
        )


def write_shard(
    path: Path,
    bounds: tuple[int, int],
    source: TokenSource,
    decoded: Decoded,
    machine: Machine,
    title: str,
) -> None:
    """Write the tokens of the clips from ``bounds[0]`` to before ``bounds[1]``, clip after clip."""
    first, end = bounds
    some = decoded.part(first, end)
    counts, sizes = source.cost.counts[first:end], source.cost.bytes[first:end]
    places = np.cumsum(sizes) - sizes

    def heard(waveforms: Tensor) -> Tensor:
        return source.heard(waveforms).half()

    part = path.with_suffix(".part")
    try:  # Not through a memory map: a full disk is an error, not a dead process.
        with part.open("wb") as file:
            shape = (int(counts.sum()), source.cost.width)
            description = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, description)
            start = file.tell()
            for positions, batch in in_batches(
                some, machine, title, heard, side_by_side=source.side_by_side
            ):
                check_numbers(batch, path)
                for position, tokens in zip(positions, batch, strict=True):
                    assert tokens.shape == (counts[position], source.cost.width)
                    file.seek(start + int(places[position]))
                    file.write(tokens.tobytes())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # give a full disk its space back, and name the file
        part.unlink(missing_ok=True)
        error.filename = error.filename or str(part)
        raise
    part.replace(path)


def check_numbers(tokens: np.ndarray, path: Path) -> None:
    """Raise :class:`BadData` where float16 does not hold the tokens."""
    if not np.isfinite(tokens).all():
        raise BadData(
            f"{path} cannot be written: the encoder says NaN, or a token is beyond float16 (65504). "
            "Its loss may have diverged. Type probes=[linear@1], which reads float32, or another run."
        )


def clip_tokens(encoder: Encoder | None, frontend: FrontEnd, raw: Tensor, machine: Machine) -> Tensor:
    """The tokens ``(B, N, D)``, float32, of raw log-mels ``(B, F, T)`` of one length.

    A clip is read as for its embedding: in chunks of ``frontend.frames``, the last one padded to whole
    patches and no further. Of each chunk come the class token, where there is one, and its patches,
    time-major. The control without a network answers with the log-mel statistics of every 16 frames.
    """
    if encoder is None:
        return mel_steps(frontend.pad_frames(raw, -(-raw.shape[2] // MEL_STEP) * MEL_STEP))
    return torch.cat(list(time_chunks(encoder, frontend, raw, machine, every_token)), dim=1)


def every_token(encoder: Encoder, images: Tensor) -> Tensor:
    """All tokens ``(B, [1 +] N, D)``, float32, of standardised log-mels ``(B, F, T)``."""
    return encoder.tokens(images).float()
