"""Shifted-window attention with scaled cosines and a continuous position bias (Swin V2, Audio-MAE)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from generators.drawer import UsageError

WINDOW = 4  # patches a side
SHIFT = 2  # time steps by which every second block's windows are moved; bands stay (spec 3.3)
FORBIDDEN = -100.0  # added to the logits of pairs that do not belong together
COLDEST = 0.01  # smallest temperature


class WindowBlock(nn.Module):
    """x + norm(attention(x)), then x + norm(mlp(x)), attention within windows (spec 3.3)."""

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.shift = SHIFT if shifted else 0
        self.attention = WindowAttention(width, heads)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, plane: Tensor) -> Tensor:
        """A plane of tokens ``(B, T', F', D)`` to a plane of the same shape."""
        plane = plane + self.norm1(self.within_windows(plane))
        return plane + self.norm2(self.mlp(plane))

    def within_windows(self, plane: Tensor) -> Tensor:
        """Attention of ``(B, T', F', D)``, each place with those of its window."""
        steps, rows = plane.shape[1:3]
        long, high = (-(-size // WINDOW) * WINDOW for size in (steps, rows))
        plane = F.pad(plane, (0, 0, 0, high - rows, 0, long - steps)).roll(-self.shift, dims=1)
        windows = plane.unflatten(2, (-1, WINDOW)).unflatten(1, (-1, WINDOW)).transpose(2, 3)
        allowed = pairs_that_belong((steps, rows), self.shift).to(plane.device)
        heard = self.attention(windows.flatten(3, 4).flatten(1, 2), allowed)  # (B, windows, 16, D)
        heard = heard.unflatten(2, (WINDOW, WINDOW)).unflatten(1, (long // WINDOW, high // WINDOW))
        back = heard.transpose(2, 3).flatten(3, 4).flatten(1, 2).roll(self.shift, dims=1)
        return back[:, :steps, :rows]


class WindowAttention(nn.Module):
    """Cosines of queries and keys over a temperature a head, plus a bias learnt from the distance."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise UsageError(f"a decoder of width {width} does not divide into {heads} heads.")
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.bias = nn.Sequential(
            nn.Linear(2, 384), nn.ReLU(), nn.Dropout(0.1), nn.Linear(384, heads), nn.Dropout(0.1)
        )
        self.projection = nn.Linear(width, width)

    def forward(self, windows: Tensor, allowed: Tensor) -> Tensor:
        """``(B, windows, 16, D)`` to the same; ``allowed (windows, 16, 16)`` is added to the logits."""
        shape = (*windows.shape[:3], 3, self.heads, -1)
        queries, keys, values = self.queries_keys_values(windows).view(shape).permute(3, 0, 1, 4, 2, 5)
        logits = F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).transpose(-1, -2)
        logits = logits / self.temperature.clamp_min(COLDEST)  # (B, windows, heads, 16, 16)
        bias = self.bias(log_distances().to(windows.device)).permute(2, 0, 1)  # (heads, 16, 16)
        weights = (logits + bias + allowed[:, None]).softmax(dim=-1)
        heard = (weights.to(values.dtype) @ values).transpose(2, 3).flatten(3)
        return self.projection(heard)


@lru_cache(maxsize=1)
def log_distances() -> Tensor:
    """sign(d) log(1 + |d|) of the distances between places of a window, ``(16, 16, 2)``."""
    place = torch.cartesian_prod(torch.arange(WINDOW), torch.arange(WINDOW)).float()  # (16, 2)
    apart = place[:, None] - place[None]
    return apart.sign() * apart.abs().log1p()


@lru_cache(maxsize=32)
def pairs_that_belong(grid: tuple[int, int], shift: int) -> Tensor:
    """What is added to logits ``(windows, 16, 16)``: 0 for pairs of one region, -100 for others.

    Regions are what a shift has wrapped around, and the places that fill the last windows.
    """
    steps, rows = grid
    long, high = (math.ceil(size / WINDOW) * WINDOW for size in grid)
    region = torch.zeros(long, high)
    region[steps:] = 1.0
    region[:, rows:] = 1.0
    if shift:
        region[:shift] += 2.0  # comes to stand behind the last steps
    region = region.roll(-shift, dims=0)
    windows = region.view(long // WINDOW, WINDOW, high // WINDOW, WINDOW).transpose(1, 2)
    flat = windows.reshape(-1, WINDOW * WINDOW)
    return (flat[:, :, None] != flat[:, None]).float() * FORBIDDEN
