"""Networks whose features are visualised: a random residual network, or a finished run's encoder."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from ..base import Draws
from ..drawer import BadData, DataMissing, UsageError
from .stylegan_layers import gaussian

Features = Callable[[Tensor], Tensor]  # (B, colours, H, W) -> (B, D), averages over the places

# Of each convolution of a block: kernel side and output channels in units of the stage's width.
BOTTLENECK = ((1, 1), (3, 1), (1, 4))
BASIC = ((3, 1), (3, 1))


@dataclass(frozen=True)
class ResidualShape:
    """Widths and numbers of blocks of a residual network's four stages (He et al., CVPR 2016).

    Without ``last_rectifier`` the features are averaged before it: behind it, a sixth of the small
    network's would stay zero, and their gradients too.
    """

    colours: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    block: tuple[tuple[int, int], ...]
    last_rectifier: bool

    @property
    def features(self) -> int:
        """D: channels of the last stage."""
        return self.widths[-1] * self.block[-1][1]


RESNET_50 = ResidualShape(3, (64, 128, 256, 512), (3, 4, 6, 3), BOTTLENECK, True)
SMALL = ResidualShape(1, (16, 32, 64, 128), (1, 1, 1, 1), BASIC, False)


# ---------------------------------------------------------------------------------------------------
# A random network


@dataclass(frozen=True)
class Block:
    """A residual block: its convolutions, of which the first 3 x 3 has the stride, and its shortcut."""

    stride: int
    layers: tuple[Tensor, ...]
    shortcut: Tensor | None  # None: the identity


@lru_cache(maxsize=2)
def random_weights(seed: int, shape: ResidualShape, device: str) -> tuple[Tensor, tuple[Block, ...]]:
    """Stem and blocks of a residual network as it is initialised: N(0, 2 / fan-out)."""

    def weights(factor: str, outputs: int, inputs: int, side: int) -> Tensor:
        key = Draws(seed, torch.zeros(1, dtype=torch.int64)).keys(f"network {factor}")
        drawn = gaussian(key, outputs * inputs * side * side, torch.device(device))
        return drawn.view(outputs, inputs, side, side) * math.sqrt(2.0 / (outputs * side * side))

    channels = shape.widths[0]
    stem, blocks = weights("stem", channels, shape.colours, 7), []
    for stage, (width, count) in enumerate(zip(shape.widths, shape.blocks, strict=True)):
        for number in range(count):
            stride, inputs, layers = 2 if stage and not number else 1, channels, []
            for layer, (side, factor) in enumerate(shape.block):
                layers.append(weights(f"{stage} {number} {layer}", width * factor, channels, side))
                channels = width * factor
            same = stride == 1 and inputs == channels
            shortcut = None if same else weights(f"{stage} {number} shortcut", channels, inputs, 1)
            blocks.append(Block(stride, tuple(layers), shortcut))
    return stem, tuple(blocks)


def random_features(seed: int, shape: ResidualShape, device: str) -> Features:
    """The features of a random residual network.

    Batch normalisation with its initial statistics changes nothing, so it is left out.
    """
    stem, blocks = random_weights(seed, shape, device)

    def features(images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(F.conv2d(images, stem, stride=2, padding=3).relu(), 3, stride=2, padding=1)
        for place, block in enumerate(blocks):
            kept, stride = x, block.stride
            for number, kernel in enumerate(block.layers):
                side = kernel.shape[2]
                x = F.conv2d(x, kernel, stride=stride if side == 3 else 1, padding=side // 2)
                x = x.relu() if number < len(block.layers) - 1 else x
                stride = 1 if side == 3 else stride
            if block.shortcut is not None:
                kept = F.conv2d(kept, block.shortcut, stride=block.stride)
            x = x + kept
            x = x.relu() if place < len(blocks) - 1 or shape.last_rectifier else x
        return x.mean(dim=(2, 3))

    return features


# ---------------------------------------------------------------------------------------------------
# A trained network

TWO_COMMANDS = (
    "Type `sourcebench pretrain source=dead_leaves_mixed`, which ends with the folder of its run, then "
    "the same command as before with source.run=FOLDER."
)


@dataclass(frozen=True)
class FinishedRun:
    """A run of the suite's pre-training, as it lies on disk."""

    folder: Path

    @cached_property
    def experiment(self) -> dict[str, Any]:
        """Its settings; raises DataMissing or BadData."""
        path = self.folder / "experiment.yaml"
        if not path.exists() or not self.weights_path.exists():
            raise DataMissing(
                f"{self.folder} is no finished run: it lacks experiment.yaml or checkpoint/"
                f"{self.weights_path.name}. {TWO_COMMANDS}"
            )
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict) or not {"source", "scale"} <= settings.keys():
            raise BadData(f"{path} does not describe an experiment. Delete the run and repeat it.")
        return settings

    @property
    def weights_path(self) -> Path:
        """Where its weights are."""
        return self.folder / "checkpoint" / "weights.safetensors"

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The encoder's tensors by name; raises BadData where they cannot be read."""
        try:
            everything = safetensors.torch.load_file(self.weights_path)
        except (OSError, safetensors.SafetensorError) as error:
            raise BadData(
                f"{self.weights_path} cannot be read ({error}). Delete the run and repeat it."
            ) from error
        prefix = "encoder."
        return {k.removeprefix(prefix): v for k, v in everything.items() if k.startswith(prefix)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights' file."""
        return hashlib.sha256(self.weights_path.read_bytes()).hexdigest()

    @property
    def patch(self) -> tuple[int, int]:
        """Bands and frames of a patch."""
        bands, frames = self.experiment["scale"]["patch"]
        return int(bands), int(frames)


def encoder_features(run: FinishedRun, device: str) -> Features:
    """The encoder's last tokens, averaged over the patches; a picture is standardised by itself.

    A plain vision transformer (Dosovitskiy et al., ICLR 2021): pre-norm blocks, exact GELU, fixed
    sine-cosine positions, time-major patches (specification 1.5, 3.2). Raises UsageError where the
    run's encoder is of another architecture.
    """
    weights = {name: value.float().to(device) for name, value in run.weights.items()}
    scale, patch = run.experiment["scale"], run.patch
    width, depth, heads = int(scale["width"]), int(scale["depth"]), int(scale["heads"])
    block = {f"{part}.{kind}" for part in BLOCK_PARTS for kind in ("weight", "bias")}
    known = {f"blocks.{number}.{name}" for number in range(depth) for name in block} | OUTER
    if set(weights) - {"class_token"} != known - {"class_token"}:
        strange = sorted(set(weights) ^ known)[:3]
        raise UsageError(
            f"the encoder of {run.folder} is no plain vision transformer ({', '.join(strange)}). "
            "Visualise a run with the default encoder: `sourcebench pretrain source=dead_leaves`."
        )

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (width,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    def features(images: Tensor) -> Tensor:
        centred = images[:, 0] - images.mean(dim=(2, 3))[:, :, None]
        pixels = centred / centred.std(dim=(1, 2), keepdim=True).clamp_min(1e-4)
        bands, steps = pixels.shape[1] // patch[0], pixels.shape[2] // patch[1]
        pixels = pixels.unflatten(2, (steps, patch[1])).unflatten(1, (bands, patch[0]))
        patches = pixels.permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2)  # (B, T' F', values)
        x = linear(patches, "patch_embedding") + positions(steps, bands, width).to(device)
        if "class_token" in weights:
            x = torch.cat([weights["class_token"].expand(len(x), -1, -1), x], dim=1)
        for number in range(depth):
            name = f"blocks.{number}"
            joint = linear(norm(x, f"{name}.norm1"), f"{name}.attn.qkv")
            query, key, value = joint.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
            x = x + linear(seen, f"{name}.attn.proj")
            inner = F.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
            x = x + linear(inner, f"{name}.mlp.fc2")
        return norm(x, "norm")[:, -bands * steps :].mean(dim=1)

    return features


BLOCK_PARTS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
OUTER = {"class_token"} | {f"{n}.{k}" for n in ("patch_embedding", "norm") for k in ("weight", "bias")}


@lru_cache(maxsize=8)
def positions(steps: int, bands: int, width: int) -> Tensor:
    """Fixed positions ``(T' F', width)``: sines and cosines of the band, then the time (spec 3.2)."""
    rates = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    step, band = torch.meshgrid(torch.arange(steps), torch.arange(bands), indexing="ij")
    angles = [place.flatten()[:, None] * rates for place in (band, step)]
    return torch.cat([part for a in angles for part in (a.sin(), a.cos())], dim=1).float()
