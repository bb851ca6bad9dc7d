"""How an encoder is trained on labels: crops, layer-wise rates, stochastic depth, and its answers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.drawer import BadData
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.probes.augmentation import augmented
from suite.probes.base import Examples, Sounds
from suite.probes.linear import FLOOR
from suite.probes.recipes import Recipe
from suite.progress import Progress

ANSWERED = 32  # crops answered at once


class Network(nn.Module):
    """An encoder with a head: standardised images to logits."""

    def __init__(self, encoder: Encoder, recipe: Recipe, classes: int, *, many: bool) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(True)
        self.norm = nn.LayerNorm(encoder.width)
        self.head = nn.Linear(encoder.width, classes)
        nn.init.normal_(self.head.weight, std=0.01, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.head.bias)
        self.recipe, self.many = recipe, many

    def forward(
        self, images: Tensor, keep: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Logits ``(B, C)`` of images ``(B, F, T)``; with a generator, blocks are dropped by it."""
        encoder = self.encoder
        tokens = encoder.norm_first(encoder.with_class_token(encoder.embedded(images, keep)))
        depth = len(encoder.blocks)
        for number, block in enumerate(encoder.blocks):
            chance = self.recipe.drop_path * number / max(1, depth - 1)
            tokens = past(block, tokens, chance, generator)
        tokens = encoder.norm(tokens)
        if self.recipe.reads == "class-token":
            pooled = tokens[:, 0]
        else:
            pooled = tokens[:, int(encoder.class_token is not None) :].mean(dim=1)
        logits: Tensor = self.head(self.norm(pooled))
        return logits


def past(
    block: Callable[[Tensor], Tensor], tokens: Tensor, chance: float, generator: torch.Generator | None
) -> Tensor:
    """Stochastic depth of a whole block: with ``chance`` a row of ``tokens (B, N, D)`` passes it by.

    What the block adds to the others grows by 1 / (1 - chance). A row that passes costs nothing.
    """
    if generator is None or chance == 0.0:
        return block(tokens)
    stays = torch.rand(len(tokens), generator=generator) >= chance
    rows = stays.nonzero()[:, 0].to(tokens.device)
    before = tokens if stays.all() else tokens.index_select(0, rows)
    after = before.lerp(block(before), 1.0 / (1.0 - chance))
    return after if stays.all() else tokens.index_copy(0, rows, after)


