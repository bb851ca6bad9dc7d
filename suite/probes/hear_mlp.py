"""HEAR's downstream predictor: a small network on raw embeddings, its grid searched on valid."""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from generators.drawer import BadData
from suite.metrics import METRICS
from suite.probes import side_by_side
from suite.probes.base import Examples, Probe
from suite.probes.networks import Network, Point, answers
from suite.probes.side_by_side import SEED

HIDDEN_LAYERS = (1, 2)
INITIALIZATIONS = ("xavier_uniform", "xavier_normal")
LEARNING_RATES = (3.2e-3, 1e-3, 3.2e-4, 1e-4)
GRID_POINTS = 8  # of 16
FLOOR = 1e4  # scores are cut to [-1e4, 1e4], which float16 holds


@dataclass(kw_only=True)
class HearMLP(Probe, name="hear-mlp@1"):
    """HEAR's predictor: one or two hidden layers of 1024, the best of 8 networks on valid.

    Linear, BatchNorm, Dropout 0.1, ReLU for each hidden layer, then Linear, on features as they are;
    Adam, batches of 1024, at most 500 epochs. Every 3 epochs valid is scored (one label: accuracy; many
    labels: macro mAP), and 20 scores without a better one end a training. The network answers as it was
    at its best score, trained on train alone. The 8 points (layers, initialization, lr) are those that
    HEAR draws, see :func:`drawn_points`; of equals the first drawn is chosen.

    Where it is not HEAR: batches are drawn anew every epoch (HEAR's loader, against its intention,
    repeats them); every fold searches the grid on its own valid (HEAR searches on the first split and
    keeps that point for the others, so that their tests have been in its train and valid); random
    numbers are others, and its networks share their batches and what dropout takes; events too are
    checked every 3 epochs and by macro mAP of frames (HEAR: 10, by the events' score); a dimension
    that is constant on train is left out, and a class that train does not show scores lowest.
    As in HEAR, an encoder pays for embeddings far from zero: BatchNorm's running mean lags behind.

    Scores are log-probabilities (one label) or log-odds (many). ``selection`` says the chosen point,
    its epoch, its valid score, and under ``products`` whether the matrix products of training were
    bfloat16 or float32, which depends on the processor. It works on the CPU.
    Source: spec evaluation.md 2.2; Turian et al., HEAR, PMLR 176, 2022.
    """

    threshold: ClassVar[float] = 0.0  # log-odds
    _selection: dict[str, Any] = field(init=False, repr=False, default_factory=dict)
    _varies: Tensor = field(init=False, repr=False)  # bool (D,)
    _shown: Tensor = field(init=False, repr=False)  # bool (classes,)
    _many: bool = field(init=False, repr=False)
    _network: Network = field(init=False, repr=False)
    _held_out: Tensor = field(init=False, repr=False)  # (n, classes), of valid

    @property
    def selection(self) -> dict[str, Any]:
        """``hidden_layers, initialization, lr``, ``epoch``, ``valid_<metric>``, ``products``."""
        return dict(self._selection)

    def fit(self, train: Examples, valid: Examples) -> None:
        """Train the grid and choose on valid; raises BadData on features that are not finite."""
        for part, examples in (("train", train), ("valid", valid)):
            if len(examples.features) == 0 or not examples.features.isfinite().all():
                raise BadData(
                    f"hear-mlp@1 cannot use the {part} features: they are empty, or hold NaN or "
                    "infinity. Check the encoder (its loss may have diverged) and embed again."
                )
        if len(train.features) < 2:
            raise BadData("hear-mlp@1 needs two clips to train on: it normalises over a batch.")
        features, targets = train.features.double().cpu(), train.targets.cpu()
        deviation = features.std(dim=0, correction=0)
        self._varies = deviation > 1e-7 * (features.mean(dim=0).abs() + 1.0)
        if not self._varies.any():  # an encoder that answers all clips alike: chance is its score
            self._varies[0] = True
        self._many = targets.ndim == 2
        counts = targets.sum(dim=0) if self._many else targets.bincount(minlength=train.classes)
        self._shown = counts > 0
        metric = "macro_map" if self._many else "accuracy"
        wanted, valid_inputs = valid.targets.cpu().numpy(), self._inputs(valid.features)

        def check(network: Network) -> float:
            scores = self._scores(network, valid_inputs)
            finite = bool(scores.isfinite().all())
            return METRICS[metric](wanted, scores.numpy()) if finite else float("nan")

        products = side_by_side.best_products()
        inputs = self._inputs(train.features)
        chosen = side_by_side.train(
            drawn_points(), inputs, targets, train.classes, check, products=products
        )
        self._network = chosen.network
        self._held_out = self.predict(valid.features)
        self._selection = {
            **asdict(chosen.point),
            "epoch": chosen.watch.epoch,
            f"valid_{metric}": chosen.watch.score,
            "products": str(products).removeprefix("torch."),
        }

    def predict(self, features: Tensor) -> Tensor:
        """Log-probabilities (one label) or log-odds (many) ``(n, classes)`` for features ``(n, D)``."""
        with side_by_side.one_thread():
            return self._scores(self._network, self._inputs(features))

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid by the chosen network, which is trained on train alone.

        Its epoch was chosen on valid too, as in HEAR.
        """
        return self._held_out

    def _inputs(self, features: Tensor) -> Tensor:
        return features.float().cpu()[:, self._varies]

    def _scores(self, network: Network, inputs: Tensor) -> Tensor:
        logits = answers(network, inputs)
        scores = logits if self._many else logits.log_softmax(dim=1)
        scores[:, ~self._shown] = -FLOOR
        return scores.clamp(-FLOOR, FLOOR)


def drawn_points() -> list[Point]:
    """The 8 of 16 grid points that HEAR tries, in its order.

    HEAR lists scikit-learn's ``ParameterGrid``, which sorts the names of the parameters (hidden_layers,
    initialization, lr; the last varies fastest) and keeps the order of their values, shuffles the list
    by Python's ``random`` seeded with 42, and takes the first 8.
    """
    grid = list(
        itertools.starmap(Point, itertools.product(HIDDEN_LAYERS, INITIALIZATIONS, LEARNING_RATES))
    )
    random.Random(SEED).shuffle(grid)
    return grid[:GRID_POINTS]
