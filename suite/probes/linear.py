"""The linear probe: logistic regression on standardised embeddings, its strength chosen on valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from generators.drawer import BadData
from suite.metrics import METRICS
from suite.probes.base import Examples, Probe
from suite.probes.logistic import Solution, path

GRID = tuple(10.0**power for power in range(-4, 5))  # C as in scikit-learn: larger is weaker
PATIENCE = 3  # values of C without a better valid score that end the path
FLOOR = 1e4  # scores are cut to [-1e4, 1e4], which float16 holds


@dataclass(kw_only=True)
class Linear(Probe, name="linear@1"):
    """Logistic regression with L2, C from 1e-4 to 1e4 chosen on valid; the default probe.

    Features are standardised with the mean and deviation of train; a dimension that is constant there
    becomes 0. One label: multinomial regression, C of the best valid accuracy. Many labels: one
    regression per class, one C for all, of the best valid macro mAP. Ties go to the smaller C; three
    values of C without a better score end the search. With that C it is fitted again on train and
    valid together, along the same path, and that fit answers; nothing of test is seen before. Scores
    are log-probabilities (log-odds for many labels). A class without examples to learn from scores
    lowest. ``selection`` says C, its valid score, and under ``unconverged`` any C whose gradient
    stayed above 1e-4 of the mean loss. It works on the CPU.
    Source: spec evaluation.md 2.6 (logreg).
    """

    _selection: dict[str, Any] = field(init=False, repr=False, default_factory=dict)
    _mean: Tensor = field(init=False, repr=False)
    _scale: Tensor = field(init=False, repr=False)
    _many: bool = field(init=False, repr=False)
    _fit: Fit = field(init=False, repr=False)
    _held_out: Tensor = field(init=False, repr=False)  # (n, classes), of valid
    threshold: ClassVar[float] = 0.0  # log-odds

    @property
    def selection(self) -> dict[str, Any]:
        """``C``, ``valid_<metric>``, ``iterations``, ``unconverged`` (values of C; should be empty)."""
        return dict(self._selection)

    def fit(self, train: Examples, valid: Examples) -> None:
        """Choose C on valid, then fit on train and valid; raises BadData on non-finite features."""
        for part, examples in (("train", train), ("valid", valid)):
            if len(examples.features) == 0 or not examples.features.isfinite().all():
                raise BadData(
                    f"linear@1 cannot use the {part} features: they are empty, or hold NaN or "
                    "infinity. Check the encoder (its loss may have diverged) and embed again."
                )
        features = train.features.double().cpu()
        deviation = features.std(dim=0, correction=0)
        self._mean = features.mean(dim=0)
        varies = deviation > 1e-7 * (self._mean.abs() + 1.0)
        self._scale = torch.where(varies, 1.0 / deviation, 0.0)
        self._many = train.targets.ndim == 2
        metric = "macro_map" if self._many else "accuracy"

        best: tuple[float, Solution] | None = None
        unconverged, iterations = [], 0
        inputs, valid_inputs = self._standardise(train.features), self._standardise(valid.features)
        targets = self._one_hot(train)
        known = learnable(targets, many=self._many)
        for solution in path(inputs, targets[:, known], exclusive=not self._many, grid=GRID):
            scores = Fit(solution, known, targets).scores(valid_inputs, many=self._many)
            score = METRICS[metric](valid.targets.cpu().numpy(), scores.numpy())
            iterations += solution.iterations
            if not solution.converged:
                unconverged.append(solution.C)
            if best is None or score > best[0]:
                best, self._held_out = (score, solution), scores
            elif solution.C >= best[1].C * 10.0 ** (PATIENCE - 0.5):
                break
        assert best is not None  # GRID is not empty
        score, chosen = best

        inputs, targets = torch.cat([inputs, valid_inputs]), torch.cat([targets, self._one_hot(valid)])
        known_again = learnable(targets, many=self._many)
        # The whole path again, not a warm start at the chosen C: where clips are separable, a weak
        # penalty leaves the solution to where it started, and only a path from strong to weak
        # starts where the chosen one did.
        grid = [C for C in GRID if C <= chosen.C]
        for final in path(inputs, targets[:, known_again], exclusive=not self._many, grid=grid):
            iterations += final.iterations
        if not final.converged:
            unconverged.append(final.C)
        self._fit = Fit(final, known_again, targets)
        self._selection = {
            "C": chosen.C,
            f"valid_{metric}": score,
            "iterations": iterations,
            "unconverged": sorted(set(unconverged)),
        }

    def predict(self, features: Tensor) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(n, classes)`` for features ``(n, D)``."""
        return self._fit.scores(self._standardise(features), many=self._many)

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid by the fit on train with the chosen C."""
        return self._held_out

    def _standardise(self, features: Tensor) -> Tensor:
        return ((features.double().cpu() - self._mean) * self._scale).float()

    def _one_hot(self, examples: Examples) -> Tensor:
        """Targets as float32 ``(n, classes)``."""
        if self._many:
            return examples.targets.cpu().float()
        return F.one_hot(examples.targets.cpu(), examples.classes).float()


class Fit:
    """A solution for the classes that could be learnt, and constant scores for the others."""

    def __init__(self, solution: Solution, known: Tensor, targets: Tensor) -> None:
        self.solution = solution
        self.known = known  # bool (classes,)
        self.constant = torch.where(targets.bool().all(dim=0), FLOOR, -FLOOR)  # (classes,)

    def scores(self, features: Tensor, *, many: bool) -> Tensor:
        """Scores ``(n, classes)`` of standardised features ``(n, D)``."""
        logits = self.solution.logits(features)
        scores = self.constant.repeat(len(features), 1)
        scores[:, self.known] = (logits if many else logits.log_softmax(dim=1)).clamp(-FLOOR, FLOOR)
        return scores


def learnable(targets: Tensor, *, many: bool) -> Tensor:
    """Which columns of ``targets (n, classes)`` have a positive (and, for many labels, a negative)."""
    positives = targets.sum(dim=0)
    return (positives > 0) & (positives < len(targets)) if many else positives > 0