@dataclass(frozen=True)
class Crops:
    """Pieces of clips of the length that the encoder was trained on."""

    sounds: Sounds

    @property
    def frontend(self) -> FrontEnd:
        return self.sounds.frontend

    def at(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """The pieces that begin at (clip, frame), standardised ``(B, F, frames)``.

        Where a clip ends before its piece does, the piece is padded.
        """
        frames, device = self.frontend.frames, self.sounds.machine.device
        raw = np.full((len(places), self.frontend.bands, frames), self.frontend.pad_level, np.float32)
        for piece, (clip, start) in zip(raw, places, strict=True):
            heard = self.sounds.images[clip][:, start : start + frames]
            piece[:, : heard.shape[1]] = heard
        return self.frontend.standardise(torch.from_numpy(raw).to(device))

    def spare(self, clip: int) -> int:
        """How many frames a clip is longer than a piece."""
        return max(0, self.sounds.images[clip].shape[1] - self.frontend.frames)

    def drawn(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        """A random piece of each clip, standardised ``(B, F, frames)``."""
        draws = torch.rand(len(clips), generator=generator).tolist()
        chosen = zip(clips.tolist(), draws, strict=True)
        return self.at([(clip, int(draw * (self.spare(clip) + 1))) for clip, draw in chosen])

    def in_a_row(self) -> list[tuple[int, int]]:
        """Where each clip's pieces begin, one after the other; the last one ends with the clip."""
        places = []
        for clip in range(len(self.sounds)):
            last = self.spare(clip)
            starts = {*range(0, last, self.frontend.frames), last}
            places += [(clip, start) for start in sorted(starts)]
        return places


def train(
    examples: Examples[Sounds],
    recipe: Recipe,
    rate: float,
    epochs: int,
    name: str,
    after_epoch: Callable[[Network], None] = lambda _: None,
) -> Network:
    """A fresh copy of the encoder, trained for ``epochs``; the same examples give the same weights."""
    sounds, many = examples.features, examples.targets.ndim == 2
    device = sounds.machine.device
    labels = examples.targets.to(device)
    targets = labels.float() if many else F.one_hot(labels, examples.classes).float()
    network = Network(sounds.encoder, recipe, examples.classes, many=many).to(device)
    optimiser = torch.optim.AdamW(groups_of(network, recipe), betas=recipe.betas, fused=True)
    generator = torch.Generator().manual_seed(0)
    clips, crops = len(sounds), Crops(sounds)
    steps = epochs * -(-clips // recipe.batch)
    progress, step = Progress(f"{name}, rate {rate:g}", steps, 0, recipe.batch), 0
    for _ in range(epochs):
        network.train()
        for chosen in torch.randperm(clips, generator=generator).split(recipe.batch):
            images, wanted = augmented(
                crops.drawn(chosen, generator), targets[chosen.to(device)], recipe, generator
            )
            grid = network.encoder.grid(images)
            keep = lines_kept(len(images), grid, recipe.hide, generator).to(device)
            with sounds.machine.autocast():
                logits = network(images, keep if recipe.hide else None, generator)
            loss = loss_of(logits.float(), wanted, recipe, many=many)
            if not loss.isfinite():
                raise BadData(
                    f"{name} diverged at step {step} with a learning rate of {rate:g}. Check that the "
                    "encoder's embeddings are finite, or type another probe."
                )
            for group in optimiser.param_groups:
                group["lr"] = group["share"] * rate * share_at(step, steps, recipe)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            progress.update(step)
        after_epoch(network)
    progress.close()
    return network


def lines_kept(batch: int, grid: tuple[int, int], hide: float, generator: torch.Generator) -> Tensor:
    """Patches ``(B, K)`` that are read where a share of the time steps and of the bands is hidden.

    Whole lines are hidden (structured patch-out, PaSST), to the nearest number; one always stays.
    """
    steps, bands = (
        torch.rand(batch, lines, generator=generator).argsort(dim=1)[
            :, : max(1, round(lines * (1 - hide)))
        ]
        for lines in grid
    )
    return (steps[:, :, None] * grid[1] + bands[:, None]).flatten(1)


def share_at(step: int, steps: int, recipe: Recipe) -> float:
    """The share of the rate at a step: a straight warm-up, then half a cosine to ``last_rate``."""
    warm = int(recipe.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    wave = 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    return recipe.last_rate + (1.0 - recipe.last_rate) * wave


def loss_of(logits: Tensor, wanted: Tensor, recipe: Recipe, *, many: bool) -> Tensor:
    """Cross-entropy with smoothed targets ``(B, C)``, or the mean binary one for many labels."""
    if many:
        return F.binary_cross_entropy_with_logits(logits, wanted)
    smooth = recipe.label_smoothing
    smoothed = (1.0 - smooth) * wanted + smooth / wanted.shape[1]
    return -(smoothed * logits.log_softmax(dim=1)).sum(dim=1).mean()


def groups_of(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by depth, each with its share of the rate; vectors do not decay.

    The head has the whole rate, block i of n ``layer_decay ** (n - i)`` of it, what is before the
    blocks ``layer_decay ** (n + 1)``.
    """
    depth = len(network.encoder.blocks)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        level = depth + 1
        if name.startswith("encoder.blocks."):
            level = int(name.split(".")[2]) + 1
        elif name.startswith("encoder.") and not name.startswith("encoder.norm."):
            level = 0
        groups.setdefault((level, parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "share": recipe.layer_decay ** (depth + 1 - level),
        }
        for (level, decays), parameters in groups.items()
    ]


@torch.no_grad()
def answers(network: Network, sounds: Sounds) -> Tensor:
    """Scores ``(n, classes)``: mean logits over a clip's pieces, as log-probabilities or log-odds."""
    network.eval()
    crops, classes = Crops(sounds), network.head.out_features
    total, pieces = torch.zeros(len(sounds), classes), torch.zeros(len(sounds), 1)
    places = crops.in_a_row()
    for first in range(0, len(places), ANSWERED):
        some = places[first : first + ANSWERED]
        with sounds.machine.autocast():
            said = network(crops.at(some)).float().cpu()
        rows = torch.tensor([clip for clip, _ in some])
        total.index_add_(0, rows, said)
        pieces.index_add_(0, rows, torch.ones(len(some), 1))
    logits = total / pieces
    return (logits if network.many else logits.log_softmax(dim=1)).clamp(-FLOOR, FLOOR)
