"""Small tasks and encoders that the tests of embedding and evaluation share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from suite.checkpoint import Trained
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from tasks.audio import read_mono
from tasks.base import Task, measured_split_hash

FRONTEND = FrontEnd(frames=48, statistics="fixed", mean=-6.0, std=4.0)
LABELS = 3


def table() -> pd.DataFrame:
    """48 clips of three tones on 16 instruments."""
    rows = []
    for group in range(16):
        fold = "train" if group < 8 else "valid" if group < 12 else "test"
        for label in range(LABELS):
            rows.append(
                (f"{group:02d}-{label}", label, fold, f"{group:02d}", f"{group:02d}-{label}.wav")
            )
    return pd.DataFrame(rows, columns=["clip", "label", "fold", "group", "path"])


@dataclass(kw_only=True)
class Tones(Task, name="tones"):
    """Three tones in noise; made here, so that no clip is anybody's."""

    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "this file"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 24, "valid": 12, "test": 12}
    embedded: ClassVar[bool] = True
    split_hash: ClassVar[str] = measured_split_hash(table())

    @property
    def classes(self) -> tuple[str, ...]:
        return ("low", "middle", "high")

    def read_clips(self) -> pd.DataFrame:
        return table()

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        group, label = map(int, self.clips()["clip"].iloc[position].split("-"))
        rng = np.random.default_rng([group, label])
        time = np.arange(8_000 + 1_600 * (group % 3)) / 16_000
        tone = np.sin(2 * np.pi * (300, 900, 2700)[label] * time * rng.uniform(0.9, 1.1))
        return (0.5 * tone + 0.05 * rng.standard_normal(len(time))).astype(np.float32).clip(
            -1, 1
        ), 16_000


@dataclass(kw_only=True)
class Bells(Tones, name="bells"):
    """The same clips as another task."""


@dataclass(kw_only=True)
class Files(Tones, name="files"):
    """The same clips from files on disk."""

    embedded: ClassVar[bool] = False
    folder: ClassVar[str] = "files"

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        assert self.data is not None
        return read_mono(self.data / self.folder / self.clips()["path"].iloc[position])


def encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(patch=(16, 16), width=16, depth=1, heads=2).eval().requires_grad_(False)


def trained(seed: int = 0) -> Trained:
    return Trained(encoder(seed), FRONTEND, f"seed {seed}")


def raw_images(frames: int, batch: int = 5) -> Tensor:
    return torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(0)) * 4 - 6
