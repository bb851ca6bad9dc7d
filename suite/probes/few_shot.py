"""Few-shot probes: what one, four or sixteen clips of each class teach a logistic regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from generators.drawer import BadData
from suite.probes.base import Examples, Probe
from suite.probes.linear import Fit, learnable
from suite.probes.logistic import path

DRAWS = 10
C = 1.0  # as in scikit-learn
ITERATIONS = 100


@dataclass(kw_only=True)
class FewShots:
    """Ten regressions, each on ``shots`` clips a class drawn from train; every one has a vote.

    A score is not a likelihood but a count: how many of the ten answer this class. So stored
    predictions hold what every draw answered, and ``vote_accuracy`` of them is the mean accuracy of the
    ten; the class of most votes would be an ensemble's answer, and better than few-shot.
    """

    shots: ClassVar[int]
    _mean: Tensor = field(init=False, repr=False)
    _scale: Tensor = field(init=False, repr=False)
    _fits: list[Fit] = field(init=False, repr=False)
    _selection: dict[str, Any] = field(init=False, repr=False, default_factory=dict)

    @property
    def selection(self) -> dict[str, Any]:
        """``draws``, ``clips`` of a draw, and ``unconverged`` draws; nothing is chosen."""
        return dict(self._selection)

    def fit(self, train: Examples, valid: Examples) -> None:
        """Draw and fit ten times; valid is not used. Raises BadData on features that are not finite."""
        if len(train.features) == 0 or not train.features.isfinite().all():
            raise BadData(
                "few-shot probes cannot use the train features: they are empty, or hold NaN or "
                "infinity. Check the encoder (its loss may have diverged) and embed again."
            )
        features, labels = train.features.double().cpu(), train.targets.cpu()
        deviation = features.std(dim=0, correction=0)
        self._mean = features.mean(dim=0)
        varies = deviation > 1e-7 * (self._mean.abs() + 1.0)
        self._scale = torch.where(varies, 1.0 / deviation, 0.0)
        inputs = self._standardise(train.features)
        self._fits, unconverged = [], []
        for draw in range(DRAWS):
            rows = drawn(labels, train.classes, self.shots, draw)
            targets = F.one_hot(labels[rows], train.classes).float()
            known = learnable(targets, many=False)
            (solution,) = path(
                inputs[rows], targets[:, known], exclusive=True, grid=[C], iterations=ITERATIONS
            )
            self._fits.append(Fit(solution, known, targets))
            unconverged += [draw] * (not solution.converged)
        self._selection = {"draws": DRAWS, "clips": len(rows), "unconverged": unconverged}

    def predict(self, features: Tensor) -> Tensor:
        """Votes ``(n, classes)``, ten in each row, for features ``(n, D)``."""
        inputs = self._standardise(features)
        scores = torch.stack([fit.scores(inputs, many=False) for fit in self._fits])
        return F.one_hot(scores.argmax(dim=2), scores.shape[2]).sum(dim=0).float()

    def _standardise(self, features: Tensor) -> Tensor:
        return ((features.double().cpu() - self._mean) * self._scale).float()


def drawn(labels: Tensor, classes: int, shots: int, draw: int) -> Tensor:
    """Rows of ``shots`` clips of each class (all, where there are fewer) of draw number ``draw``.

    The clips of a class are put in an order that depends on the draw alone: fewer shots are the first
    of more.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw))
    return torch.cat([order[labels[order] == label][:shots] for label in range(classes)])


@dataclass(kw_only=True)
class FewShot1(FewShots, Probe, name="fewshot-1@1"):
    """Logistic regression on 1 clip of each class, the mean accuracy of 10 draws; one label per clip.

    Clips are drawn from train, the same for every encoder. Features are standardised by all of train,
    without its labels; C is 1, at most 100 iterations. A row's score is ``vote_accuracy``.
    Source: spec evaluation.md 2.6 (fewshot), after MTEB's classification.
    """

    metric: ClassVar[str] = "vote_accuracy"
    shots: ClassVar[int] = 1


@dataclass(kw_only=True)
class FewShot4(FewShots, Probe, name="fewshot-4@1"):
    """As fewshot-1@1, on 4 clips of each class: those of fewshot-1@1 and three more."""

    metric: ClassVar[str] = "vote_accuracy"
    shots: ClassVar[int] = 4


@dataclass(kw_only=True)
class FewShot16(FewShots, Probe, name="fewshot-16@1"):
    """As fewshot-1@1, on 16 clips of each class: those of fewshot-4@1 and twelve more."""

    metric: ClassVar[str] = "vote_accuracy"
    shots: ClassVar[int] = 16
