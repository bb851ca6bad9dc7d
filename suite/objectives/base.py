"""What an objective is: the loss an encoder is trained with, and what it needs beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from suite.encoder import Encoder
from suite.masking.base import Mask


@dataclass(frozen=True)
class Batch:
    """What an objective is given for one step.

    The mask has ``views`` rows for each clip, side by side. ``seeds`` are what an objective draws its
    own random numbers from: a row has the same ones on any number of ranks and after any resume.
    """

    images: Tensor  # (B, F, T), standardised
    mask: Mask  # B * views rows
    seeds: Tensor | None = None  # int64 (B * views,); None where nothing is drawn
    vectors: Tensor | None = None  # (B, E): what a frozen encoder says of each clip, where one is asked

    def part(self, start: int, stop: int) -> Batch:
        """Clips ``start`` to ``stop`` with all their rows."""
        views = len(self.mask.keep) // len(self.images)
        rows, clips = slice(start * views, stop * views), slice(start, stop)
        return Batch(
            images=self.images[clips],
            mask=self.mask.rows(rows.start, rows.stop, self.images.device),
            seeds=None if self.seeds is None else self.seeds[rows],
            vectors=None if self.vectors is None else self.vectors[clips],
        )

    def row_seeds(self) -> Tensor:
        """``seeds``, or the rows' numbers where none were given."""
        return torch.arange(len(self.mask.keep)) if self.seeds is None else self.seeds


class Objective(nn.Module, ABC):
    """Holds the encoder and all that is trained with it; ``encoder`` alone is what gets evaluated."""

    encoder: Encoder
    views: int = 1  # masks drawn for each clip

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one batch; ``"loss"`` is minimised, the rest is logged."""

    def after_step(self, done: int, steps: int) -> None:
        """Called after optimiser step ``done`` of ``steps``: teachers move here."""

    def warning(self, logged: Mapping[str, float]) -> str | None:
        """What the user should hear of the last logged losses, or None."""
        return None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.losses(batch)


class PixelObjective(Objective):
    """Predicts the pixels of hidden patches, so that its reconstructions can be seen."""

    normalise_pixels: bool  # every patch by its own mean and deviation

    @abstractmethod
    def reconstruct(self, images: Tensor, mask: Mask) -> Tensor:
        """What is predicted of the hidden patches ``(B, N - K, P)``, in the order of ``mask.hide``."""

    @abstractmethod
    def targets(self, images: Tensor, mask: Mask) -> Tensor:
        """What should be predicted of them ``(B, N - K, P)``."""

    @abstractmethod
    def pixels(self, predicted: Tensor, images: Tensor, mask: Mask) -> Tensor:
        """Predictions or targets ``(B, N - K, P)`` as pixels of the standardised ``images``."""


@dataclass(frozen=True, kw_only=True)
class DecoderSize:
    """Width, depth and heads of a light transformer decoder; MAE's and AudioPG's: 512, 8, 16."""

    width: int = 512
    depth: int = 8
    heads: int = 16


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A frozen encoder as a teacher of clips: what it is, and how its vectors are given."""

    kind: Literal["descriptors", "run", "hear"]
    where: str  # the run's folder or the module's name; "" for descriptors
    shuffled: bool  # each clip gets another clip's vector
    standardise: bool  # zero mean and unit variance over the pool, number by number


@dataclass(kw_only=True)
class ObjectiveSettings(ABC):
    """The configuration of an objective: its fields, and how to build it around an encoder.

    ``architecture`` names what its paper's encoder has that MAE's has not; the keys of ``encoder=``
    that are ``auto`` take it.
    """

    name: ClassVar[str]
    architecture: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @abstractmethod
    def build(self, encoder: Encoder, decoder: DecoderSize, vector_size: int = 0) -> Objective:
        """The objective around ``encoder``; ``decoder`` is the scale's.

        ``vector_size`` is that of ``Batch.vectors`` where :meth:`frozen` asks for them.
        """

    def frozen(self) -> Frozen | None:
        """The frozen encoder whose vectors the objective learns from, or None."""
        return None
