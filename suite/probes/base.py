"""What a probe is: a small classifier fitted on frozen clip embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from generators.drawer import UsageError
from tasks.base import Task


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
    threshold: ClassVar[float] = 0.5  # the score of many labels from which a label is rather there
    metric: ClassVar[str] = ""  # what scores the answers, where it is not the task's metric

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @classmethod
    def metric_for(cls, task: Task) -> str:
        """By what the answers for a task are scored; raises UsageError where the probe has none."""
        if cls.metric and task.kind != "one_label":
            raise UsageError(
                f"{cls.name} is for tasks with one label per clip, and {task.name} has {task.kind}. "
                f"Leave {task.name} out, or type probes=[linear@1]."
            )
        return cls.metric or task.metric

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

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid, from what was learnt of train alone.

        What follows a probe (the post-processing of events) is chosen on them. Raises
        :class:`UsageError` where the probe keeps none.
        """
        raise UsageError(
            f"{self.name} does not say what it answers for valid, so it cannot be used for events. "
            "Type probes=[linear@1]."
        )
