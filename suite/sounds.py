"""Log-mels of a task's clips, for probes that train the encoder itself; made once, kept on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from torch import Tensor

from suite.checkpoint import Trained
from suite.decode import decode
from suite.embed import at_evaluation, content_key, in_batches
from suite.machine import Machine
from suite.probes.base import Sounds
from tasks.base import Task

IMAGES = "log-mels@1"  # what is stored; its name is part of the file's key


def sounds_of(task: Task, trained: Trained, machine: Machine, cache: Path) -> Sounds:
    """The raw log-mels ``(F, T_i)`` of a task's clips and the encoder to be trained on them.

    Images are float16, memory-mapped, and depend on the front-end only: every encoder behind it shares
    them. The front-end standardises as at evaluation.
    """
    assert trained.encoder is not None  # :func:`suite.views.check_reads` refuses the control
    decoded = decode(task, cache, trained.sample_rate)
    frontend = at_evaluation(trained.frontend, decoded, cache)
    counts = np.array([frontend.count_frames(int(n)) for n in decoded.lengths]).clip(min=1)
    key = content_key([IMAGES, decoded.data_hash, frontend.family, frontend.bands])
    path = cache / "log_mels" / f"{task.name}-{key}.npy"
    ends = np.cumsum(counts)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")  # runs side by side share the cache
        shape = (int(ends[-1]), frontend.bands)
        images = np.lib.format.open_memmap(part, "w+", np.float16, shape)

        def heard(waveforms: Tensor) -> Tensor:
            return frontend.log_mel(waveforms).transpose(1, 2).half()  # (B, T, F)

        for positions, batch in in_batches(decoded, machine, f"log-mels of {task.name}", heard):
            for position, image in zip(positions, batch, strict=True):
                images[ends[position] - counts[position] : ends[position]] = image
        images.flush()
        part.replace(path)
    stored = np.asarray(np.load(path, mmap_mode="r"))
    images_of = [rows.T for rows in np.split(stored, ends[:-1])]
    return Sounds(images_of, trained.encoder, frontend, machine)
