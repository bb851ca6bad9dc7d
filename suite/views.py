"""What probes read of a task's clips: an embedding, every token, every layer, or the sound."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite import tokens
from suite.checkpoint import Trained
from suite.chunks import Said, clip_views
from suite.decode import Decoded, decode
from suite.drawers import probes as probe_drawer
from suite.embed import Hearing, at_evaluation, content_key, keep
from suite.foreign import Foreign
from suite.kept import Kept, joined_parts
from suite.machine import Machine
from suite.pooling import pooling_of
from suite.probes.base import Reads, Sounds, Tokens
from suite.rows import POOLING
from suite.sounds import sounds_of
from tasks.base import Task

View = Tensor | Tokens | Sounds
Heard = Callable[[Tensor, Collection[Said]], dict[Said, Tensor]]

# What the layers and the tokens of a clip are; their names are part of their files' keys.
LAYERS, TOKENS = "layer-means@1", "last-layer-tokens@1"


def views(
    task: Task,
    hearing: Hearing,
    machine: Machine,
    cache: Path,
    asked: Collection[Reads],
    pooling: str = POOLING,
) -> dict[Reads, View]:
    """What probes are given of all clips, by what they read, in the order of ``task.clips()``.

    Float32 ``(clips, E)`` for clips, by the pooling, and ``(clips, L + 1, D)`` for layers;
    :class:`Tokens`, float16 and memory-mapped; :class:`Sounds`. What is ``asked`` and the cache lacks
    is made in one pass of the encoder over the clips. The price of tokens is printed before; raises
    :class:`UsageError` where the disk has less room, :class:`BadData` where float16 does not hold one.
    """
    decoded = decode(task, cache, hearing.sample_rate)
    made_of, heard = hearing_of(hearing, decoded, machine, cache, pooling)
    said = [view for view in made_of if view in asked]
    kept: dict[Said, Kept] = {}
    for view in said:
        name = f"{task.name}-{content_key(made_of[view])}"
        if view == "tokens":
            cost = tokens.price(hearing, decoded, machine, cache)
            kept[view] = tokens.shards(cache / "tokens" / name, cost)
            tokens.afford(task, cost, kept[view])
        else:
            folder = {"clip": "embeddings", "layers": "layers"}[view]
            kept[view] = joined_parts(cache / folder / f"{name}.npy", len(decoded.lengths))

    def storable(waveforms: Tensor, names: list[Said]) -> dict[Said, Tensor]:
        vectors = heard(waveforms, names)
        return {
            name: tokens.narrowed(some, task) if name == "tokens" else some[:, None]
            for name, some in vectors.items()
        }

    ours = isinstance(hearing, Trained)
    keep(kept, decoded, machine, f"embedding {task.name}", storable, side_by_side=ours)
    read: dict[Reads, View] = {
        view: tokens.read_tokens(one) if view == "tokens" else torch.from_numpy(np.load(one.place))
        for view, one in kept.items()
    }
    if "sounds" in asked:
        assert isinstance(hearing, Trained)  # judge asks it of no other
        read["sounds"] = sounds_of(task, hearing, machine, cache)
    return read


def hearing_of(
    hearing: Hearing, decoded: Decoded, machine: Machine, cache: Path, pooling: str
) -> tuple[dict[Said, list[Any]], Heard]:
    """What decides each view of a task's clips, and the call from waveforms to those asked for.

    A foreign encoder is two calls, as HEAR has it: its scene embedding is a clip's embedding and its
    one layer, its timestamp embeddings are the tokens, projected where they are very wide.
    """
    made_of: dict[Said, list[Any]]
    if isinstance(hearing, Foreign):
        who: list[Any] = [hearing.fingerprint, decoded.data_hash]
        made_of = {"clip": ["scenes@1", *who], "layers": [LAYERS, *who]}
        stored = ["float16", tokens.SHARD_BYTES, tokens.WIDEST]
        made_of["tokens"] = [TOKENS, "timestamps@1", *who, *stored]
        return made_of, lambda waveforms, asked: foreign_views(hearing, waveforms, asked)
    encoder, frontend = hearing.encoder, at_evaluation(hearing.frontend, decoded, cache)
    who = [hearing.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    made_of = {"clip": [pooling_of(pooling).name, *who], "layers": [LAYERS, *who]}
    made_of["tokens"] = [TOKENS, *who, "float16", tokens.SHARD_BYTES]

    def heard(waveforms: Tensor, asked: Collection[Said]) -> dict[Said, Tensor]:
        return clip_views(encoder, frontend, frontend.log_mel(waveforms), machine, asked, pooling)

    return made_of, heard


def foreign_views(foreign: Foreign, waveforms: Tensor, asked: Collection[Said]) -> dict[Said, Tensor]:
    """The views of ``waveforms (B, samples)`` by the fewest of HEAR's calls."""
    said: dict[Said, Tensor] = {}
    if "clip" in asked or "layers" in asked:
        scenes = foreign.scenes(waveforms)
        said = {"clip": scenes, "layers": scenes[:, None]}
    if "tokens" in asked:
        said["tokens"] = tokens.projected(foreign.timestamps(waveforms)[0])
    return {view: vectors for view, vectors in said.items() if view in asked}


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
