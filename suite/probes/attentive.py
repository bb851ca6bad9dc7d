"""The attentive probe: learnt queries ask every token of a clip, a linear layer reads the answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from suite.probes.base import Examples, Probe, Reads, Tokens
from suite.probes.token_batches import Batch, standard_of
from suite.probes.training import Learnt, Method, Parameters, check_usable, learn, xavier

HEADS = 8
RATES = (1e-4, 3e-4, 1e-3)  # spec evaluation.md 2.6


@dataclass(kw_only=True)
class Attentive(Probe[Tokens], name="attentive@1"):
    """Attention pooling of all tokens, 8 heads with a learnt query each, and a linear layer.

    Tokens are standardised by train (ours: an encoder's dimensions may differ by orders of magnitude)
    and pass a LayerNorm. Every head weighs the values of all tokens by how well their keys fit its
    query; the heads side by side give D numbers, which a linear layer reads. Where 8 does not divide D,
    the number of heads is the largest below that does. AdamW, 60 epochs, cosine; the learning rate, of
    1e-4, 3e-4 and 1e-3, is chosen on valid by the nets of the last epoch, and a net trained with it on
    train and valid together answers. Scores are log-probabilities (log-odds for many labels).
    Tokens wider than 1,024 numbers reach it projected, see :func:`suite.tokens.projected`.
    Source: spec evaluation.md 2.6 (attn@1).
    """

    reads: ClassVar[Reads] = "tokens"
    threshold: ClassVar[float] = 0.0  # log-odds
    _learnt: Learnt[Tokens] = field(init=False, repr=False)

    @property
    def selection(self) -> dict[str, Any]:
        """``learning_rate``, ``valid_<metric>``, ``epochs``, ``heads``."""
        heads = self._learnt.net.parameters["query"].shape[1]
        return {**self._learnt.selection, "heads": heads}

    def fit(self, train: Examples[Tokens], valid: Examples[Tokens]) -> None:
        """Choose the rate, then fit on both; raises BadData on non-finite tokens."""
        check_usable(self.name, "train", train.features)
        check_usable(self.name, "valid", valid.features)
        standard = standard_of(train.features)

        def read(tokens: Tokens, clips: Tensor) -> Batch:
            batch = standard.batch(tokens, clips)
            return replace(batch, tokens=F.layer_norm(batch.tokens, batch.tokens.shape[2:]))

        self._learnt = learn(Method(self.name, RATES, read, start, logits), train, valid)

    def predict(self, features: Tokens) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(n, classes)`` for tokens of n clips."""
        return self._learnt.scores(features)

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid by the net that was trained on train alone."""
        return self._learnt.held_out


def heads_of(width: int) -> int:
    """8, or the largest number below that divides the width."""
    return max(heads for heads in range(1, HEADS + 1) if width % heads == 0)


def start(examples: Examples[Tokens], targets: Tensor) -> Parameters:
    """Small random queries, so that at first all tokens count alike; a linear layer of zeros."""
    width = int(examples.features.vectors[0].shape[1])
    heads = heads_of(width)
    generator = torch.Generator().manual_seed(0)
    return {
        "gain": torch.ones(width),
        "shift": torch.zeros(width),
        "query": 0.02 * torch.randn(heads, width // heads, generator=generator),
        "key": xavier(width, width, generator=generator).unflatten(0, (heads, -1)),
        "value": xavier(width, width, generator=generator).unflatten(0, (heads, -1)),
        "weight": torch.zeros(targets.shape[1], width),
        "bias": torch.zeros(targets.shape[1]),
    }


def logits(parameters: Parameters, batch: Batch) -> Tensor:
    """Logits ``(nets, b, classes)`` of normalised tokens.

    No token is projected. A query meets the keys of all tokens by way of one vector, key' query; values
    are linear in the tokens, so the tokens are averaged first. The gain and shift of the LayerNorm go
    the same way, so that all nets share the normalised tokens.
    """
    gain, shift = parameters["gain"][:, None], parameters["shift"][:, None]  # (K, 1, D)
    query, key = parameters["query"], parameters["key"]  # (K, H, d), (K, H, d, D)
    nets, heads, inner = query.shape
    asked = (query[:, :, None] @ key)[:, :, 0] * gain * inner**-0.5  # (K, H, D)
    fit = asked.flatten(0, 1) @ batch.tokens.transpose(1, 2)  # (b, K H, N)
    weights = batch.without_padding(fit, float("-inf")).softmax(dim=2)
    pooled = (weights @ batch.tokens).unflatten(1, (nets, heads)) * gain + shift  # (b, K, H, D)
    said = torch.einsum("bkhw,khdw->kbhd", pooled, parameters["value"]).flatten(2)  # (K, b, D)
    return said @ parameters["weight"].transpose(1, 2) + parameters["bias"][:, None]
