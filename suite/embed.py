"""From clips to embeddings: decode once, embed once, cache both by the hash of what made them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from generators.drawer import DataMissing
from suite.checkpoint import Trained
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.progress import Progress
from suite.rows import write_atomically
from tasks.audio import content_hash, resample
from tasks.base import Task, check_duplicates, measured_split_hash

POOLING = "mean-std-change@1"  # what a clip embedding is; its name is part of every cached embedding
EMBED_BATCH = {"cpu": 16, "cuda": 256}  # clips encoded at once


@dataclass(frozen=True)
class Decoded:
    """Every clip of a task as 16 kHz 16-bit samples, one after another on disk."""

    samples: np.ndarray  # int16, memory-mapped
    offsets: np.ndarray  # int64 (clips + 1,)
    hashes: list[str]  # of each clip's samples

    @property
    def lengths(self) -> np.ndarray:
        """Samples of each clip."""
        return np.diff(self.offsets)

    @property
    def data_hash(self) -> str:
        """SHA-256 over the clips' hashes in order: another encoding or a subset shows."""
        return hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()

    def waveforms(self, positions: np.ndarray) -> Tensor:
        """Clips of equal length as float32 ``(B, samples)``."""
        rows = [self.samples[self.offsets[i] : self.offsets[i + 1]] for i in positions]
        return torch.from_numpy(np.stack(rows).astype(np.float32) / 32767.0)


def decode(task: Task, cache: Path, sample_rate: int = 16_000) -> Decoded:
    """The task's clips, decoded now if they are not cached yet.

    The cache is keyed by the clip table and by each file's size and time of change, and is complete
    when it is renamed into place. Corrupt, empty or NaN clips raise :class:`BadData` naming the file;
    so does one sound in two folds, naming both clips.
    """
    clips = task.clips()
    lines = [f"{task.name} {task.version} {sample_rate} {measured_split_hash(clips)}"]
    for relative in clips["path"] if not task.embedded else []:
        file = Path(task.data or "") / task.folder / relative
        if not file.exists():
            raise DataMissing(
                f"task {task.name!r}: no sound file at {file}. Restore it from the official release."
            )
        status = file.stat()
        lines.append(f"{relative} {status.st_size} {status.st_mtime_ns}")
    key = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    path = cache / "audio" / f"{task.name}-{key}.npy"
    index = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            progress = Progress(f"decoding {task.name}", len(clips), 0, 1)
            pieces, hashes = [], []
            for position in range(len(clips)):
                samples = resample(*task.waveform(position), sample_rate)
                pieces.append(np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16))
                hashes.append(content_hash(samples))
                progress.update(position + 1)
            progress.close()
            offsets = np.cumsum([0, *(len(piece) for piece in pieces)]).tolist()
            write_atomically(index, json.dumps({"offsets": offsets, "hashes": hashes}).encode())
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.save(file, np.concatenate(pieces))
            part.replace(path)
    header = json.loads(index.read_text())
    check_duplicates(task, header["hashes"])
    return Decoded(np.load(path, mmap_mode="r"), np.array(header["offsets"]), header["hashes"])


def embed(task: Task, trained: Trained, machine: Machine, cache: Path) -> np.ndarray:
    """Clip embeddings ``(clips, E)``, float32, in the order of ``task.clips()``; computed once."""
    decoded = decode(task, cache)
    frontend = at_evaluation(trained.frontend, decoded)
    made_of = [POOLING, trained.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:24]
    path = cache / "embeddings" / f"{task.name}-{key}.npy"
    if path.exists():
        return np.asarray(np.load(path))
    clips = embed_clips(decoded, trained.encoder, frontend, machine, f"embedding {task.name}")
    content = io.BytesIO()
    np.save(content, clips)
    write_atomically(path, content.getvalue())
    return clips


def embed_clips(
    decoded: Decoded, encoder: Encoder | None, frontend: FrontEnd, machine: Machine, title: str
) -> np.ndarray:
    """Clip embeddings ``(clips, E)``, float32, of decoded sound."""

    def one(raw: Tensor) -> Tensor:
        return clip_embeddings(encoder, frontend, raw, machine)

    clips: np.ndarray | None = None
    for positions, pooled in in_batches(decoded, frontend, machine, title, one):
        if clips is None:
            clips = np.empty((len(decoded.hashes), pooled.shape[1]), np.float32)
        clips[positions] = pooled
    assert clips is not None
    return clips


