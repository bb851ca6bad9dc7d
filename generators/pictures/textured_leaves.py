"""Textured dead leaves: every leaf shows a picture of clouds and speckle instead of one grey."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws
from ..drawer import UsageError
from .dead_leaves import DeadLeaves
from .statistical import SpectrumColourWavelets

TEXTURE_STEP = 16  # a texture's side is a multiple of it, so that the texture repeats without a seam


@dataclass(kw_only=True)
class TexturedDeadLeaves(DeadLeaves, name="dead_leaves_textured"):
    """Dead leaves of mixed shapes, each a window into a statistical image, after Baradad et al. (2021).

    Every leaf shows the pixels that lie under it in one of ``textures`` pictures, the first of
    ``spectrum_colour_wmm`` of the same seed and of ``side`` x ``side`` pixels (rounded up to a multiple
    of 16), drawn at random. The published set draws from 10 000; ours are fewer and each leaf shifts
    its picture by a random amount, around the border, which they pass without a seam.

    The textures are rendered at first use, in about 5 s for 64, and kept.
    """

    kind = "picture"
    family = "dead leaves"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "fast"
    needs = "nothing"

    shape: Literal["square", "oriented", "mixed"] = "mixed"
    textures: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.textures < 1:
            raise UsageError(
                f"source.textures={self.textures}: expected 1 or more. Type source.textures=64."
            )

    @property
    def texture_side(self) -> int:
        """Pixels on a side of a texture."""
        return -(-self.side // TEXTURE_STEP) * TEXTURE_STEP

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Every leaf, ``(B, leaves)``, as without textures; its texture, and its shift in pixels."""
        draws, count, last = Draws(self.seed, indices), self.leaves, self.texture_side - 1
        return super().parameters(indices) | {
            "texture": draws.integers("texture", 0, self.textures - 1, count),
            "shift_x": draws.integers("shift_x", 0, last, count),
            "shift_y": draws.integers("shift_y", 0, last, count),
        }

    def paint(self, leaf: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Greys ``(B, F, T)`` of the texture under every pixel, by its foremost leaf ``(B, F, T)``."""
        side, (height, width) = self.texture_side, leaf.shape[1:]
        foremost = leaf.flatten(1)

        def of_pixel(key: str) -> Tensor:
            return drawn[key].int().gather(1, foremost).reshape(leaf.shape)

        row = torch.arange(height, dtype=torch.int32, device=leaf.device)[:, None] % side
        column = torch.arange(width, dtype=torch.int32, device=leaf.device) % side
        row, column = of_pixel("shift_y").add_(row), of_pixel("shift_x").add_(column)
        row -= (row >= side).int().mul_(side)
        column -= (column >= side).int().mul_(side)
        place = of_pixel("texture").mul_(side).add_(row).mul_(side).add_(column)
        bank = texture_bank(self.seed, self.textures, side, leaf.device)
        return bank.flatten().index_select(0, place.flatten()).reshape(leaf.shape)

    def describe(self, index: int) -> dict[str, Any]:
        """The law of the leaves and the 16 foremost ones, with their textures' numbers."""
        wanted = index if self.size is None else index % self.size
        facts = super().describe(index)
        del facts["front_grey"]
        drawn = self.parameters(torch.tensor([wanted]))
        return facts | {"front_texture": drawn["texture"][0, :16].tolist()}


@lru_cache(maxsize=4)
def texture_bank(seed: int, textures: int, side: int, device: torch.device) -> Tensor:
    """The textures, float32 ``(textures, side, side)`` in [0, 1] on ``device``."""
    source = SpectrumColourWavelets(seed=seed, height=side, width=side)
    return source.batch(torch.arange(textures), device)
