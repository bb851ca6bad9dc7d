"""What the tests of AudioPG's switches share: the names of the primitives, and clips of some fields."""

from __future__ import annotations

from typing import Any

import torch

import generators

KINDS = ("harmonic", "fm", "square", "saw", "triangle", "white_noise", "pink_noise", "brown_noise")
MANY = torch.arange(6000)
CPU = torch.device("cpu")


def create(name: str = "audiopg", **fields: Any) -> Any:
    """The source, untyped: the tests reach into it."""
    return generators.create(name, **fields)


def only(kind: str) -> dict[str, float]:
    """Weights that leave one primitive."""
    return {other: float(other == kind) for other in KINDS}


def standard_error(p: float, count: int = len(MANY)) -> float:
    """Of a share ``p`` of ``count`` draws."""
    return (p * (1 - p) / count) ** 0.5
