"""The audio encoder: a vision transformer over patches of a log-mel image, built from timm's blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from generators.drawer import UsageError
from suite.blocks import initialise, pick, transformer_blocks
from suite.stem import MultiResolutionStem


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the papers' encoders differ in beside their size; ViT as in MAE by default.

    ``norm="post"``: data2vec 2.0's, EAT's and CAT's blocks, with a norm of the input tokens and none at
    the end. ``stem``: an option of CAT's multi-resolution stem (spec bootstrap B.1) instead of a linear
    patch embedding. ``positions="audio_mae"`` gives token (t, f) the scrambled position of Audio-MAE's
    released code (spec 3.5).
    """

    norm: Literal["pre", "post"] = "pre"
    stem: int | None = None
    class_token: bool = True
    key_bias: bool = True  # MSM-MAE has none
    positions: Literal["time_major", "audio_mae"] = "time_major"


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
        architecture: Architecture = Architecture(),
    ) -> None:
        super().__init__()
        self.patch = patch
        self.width = width
        self.architecture = architecture
        self.patch_embedding: nn.Linear | MultiResolutionStem = (
            nn.Linear(patch[0] * patch[1], width)
            if architecture.stem is None
            else MultiResolutionStem(architecture.stem, patch=patch, width=width)
        )
        token = torch.zeros(1, 1, width)
        self.class_token = nn.Parameter(token) if architecture.class_token else None
        post = architecture.norm == "post"
        self.norm_first = nn.LayerNorm(width, eps=1e-6) if post else nn.Identity()
        self.blocks = transformer_blocks(
            width, depth, heads, norm=architecture.norm, key_bias=architecture.key_bias
        )
        self.norm = nn.Identity() if post else nn.LayerNorm(width, eps=1e-6)
        initialise(self)
        if isinstance(self.patch_embedding, MultiResolutionStem):
            self.patch_embedding.start()
        if post:  # BERT's start, and a class token of unit variance (spec bootstrap A.2)
            for part in self.blocks.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=0.02)
            if self.class_token is not None:
                nn.init.normal_(self.class_token)

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

    def positions(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """Fixed positions ``(N, D)`` of a grid (T', F')."""
        scrambled = self.architecture.positions == "audio_mae"
        return sine_cosine_2d(grid[::-1] if scrambled else grid, self.width).to(device)

    def embedded(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Patches of ``images (B, F, T)`` with their positions, before any attention ``(R, K, D)``.

        ``keep (R, K)`` holds R / B masks of each clip, side by side; without it all patches are there.
        Patches that are not kept are never read.
        """
        positions = self.positions(self.grid(images), images.device)  # (N, D)
        patches = self.patchify(images)
        if isinstance(self.patch_embedding, MultiResolutionStem):
            tokens = self.patch_embedding(patches, self.grid(images), keep)
            return tokens + (positions if keep is None else positions[keep])
        if keep is None:
            return self.patch_embedding(patches) + positions
        if len(keep) == len(images):
            return self.patch_embedding(pick(patches, keep)) + positions[keep]
        # several masks of a clip share one embedding of its patches
        return pick(self.patch_embedding(patches) + positions, keep)

    def with_class_token(self, embedded: Tensor) -> Tensor:
        """Embedded patches ``(R, K, D)`` behind the class token, where there is one."""
        if self.class_token is None:
            return embedded
        first = self.class_token.expand(len(embedded), -1, -1)
        return torch.cat([first.to(embedded.dtype), embedded], dim=1)

    def tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Contextual tokens ``(R, [1 +] K, D)`` of the patches ``keep (R, K)``, or of all.

        The class token, where there is one, comes first. Patches that are not kept are never read.
        """
        tokens = self.with_class_token(self.embedded(images, keep))
        return self.norm(self.blocks(self.norm_first(tokens)))

    def layers(self, images: Tensor) -> Iterator[Tensor]:
        """What each layer says of all patches in one pass, ``(B, [1 +] N, D)`` each, L + 1 in all.

        First the embedded patches, then the answer of every block; the last one, behind the final norm,
        is that of :meth:`tokens`, bit for bit.
        """
        tokens = self.norm_first(self.with_class_token(self.embedded(images)))
        for block in self.blocks:
            yield tokens
            tokens = block(tokens)
        yield self.norm(tokens)


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
