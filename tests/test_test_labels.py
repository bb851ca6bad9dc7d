"""No probe ever sees a test label: labels of test clips can be anything, and the answers are the same.

.venv/bin/python -m pytest tests/test_test_labels.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from beep_task import Beeps

from suite import probes
from suite.clip_probe import ORACLE, probe_task
from suite.encoder import Encoder
from suite.frame_probe import probe_events, task_events
from suite.frames import Frames
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.probes import networks, side_by_side
from suite.probes.base import Sounds, Tokens
from suite.views import View, reads_of
from tasks.base import Task

CLIPS, FOLDS, LABELS, WIDTH = 72, 3, 4, 6

FOR_MANY_LABELS = [name for name in probes.names() if not probes.create(name).metric]
FOR_EVENTS = [name for name in FOR_MANY_LABELS if reads_of(name) == "clip"]


@pytest.fixture(autouse=True)
def narrow_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "WIDTH", 32)
    monkeypatch.setattr(side_by_side, "EPOCHS", 30)
    monkeypatch.setattr("suite.probes.training.EPOCHS", 3)
    for name in probes.names():
        probe = type(probes.create(name))
        if probe.reads == "sounds":
            short = replace(probe.recipe, epochs=3, trial_epochs=1, rates=probe.recipe.rates[:2])
            monkeypatch.setattr(probe, "recipe", short)


@dataclass(kw_only=True)
class Spoiled(Task, name="spoiled"):
    """Three folds of clips; those of fold ``spoiled`` have labels that mean nothing."""

    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "this file"
    official_counts: ClassVar[Mapping[str, int]] = {}
    embedded: ClassVar[bool] = True
    partial: bool = True  # other labels are another split
    spoiled: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, range(LABELS)))

    def true_labels(self) -> np.ndarray:
        return np.arange(CLIPS) % LABELS

    def read_clips(self) -> pd.DataFrame:
        names = [f"{position:02d}" for position in range(CLIPS)]
        folds = np.array([str(position // LABELS % FOLDS) for position in range(CLIPS)])
        nothing = np.random.default_rng(0).integers(LABELS, size=CLIPS)
        label = self.stated(np.where(folds == self.spoiled, nothing, self.true_labels()))
        columns = {"clip": names, "label": label, "fold": folds, "group": names}
        return pd.DataFrame({**columns, "path": ""})

    def stated(self, labels: np.ndarray) -> list:
        return list(labels)

    def waveform(self, position: int) -> tuple[np.ndarray, int]:
        raise NotImplementedError

    def features(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        centres = torch.randn(LABELS, WIDTH, generator=generator)
        return centres[self.true_labels()] + 0.7 * torch.randn(CLIPS, WIDTH, generator=generator)


def shown(task: Spoiled, name: str) -> View:
    """The features of the task's clips as the probe reads them."""
    reads, features = reads_of(name), task.features()
    if reads == "tokens":
        return Tokens([np.stack([clip, -clip]) for clip in features.numpy()])
    if reads == "layers":
        return torch.stack([features, -features], dim=1)
    if reads == "sounds":
        torch.manual_seed(0)
        encoder = Encoder(patch=(2, 4), width=8, depth=1, heads=2)
        images = [np.repeat(clip[:, None], 4, axis=1) for clip in features.numpy()]
        frontend = FrontEnd(bands=WIDTH, frames=4, statistics="fixed")
        return Sounds(images, encoder, frontend, Machine(torch.device("cpu"), "float32"))
    return features


def choices(selection: dict[str, object]) -> dict[str, object]:
    """A selection without the number that papers choose by, which does read test labels."""
    return {key: value for key, value in selection.items() if key != ORACLE}


@dataclass(kw_only=True)
class SpoiledSets(Spoiled, name="spoiled_sets"):
    """The same clips with two labels each."""

    kind: ClassVar = "many_labels"
    metric: ClassVar[str] = "macro_map"

    def stated(self, labels: np.ndarray) -> list:
        return [sorted({int(label), (int(label) + 1) % LABELS}) for label in labels]


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, Spoiled) for name in probes.names()), *((name, SpoiledSets) for name in FOR_MANY_LABELS)],
)
def test_the_labels_of_a_test_fold_change_none_of_its_answers(name: str, kind: type[Spoiled]) -> None:
    task = kind()
    honest, chosen = probe_task(task, name, shown(task, name))
    for fold in ("0", "1", "2"):
        spoiled, also_chosen = probe_task(kind(spoiled=fold), name, shown(task, name))
        tested = honest.fold == fold
        assert not np.array_equal(spoiled.target[tested], honest.target[tested])
        assert np.array_equal(spoiled.scores[tested], honest.scores[tested])
        assert choices(also_chosen[fold]) == choices(chosen[fold])
        assert not np.array_equal(spoiled.scores[~tested], honest.scores[~tested])  # they learn of it


@dataclass(kw_only=True)
class SpoiledBeeps(Beeps, name="spoiled_beeps"):
    """Beeps of which those of the test clips are all of one kind and at other times."""

    def events(self) -> pd.DataFrame:
        events = super().events()
        tested = events["position"].isin(np.flatnonzero(self.clips()["fold"] == "test"))
        events.loc[tested, "label"] = 0
        events.loc[tested, ["onset", "offset"]] += 0.3
        return events


@pytest.mark.parametrize("name", FOR_EVENTS)
def test_the_events_of_test_clips_change_none_of_their_answers(name: str) -> None:
    rng, task = np.random.default_rng(0), Beeps()
    counts = np.full(len(task.clips()), 20)
    vectors = rng.standard_normal((counts.sum(), 5)).astype(np.float32)
    frames = Frames(vectors, counts, 0.2, 0.4)
    for event in task.events().itertuples():
        inside = (frames.times()[:20] >= event.onset) & (frames.times()[:20] <= event.offset)
        vectors[20 * event.position + np.flatnonzero(inside), event.label] += 3.0
    honest, chosen = probe_events(task, name, frames)
    spoiled, also_chosen = probe_events(SpoiledBeeps(), name, frames)
    assert not np.array_equal(task_events(SpoiledBeeps()).onset, task_events(task).onset)
    assert not np.array_equal(spoiled.event_onset, honest.event_onset)
    assert np.array_equal(spoiled.scores, honest.scores)
    assert also_chosen == chosen