def in_batches(
    decoded: Decoded,
    frontend: FrontEnd,
    machine: Machine,
    title: str,
    embedded: Callable[[Tensor], Tensor],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of clips and ``embedded`` of their raw log-mels ``(B, F, T)``, batch by batch.

    On a CPU every core takes batches of its own: products of this size lose a tenth to threads that
    wait for each other, and far more where something else runs beside them. The bits do not depend on
    the number of cores.
    """
    on_cpu = machine.device.type == "cpu"
    threads = torch.get_num_threads()
    batches = list(equal_lengths(decoded.lengths, EMBED_BATCH[machine.device.type]))
    progress = Progress(title, len(decoded.hashes), 0, 1)
    done = 0

    def one(positions: np.ndarray) -> np.ndarray:
        raw = frontend.log_mel(decoded.waveforms(positions).to(machine.device))
        return np.asarray(embedded(raw).cpu())

    pool = ThreadPoolExecutor(threads if on_cpu else 1, "embed", torch.set_num_threads, (1,))
    try:
        for positions, result in zip(batches, pool.map(one, batches), strict=True):
            yield positions, result
            done += len(positions)
            progress.update(done)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the pool's number is also that of threads still to come
    progress.close()


def at_evaluation(frontend: FrontEnd, decoded: Decoded) -> FrontEnd:
    """The front-end with the statistics that standardise evaluated clips.

    ``statistics="task"``: mean and standard deviation over up to 512 clips spread over the task. These
    two numbers are the same for every encoder and fold, and no label enters them.
    """
    if frontend.statistics != "task":
        return frontend
    count = len(decoded.hashes)
    spread = np.unique(np.linspace(0, count - 1, min(count, 512)).astype(np.int64))
    images = [frontend.log_mel(decoded.waveforms(spread[i : i + 1]))[0] for i in range(len(spread))]
    return frontend.measured_on(torch.cat(images, dim=1), "the task's audio")


def equal_lengths(lengths: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Row positions in batches of at most ``most`` clips of one length: none is padded by another."""
    for length in np.unique(lengths):
        positions = np.flatnonzero(lengths == length)
        yield from np.array_split(positions, -(-len(positions) // most))


def clip_embeddings(
    encoder: Encoder | None, frontend: FrontEnd, raw: Tensor, machine: Machine
) -> Tensor:
    """Clip embeddings ``(B, E)`` of raw log-mels ``(B, F, T)`` of one length.

    The clip is the mean of its time steps (:func:`time_steps`), their standard deviation, and the
    standard deviation of their changes (LOG.md, 2026-11-20).
    """
    if encoder is None:
        return mel_statistics(raw)
    frames = time_steps(encoder, frontend, raw, machine)
    spreads = (frames, changes(frames, dim=1))
    return torch.cat([frames.mean(dim=1), *(deviation(part) for part in spreads)], dim=1)


def time_steps(encoder: Encoder, frontend: FrontEnd, raw: Tensor, machine: Machine) -> Tensor:
    """One vector per time step ``(B, T', E)``, float32, of raw log-mels ``(B, F, T)`` of one length.

    A clip is cut into chunks of ``frontend.frames``; the last one is padded to whole patches. Each time
    step is a vector with its band steps side by side (spec 2.4).
    """
    step = encoder.patch[1]
    padded = frontend.pad_frames(raw, -(-raw.shape[2] // step) * step)
    images = frontend.standardise(padded)
    with torch.inference_mode(), machine.autocast():
        return torch.cat(
            [encoder.frames(chunk).float() for chunk in images.split(frontend.frames, dim=2)], dim=1
        )


def mel_statistics(raw: Tensor) -> Tensor:
    """The control without a network, ``(B, 4 F)``: per band mean, std, std of differences, maximum."""
    moves = changes(raw, dim=2)
    return torch.cat(
        [raw.mean(2), raw.std(2, correction=0), moves.std(2, correction=0), raw.amax(2)], dim=1
    )


def deviation(steps: Tensor) -> Tensor:
    """Standard deviation ``(B, E)`` of ``(B, T, E)`` over time; a fifth of torch's time."""
    centred = steps - steps.mean(dim=1, keepdim=True)
    return centred.square_().mean(dim=1).sqrt_()


def changes(steps: Tensor, *, dim: int) -> Tensor:
    """Differences of neighbouring steps along ``dim``; zero where there is a single step."""
    return steps.diff(dim=dim) if steps.shape[dim] > 1 else torch.zeros_like(steps)
