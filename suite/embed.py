"""From samples to embeddings: embedded once, and cached by the hash of what made them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from suite.checkpoint import Trained
from suite.decode import Decoded, decode
from suite.encoder import Encoder
from suite.foreign import Foreign
from suite.frontend import BLOCK, FrontEnd
from suite.machine import Machine
from suite.pooling import changes, check_fits, pooling_of, stacked_bands
from suite.progress import Progress
from suite.rows import POOLING, write_atomically
from tasks.base import Task

Hearing = Trained | Foreign  # an encoder of ours with its front-end, or anyone's behind HEAR's calls

EMBED_BATCH = {"cpu": 16, "cuda": 256}  # clips encoded at once, of at most 10 s; fewer of longer ones
PART = 4_096  # clips embedded before they are kept on disk: what an interrupt can lose
BATCH_CLIP = 160_000  # samples of a clip up to which a batch is full
STATISTICS = "spread-clips@1"  # how a task's mean and deviation are measured; part of their cache's key
STATISTICS_CLIPS, STATISTICS_SECONDS = 512, 3000  # heard at most for them


def embed(
    task: Task, hearing: Hearing, machine: Machine, cache: Path, pooling: str = POOLING
) -> np.ndarray:
    """Clip embeddings ``(clips, E)``, float32, in the order of ``task.clips()``; computed once.

    Every 4,096 clips are kept as they are done: a killed command goes on behind them.
    """
    decoded = decode(task, cache, hearing.sample_rate)
    made_of, heard = clips_heard(hearing, decoded, machine, cache, pooling)
    path = cache / "embeddings" / f"{task.name}-{content_key(made_of)}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # runs side by side share the cache
        if not path.exists():
            ours, title = isinstance(hearing, Trained), f"embedding {task.name}"
            embed_parts(path, decoded, machine, title, heard, side_by_side=ours)
        return np.asarray(np.load(path))


def embed_parts(
    path: Path,
    decoded: Decoded,
    machine: Machine,
    title: str,
    heard: Callable[[Tensor], Tensor],
    *,
    side_by_side: bool,
) -> None:
    """Write what was ``heard`` of every clip ``(clips, E)`` to ``path``, by way of parts beside it."""
    count, parts = len(decoded.hashes), []
    for first in range(0, count, PART):
        end = min(first + PART, count)
        part = path.with_suffix(f".{first}.part")
        if not part.exists():
            where = f"{title}, {first + 1:,} to {end:,} of {count:,}" if count > PART else title
            some = decoded.part(first, end)
            save_array(part, embed_clips(some, machine, where, heard, side_by_side=side_by_side))
        parts.append(part)
    save_array(path, np.concatenate([np.load(part) for part in parts]))
    for part in parts:
        part.unlink()


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy, complete when it is renamed into place."""
    content = io.BytesIO()
    np.save(content, array)
    write_atomically(path, content.getvalue())


