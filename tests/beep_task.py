"""An event task made here: recordings of noise in which two kinds of beep begin and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from tasks.base import Task, measured_split_hash

RATE, SECONDS = 16_000, 8
PITCHES = (500.0, 2500.0)
FOLDS = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3


def beeps() -> pd.DataFrame:
    """Four beeps of 0.8 to 1.2 s in each of twelve recordings."""
    rng = np.random.default_rng(0)
    rows = []
    for position in range(len(FOLDS)):
        for number in range(4):
            onset = 2.0 * number + rng.uniform(0.0, 0.6)
            label = (position + number) % 2
            rows.append((position, label, onset, onset + rng.uniform(0.8, 1.2)))
    return pd.DataFrame(rows, columns=["position", "label", "onset", "offset"])


def table() -> pd.DataFrame:
    names = [f"{position:02d}" for position in range(len(FOLDS))]
    columns = {"clip": names, "label": [[0, 1]] * len(FOLDS), "fold": FOLDS, "group": names}
    return pd.DataFrame({**columns, "path": ""})


@dataclass(kw_only=True)
class Beeps(Task, name="beeps"):
    """When which beep sounds; made here, so that no clip is anybody's."""

    kind: ClassVar = "events"
    metric: ClassVar[str] = "onset_f1_200ms"
    other_metrics: ClassVar[tuple[str, ...]] = ("segment_error_rate_1s",)
    post_processing: ClassVar = ((250.0, 125.0), (250.0, 250.0))
    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "this file"
    embedded: ClassVar[bool] = True
    official_counts: ClassVar[Mapping[str, int]] = {"train": 6, "valid": 3, "test": 3}
    split_hash: ClassVar[str] = measured_split_hash(table())

    @property
    def classes(self) -> tuple[str, ...]:
        return ("low", "high")

    def read_clips(self) -> pd.DataFrame:
        return table()

    def events(self) -> pd.DataFrame:
        return beeps()

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        time = np.arange(RATE * SECONDS) / RATE
        sound = 0.01 * np.random.default_rng([1, position]).standard_normal(len(time))
        for event in beeps().query(f"position == {position}").itertuples():
            inside = (time >= event.onset) & (time < event.offset)
            sound += 0.3 * inside * np.sin(2 * np.pi * PITCHES[event.label] * time)
        return sound.astype(np.float32), RATE
