"""One vector of each layer of a clip: the mean over its patches, for probes that weigh the layers."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.checkpoint import Trained
from suite.decode import Decoded, decode
from suite.embed import Hearing, at_evaluation, content_key, in_batches, mel_statistics, time_chunks
from suite.encoder import Encoder
from suite.foreign import Foreign
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.rows import write_atomically
from tasks.base import Task

LAYERS = "layer-means@1"  # what the vectors of a clip are; its name is part of their cache's key


def embed_layers(task: Task, hearing: Hearing, machine: Machine, cache: Path) -> np.ndarray:
    """Layer vectors ``(clips, L + 1, D)``, float32, in the order of ``task.clips()``; computed once."""
    decoded = decode(task, cache, hearing.sample_rate)
    made_of, heard = layers_heard(hearing, decoded, machine, cache)
    path = cache / "layers" / f"{task.name}-{content_key(made_of)}.npy"
    if not path.exists():
        title, ours = f"layers of {task.name}", isinstance(hearing, Trained)
        batches = list(in_batches(decoded, machine, title, heard, side_by_side=ours))
        layers = np.empty((len(decoded.hashes), *batches[0][1].shape[1:]), np.float32)
        for positions, means in batches:
            layers[positions] = means
        content = io.BytesIO()
        np.save(content, layers)
        write_atomically(path, content.getvalue())
    return np.asarray(np.load(path))


def layers_heard(
    hearing: Hearing, decoded: Decoded, machine: Machine, cache: Path
) -> tuple[list[Any], Callable[[Tensor], Tensor]]:
    """What decides the layer vectors of a task's clips, and the call from waveforms to them.

    A foreign encoder shows one layer, its scene embedding.
    """
    if isinstance(hearing, Foreign):
        made_of: list[Any] = [LAYERS, hearing.fingerprint, decoded.data_hash]
        return made_of, lambda waveforms: hearing.scenes(waveforms)[:, None]
    encoder, frontend = hearing.encoder, at_evaluation(hearing.frontend, decoded, cache)

    def heard(waveforms: Tensor) -> Tensor:
        return clip_layers(encoder, frontend, frontend.log_mel(waveforms), machine)

    made_of = [LAYERS, hearing.fingerprint, decoded.data_hash, frontend.plain(), machine.precision]
    return made_of, heard


def clip_layers(encoder: Encoder | None, frontend: FrontEnd, raw: Tensor, machine: Machine) -> Tensor:
    """Layer vectors ``(B, L + 1, D)``, float32, of raw log-mels ``(B, F, T)`` of one length.

    The mean over all patches, of all chunks, of the embedded patches and of what each of the L blocks
    says (SUPERB: the hidden states of every layer). A class token does not count. The control without a
    network has one layer, its log-mel statistics.
    """
    if encoder is None:
        return mel_statistics(raw)[:, None]
    patches = -(-raw.shape[2] // encoder.patch[1]) * (frontend.bands // encoder.patch[0])
    total = torch.zeros((), dtype=torch.float64)
    for sums in time_chunks(encoder, frontend, raw, machine, patch_sums):
        total = total.to(sums.device) + sums
    return (total / patches).float()


def patch_sums(encoder: Encoder, images: Tensor) -> Tensor:
    """Sums over the patches of standardised log-mels ``(B, F, T)`` in every layer ``(B, L + 1, D)``.

    They are float64. Behind the last block comes the encoder's final norm, as in its answers.
    """
    steps, rows = encoder.grid(images)
    tokens = encoder.norm_first(encoder.with_class_token(encoder.embedded(images)))
    sums = []
    for depth in range(len(encoder.blocks) + 1):
        if depth > 0:
            tokens = encoder.blocks[depth - 1](tokens)
        said = encoder.norm(tokens) if depth == len(encoder.blocks) else tokens
        sums.append(said[:, -steps * rows :].sum(dim=1, dtype=torch.float64))
    return torch.stack(sums, dim=1)
