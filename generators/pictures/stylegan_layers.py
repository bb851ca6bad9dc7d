"""Layers of an untrained StyleGAN2: modulated convolutions of dense kernels or of wavelets, skips.

``B`` is the batch, ``C`` and ``O`` the input and output channels. Features are ``(B, C, H, W)``,
channels last in memory. A style scales the input channels, and demodulation divides each output channel
by the norm that its weights then have (Karras et al., Analyzing and Improving the Image Quality of
StyleGAN, CVPR 2020). The gain sqrt(2) of the activation that follows is taken up here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import white_noise
from .fast_convolution import (
    TransposedWeights,
    convolve,
    convolve_transposed,
    transform_transposed,
    transform_weights,
)

FILTER = (0.25, 0.75, 0.75, 0.25)  # [1, 3, 3, 1] with the gain of up-sampling by two along one axis
RELU_GAIN = math.sqrt(2.0)
FEW_CHANNELS = 128  # below, a wavelet layer that doubles the size is computed as a dense one
TILE_CHANNELS, TILE_PIXELS = 64, 24 * 24  # from here tiles beat the library's direct convolution


def gaussian(keys: Tensor, count: int, device: torch.device) -> Tensor:
    """N(0, 1), float32 ``(B, count)``, made on ``device`` from keys ``(B,)`` by Box and Muller."""
    half = -(-count // 2)
    radius, angle = white_noise(keys, 2 * half, device).split(half, dim=1)
    radius = torch.log_(radius * 0.5 + (0.5 + 2.0**-17)).mul_(-2.0).sqrt_()
    angle = angle * math.pi
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


# ---------------------------------------------------------------------------------------------------
# Dense kernels, shared by all pictures of a network


@dataclass(frozen=True)
class Dense:
    """Kernels N(0, 1) of a layer, ready for the device; ``up`` where it doubles height and width."""

    up: bool
    power: Tensor  # (C, O), squares summed over the 3 x 3 taps
    direct: Tensor | None = None  # (O, C, 3, 3), or (C, O, 3, 3) where it doubles
    tiles: Tensor | None = None  # transformed kernels, for one picture at a time
    tiles_up: TransposedWeights | None = None


def dense_layer(weights: Tensor, up: bool, pixels: int) -> Dense:
    """Prepare kernels ``(O, C, 3, 3)`` for inputs of ``pixels``."""
    power = weights.square().sum(dim=(2, 3)).T.contiguous()
    large = weights.shape[1] >= TILE_CHANNELS and pixels >= TILE_PIXELS
    if large and weights.device.type == "cpu":
        if up:
            return Dense(up, power, tiles_up=transform_transposed(weights))
        return Dense(up, power, tiles=transform_weights(weights))
    direct = weights.transpose(0, 1) if up else weights
    # as the features lie in memory, or every picture would copy them
    return Dense(up, power, direct=direct.contiguous(memory_format=torch.channels_last))


def apply_dense(features: Tensor, style: Tensor, layer: Dense) -> Tensor:
    """Modulated, demodulated convolution: ``(B, O, H, W)``, or twice the size where it doubles."""
    gain = RELU_GAIN * (style.square() @ layer.power + 1e-8).rsqrt()  # (B, O)
    if layer.tiles is not None:
        made = convolve(features[0].permute(1, 2, 0), style[0], layer.tiles, gain[0])
        return made[None].permute(0, 3, 1, 2)
    if layer.tiles_up is not None:
        made = convolve_transposed(features[0].permute(1, 2, 0), style[0], layer.tiles_up)
        whole = smooth(made[None].permute(0, 3, 1, 2), gain)
        return whole[:, :, : 2 * features.shape[2], : 2 * features.shape[3]]
    assert layer.direct is not None
    scaled = features * style[:, :, None, None]
    if layer.up:
        return smooth(F.conv_transpose2d(scaled, layer.direct, stride=2), gain)
    return F.conv2d(scaled, layer.direct, padding=1).mul_(gain[:, :, None, None])


# ---------------------------------------------------------------------------------------------------
# Wavelets: each input channel is filtered by one 3 x 3 kernel, then the channels are mixed


def apply_wavelets(features: Tensor, style: Tensor, kernels: Tensor, mix: Tensor, up: bool) -> Tensor:
    """As :func:`apply_dense`, of weights that are ``mix`` (B, O, C) times ``kernels`` (B, C, 3, 3).

    The kernels do not depend on the output channel, so a picture costs a filter a channel and one
    matrix product: a ninth of a dense convolution.
    """
    power = style.square() * kernels.square().sum(dim=(2, 3))  # (B, C)
    gain = RELU_GAIN * (torch.bmm(mix.square(), power[:, :, None]) + 1e-8).rsqrt()  # (B, O, 1)
    weights = (mix * gain).transpose(1, 2)  # (B, C, O)
    kernels = kernels * style[:, :, None, None]
    if not up:
        return mixed(depthwise(features, kernels), weights)
    return doubled(features, kernels, weights)


def doubled(features: Tensor, kernels: Tensor, weights: Tensor) -> Tensor:
    """Transposed convolution and [1, 3, 3, 1] of wavelets, ``(B, O, 2 H, 2 W)``, by output parity."""
    batch, channels, height, width = features.shape
    outputs, taps = weights.shape[2], doubling(features.device)  # (2, 3, 3)
    phases = torch.einsum("pai,bcij,qdj->bpqcad", taps, kernels, taps)  # (B, 2, 2, C, 3, 3)
    out = features.new_empty(batch, height, 2, width, 2, outputs)
    if channels < FEW_CHANNELS:  # too few to filter one by one: the four parities as one convolution
        dense = phases[:, :, :, None] * weights.transpose(1, 2)[:, None, None, :, :, None, None]
        flat = dense.reshape(batch * 4 * outputs, channels, 3, 3)
        made = F.conv2d(side_by_side(features), flat, padding=1, groups=batch)
        out.copy_(made.reshape(batch, 2, 2, outputs, height, width).permute(0, 4, 1, 5, 2, 3))
    else:
        for down in range(2):
            for across in range(2):
                filtered = depthwise(features, phases[:, down, across])
                out[:, :, down, :, across] = mixed(filtered, weights).permute(0, 2, 3, 1)
    return out.view(batch, 2 * height, 2 * width, outputs).permute(0, 3, 1, 2)


def depthwise(features: Tensor, kernels: Tensor) -> Tensor:
    """Each channel by its own kernel ``(B, C, k, k)``, padded with (k - 1) // 2 zeros."""
    batch, channels, side, _ = kernels.shape
    joined = side_by_side(features)
    flat = kernels.reshape(-1, 1, side, side)
    made = F.conv2d(joined, flat, padding=(side - 1) // 2, groups=batch * channels)
    return made if batch == 1 else made.reshape(batch, channels, *made.shape[2:])


def side_by_side(features: Tensor) -> Tensor:
    """The batch's pictures as the channels of one, ``(1, B * C, H, W)``, for grouped convolutions.

    One picture is returned as it is: a reshape would hide from the convolution how it lies in memory.
    """
    if len(features) > 1:
        features = features.reshape(1, -1, *features.shape[2:])
    return features.contiguous(memory_format=torch.channels_last)


def mixed(features: Tensor, weights: Tensor) -> Tensor:
    """Channels mixed pixel by pixel: ``(B, O, H, W)`` of ``(B, C, H, W)`` and ``(B, C, O)``."""
    rows = features.permute(0, 2, 3, 1)
    made = torch.bmm(rows.flatten(1, 2), weights)
    return made.view(*rows.shape[:3], -1).permute(0, 3, 1, 2)


# ---------------------------------------------------------------------------------------------------
# Twice the size


def smooth(features: Tensor, gain: Tensor) -> Tensor:
    """A transposed convolution's ``(B, O, 2 H + 1, 2 W + 1)`` through [1, 3, 3, 1] twice: 2 H x 2 W.

    Channels are multiplied by ``gain`` ``(B, O)``.
    """
    line = torch.tensor(FILTER, device=features.device)
    return depthwise(features, torch.outer(line, line) * gain[:, :, None, None])


def doubling(device: torch.device) -> Tensor:
    """Taps of a 3-tap transposed convolution and [1, 3, 3, 1] together, by output parity.

    ``(2, 3, 3)``: parity p, input offset a from -1 to 1, tap k of the kernel. Output 2 m + p is the sum
    of inputs m + a by taps k and filter taps t where t - 1 - k + p = 2 a.
    """
    phases = torch.zeros(2, 3, 3)
    for parity in range(2):
        for offset in range(3):
            for tap in range(3):
                place = 2 * (offset - 1) - parity + 1 + tap
                if 0 <= place < len(FILTER):
                    phases[parity, offset, tap] = FILTER[place]
    return phases.to(device)


def double(pictures: Tensor) -> Tensor:
    """Up-sampling of ``(B, C, H, W)`` by two with [1, 3, 3, 1], zeros outside, as the skips are."""
    for axis, before, after in ((2, (0, 0, 1, 0), (0, 0, 0, 1)), (3, (1, 0), (0, 1))):
        count = pictures.shape[axis]
        even = 0.75 * pictures + 0.25 * F.pad(pictures, before).narrow(axis, 0, count)
        odd = 0.75 * pictures + 0.25 * F.pad(pictures, after).narrow(axis, 1, count)
        pictures = torch.stack([even, odd], dim=axis + 1).flatten(axis, axis + 1)
    return pictures
