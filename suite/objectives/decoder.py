"""The light transformer decoders of the masked autoencoders, as published."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from suite.blocks import initialise, last_tokens, pick, transformer_blocks
from suite.encoder import sine_cosine_2d
from suite.masking.base import Mask
from suite.objectives.base import DecoderSize
from suite.objectives.window_attention import WindowBlock

Attention = Literal["global", "windowed"]
Positions = Literal["2d", "1d"]


class TransformerDecoder(nn.Module):
    """Visible tokens and mask tokens with their positions, through blocks of global attention.

    ``key_bias=False`` and ``positions="1d"`` are MSM-MAE's (spec 2.3), the defaults MAE's.
    """

    def __init__(
        self,
        width: int,
        size: DecoderSize,
        outputs: int,
        *,
        key_bias: bool = True,
        positions: Positions = "2d",
    ) -> None:
        super().__init__()
        self.positions = sine_cosine_2d if positions == "2d" else sinusoids_1d
        self.embedding = nn.Linear(width, size.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.blocks = transformer_blocks(size.width, size.depth, size.heads, key_bias=key_bias)
        self.norm = nn.LayerNorm(size.width, eps=1e-6)
        self.prediction = nn.Linear(size.width, outputs)
        initialise(self)

    def forward(self, seen: Tensor, mask: Mask) -> Tensor:
        """``(B, N - K, P)`` for the patches ``mask.hide``, from tokens ``seen (B, [1 +] K, D)``."""
        seen = self.embedding(seen)
        positions = self.positions(mask.grid, seen.shape[2]).to(seen.device)  # (N, d)
        visible = mask.keep.shape[1]
        tokens = seen.split([seen.shape[1] - visible, visible], dim=1)
        hidden = self.mask_token + positions[mask.hide]
        # The decoder has no notion of order beyond the positions, so no patch is put back in place.
        sequence = torch.cat([tokens[0], tokens[1] + positions[mask.keep], hidden], dim=1)
        decoded = last_tokens(self.blocks, sequence, mask.hide.shape[1])
        return self.prediction(self.norm(decoded))


class WindowDecoder(nn.Module):
    """Audio-MAE's: attention in windows of 4 x 4 patches, every second block shifted (spec 3.3).

    The class token does not enter. Grids that windows do not divide are filled with places that
    nothing attends to.
    """

    def __init__(self, width: int, size: DecoderSize, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(width, size.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.blocks = nn.ModuleList(
            WindowBlock(size.width, size.heads, shifted=number % 2 == 1) for number in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.width, eps=1e-6)
        self.prediction = nn.Linear(size.width, outputs)
        initialise(self)

    def forward(self, seen: Tensor, mask: Mask) -> Tensor:
        """``(B, N - K, P)`` for the patches ``mask.hide``, from tokens ``seen (B, [1 +] K, D)``."""
        visible = self.embedding(seen[:, -mask.keep.shape[1] :])
        hidden = self.mask_token.expand(len(visible), mask.hide.shape[1], -1)
        tokens = torch.cat([visible, hidden.to(visible.dtype)], dim=1)
        in_place = pick(tokens, torch.cat([mask.keep, mask.hide], dim=1).argsort(dim=1))  # (B, N, d)
        plane = in_place + sine_cosine_2d(mask.grid, visible.shape[2]).to(visible.device)
        plane = plane.unflatten(1, mask.grid)  # (B, T', F', d)
        for block in self.blocks:
            plane = block(plane)
        return self.prediction(self.norm(pick(plane.flatten(1, 2), mask.hide)))


@lru_cache(maxsize=32)
def sinusoids_1d(grid: tuple[int, int], width: int) -> Tensor:
    """MSM-MAE's decoder positions ``(T' * F', width)``: sines and cosines of the running number.

    The number of patch (t, f) is f * T' + t, as its tokens are laid out; channel j has the rate
    10000^(-2 floor(j / 2) / width), sine where j is even (spec 2.3).
    """
    steps, rows = grid
    number = torch.arange(rows, dtype=torch.float64)[None] * steps + torch.arange(steps)[:, None]
    channel = torch.arange(width, dtype=torch.float64)
    rate = torch.exp(-2.0 * (channel / 2).floor() / width * math.log(10_000.0))
    angles = number.flatten()[:, None] * rate
    return torch.where(channel % 2 == 0, angles.sin(), angles.cos()).float()
