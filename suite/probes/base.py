"""What a probe is: a small classifier fitted on what a frozen encoder says of clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.machine import Machine
from tasks.base import Task

Reads = Literal["clip", "tokens", "layers", "sounds"]


@dataclass(frozen=True)
class Tokens:
    """The tokens of clips: of clip i, ``vectors[i]`` is ``(N_i, D)``, float16 or float32.

    Arrays may be memory-mapped: taking clips reads nothing, only :meth:`padded` does. Clips may differ
    in N_i. Any provider of such arrays will do (a network's patches, a HEAR module's time stamps).
    """

    vectors: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, clips: np.ndarray | Tensor) -> Tokens:
        """The tokens of ``clips`` by position, in that order."""
        return Tokens([self.vectors[i] for i in clips.tolist()])

    @property
    def counts(self) -> np.ndarray:
        """N_i of every clip, int64 ``(n,)``."""
        return np.array([len(vectors) for vectors in self.vectors], dtype=np.int64)

    def padded(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of ``clips``, float32 ``(b, N, D)``, and which are there ``(b, N)``; others are 0."""
        chosen = [self.vectors[i] for i in clips.tolist()]
        longest = max(len(vectors) for vectors in chosen)
        tokens = np.zeros((len(chosen), longest, chosen[0].shape[1]), np.float32)
        there = np.zeros((len(chosen), longest), dtype=bool)
        for row, vectors in enumerate(chosen):
            tokens[row, : len(vectors)] = vectors
            there[row, : len(vectors)] = True
        return torch.from_numpy(tokens), torch.from_numpy(there)


@dataclass(frozen=True)
class Sounds:
    """Log-mels of clips, and the encoder that is to be trained on them.

    ``images[i]`` is the raw log-mel ``(F, T_i)`` of clip i, float16 or float32, perhaps memory-mapped;
    ``frontend`` standardises and pads it; the encoder is never changed, only copies of it, which are
    trained on ``machine`` in its precision.
    """

    images: Sequence[np.ndarray]
    encoder: Encoder
    frontend: FrontEnd
    machine: Machine

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, clips: np.ndarray | Tensor) -> Sounds:
        """The clips by position, in that order."""
        return replace(self, images=[self.images[i] for i in clips.tolist()])


Features = TypeVar("Features")  # what a probe reads: a Tensor, Tokens or Sounds


@dataclass(frozen=True)
class Examples(Generic[Features]):
    """What a probe reads of one part of a fold, and its targets.

    ``features`` is float32 ``(n, D)`` for a probe that reads clips, :class:`Tokens` for one that reads
    tokens, float32 ``(n, layers, D)`` for one that reads layers, and :class:`Sounds` for one that
    trains the encoder itself. ``targets`` is int64 ``(n,)`` for one label per clip, or float32
    ``(n, classes)`` of zeros and ones for many.
    """

    features: Features
    targets: Tensor
    classes: int


@dataclass(kw_only=True)
class Probe(ABC, Generic[Features]):
    """Fits on train, chooses on valid, answers for test features; never sees a test target.

    ``name`` carries the version, as in ``linear@1``: the same name means the same numbers. ``reads``
    says what of a clip it is given: one embedding, every token of the last layer, one vector of each
    layer, or its sound (:mod:`suite.views`). A probe is deterministic. After :meth:`fit`, ``selection``
    says what was chosen on validation.

    A probe that trains for epochs may be given clips to be ``watched``, without labels: ``by_epoch``
    then holds its scores ``(n, classes)`` of them after each epoch. Nothing is chosen by these.
    """

    watched: Features | None = field(default=None, repr=False)
    by_epoch: list[Tensor] = field(init=False, repr=False, default_factory=list)

    name: ClassVar[str]
    reads: ClassVar[Reads] = "clip"
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
    def fit(self, train: Examples[Features], valid: Examples[Features]) -> None:
        """Fit the probe."""

    @abstractmethod
    def predict(self, features: Features) -> Tensor:
        """Scores ``(n, classes)``, larger is more likely, for features of n clips."""

    def held_out(self) -> Tensor:
        """Scores ``(n, classes)`` of valid, from what was learnt of train alone.

        What follows a probe (the post-processing of events) is chosen on them. Raises
        :class:`UsageError` where the probe keeps none.
        """
        raise UsageError(
            f"{self.name} does not say what it answers for valid, so it cannot be used for events. "
            "Type probes=[linear@1]."
        )
