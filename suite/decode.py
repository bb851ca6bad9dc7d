"""From files to samples: every clip of a task decoded once, and what is done with broken ones."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from generators.drawer import DataMissing
from suite.progress import Progress
from suite.rows import write_atomically
from tasks.audio import pcm_of, resample
from tasks.base import Task, check_duplicates, measured_split_hash
from tasks.drawer import BadData
from tasks.layout import again

# What is done with sounds that are not as they should be; rows say in their notes where it was done.
# Empty, undecodable and NaN clips are refused, all of them by name; partial=true leaves them out.
# Clips shorter than one window of the front-end (25 ms) are padded to it with silence. Silent clips
# are kept, as the official release has them.
AUDIO_POLICY = "audio@1"
SHORTEST = 400  # samples
NAMED = 5  # clips that are named in a message or a note


@dataclass(frozen=True)
class Decoded:
    """Every clip of a task as 16 kHz 16-bit samples, one after another on disk."""

    samples: np.ndarray  # int16, memory-mapped
    offsets: np.ndarray  # int64 (clips + 1,)
    hashes: list[str]  # of each clip's samples
    notes: tuple[str, ...] = ()  # what the audio policy did

    @property
    def lengths(self) -> np.ndarray:
        """Samples of each clip."""
        return np.diff(self.offsets)

    @property
    def data_hash(self) -> str:
        """SHA-256 over the clips' hashes in order: another encoding or a subset shows."""
        return hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()

    def part(self, first: int, end: int) -> Decoded:
        """The clips from ``first`` to before ``end``."""
        offsets, hashes = self.offsets[first : end + 1], self.hashes[first:end]
        return Decoded(self.samples, offsets, hashes, self.notes)

    def waveforms(self, positions: np.ndarray) -> Tensor:
        """Clips of equal length as float32 ``(B, samples)``."""
        rows = [self.samples[self.offsets[i] : self.offsets[i + 1]] for i in positions]
        waveforms = np.stack(rows, dtype=np.float32)
        waveforms /= 32767.0
        return torch.from_numpy(waveforms)


def decode(task: Task, cache: Path, sample_rate: int = 16_000) -> Decoded:
    """The task's clips, decoded now if they are not cached yet.

    The cache is keyed by the clip table and by each file's size and time of change, and is complete
    when it is renamed into place. Clips that cannot be used raise :class:`BadData` naming all of them,
    or are left out of partial data (:data:`AUDIO_POLICY`); one sound in two folds raises it too.
    """
    clips = task.clips()
    lines = [f"{AUDIO_POLICY} {task.name} {task.version} {sample_rate} {measured_split_hash(clips)}"]
    root = Path(task.data or "") / task.folder
    for relative in clips["path"].tolist() if not task.embedded else []:
        file = f"{root}/{relative}"
        try:
            status = os.stat(file)  # noqa: PTH116  # 100,000 paths take as long as their files
        except FileNotFoundError as error:
            missing = f"task {task.name!r}: no sound file at {file}. {again(task)}."
            raise DataMissing(missing) from error
        lines.append(f"{relative} {status.st_size} {status.st_mtime_ns}")
    key = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    path = cache / "audio" / f"{task.name}-{key}.npy"
    index = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not index.exists():
            write_decoded(task, path, sample_rate)
    header = json.loads(index.read_text())
    if header["broken"]:
        refuse(task, header["broken"])
        task.leave_out(header["broken"])
        return decode(task, cache, sample_rate)
    names, silent = clips["clip"].tolist(), set(header["silent"])
    hashes = header["hashes"]
    repeated = check_duplicates(task, [digest * (i not in silent) for i, digest in enumerate(hashes)])
    offsets = np.array(header["offsets"])
    notes = (
        noted("cannot be decoded and are left out", list(task.left_out)),
        noted(
            "are shorter than 25 ms", [names[i] for i in np.flatnonzero(np.diff(offsets) < SHORTEST)]
        ),
        noted("are silent", [names[i] for i in header["silent"]]),
        noted("sound the same as one of another fold", repeated),
    )
    return Decoded(np.load(path, mmap_mode="r"), offsets, hashes, tuple(filter(None, notes)))


def write_decoded(task: Task, path: Path, sample_rate: int) -> None:
    """Decode every clip into ``path``, one after another, and describe them in the .json beside it.

    Only a few clips are in memory. Where clips cannot be used, the .json names them and their faults,
    and there are no samples.
    """
    names = task.clips()["clip"].tolist()
    progress = Progress(f"decoding {task.name}", len(names), 0, 1)
    offsets, hashes, silent, broken = [0], [], [], {}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        length = write_header(file, 0)
        for position, pcm in enumerate(decoded_in_order(task, sample_rate)):
            if isinstance(pcm, BadData):
                broken[names[position]] = str(pcm)
                continue
            file.write(pcm.data)
            offsets.append(offsets[-1] + len(pcm))
            hashes.append(hashlib.sha256(pcm.data).hexdigest())
            silent += [] if pcm.any() else [position]
            progress.update(position + 1)
        file.seek(0)
        assert write_header(file, offsets[-1]) == length
    progress.close()
    if broken:
        part.unlink()
        refuse(task, broken)
    else:
        part.replace(path)
    header = {"offsets": offsets, "hashes": hashes, "silent": silent, "broken": broken}
    write_atomically(path.with_suffix(".json"), json.dumps(header).encode())


def decoded_in_order(task: Task, sample_rate: int) -> Iterator[np.ndarray | BadData]:
    """16-bit PCM of every clip, or what is wrong with it, in order; every core decodes clips."""
    threads = torch.get_num_threads()

    def one(position: int) -> np.ndarray | BadData:
        try:
            return pcm_of(resample(*task.waveform(position), sample_rate))
        except BadData as error:
            return error

    waiting: deque[Future[np.ndarray | BadData]] = deque()
    pool = ThreadPoolExecutor(threads, "decode")
    try:
        for position in range(len(task.clips())):
            waiting.append(pool.submit(one, position))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def write_header(file: BinaryIO, samples: int) -> int:
    """The header of a .npy file of int16 ``(samples,)``; its length does not depend on ``samples``."""
    description = {"descr": "<i2", "fortran_order": False, "shape": (samples,)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.tell()


def refuse(task: Task, broken: dict[str, str]) -> None:
    """Refuse ``broken`` clips (faults by id) of data that have to be complete."""
    if not task.partial:
        more = f" And {len(broken) - NAMED} more." if len(broken) > NAMED else ""
        raise BadData(
            f"task {task.name!r}: {len(broken)} of {len(task.clips())} clips cannot be used: "
            f"{' '.join(list(broken.values())[:NAMED])}{more} Restore the official release, or type "
            "partial=true to leave them out: every row is then marked as partial."
        )


def noted(what: str, clips: list[str]) -> str:
    """A note about clips that the audio policy touched; "" where it touched none."""
    more = ", ..." if len(clips) > NAMED else ""
    return f"{AUDIO_POLICY}: {len(clips)} clips {what}: {', '.join(clips[:NAMED])}{more}" * bool(clips)
