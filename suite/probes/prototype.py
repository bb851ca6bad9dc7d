"""The prototype probe: of each class a few vectors, and how near any token of a clip comes to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from suite.probes.base import Examples, Probe, Reads, Tokens
from suite.probes.token_batches import Batch, standard_of
from suite.probes.training import Learnt, Method, Parameters, check_usable, learn

MOST, ALL, LEAST = 10, 200, 2  # prototypes of a class at most, of all classes together, at least
RATES = (1e-3, 3e-3, 1e-2)
SCALE = 10.0  # of the cosines, at the start: what a class can win by


@dataclass(kw_only=True)
class Prototype(Probe[Tokens], name="prototype@1"):
    """Prototypes of each class; a clip is judged by the token most like each of them.

    A prototype answers with the largest cosine between it and any token of the clip, and a class with a
    weighted sum of its own prototypes' answers plus a constant. That is the idea of Rauch et al.,
    arXiv 2509.24901: several vectors a class, compared with every token, the maximum over tokens, and
    a linear reading, so that no pooling hides a short event. Ours: prototypes are real numbers (theirs
    are binarised, and shared by the classes); each class has 10, fewer where they would be more than
    200 in all, and at least 2; they start at random tokens of the class's clips; tokens are
    standardised by train; no loss keeps the prototypes apart. AdamW, 60 epochs, cosine; the learning
    rate, of 1e-3, 3e-3 and 1e-2, is chosen on valid by the nets of the last epoch, and a net trained
    with it on train and valid together answers. Scores are log-probabilities (log-odds for many
    labels). Tokens wider than 1,024 numbers reach it projected, see :func:`suite.tokens.projected`.
    """

    reads: ClassVar[Reads] = "tokens"
    threshold: ClassVar[float] = 0.0  # log-odds
    _learnt: Learnt[Tokens] = field(init=False, repr=False)

    @property
    def selection(self) -> dict[str, Any]:
        """``learning_rate``, ``valid_<metric>``, ``epochs``, ``prototypes`` (of each class)."""
        prototypes = self._learnt.net.parameters["prototypes"].shape[2]
        return {**self._learnt.selection, "prototypes": prototypes}

    def fit(self, train: Examples[Tokens], valid: Examples[Tokens]) -> None:
        """Choose the rate, then fit on both; raises BadData on non-finite tokens."""
        check_usable(self.name, "train", train.features)
        check_usable(self.name, "valid", valid.features)
        standard = standard_of(train.features)

        def read(tokens: Tokens, clips: Tensor) -> Batch:
            batch = standard.batch(tokens, clips)
            return replace(batch, tokens=F.normalize(batch.tokens, dim=2))

        def start(examples: Examples[Tokens], targets: Tensor) -> Parameters:
            return start_at_tokens(examples, targets, read)

        self._learnt = learn(Method(self.name, RATES, read, start, logits), train, valid)

    def predict(self, features: Tokens) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(n, classes)`` for tokens of n clips."""
        return self._learnt.scores(features)

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid by the net that was trained on train alone."""
        return self._learnt.held_out


def prototypes_of(classes: int) -> int:
    """How many prototypes each class has."""
    return min(MOST, max(LEAST, ALL // max(1, classes)))


def start_at_tokens(
    examples: Examples[Tokens], targets: Tensor, read: Callable[[Tokens, Tensor], Batch]
) -> Parameters:
    """Prototypes ``(classes, J, D)`` at tokens of the class's clips, clip and token drawn at random."""
    generator = torch.Generator().manual_seed(0)
    count = prototypes_of(targets.shape[1])
    found = []
    for column in targets.T:
        clips = column.nonzero()[:, 0]
        drawn = clips[torch.randint(len(clips), (count,), generator=generator)]
        for clip in drawn:
            tokens = read(examples.features, clip[None]).tokens[0]
            found.append(tokens[torch.randint(len(tokens), (1,), generator=generator)][0])
    width = int(examples.features.vectors[0].shape[1])
    prototypes = torch.stack(found) if found else torch.zeros(0, width)
    return {
        "prototypes": prototypes.unflatten(0, (targets.shape[1], count)),
        "weight": torch.full((targets.shape[1], count), SCALE / count),
        "bias": torch.zeros(targets.shape[1]),
    }


class LargestCosine(torch.autograd.Function):
    """The largest cosine ``(b, P)`` of prototypes ``(P, D)`` and any token of a clip, of unit length.

    Only the nearest token of each prototype has a part in the gradient: those are summed as they are
    looked up, which takes a third of the time, and a tenth of the memory, of gathering them first.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, prototypes: Tensor, batch: Batch) -> Tensor:
        likeness = prototypes @ batch.tokens.transpose(1, 2)  # (b, P, N)
        largest, nearest = batch.without_padding(likeness, -2.0).max(dim=2)
        first = torch.arange(len(nearest))[:, None] * likeness.shape[2]
        ctx.save_for_backward(batch.tokens.flatten(0, 1), first + nearest)
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        tokens, nearest = ctx.saved_tensors
        weights = gradient.T.contiguous()
        summed = F.embedding_bag(nearest.T.contiguous(), tokens, per_sample_weights=weights, mode="sum")
        return summed, None


def logits(parameters: Parameters, batch: Batch) -> Tensor:
    """Logits ``(nets, b, classes)`` of tokens of unit length."""
    prototypes = F.normalize(parameters["prototypes"], dim=3)  # (K, C, J, D)
    cosines = LargestCosine.apply(prototypes.flatten(0, 2), batch)  # (b, K C J)
    answers = cosines.unflatten(1, prototypes.shape[:3]) * parameters["weight"]
    return answers.sum(dim=3).transpose(0, 1) + parameters["bias"][:, None]
