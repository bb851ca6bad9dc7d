"""What a probe is: a small classifier fitted on frozen clip embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Embeddings and targets of one part of a fold.

    ``features`` is float32 ``(n, D)``; ``targets`` is int64 ``(n,)`` for one label per clip, or float32
    ``(n, classes)`` of zeros and ones for many.
    """

    features: Tensor
    targets: Tensor
    classes: int


@dataclass(kw_only=True)
class Probe(ABC):
    """Fits on train, chooses on valid, answers for test features; never sees a test target.

    ``name`` carries the version, as in ``linear@1``: the same name means the same numbers. A probe is
    deterministic. After :meth:`fit`, ``selection`` says what was chosen on validation.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @property
    def selection(self) -> dict[str, Any]:
        """Hyper-parameters chosen on validation, with the validation score."""
        return {}

    @abstractmethod
    def fit(self, train: Examples, valid: Examples) -> None:
        """Fit the probe."""

    @abstractmethod
    def predict(self, features: Tensor) -> Tensor:
        """Scores ``(n, classes)``, larger is more likely, for float32 features ``(n, D)``."""
