"""CAT's stem as its released code computes it: every cell of every view, by plain convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.blocks import pick
from suite.encoder import Encoder
from suite.masking.base import Mask
from suite.stem import ConvolutionBlock, MultiResolutionStem


def embedded(model: Encoder, images: Tensor, mask: Mask) -> Tensor:
    """What ``model.embedded(images, mask.keep)`` must be, ``(R, K, D)``."""
    stem = model.patch_embedding
    assert isinstance(stem, MultiResolutionStem)
    clones = len(mask.keep) // len(images)
    plane = images.repeat_interleave(clones, dim=0)[:, None]  # (R, 1, F, T)
    seen = torch.zeros(len(mask.keep), mask.grid[0] * mask.grid[1])
    seen.scatter_(1, mask.keep, 1.0)
    seen = seen.view(-1, 1, *mask.grid).transpose(2, 3)  # (R, 1, F', T')
    branches: list[Tensor] = []
    pixels, before = model.patch[0], None
    for stage, side in enumerate(stem.sides):
        size = pixels // side if before is None else before // side
        plane = norm(stem.norms[stage], convolution(stem.embeddings[stage], plane, size))
        if stage < len(stem.branches):
            cells = F.interpolate(seen, scale_factor=side)
            for block in stem.blocks[stage]:
                plane = block_of(block, plane, cells)
            branches.append(convolution(stem.branches[stage], plane, side))
        before = side
    last = stem.last(plane.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    tokens = sum(branches, last).transpose(2, 3).flatten(2).transpose(1, 2)  # (R, N, D), time-major
    return pick(tokens + model.positions(mask.grid, tokens.device), mask.keep)


def convolution(product: nn.Module, plane: Tensor, size: int) -> Tensor:
    """A product of patches as the convolution ``(R, C, H, W)`` whose stride is its size."""
    assert isinstance(product, nn.Linear)
    weight = product.weight.view(len(product.weight), size, size, -1).permute(0, 3, 1, 2)
    return F.conv2d(plane, weight, product.bias, stride=size)


def norm(layer: nn.Module, plane: Tensor) -> Tensor:
    """A norm of the channels of ``(R, C, H, W)``."""
    return layer(plane.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def block_of(block: nn.Module, plane: Tensor, seen: Tensor) -> Tensor:
    """A convolution block over ``(R, C, H, W)``, its 5 x 5 fed with seen cells only."""
    assert isinstance(block, ConvolutionBlock)
    inner = convolution(block.inner, norm(block.norm1, plane), 1) * seen
    around = block.around.convolution(inner)
    plane = plane + convolution(block.outer, around, 1)
    return plane + block.mlp(norm(block.norm2, plane).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
