"""The layer probe: a learnt mean over the layers of an encoder, and a linear layer on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from suite.probes.base import Examples, Probe, Reads
from suite.probes.training import Learnt, Method, Parameters, check_usable, learn

RATES = (1e-3, 3e-3, 1e-2)


@dataclass(kw_only=True)
class Layers(Probe[Tensor], name="layers@1"):
    """A softmax-weighted sum of the means of every layer, the embedding included, and a linear layer.

    The weights of the layers and the linear layer are learnt together (SUPERB, Yang et al. 2021); what
    was learnt is in ``selection``, in the order embedding, first block, ..., last block. Ours: every
    dimension of every layer is standardised by train, so that a weight says how much a layer is used
    and not how large its numbers are. AdamW, 60 epochs, cosine; the learning rate, of 1e-3, 3e-3 and
    1e-2, is chosen on valid by the nets of the last epoch, and a net trained with it on train and valid
    together answers. Scores are log-probabilities (log-odds for many labels).
    Source: spec evaluation.md 2.6 (layers@1).
    """

    reads: ClassVar[Reads] = "layers"
    threshold: ClassVar[float] = 0.0  # log-odds
    _learnt: Learnt[Tensor] = field(init=False, repr=False)

    @property
    def selection(self) -> dict[str, Any]:
        """``learning_rate``, ``valid_<metric>``, ``epochs``, ``layer_weights`` (they sum to 1)."""
        weights = self._learnt.net.parameters["layers"][0].softmax(dim=0)
        rounded = [round(weight, 3) for weight in weights.tolist()]
        return {**self._learnt.selection, "layer_weights": rounded}

    def fit(self, train: Examples[Tensor], valid: Examples[Tensor]) -> None:
        """Choose the rate, then fit on both; raises BadData on non-finite features."""
        check_usable(self.name, "train", train.features)
        check_usable(self.name, "valid", valid.features)
        features = train.features.double().cpu()  # (n, L, D)
        mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0)
        varies = deviation > 1e-7 * (mean.abs() + 1.0)
        scale = torch.where(varies, 1.0 / deviation, 0.0)

        def read(layers: Tensor, clips: Tensor) -> Tensor:
            return ((layers[clips].cpu() - mean) * scale).float()

        self._learnt = learn(Method(self.name, RATES, read, start, logits), train, valid)

    def predict(self, features: Tensor) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(n, classes)`` for ``(n, L, D)``."""
        return self._learnt.scores(features)

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid by the net that was trained on train alone."""
        return self._learnt.held_out


def start(examples: Examples[Tensor], targets: Tensor) -> Parameters:
    """All layers count alike, and the linear layer answers 0."""
    _, layers, width = examples.features.shape
    classes = targets.shape[1]
    return {
        "layers": torch.zeros(layers),
        "weight": torch.zeros(classes, width),
        "bias": torch.zeros(classes),
    }


def logits(parameters: Parameters, batch: Tensor) -> Tensor:
    """Logits ``(nets, b, classes)`` of standardised layers ``(b, L, D)``."""
    mixed = torch.einsum("kl,bld->kbd", parameters["layers"].softmax(dim=1), batch)
    return mixed @ parameters["weight"].transpose(1, 2) + parameters["bias"][:, None]
