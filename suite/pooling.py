"""Poolings: which of an encoder's tokens make a clip's embedding, and how; by versioned names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.drawers import newest
from suite.encoder import Architecture

Grid = tuple[int, int]  # time steps and band steps of a chunk


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """One way from tokens to a clip's embedding; the same name means the same numbers.

    A clip is read chunk by chunk, and no pooling keeps the chunks of a long one. ``vectors`` takes the
    vectors ``(B, t, E)`` from a chunk's tokens ``(B, [1 +] N, D)``, float32, on a grid (T', F');
    ``in_passing`` makes of all chunks' vectors the embedding ``(B, E')``. ``at_once`` does the same
    faster, from the vectors of a whole clip, where a clip is short.
    """

    name: str
    vectors: Callable[[Tensor, Grid], Tensor]
    in_passing: Callable[[Iterable[Tensor]], Tensor]
    at_once: Callable[[Tensor], Tensor] | None = None
    needs_class_token: bool = False


def stacked_bands(tokens: Tensor, grid: Grid) -> Tensor:
    """One vector per time step, its band steps side by side: ``(B, T', F' * D)`` (spec 2.4)."""
    steps, rows = grid
    return tokens[:, -steps * rows :].unflatten(1, grid).flatten(2)


def mean_of_bands(tokens: Tensor, grid: Grid) -> Tensor:
    """The mean over the band steps of every time step ``(B, T', D)``."""
    return stacked_bands(tokens, grid).unflatten(2, (grid[1], -1)).mean(dim=2)


def class_token(tokens: Tensor, _grid: Grid) -> Tensor:
    """The class token as a single step ``(B, 1, D)``."""
    return tokens[:, :1]


def mean_in_passing(chunks: Iterable[Tensor]) -> Tensor:
    """Mean ``(B, E)`` over all steps that come in ``(B, t, E)``, summed in float64."""
    steps, total = 0, torch.zeros((), dtype=torch.float64)
    for chunk in chunks:
        steps, total = steps + chunk.shape[1], total + chunk.sum(dim=1, dtype=torch.float64)
    return (total / steps).float()


def mean_std_change(steps: Tensor) -> Tensor:
    """Mean, standard deviation and standard deviation of changes ``(B, 3 E)`` of ``(B, T', E)``."""
    spreads = (steps, changes(steps, dim=1))
    return torch.cat([steps.mean(dim=1), *(deviation(part) for part in spreads)], dim=1)


def mean_std_change_in_passing(chunks: Iterable[Tensor]) -> Tensor:
    """The same as :func:`mean_std_change`, ``(B, 3 E)``, of steps that come in ``(B, t, E)``.

    Sums in float64 stand in for the steps: those of 20 minutes are too many to keep.
    """
    steps = 0
    first = last = total = squares = moves = torch.zeros(())
    for chunk in chunks:
        wide = chunk.double()
        if steps == 0:
            first, last = wide[:, :1], wide[:, :1]
        change = torch.cat([last, wide], dim=1).diff(dim=1)
        total, squares = total + wide.sum(dim=1), squares + wide.square().sum(dim=1)
        moves, last = moves + change.square().sum(dim=1), wide[:, -1:]
        steps += wide.shape[1]
    mean = total / steps
    spread = (squares / steps - mean.square()).clamp_min(0.0).sqrt()
    drift = (last - first)[:, 0] / max(1, steps - 1)  # the mean of the changes
    change_spread = (moves / max(1, steps - 1) - drift.square()).clamp_min(0.0).sqrt()
    return torch.cat([mean, spread, change_spread], dim=1).float()


def deviation(steps: Tensor) -> Tensor:
    """Standard deviation ``(B, E)`` of ``(B, T, E)`` over time; a fifth of torch's time."""
    centred = steps - steps.mean(dim=1, keepdim=True)
    return centred.square_().mean(dim=1).sqrt_()


def changes(steps: Tensor, *, dim: int) -> Tensor:
    """Differences of neighbouring steps along ``dim``; zero where there is a single step."""
    return steps.diff(dim=dim) if steps.shape[dim] > 1 else torch.zeros_like(steps)


POOLINGS = {
    pooling.name: pooling
    for pooling in (
        # ours (LOG.md, 2026-11-20)
        Pooling(
            name="mean-std-change@1",
            vectors=stacked_bands,
            in_passing=mean_std_change_in_passing,
            at_once=mean_std_change,
        ),
        # MSM-MAE and M2D (spec 2.4)
        Pooling(name="frequency-stacked@1", vectors=stacked_bands, in_passing=mean_in_passing),
        # EAT and CAT (spec bootstrap A.8); every chunk of a long clip counts alike
        Pooling(
            name="class-token@1",
            vectors=class_token,
            in_passing=mean_in_passing,
            needs_class_token=True,
        ),
        # AudioPG and Audio-MAE (spec 1.7, 3.4)
        Pooling(name="patch-mean@1", vectors=mean_of_bands, in_passing=mean_in_passing),
    )
}


def pooling_of(name: str) -> Pooling:
    """The pooling named ``class-token@1``, or by ``class-token`` its newest version.

    Raises :class:`UsageError` with the nearest names where there is no such pooling.
    """
    return POOLINGS[newest("pooling", name, list(POOLINGS))]


def check_fits(pooling: Pooling, architecture: Architecture) -> None:
    """Raise :class:`UsageError` where the encoder has not what is pooled."""
    if pooling.needs_class_token and not architecture.class_token:
        others = [known.name for known in POOLINGS.values() if not known.needs_class_token]
        raise UsageError(
            f"pooling={pooling.name} takes the class token, but the encoder has none "
            f"(encoder.class_token=false). Type pooling={' or pooling='.join(others)}."
        )
