"""Regularised logistic regression, solved along a path of C by preconditioned L-BFGS.

The objective is scikit-learn's: ``C * sum(loss) + |W|^2 / 2``, the intercept free of penalty. Three
things make it fast on a CPU. (1) In the eigenbasis of the features' Gram matrix, Boehning's bound on
the Hessian (Ann. Inst. Statist. Math. 44, 1992) is diagonal; scaled to the curvature at hand it
preconditions L-BFGS. Where there are more features than clips the basis has one direction per clip.
(2) Logits are carried along, so that a line search costs no matrix product: an iteration is two.
(3) C ascends and the solutions so far, extrapolated, start the next: a large C, which from zero takes
hundreds of iterations, then takes few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HISTORY = 10  # pairs kept by L-BFGS
ROUNDING = 1e-9  # power of a direction, relative to the largest, that float32 features cannot carry


@dataclass(frozen=True)
class Basis:
    """Centred features in the eigenbasis of their Gram matrix, with a constant last column.

    ``rows`` is ``(n, R + 1)``: ``(features - mean) @ directions`` and ones, where ``directions (D, R)``
    is orthonormal and R the rank; ``power (R + 1,)`` is the sum of squares of each column, ``mean``
    ``(D,)``.
    """

    rows: Tensor
    directions: Tensor
    power: Tensor
    mean: Tensor


@dataclass(frozen=True)
class Solution:
    """Weights ``(D, K)`` and intercepts ``(K,)`` on the features as given, and how they were reached.

    ``gradient`` is the largest entry of the gradient of the mean objective, as scikit-learn's ``tol``.
    """

    C: float
    weights: Tensor
    intercept: Tensor
    iterations: int
    gradient: float
    converged: bool

    def logits(self, features: Tensor) -> Tensor:
        """Log-odds ``(n, K)`` up to a constant per row, for features ``(n, D)``."""
        return features.to(self.weights) @ self.weights + self.intercept


def eigenbasis(features: Tensor, dtype: torch.dtype) -> Basis:
    """Rotate features ``(n, D)``; decomposed in float64, returned in ``dtype``."""
    exact = features.double()
    mean = exact.mean(dim=0)
    exact = exact - mean
    n, D = exact.shape
    if n >= D:
        power, directions = torch.linalg.eigh(exact.T @ exact)
        kept = power > power[-1] * ROUNDING
        power, directions = power[kept], directions[:, kept]
        rows = exact @ directions
    else:  # the Gram matrix of the clips has the same eigenvalues and is smaller
        power, clips = torch.linalg.eigh(exact @ exact.T)
        kept = power > power[-1] * ROUNDING
        power = power[kept]
        rows = clips[:, kept] * power.sqrt()
        directions = exact.T @ (clips[:, kept] / power.sqrt())
    rows, power = F.pad(rows, (0, 1), value=1.0), F.pad(power, (0, 1), value=float(n))
    return Basis(rows.to(dtype), directions.to(dtype), power.to(dtype), mean.to(dtype))


def path(
    features: Tensor,
    targets: Tensor,
    *,
    exclusive: bool,
    grid: Sequence[float],
    tolerance: float = 1e-4,
    iterations: int = 500,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Solution]:
    """Solutions for every C of ``grid``, which should ascend; each starts from those before.

    ``features`` is ``(n, D)``, ``targets`` ``(n, K)`` of zeros and ones. ``exclusive`` classes share a
    softmax; otherwise every column is its own logistic regression. Every column needs a one and, unless
    exclusive, a zero. A solution is converged where the largest entry of the gradient of the mean
    objective is below ``tolerance`` (1e-4 is scikit-learn's default) within ``iterations``.
    """
    basis = eigenbasis(features, dtype)
    targets = targets.to(dtype).T.contiguous()  # (K, n)
    point = basis.rows.new_zeros(len(targets), basis.rows.shape[1])  # (K, R + 1): last the intercept
    before: Tensor | None = None
    for C in grid:
        ahead = point if before is None else extrapolate(basis, targets, before, point, C, exclusive)
        before = point
        point, count, gradient = minimise(
            basis, targets, ahead, exclusive=exclusive, C=C, tolerance=tolerance, iterations=iterations
        )
        weights = basis.directions @ point[:, :-1].T
        yield Solution(
            C=C,
            weights=weights,
            intercept=point[:, -1] - basis.mean @ weights,
            iterations=count,
            gradient=gradient,
            converged=gradient <= tolerance,
        )


def probabilities(logits: Tensor, *, exclusive: bool) -> Tensor:
    """Class probabilities ``(K, n)`` of logits ``(K, n)``."""
    return logits.softmax(dim=0) if exclusive else logits.sigmoid()


def extrapolate(
    basis: Basis, targets: Tensor, before: Tensor, point: Tensor, C: float, exclusive: bool
) -> Tensor:
    """A start for C: from the last solution on, in the direction in which the path has moved so far."""
    logits, direction = point @ basis.rows.T, point - before
    step = line_search(
        logits,
        probabilities(logits, exclusive=exclusive),
        direction @ basis.rows.T,
        targets,
        point,
        direction,
        penalties(basis, C),
        exclusive,
    )
    return point if step is None else point + step[0]


def penalties(basis: Basis, C: float) -> Tensor:
    """The penalty ``(R + 1,)`` on every row of the point: 1 / C, and none on the intercept."""
    penalty = torch.full_like(basis.power, 1.0 / C)
    penalty[-1] = 0.0
    return penalty


def minimise(
    basis: Basis,
    targets: Tensor,
    point: Tensor,
    *,
    exclusive: bool,
    C: float,
    tolerance: float,
    iterations: int,
) -> tuple[Tensor, int, float]:
    """Minimise ``sum(loss) + |W|^2 / 2C`` from ``point (K, R + 1)``; returns point, count, gradient.

    ``targets`` is ``(K, n)``. Classes come first because matrix products are fastest that way round.
    """
    rows = basis.rows  # (n, R + 1)
    n = len(rows)
    penalty = penalties(basis, C)
    logits = point @ rows.T  # (K, n)
    chance = probabilities(logits, exclusive=exclusive)
    gradient = (chance - targets) @ rows + penalty * point
    curvature = (chance * (1.0 - chance)).mean().clamp_min(1e-8)  # mean diagonal of the loss's Hessian
    memory = Memory((1.0 / (curvature * basis.power + penalty)).expand_as(point))
    for count in range(iterations):
        largest = float(gradient.abs().max()) / n
        if largest <= tolerance:
            return point, count, largest
        direction = -memory.inverse_hessian(gradient)
        step = line_search(
            logits, chance, direction @ rows.T, targets, point, direction, penalty, exclusive
        )
        if step is None:  # rounding hides any further descent
            if not memory.order:
                return point, count, largest
            memory.order.clear()
            continue
        move, logits, chance = step
        point = point + move
        previous, gradient = gradient, (chance - targets) @ rows + penalty * point
        memory.add(move, gradient - previous)
    return point, iterations, float(gradient.abs().max()) / n


class Memory:
    """L-BFGS in its compact form: two passes over the stored pairs give the product with a gradient.

    H = H0 + [S, H0 Y] M [S, H0 Y]' with H0 diagonal (Byrd, Nocedal, Schnabel, Math. Programming 63,
    1994, theorem 2.2); M is small and kept in float64. A new pair takes the place of the oldest.
    """

    def __init__(self, scale: Tensor) -> None:
        self.scale = scale  # H0, (K, R + 1)
        self.order: list[int] = []  # places of the pairs, oldest first
        self.pairs = scale.new_zeros(2, HISTORY, scale.numel())  # S, and H0 Y
        self.products = torch.zeros(2, HISTORY, HISTORY, dtype=torch.float64)  # S' Y, and Y' H0 Y

    def add(self, move: Tensor, change: Tensor) -> None:
        """Store a step and the change of the gradient over it."""
        new = self.order.pop(0) if len(self.order) == HISTORY else len(self.order)
        self.pairs[0, new] = move.flatten()
        self.pairs[1, new] = (self.scale * change).flatten()
        products = (self.pairs @ change.flatten()).double()  # (2, HISTORY)
        self.products[:, :, new] = products
        self.products[1, new] = products[1]
        if products[0, new] > 0.0:
            self.order.append(new)
        else:  # the objective is convex, so this is rounding: start afresh
            self.order.clear()

    def inverse_hessian(self, gradient: Tensor) -> Tensor:
        """The product of the approximate inverse Hessian with ``gradient (K, R + 1)``."""
        result = self.scale * gradient
        if not self.order:
            return result
        along = (self.pairs @ gradient.flatten()).double()[:, self.order]  # S' g and Y' H0 g, (2, m)
        moves_changes, changes_changes = self.products[:, self.order][:, :, self.order]
        upper = moves_changes.triu()  # R of the theorem
        solved = torch.linalg.solve_triangular(upper, along[0, :, None], upper=True)
        middle = (upper.diagonal().diag() + changes_changes) @ solved - along[1, :, None]
        first = torch.linalg.solve_triangular(upper.T, middle, upper=False)
        factors = self.pairs.new_zeros(2, HISTORY)
        factors[:, self.order] = torch.cat([first, -solved], dim=1).T.to(factors)
        return result + (factors.flatten() @ self.pairs.flatten(0, 1)).view_as(gradient)


def line_search(
    logits: Tensor,
    chance: Tensor,
    slope: Tensor,
    targets: Tensor,
    point: Tensor,
    direction: Tensor,
    penalty: Tensor,
    exclusive: bool,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The step along ``direction`` at which the derivative has fallen to a third of its start.

    Newton's method on the derivative, bracketed; ``slope (K, n)`` is the change of the logits per unit
    step. Returns move, logits and probabilities there, or None where ``direction`` does not descend.
    """
    penalised = (penalty * direction).flatten()
    linear = float(penalised @ point.flatten()) - float(targets.flatten() @ slope.flatten())
    square = float(penalised @ direction.flatten())
    start = linear + float(chance.flatten() @ slope.flatten())
    if not start < 0.0:
        return None
    step, low, high = 1.0, 0.0, float("inf")
    for _ in range(20):
        moved = logits + step * slope
        chance = probabilities(moved, exclusive=exclusive)
        derivative = linear + float(chance.flatten() @ slope.flatten()) + step * square
        if abs(derivative) <= 0.3 * -start:
            break
        if derivative > 0.0:
            high = step
        else:
            low = step
        weighted = chance * slope
        spread = weighted.sum(dim=0).square().sum() if exclusive else weighted.square().sum()
        second = float((weighted * slope).sum() - spread) + square
        proposal = step - derivative / second if second > 0.0 else high
        if not low < proposal < high:
            proposal = 2.0 * step if high == float("inf") else (low + high) / 2.0
        step = proposal
    return step * direction, moved, chance
