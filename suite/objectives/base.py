"""What an objective is: the loss an encoder is trained with, and what it needs beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from suite.encoder import Encoder
from suite.masking.base import Mask


class Objective(nn.Module, ABC):
    """Holds the encoder and all that is trained with it; ``encoder`` alone is what gets evaluated."""

    encoder: Encoder

    @abstractmethod
    def losses(self, images: Tensor, mask: Mask) -> dict[str, Tensor]:
        """Scalars of one batch of images ``(B, F, T)``; ``"loss"`` is minimised, the rest is logged."""

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share done, 0 to 1: teachers move here."""

    def forward(self, images: Tensor, mask: Mask) -> dict[str, Tensor]:
        return self.losses(images, mask)


@dataclass(frozen=True, kw_only=True)
class DecoderSize:
    """Width, depth and heads of a light transformer decoder; MAE's and AudioPG's: 512, 8, 16."""

    width: int = 512
    depth: int = 8
    heads: int = 16


@dataclass(kw_only=True)
class ObjectiveSettings(ABC):
    """The configuration of an objective: its fields, and how to build it around an encoder."""

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @abstractmethod
    def build(self, encoder: Encoder, decoder: DecoderSize) -> Objective:
        """The objective around ``encoder``; ``decoder`` is the scale's."""