def content_key(made_of: list[Any]) -> str:
    """24 hexadecimal digits that change with any of the plain values a cached file is made of."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:24]


def clips_heard(
    hearing: Hearing, decoded: Decoded, machine: Machine, cache: Path, pooling: str
) -> tuple[list[Any], Callable[[Tensor], Tensor]]:
    """What decides the embeddings of a task's clips, and the call from waveforms to them."""
    if isinstance(hearing, Foreign):
        return ["scenes@1", hearing.fingerprint, decoded.data_hash], hearing.scenes
    pooling = pooling_of(pooling).name
    encoder, frontend = hearing.encoder, at_evaluation(hearing.frontend, decoded, cache)

    def heard(waveforms: Tensor) -> Tensor:
        return clip_embeddings(encoder, frontend, frontend.log_mel(waveforms), machine, pooling)

    made_of = [pooling, hearing.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    return made_of, heard


def embed_clips(
    decoded: Decoded,
    machine: Machine,
    title: str,
    heard: Callable[[Tensor], Tensor],
    *,
    side_by_side: bool = True,
) -> np.ndarray:
    """What was ``heard`` of every clip ``(clips, E)``, float32; see :func:`in_batches`."""
    clips: np.ndarray | None = None
    for positions, said in in_batches(decoded, machine, title, heard, side_by_side=side_by_side):
        if clips is None:
            clips = np.empty((len(decoded.hashes), said.shape[1]), np.float32)
        clips[positions] = said
    assert clips is not None
    return clips


def in_batches(
    decoded: Decoded,
    machine: Machine,
    title: str,
    heard: Callable[[Tensor], Tensor],
    *,
    side_by_side: bool = True,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of clips and what was ``heard`` of their waveforms ``(B, samples)``, batch by batch.

    On a CPU every core takes batches of its own: products of this size lose a tenth to threads that
    wait for each other, and far more where something else runs beside them. The bits do not depend on
    the number of cores. A call that may not run ``side_by_side`` has all cores to itself.
    """
    on_cpu = machine.device.type == "cpu"
    threads = torch.get_num_threads()
    batches = list(equal_lengths(decoded.lengths, EMBED_BATCH[machine.device.type] * BATCH_CLIP))
    progress = Progress(title, len(decoded.hashes), 0, 1)
    done = 0

    def one(positions: np.ndarray) -> np.ndarray:
        return np.asarray(heard(decoded.waveforms(positions).to(machine.device)).cpu())

    workers, each = (threads, 1) if on_cpu and side_by_side else (1, threads)
    pool = ThreadPoolExecutor(workers, "embed", torch.set_num_threads, (each,))
    try:
        for positions, result in zip(batches, pool.map(one, batches), strict=True):
            yield positions, result
            done += len(positions)
            progress.update(done)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the pool's number is also that of threads still to come
    progress.close()


def at_evaluation(frontend: FrontEnd, decoded: Decoded, cache: Path) -> FrontEnd:
    """The front-end with the statistics that standardise evaluated clips.

    ``statistics="task"``: mean and standard deviation over up to 512 clips spread over the task, fewer
    where those are more than 50 minutes. These two numbers are the same for every encoder and fold,
    and no label enters them; they are measured once.
    """
    if frontend.statistics != "task":
        return frontend
    made_of = [STATISTICS, decoded.data_hash, frontend.plain()]
    path = cache / "statistics" / f"{content_key(made_of)}.json"
    if not path.exists():
        measured = measured_on_task(frontend, decoded)
        write_atomically(path, json.dumps({"mean": measured.mean, "std": measured.std}).encode())
    return replace(frontend, **json.loads(path.read_text()))


def measured_on_task(frontend: FrontEnd, decoded: Decoded) -> FrontEnd:
    """The front-end with the statistics of clips spread over a task."""
    count = len(decoded.hashes)
    affordable = int(STATISTICS_SECONDS * frontend.sample_rate / max(1.0, decoded.lengths.mean()))
    heard = max(1, min(count, STATISTICS_CLIPS, affordable))
    spread = np.unique(np.linspace(0, count - 1, heard).astype(np.int64))
    images = [frontend.log_mel(decoded.waveforms(spread[i : i + 1]))[0] for i in range(len(spread))]
    return frontend.measured_on(torch.cat(images, dim=1), "the task's audio")


def equal_lengths(lengths: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Row positions in batches of clips of one length, so that none is padded by another.

    A batch holds ``most / BATCH_CLIP`` clips, fewer where they would be more than ``most`` samples.
    """
    for length in np.unique(lengths):
        positions = np.flatnonzero(lengths == length)
        clips = max(1, most // max(BATCH_CLIP, int(length)))
        yield from np.array_split(positions, -(-len(positions) // clips))


def clip_embeddings(
    encoder: Encoder | None,
    frontend: FrontEnd,
    raw: Tensor,
    machine: Machine,
    pooling: str = POOLING,
) -> Tensor:
    """Clip embeddings ``(B, E)`` of raw log-mels ``(B, F, T)`` of one length, by a pooling's name.

    The control without a network is not pooled. Raises :class:`UsageError` for an unknown pooling, and
    where the encoder has not what is pooled.
    """
    if encoder is None:
        return mel_statistics(raw)
    how = pooling_of(pooling)
    check_fits(how, encoder.architecture)
    chunks = time_chunks(encoder, frontend, raw, machine, how.heard)
    if how.at_once is None or raw.shape[2] > BLOCK:
        return how.in_passing(chunks)
    return how.at_once(torch.cat(list(chunks), dim=1))


def time_steps(encoder: Encoder, frontend: FrontEnd, raw: Tensor, machine: Machine) -> Tensor:
    """One vector per time step ``(B, T', E)``, float32, of raw log-mels ``(B, F, T)`` of one length.

    Each is a vector with its band steps side by side (spec 2.4).
    """
    return torch.cat(list(time_chunks(encoder, frontend, raw, machine, stacked_bands)), dim=1)


def time_chunks(
    encoder: Encoder,
    frontend: FrontEnd,
    raw: Tensor,
    machine: Machine,
    heard: Callable[[Encoder, Tensor], Tensor],
) -> Iterator[Tensor]:
    """What is ``heard`` of a clip chunk by chunk, ``(B, t, E)`` each.

    A clip is cut into chunks of ``frontend.frames``; the last one is padded to whole patches.
    """
    step = encoder.patch[1]
    whole = -(-raw.shape[2] // step) * step
    for start in range(0, whole, frontend.frames):
        chunk = raw[:, :, start : start + frontend.frames]  # one at a time: of an hour, no copy is made
        chunk = frontend.standardise(frontend.pad_frames(chunk, min(frontend.frames, whole - start)))
        with torch.inference_mode(), machine.autocast():
            vectors = heard(encoder, chunk)
        yield vectors


def mel_statistics(raw: Tensor) -> Tensor:
    """The control without a network, ``(B, 4 F)``: per band mean, std, std of differences, maximum."""
    moves = changes(raw, dim=2)
    return torch.cat(
        [raw.mean(2), raw.std(2, correction=0), moves.std(2, correction=0), raw.amax(2)], dim=1
    )
