"""What an encoder says of clips: every view of them from one pass over their chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from suite.encoder import Encoder
from suite.frontend import BLOCK, FrontEnd
from suite.machine import Machine
from suite.pooling import Grid, changes, check_fits, pooling_of, stacked_bands
from suite.rows import POOLING

MEL_STEP = 16  # log-mel frames of one step of the control without a network: an encoder's patch

Said = Literal["clip", "layers", "tokens"]  # views of a clip that an encoder gives


def clip_views(
    encoder: Encoder | None,
    frontend: FrontEnd,
    raw: Tensor,
    machine: Machine,
    asked: Collection[Said],
    pooling: str = POOLING,
) -> dict[Said, Tensor]:
    """Views, float32, of raw log-mels ``(B, F, T)`` of one length; each chunk is encoded once for all.

    - clip ``(B, E)``: the tokens, pooled by the pooling's name.
    - layers ``(B, L + 1, D)``: the mean over all patches of the embedded patches and of what each of
      the L blocks says (SUPERB: the hidden states of every layer). A class token does not count.
    - tokens ``(B, N, D)``: of each chunk the class token, where there is one, and its patches,
      time-major.

    A view has the same bits whichever others are asked for. The control without a network answers with
    log-mel statistics, those of every 16 frames for tokens; they are not pooled. Raises
    :class:`UsageError` for an unknown pooling, and where the encoder has not what is pooled.
    """
    if encoder is None:
        return {view: control_view(view, raw, frontend) for view in asked}
    how = pooling_of(pooling)
    if "clip" in asked:
        check_fits(how, encoder.architecture)
    tokens: list[Tensor] = []
    sums: list[Tensor] = []

    def passing() -> Iterator[Tensor]:
        for chunk in time_chunks(encoder, frontend, raw, machine, layers="layers" in asked):
            if "tokens" in asked:
                tokens.append(chunk.tokens)
            if chunk.layer_sums is not None:
                sums.append(chunk.layer_sums)
            yield how.vectors(chunk.tokens, chunk.grid)

    said: dict[Said, Tensor] = {}
    if "clip" not in asked:
        deque(passing(), maxlen=0)
    elif how.at_once is None or raw.shape[2] > BLOCK:
        said["clip"] = how.in_passing(passing())
    else:
        said["clip"] = how.at_once(torch.cat(list(passing()), dim=1))
    if "layers" in asked:
        patches = -(-raw.shape[2] // encoder.patch[1]) * (frontend.bands // encoder.patch[0])
        said["layers"] = (sum(sums[1:], sums[0]) / patches).float()
    if "tokens" in asked:
        said["tokens"] = torch.cat(tokens, dim=1)
    return said


def clip_embeddings(
    encoder: Encoder | None,
    frontend: FrontEnd,
    raw: Tensor,
    machine: Machine,
    pooling: str = POOLING,
) -> Tensor:
    """The view ``clip`` alone, ``(B, E)``; see :func:`clip_views`."""
    return clip_views(encoder, frontend, raw, machine, ["clip"], pooling)["clip"]


def time_steps(encoder: Encoder, frontend: FrontEnd, raw: Tensor, machine: Machine) -> Tensor:
    """One vector per time step ``(B, T', E)``, float32, of raw log-mels ``(B, F, T)`` of one length.

    Each is a vector with its band steps side by side (spec 2.4).
    """
    chunks = time_chunks(encoder, frontend, raw, machine)
    return torch.cat([stacked_bands(chunk.tokens, chunk.grid) for chunk in chunks], dim=1)


@dataclass(frozen=True)
class Chunk:
    """What an encoder says of one chunk of clips."""

    tokens: Tensor  # (B, [1 +] N, D), float32, time-major behind the class token
    grid: Grid  # (T', F'), N = T' * F'
    layer_sums: Tensor | None  # (B, L + 1, D), float64: over the patches, of every layer


def time_chunks(
    encoder: Encoder, frontend: FrontEnd, raw: Tensor, machine: Machine, *, layers: bool = False
) -> Iterator[Chunk]:
    """What an encoder says of raw log-mels ``(B, F, T)``, and with ``layers`` of every layer.

    A clip is cut into chunks of ``frontend.frames``; the last one is padded to whole patches, and no
    further. One chunk at a time is in memory, and of its layers but one: of an hour, no copy is made.
    """
    step = encoder.patch[1]
    whole = -(-raw.shape[2] // step) * step
    for start in range(0, whole, frontend.frames):
        images = raw[:, :, start : start + frontend.frames]
        images = frontend.standardise(frontend.pad_frames(images, min(frontend.frames, whole - start)))
        with torch.inference_mode(), machine.autocast():
            chunk = encoded(encoder, images, layers=layers)
        yield chunk


def encoded(encoder: Encoder, images: Tensor, *, layers: bool) -> Chunk:
    """One pass of the encoder over standardised log-mels ``(B, F, T)``."""
    steps, rows = encoder.grid(images)
    sums = []
    for said in encoder.layers(images):
        if layers:
            sums.append(said[:, -steps * rows :].sum(dim=1, dtype=torch.float64))
    return Chunk(said.float(), (steps, rows), torch.stack(sums, dim=1) if layers else None)


def control_view(view: Said, raw: Tensor, frontend: FrontEnd) -> Tensor:
    """What stands for a view where there is no network: log-mel statistics."""
    if view == "tokens":
        return mel_steps(frontend, raw)
    statistics = mel_statistics(raw)
    return statistics[:, None] if view == "layers" else statistics


def mel_statistics(raw: Tensor) -> Tensor:
    """The control without a network, ``(B, 4 F)``: per band mean, std, std of differences, maximum."""
    moves = changes(raw, dim=2)
    return torch.cat(
        [raw.mean(2), raw.std(2, correction=0), moves.std(2, correction=0), raw.amax(2)], dim=1
    )


def mel_steps(frontend: FrontEnd, raw: Tensor) -> Tensor:
    """Log-mel statistics ``(B, T', 4 F)`` of every 16 frames of ``(B, F, T)``, the last ones padded."""
    padded = frontend.pad_frames(raw, -(-raw.shape[2] // MEL_STEP) * MEL_STEP)
    windows = padded.unfold(2, MEL_STEP, MEL_STEP).transpose(1, 2)  # (B, T', F, 16)
    return mel_statistics(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
