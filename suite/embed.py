"""From a task's samples to what is heard of them, in one pass over batches that is kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from suite.checkpoint import Trained
from suite.decode import Decoded
from suite.foreign import Foreign
from suite.frontend import FrontEnd
from suite.kept import Kept, parts
from suite.machine import Machine
from suite.progress import Progress
from suite.rows import write_atomically

Hearing = Trained | Foreign  # an encoder of ours with its front-end, or anyone's behind HEAR's calls
Name = TypeVar("Name", bound=str)  # of what is kept
Heard = TypeVar("Heard")

EMBED_BATCH = {"cpu": 16, "cuda": 256}  # clips encoded at once, of at most 10 s; fewer of longer ones
BATCH_CLIP = 160_000  # samples of a clip up to which a batch is full
STATISTICS = "spread-clips@1"  # how a task's mean and deviation are measured; part of their cache's key
STATISTICS_CLIPS, STATISTICS_SECONDS = 512, 3000  # heard at most for them


def keep(
    kept: Mapping[Name, Kept],
    decoded: Decoded,
    machine: Machine,
    title: str,
    heard: Callable[[Tensor, list[Name]], Mapping[Name, Tensor]],
    *,
    side_by_side: bool = True,
) -> None:
    """Keep what is heard of clips: one pass over those of which anything is lacking.

    ``heard(waveforms, names)`` gives ``(B, N, ...)`` by name, and is asked only for what is lacking of
    a batch. Batches do not depend on what is there, nor on what else is asked for, so neither do the
    bits. Commands side by side wait for each other, and what a killed one finished is not made again.
    """
    making = {name: one for name, one in kept.items() if not one.done}
    with ExitStack() as locks:
        for one in sorted(making.values(), key=lambda one: one.place):  # in one order: no deadlock
            locks.enter_context(one.lock)
            one.clear()
        lacks = {name: one.lacks() for name, one in making.items()}  # another may have made it by now

        def hear(positions: np.ndarray) -> dict[Name, np.ndarray]:
            names = [name for name in making if lacks[name][positions].any()]
            said = heard(decoded.waveforms(positions).to(machine.device), names)
            return {name: np.asarray(vectors.cpu()) for name, vectors in said.items()}

        wanted = np.any([np.zeros(len(decoded.hashes), bool), *lacks.values()], axis=0)
        try:
            batches = in_batches(decoded, wanted, machine, title, hear, side_by_side=side_by_side)
            for positions, said in batches:
                for name, vectors in said.items():
                    making[name].take(positions, vectors, lacks[name])
            for one in making.values():
                one.finish()
        except OSError:  # give a full disk its space back
            for one in making.values():
                one.clear()
            raise


def in_batches(
    decoded: Decoded,
    wanted: np.ndarray,
    machine: Machine,
    title: str,
    heard: Callable[[np.ndarray], Heard],
    *,
    side_by_side: bool = True,
) -> Iterator[tuple[np.ndarray, Heard]]:
    """Positions of clips and what was ``heard`` of them, batch by batch, where any is ``wanted``.

    A batch is of one length, and of one part of 4,096 clips. On a CPU every core takes batches of its
    own: products of this size lose a tenth to threads that wait for each other, and far more where
    something else runs beside them. The bits do not depend on the number of cores, and no core is more
    than two batches ahead. A call that may not run ``side_by_side`` has all cores to itself.
    """
    most, lengths = EMBED_BATCH[machine.device.type] * BATCH_CLIP, decoded.lengths
    batches = [
        first + positions
        for first, end in parts(len(lengths))
        for positions in equal_lengths(lengths[first:end], most)
        if wanted[first + positions].any()
    ]
    if not batches:
        return
    threads = torch.get_num_threads()
    on_cpu = machine.device.type == "cpu"
    workers, each = (threads, 1) if on_cpu and side_by_side else (1, threads)
    progress = Progress(title, sum(map(len, batches)), 0, 1)
    done, coming = 0, iter(batches)
    pool = ThreadPoolExecutor(workers, "embed", torch.set_num_threads, (each,))
    try:
        ahead = deque((batch, pool.submit(heard, batch)) for batch in islice(coming, 2 * workers))
        while ahead:
            positions, future = ahead.popleft()
            result = future.result()
            ahead.extend((batch, pool.submit(heard, batch)) for batch in islice(coming, 1))
            yield positions, result
            done += len(positions)
            progress.update(done)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the pool's number is also that of threads still to come
    progress.close()


def content_key(made_of: list[Any]) -> str:
    """24 hexadecimal digits that change with any of the plain values a cached file is made of."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:24]


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
