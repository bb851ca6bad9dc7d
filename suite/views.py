"""What a probe reads of a task's clips: an embedding, every token, every layer, or the sound."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.checkpoint import Trained
from suite.drawers import probes as probe_drawer
from suite.embed import Hearing, embed
from suite.layers import embed_layers
from suite.machine import Machine
from suite.probes.base import Reads, Sounds, Tokens
from suite.sounds import sounds_of
from suite.tokens import embed_tokens
from tasks.base import Task

View = Tensor | Tokens | Sounds


def views(
    task: Task, hearing: Hearing, machine: Machine, cache: Path, pooling: str
) -> Callable[[Reads], View]:
    """What probes are given of all clips, by what they read, in the order of ``task.clips()``.

    That is float32 ``(clips, E)`` for clips, by the pooling; :class:`Tokens`; or float32
    ``(clips, L + 1, D)`` for layers; :class:`Sounds`. Each is embedded when it is first asked for.
    """

    @functools.cache
    def view(reads: Reads) -> View:
        if reads == "tokens":
            return embed_tokens(task, hearing, machine, cache)
        if reads == "layers":
            return torch.from_numpy(embed_layers(task, hearing, machine, cache))
        if reads == "sounds":
            assert isinstance(hearing, Trained)  # judge asks it of no other
            return sounds_of(task, hearing, machine, cache)
        return torch.from_numpy(embed(task, hearing, machine, cache, pooling))

    return view


def reads_of(probe_name: str) -> Reads:
    """What a probe reads; stated in its file, so nothing is imported."""
    reads: Reads = probe_drawer.entries()[probe_name].facts.get("reads", "clip")
    return reads


def check_reads(tasks: list[Task], probe_names: list[str]) -> None:
    """Raise :class:`UsageError` where a probe cannot answer a task: before anything is embedded."""
    for task in tasks:
        for name in probe_names:
            if task.kind == "events" and reads_of(name) != "clip":
                raise UsageError(
                    f"{name} reads the {reads_of(name)} of a clip and answers for it as a whole, but "
                    f"task {task.name!r} asks for events, frame by frame. Type probes=[linear@1]."
                )
            probe_drawer.get(name).metric_for(task)  # refuses a task that the probe cannot score
