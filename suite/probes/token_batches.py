"""Batches of tokens for probes: every dimension standardised by what the tokens of train are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from suite.probes.base import Tokens
from suite.probes.training import BATCH, pieces


@dataclass(frozen=True)
class Batch:
    """Tokens ``(b, N, D)``, float32, and which are there ``(b, N)``; None where all are."""

    tokens: Tensor
    there: Tensor | None

    def __getitem__(self, clips: Tensor) -> Batch:
        """Some of the clips, padded to the longest of them."""
        if self.there is None:
            return Batch(self.tokens[clips], None)
        there = self.there[clips]
        longest = int(there.sum(dim=1).max())
        return Batch(self.tokens[clips, :longest], there[:, :longest])

    def without_padding(self, scores: Tensor, value: float) -> Tensor:
        """Scores ``(b, P, N)`` of tokens, with ``value`` in the place of those that are not there."""
        return scores if self.there is None else scores.masked_fill(~self.there[:, None], value)


@dataclass(frozen=True)
class Standard:
    """The mean and one over the deviation ``(D,)`` of all tokens of train.

    A dimension that is constant there becomes 0. Encoders differ in the scale of their dimensions by
    orders of magnitude, and of a probe nothing should hang on it.
    """

    mean: Tensor
    scale: Tensor

    def batch(self, tokens: Tokens, clips: Tensor) -> Batch:
        """Standardised tokens of clips by their positions."""
        padded, there = tokens.padded(clips)
        return Batch(padded.sub_(self.mean).mul_(self.scale), None if there.all() else there)


def standard_of(tokens: Tokens) -> Standard:
    """Measured in float64, a few clips in memory at once."""
    sizes = tokens.counts
    count, first = 0, torch.from_numpy(np.asarray(tokens.vectors[0][0], np.float64))
    total = torch.zeros_like(first)
    squares = torch.zeros_like(first)
    for some in torch.arange(len(sizes)).split(BATCH):
        for clips in pieces(some, sizes):
            padded, there = tokens.padded(clips)
            wide = padded[there].double() - first  # near the mean, where squares lose no digits
            count += len(wide)
            total += wide.sum(dim=0)
            squares += wide.square().sum(dim=0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0.0).sqrt()
    varies = deviation > 1e-7 * ((mean + first).abs() + 1.0)
    return Standard((mean + first).float(), torch.where(varies, 1.0 / deviation, 0.0).float())
