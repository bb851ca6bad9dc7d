"""The audio encoder: a vision transformer over patches of a log-mel image, built from timm's blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from generators.drawer import UsageError


@dataclass(frozen=True)
class Embedding:
    """What an encoder says of a batch of clips."""

    clip: Tensor  # (B, E)
    frames: Tensor  # (B, T', E)
    frame_seconds: float  # distance of two frames


class Encoder(nn.Module):
    """ViT over time-major patches; knows nothing of masks' origin, losses or tasks.

    Images are standardised log-mels ``(B, F, T)``. A patch covers ``patch = (bands, frames)``; token
    ``t * F' + f`` is the patch at time step t and band step f (spec 1.5). Positions are fixed 2-D
    sine-cosine vectors, for any grid. ``width=768, depth=12, heads=12`` is ViT-B/16 with 85 254 144
    parameters (spec 1.5).
    """

    def __init__(
        self,
        *,
        patch: tuple[int, int] = (16, 16),
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        class_token: bool = True,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.width = width
        self.patch_embedding = nn.Linear(patch[0] * patch[1], width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.blocks = transformer_blocks(width, depth, heads)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        initialise(self)

    def grid(self, images: Tensor) -> tuple[int, int]:
        """(T', F'): time steps and band steps of ``images``."""
        bands, frames = images.shape[-2:]
        if bands % self.patch[0] or frames % self.patch[1]:
            raise UsageError(
                f"images of {bands} bands x {frames} frames do not divide into patches of "
                f"{self.patch[0]} x {self.patch[1]}. Choose multiples for frontend.bands and "
                "frontend.frames."
            )
        return frames // self.patch[1], bands // self.patch[0]

    def patchify(self, images: Tensor) -> Tensor:
        """Images ``(B, F, T)`` as patches ``(B, N, bands * frames)``, time-major."""
        steps, rows = self.grid(images)
        pixels = images.unflatten(2, (steps, self.patch[1])).unflatten(1, (rows, self.patch[0]))
        return pixels.permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2)  # (B, T' * F', pf * pt)

    def tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Contextual tokens ``(B, [1 +] K, D)`` of the patches ``keep (B, K)``, or of all.

        The class token, where there is one, comes first. Patches that are not kept are never read.
        """
        patches = self.patchify(images)
        positions = sine_cosine_2d(self.grid(images), self.width).to(images.device)  # (N, D)
        if keep is not None:
            patches = pick(patches, keep)
            positions = positions[keep]  # (B, K, D)
        tokens = self.patch_embedding(patches) + positions
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return self.norm(self.blocks(tokens))

    def frames(self, images: Tensor) -> Tensor:
        """One vector per time step ``(B, T', F' * D)``: the band steps side by side (spec 2.4)."""
        steps, rows = self.grid(images)
        tokens = self.tokens(images)[:, -steps * rows :]  # (B, N, D)
        return tokens.unflatten(1, (steps, rows)).flatten(2)


def pick(patches: Tensor, chosen: Tensor) -> Tensor:
    """The patches ``chosen (B, K)`` of each row of ``patches (B, N, P)``, as ``(B, K, P)``.

    Whole rows are copied: on a CPU, a fifth of the time of gathering element by element.
    """
    first = torch.arange(len(patches), device=patches.device)[:, None] * patches.shape[1]
    rows = (first + chosen).flatten()
    return patches.flatten(0, 1).index_select(0, rows).unflatten(0, chosen.shape)


def transformer_blocks(width: int, depth: int, heads: int) -> nn.Sequential:
    """Pre-norm transformer blocks with an MLP of four times the width (ViT)."""
    if width % heads or width % 4:
        raise UsageError(f"width={width} must be a multiple of heads={heads} and of 4.")
    norm: Any = partial(nn.LayerNorm, eps=1e-6)  # timm calls it; its hint asks for a class
    return nn.Sequential(
        *(Block(width, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=norm) for _ in range(depth))
    )


def last_tokens(blocks: nn.Sequential, tokens: Tensor, count: int) -> Tensor:
    """``blocks(tokens)[:, -count:]``; the last block's MLP, two thirds of it, sees no other token."""
    last: Any = blocks[-1]
    tokens = blocks[:-1](tokens)
    tokens = tokens + last.drop_path1(last.ls1(last.attn(last.norm1(tokens))))
    tokens = tokens[:, -count:]
    return tokens + last.drop_path2(last.ls2(last.mlp(last.norm2(tokens))))


def initialise(module: nn.Module) -> None:
    """MAE's start: Xavier-uniform matrices, zero biases, unit norms, N(0, 0.02) tokens (spec 1.5)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
    for name, parameter in module.named_parameters():
        if name.endswith("_token"):
            nn.init.normal_(parameter, std=0.02)


@lru_cache(maxsize=32)
def sine_cosine_2d(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed positions ``(T' * F', width)``: the first half depends on f only, the second on t only.

    E(p) = [sin(p w_k), cos(p w_k)], w_k = 10000^(-k / (width / 4)) (spec 3.2).
    """
    rates = torch.exp(
        torch.arange(width // 4, dtype=torch.float64) * (-math.log(10_000.0) / (width / 4))
    )

    def along(count: int) -> Tensor:
        angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)  # (count, width / 2)

    steps, rows = grid
    band, time = along(rows), along(steps)
    both = torch.cat(
        [band[None].expand(steps, -1, -1), time[:, None].expand(-1, rows, -1)], dim=2
    )  # (T', F', width)
    return both.flatten(0, 1).float()
