"""What is done to a batch of log-mels and targets while an encoder is fine-tuned."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.probes.recipes import Recipe


def augmented(
    images: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Standardised images ``(B, F, T)`` and targets ``(B, C)`` as the recipe changes them."""
    if recipe.roll:
        turns = torch.randint(images.shape[2], (len(images),), generator=generator).tolist()
        images = torch.stack([image.roll(turn, 1) for image, turn in zip(images, turns, strict=True)])
    images = striped(images, recipe.mask_bands, 1, generator)
    images = striped(images, recipe.mask_frames, 2, generator)
    if recipe.mixup or recipe.cutmix:
        both = recipe.mixup > 0 and recipe.cutmix > 0
        cut = recipe.cutmix > 0 and (not both or float(torch.rand((), generator=generator)) < 0.5)
        mix = cut_and_mixed if cut else mixed
        images, targets = mix(images, targets, recipe.cutmix if cut else recipe.mixup, generator)
    return images, targets


def striped(images: Tensor, widest: float, dim: int, generator: torch.Generator) -> Tensor:
    """Of each image one stripe across ``dim``, of 0 to ``widest`` of its size, set to 0 (SpecAugment).

    0 is the mean of standardised images.
    """
    size = images.shape[dim]
    most = int(widest * size)
    if most == 0:
        return images
    width = torch.randint(most + 1, (len(images), 1), generator=generator)
    draw = torch.rand(len(images), 1, generator=generator)
    first = (draw * (size - width + 1)).long()
    place = torch.arange(size)
    inside = ((place >= first) & (place < first + width)).to(images.device)  # (B, size)
    return images.masked_fill(inside[:, :, None] if dim == 1 else inside[:, None], 0.0)


def mixed(
    images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """mixup: each clip with another of the batch, by one weight drawn from Beta(alpha, alpha)."""
    weight, other = weight_of(alpha, generator), torch.randperm(len(images), generator=generator)
    blend = weight * targets + (1.0 - weight) * targets[other.to(targets.device)]
    return weight * images + (1.0 - weight) * images[other.to(images.device)], blend


def cut_and_mixed(
    images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """CutMix: a rectangle of another clip of the batch in each; targets by the area that is left."""
    weight, other = weight_of(alpha, generator), torch.randperm(len(images), generator=generator)
    sides = [round(size * (1.0 - weight) ** 0.5) for size in images.shape[1:]]
    high, wide = sides
    draws = torch.rand(2, generator=generator).tolist()
    low, left = (int(draws[i] * (images.shape[1 + i] - sides[i] + 1)) for i in range(2))
    pasted = images.clone()
    box = (slice(None), slice(low, low + high), slice(left, left + wide))
    pasted[box] = images[other.to(images.device)][box]
    kept = 1.0 - high * wide / (images.shape[1] * images.shape[2])
    return pasted, kept * targets + (1.0 - kept) * targets[other.to(targets.device)]


def weight_of(alpha: float, generator: torch.Generator) -> float:
    """A draw of Beta(alpha, alpha) by Johnk's method, quick for an alpha of up to 1.

    It is u^(1/a) / (u^(1/a) + v^(1/a)), where the two sum to at most 1.
    """
    while True:
        one, other = (torch.rand(2, generator=generator, dtype=torch.float64) ** (1.0 / alpha)).tolist()
        if 0.0 < one + other <= 1.0:
            return float(one / (one + other))
