"""Log-mels of a task's clips, for probes that train the encoder itself; made once, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from suite.checkpoint import Trained
from suite.decode import decode
from suite.embed import at_evaluation, content_key, keep
from suite.kept import one_file
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

    def heard(waveforms: Tensor, _names: list[str]) -> dict[str, Tensor]:
        return {"images": frontend.log_mel(waveforms).transpose(1, 2).half()}  # (B, T, F)

    keep({"images": one_file(path, counts)}, decoded, machine, f"log-mels of {task.name}", heard)
    stored = np.asarray(np.load(path, mmap_mode="r"))
    images_of = [rows.T for rows in np.split(stored, np.cumsum(counts)[:-1])]
    return Sounds(images_of, trained.encoder, frontend, machine)
