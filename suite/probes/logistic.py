"""Regularised logistic regression, solved along a path of C by preconditioned L-BFGS.

The objective is scikit-learn's: ``C * sum(loss) + |W|^2 / 2``, the intercept free of penalty. Three
things make it fast on a CPU. (1) In the eigenbasis of the features' Gram matrix, Boehning's bound on
the Hessian (Ann. Inst. Statist. Math. 44, 1992) is diagonal; scaled to the curvature at hand it
preconditions L-BFGS. Where there are more features than clips the basis has one direction per clip.
(2) Logits are carried along, so that a line search costs no matrix product: an iteration is two.
(3) C ascends and each solution starts the next; a large C, which from zero takes hundreds of iterations,
takes few from its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HISTORY = 10  # pairs kept by L-BFGS


@dataclass(frozen=True)
class Basis:
    """Centred features in the eigenbasis of their Gram matrix.

    ``rows`` is ``(n, R)``, ``directions`` ``(D, R)`` orthonormal, ``power`` ``(R,)`` the eigenvalues,
    ``mean`` ``(D,)``; R is the rank. ``rows = (features - mean) @ directions``.
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
    """Rotate features ``(n, D)``; decomposed in float64, the rows returned in ``dtype``."""
    exact = features.double()
    mean = exact.mean(dim=0)
    exact = exact - mean
    n, D = exact.shape
    if D <= n:
        power, directions = torch.linalg.eigh(exact.T @ exact)
        kept = power > power[-1] * 1e-12
        power, directions = power[kept], directions[:, kept]
        rows = exact @ directions
    else:  # the Gram matrix of the clips has the same eigenvalues and is smaller
        power, clips = torch.linalg.eigh(exact @ exact.T)
        kept = power > power[-1] * 1e-12
        power = power[kept]
        rows = clips[:, kept] * power.sqrt()
        directions = exact.T @ (clips[:, kept] / power.sqrt())
    return Basis(rows.to(dtype), directions.to(dtype), power.to(dtype), mean.to(dtype))


def path(
    features: Tensor,
    targets: Tensor,
    *,
    exclusive: bool,
    grid: Sequence[float],
    start: Solution | None = None,
    tolerance: float = 1e-4,
    iterations: int = 500,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Solution]:
    """Solutions for every C of ``grid``, which should ascend; each starts from the one before.

    ``features`` is ``(n, D)``, ``targets`` ``(n, K)`` of zeros and ones. ``exclusive`` classes share a
    softmax; otherwise every column is its own logistic regression. Every column needs a one and, unless
    exclusive, a zero. A solution is converged where the largest entry of the gradient of the mean
    objective is below ``tolerance`` (1e-4 is scikit-learn's default) within ``iterations``.
    """
    basis = eigenbasis(features, dtype)
    targets = targets.to(dtype)
    weights = basis.rows.new_zeros(basis.rows.shape[1], targets.shape[1])
    intercept = basis.rows.new_zeros(targets.shape[1])
    if start is not None:
        weights = basis.directions.T @ start.weights.to(dtype)
        intercept = start.intercept.to(dtype) + basis.mean @ start.weights.to(dtype)
    point = torch.cat([weights, intercept[None]])  # (R + 1, K): the last row is the intercept
    for C in grid:
        point, count, gradient = minimise(
            basis, targets, point, exclusive=exclusive, C=C, tolerance=tolerance, iterations=iterations
        )
        weights = basis.directions @ point[:-1]
        yield Solution(
            C=C,
            weights=weights,
            intercept=point[-1] - basis.mean @ weights,
            iterations=count,
            gradient=gradient,
            converged=gradient <= tolerance,
        )


def probabilities(logits: Tensor, *, exclusive: bool) -> Tensor:
    """Class probabilities ``(n, K)``."""
    return logits.softmax(dim=1) if exclusive else logits.sigmoid()


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
    """Minimise ``sum(loss) + |W|^2 / 2C`` from ``point (R + 1, K)``; returns point, count, gradient."""
    rows = F.pad(basis.rows, (0, 1), value=1.0)  # (n, R + 1): the intercept is a last, constant column
    n = len(rows)
    penalty = torch.full((rows.shape[1], 1), 1.0 / C, dtype=rows.dtype)
    penalty[-1] = 0.0
    power = F.pad(basis.power, (0, 1), value=float(n))[:, None]
    logits = rows @ point
    chance = probabilities(logits, exclusive=exclusive)
    gradient = rows.T @ (chance - targets) + penalty * point
    curvature = (chance * (1.0 - chance)).mean().clamp_min(1e-8)  # mean diagonal of the loss's Hessian
    scale = 1.0 / (curvature * power + penalty)  # (R + 1, 1): inverse of the preconditioner
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for count in range(iterations):
        largest = float(gradient.abs().max()) / n
        if largest <= tolerance:
            return point, count, largest
        direction = -two_loops(gradient, scale, history)
        step = line_search(
            logits, chance, rows @ direction, targets, point, direction, penalty, exclusive
        )
        if step is None:
            if not history:  # rounding hides any further descent
                return point, count, largest
            history.clear()
            continue
        move, logits, chance = step
        point = point + move
        previous, gradient = gradient, rows.T @ (chance - targets) + penalty * point
        change = gradient - previous
        inner = (move * change).sum()
        if inner > 0:  # always, but for rounding: the objective is convex
            history = [*history[1 - HISTORY :], (move, change, 1.0 / inner)]
    return point, iterations, float(gradient.abs().max()) / n


def two_loops(gradient: Tensor, scale: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """L-BFGS's product of the inverse Hessian with ``gradient`` (Nocedal and Wright, algorithm 7.4)."""
    result = gradient.clone()
    factors = []
    for move, change, inverse in reversed(history):
        factor = inverse * (move * result).sum()
        result = result - factor * change
        factors.append(factor)
    result = result * scale
    for (move, change, inverse), factor in zip(history, reversed(factors), strict=True):
        result = result + (factor - inverse * (change * result).sum()) * move
    return result


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

    Newton's method on the derivative, bracketed; ``slope (n, K)`` is the change of the logits per unit
    step. Returns move, logits and probabilities there, or None where ``direction`` does not descend.
    """
    linear = float((penalty * point * direction).sum() - (targets * slope).sum())
    square = float((penalty * direction * direction).sum())
    start = linear + float((chance * slope).sum())
    if not start < 0.0:
        return None
    step, low, high = 1.0, 0.0, float("inf")
    for _ in range(20):
        moved = logits + step * slope
        chance = probabilities(moved, exclusive=exclusive)
        weighted = chance * slope
        derivative = linear + float(weighted.sum()) + step * square
        if abs(derivative) <= 0.3 * -start:
            break
        if derivative > 0.0:
            high = step
        else:
            low = step
        spread = weighted.sum(dim=1).square().sum() if exclusive else weighted.square().sum()
        second = float((weighted * slope).sum() - spread) + square
        proposal = step - derivative / second if second > 0.0 else high
        if not low < proposal < high:
            proposal = 2.0 * step if high == float("inf") else (low + high) / 2.0
        step = proposal
    return step * direction, moved, chance
