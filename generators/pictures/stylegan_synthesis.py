"""The generator network of StyleGAN2 with skips, its weights drawn and never trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..base import Draws
from .stylegan_layers import (
    RELU_GAIN,
    Dense,
    apply_dense,
    apply_wavelets,
    dense_layer,
    double,
    gaussian,
    mixed,
)

Level = tuple[int, int, int]  # height, width, channels of one resolution


class Convolution(NamedTuple):
    """One 3 x 3 layer: channels in and out, whether it doubles the size, and its output's size."""

    inputs: int
    outputs: int
    up: bool
    size: tuple[int, int]


@lru_cache(maxsize=16)
def convolutions(levels: tuple[Level, ...]) -> tuple[Convolution, ...]:
    """The layers in order: one at the coarsest resolution, two at every other, the first doubling."""
    height, width, channels = levels[0]
    layers = [Convolution(channels, channels, False, (height, width))]
    for height, width, outputs in levels[1:]:
        layers.append(Convolution(channels, outputs, True, (height, width)))
        layers.append(Convolution(outputs, outputs, False, (height, width)))
        channels = outputs
    return tuple(layers)


@dataclass(frozen=True)
class Network:
    """What the pictures of one network share."""

    constant: Tensor  # (C, H, W) of the coarsest resolution
    affine: tuple[Tensor, ...]  # (dimensions, C) of each layer's style, over sqrt(dimensions)
    affine_colour: tuple[Tensor, ...]  # the same of each resolution's to-RGB
    colour: tuple[Tensor, ...]  # (colours, C) to-RGB weights of each resolution
    dense: tuple[Dense, ...]  # each layer's kernels; empty where they are redrawn for every picture


@dataclass(frozen=True)
class Redrawn:
    """What is drawn anew for every picture, each a tuple over layers or empty."""

    noise: tuple[Tensor, ...]  # (B, 1, H, W)
    biases: tuple[Tensor, ...]  # (B, O)
    kernels: tuple[Tensor, ...]  # (B, C, 3, 3) wavelets
    weights: Tensor | None  # N(0, 1), float32 (B, total): mixing and to-RGB weights in turn


@lru_cache(maxsize=2)
def network(
    seed: int,
    number: int,
    levels: tuple[Level, ...],
    dimensions: int,
    colours: int,
    dense: bool,
    device: str,
) -> Network:
    """Network ``number`` of a seed, all weights N(0, 1) by counter; the last two are kept."""
    draws = Draws(seed, torch.tensor([number]))

    def weights(factor: str, *shape: int) -> Tensor:
        return gaussian(draws.keys(factor), math.prod(shape), torch.device(device)).view(shape)

    layers = convolutions(levels)
    height, width, channels = levels[0]
    widths = [level[2] for level in levels]

    def styles(factor: str, inputs: list[int]) -> tuple[Tensor, ...]:
        gain = dimensions**-0.5
        return tuple(weights(f"{factor} {n}", dimensions, c) * gain for n, c in enumerate(inputs))

    kernels = (
        dense_layer(
            weights(f"convolution {place}", layer.outputs, layer.inputs, 3, 3),
            layer.up,
            math.prod(layer.size) // (4 if layer.up else 1),
        )
        for place, layer in enumerate(layers)
    )
    return Network(
        weights("constant", channels, height, width),
        styles("style", [layer.inputs for layer in layers]),
        styles("style of colour", widths),
        tuple(weights(f"colour {n}", colours, c) for n, c in enumerate(widths)),
        tuple(kernels) if dense else (),
    )


def redrawn_weights(levels: tuple[Level, ...], colours: int) -> list[int]:
    """How many weights a picture redraws: for each layer, then for each resolution's to-RGB."""
    mixing = [layer.inputs * layer.outputs for layer in convolutions(levels)]
    return [*mixing, *(colours * channels for _, _, channels in levels)]


def synthesise(net: Network, levels: tuple[Level, ...], latents: Tensor, redrawn: Redrawn) -> Tensor:
    """Pictures ``(B, colours, H, W)`` of latents w ``(B, 2 x resolutions, dimensions)``, any range.

    Layer ``n`` has latent ``n``; the to-RGB of a resolution has that of the layer after it.
    """
    layers, batch = convolutions(levels), len(latents)
    mixing: list[Tensor] = []
    colour = [weights.expand(batch, -1, -1) for weights in net.colour]
    if redrawn.weights is not None:
        parts = redrawn.weights.split(redrawn_weights(levels, net.colour[0].shape[0]), dim=1)
        mixing = [
            part.view(batch, layer.outputs, layer.inputs)
            for part, layer in zip(parts, layers, strict=False)
        ]
        colour = [part.view(batch, len(net.colour[0]), -1) for part in parts[len(layers) :]]
    features = net.constant.expand(batch, -1, -1, -1)
    picture = features.new_zeros(batch, len(net.colour[0]), 1, 1)
    for number, layer in enumerate(layers):
        style = latents[:, number] @ net.affine[number] + 1.0
        if net.dense:
            features = apply_dense(features, style, net.dense[number])
        else:
            wavelets = redrawn.kernels[number]
            features = apply_wavelets(features, style, wavelets, mixing[number], layer.up)
        features = features[:, :, : layer.size[0], : layer.size[1]]
        features = shifted(features, redrawn, number)
        features = features.relu_()
        if number % 2 == 0:
            level = number // 2
            style = latents[:, number + 1] @ net.affine_colour[level] + 1.0  # (B, C)
            weights = colour[level] * (style * levels[level][2] ** -0.5)[:, None]
            shown = mixed(features, weights.transpose(1, 2))
            if level:
                shown = shown + double(picture)[:, :, : layer.size[0], : layer.size[1]]
            picture = shown
    return picture


def shifted(features: Tensor, redrawn: Redrawn, number: int) -> Tensor:
    """Features ``(B, O, H, W)`` plus the layer's noise, the same in all channels, and its biases.

    Both as one product of (noise, 1) by (1, bias): adding planes and channels one by one is slow where
    the channels are few and last in memory.
    """
    rows = features.permute(0, 2, 3, 1)
    planes, weights = [], []
    if redrawn.noise:
        planes.append(redrawn.noise[number].flatten(1))
        weights.append(torch.ones_like(rows[:, 0, 0]))
    if redrawn.biases:
        planes.append(torch.ones_like(rows[..., 0]).flatten(1))
        weights.append(redrawn.biases[number])
    if not planes:
        return features
    left, right = torch.stack(planes, dim=2), torch.stack(weights, dim=1) * RELU_GAIN
    added = torch.baddbmm(rows.flatten(1, 2), left, right)  # (B, H W, O)
    return added.view(rows.shape).permute(0, 3, 1, 2)
