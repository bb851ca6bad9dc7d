"""Nearest neighbours: what the embedding space says without any training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from suite.probes.base import Examples, Probe

NEIGHBOURS = 10  # the headline k of X-ARES and of spec evaluation.md 2.6
TEMPERATURE = 0.07  # DINO, X-ARES
QUERIES = 4_096  # answered at once


@dataclass(kw_only=True)
class KNN(Probe, name="knn@1"):
    """Votes of the 10 nearest training clips by cosine similarity, weighted by exp(similarity / 0.07).

    Features are centred on the mean of the gallery and scaled to unit length; the gallery is train and
    valid together, because there is nothing to choose. Scores are the weighted mean of the neighbours'
    targets: label shares that sum to one, or for many labels the share of votes of each.
    Source: spec evaluation.md 2.6 (knn-cos@1, k = 10).
    """

    _mean: Tensor = field(init=False, repr=False)
    _gallery: Tensor = field(init=False, repr=False)  # (n, D), unit length
    _targets: Tensor = field(init=False, repr=False)  # (n, classes)
    _train: Examples = field(init=False, repr=False)
    _valid: Examples = field(init=False, repr=False)

    @property
    def selection(self) -> dict[str, Any]:
        """The number of neighbours; smaller than 10 only where the gallery is."""
        return {"neighbours": min(NEIGHBOURS, len(self._gallery))}

    def fit(self, train: Examples, valid: Examples) -> None:
        """Store the gallery."""
        self._train, self._valid = train, valid
        features = torch.cat([train.features, valid.features]).float().cpu()
        targets = torch.cat([train.targets, valid.targets]).cpu()
        self._mean = features.mean(dim=0)
        self._gallery = F.normalize(features - self._mean, dim=1)
        self._targets = (
            targets.float() if targets.ndim == 2 else F.one_hot(targets, train.classes).float()
        )

    def predict(self, features: Tensor) -> Tensor:
        """Weighted votes ``(n, classes)`` for features ``(n, D)``."""
        if len(features) > QUERIES:  # frames are many: their similarities would fill the memory
            return torch.cat([self.predict(part) for part in features.split(QUERIES)])
        queries = F.normalize(features.float().cpu() - self._mean, dim=1)
        similarity, neighbour = (queries @ self._gallery.T).topk(self.selection["neighbours"], dim=1)
        weight = torch.softmax(similarity / TEMPERATURE, dim=1)  # (n, k), exp(s / T) over its sum
        return torch.einsum("nk,nkc->nc", weight, self._targets[neighbour])

    def held_out(self) -> Tensor:
        """Weighted votes ``(n, classes)`` for valid of the neighbours in train alone."""
        alone = KNN()
        nobody = slice(0, 0)
        alone.fit(
            self._train,
            Examples(self._valid.features[nobody], self._valid.targets[nobody], self._valid.classes),
        )
        return alone.predict(self._valid.features)
