"""The entries that CONTRIBUTING.md shows are complete: each is loaded as the file it says it is.

.venv/bin/python -m pytest tests/test_contributing.py
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from suite.encoder import Encoder
from suite.objectives.base import Batch, DecoderSize
from suite.probes.base import Examples
from tasks.base import measured_split_hash

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Load the block that defines ``class_name`` as module ``name``."""

    def loader(name: str, class_name: str) -> ModuleType:
        (block,) = (text for text in BLOCKS if f"class {class_name}(" in text)
        path = tmp_path / f"{name}.py"
        path.write_text(block, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return loader


def test_there_is_one_example_for_each_drawer() -> None:
    assert len(BLOCKS) == 5
    assert all(block.startswith('"""') for block in BLOCKS)


def test_the_example_source_obeys_the_law_of_sources(load) -> None:  # type: ignore[no-untyped-def]
    source = load("generators.sounds.chirps", "Chirps").Chirps(seconds=0.5)
    batch = source.batch([0, 1, 2])
    assert batch.shape == (3, 8000)
    assert batch.dtype == torch.float32
    assert batch.abs().max() <= 1.0
    assert torch.equal(batch[2], source.sample(2))
    assert not torch.equal(batch[0], batch[1])
    assert set(source.describe(0)) == {"start", "end"}


def test_the_example_mask_parts_the_patches(load) -> None:  # type: ignore[no-untyped-def]
    masking = load("suite.masking.balanced", "Balanced").Balanced()
    mask = masking.sample(3, (13, 5), torch.Generator().manual_seed(0))
    together = torch.cat([mask.keep, mask.hide], dim=1).sort(dim=1).values
    assert torch.equal(together, torch.arange(65).expand(3, -1))
    assert mask.keep.shape == (3, 15)
    for row in mask.keep:
        assert torch.bincount(row % 5).tolist() == [3] * 5, "three patches are seen in every band"


def test_the_example_objective_trains_the_encoder(load) -> None:  # type: ignore[no-untyped-def]
    settings = load("suite.objectives.mean_spectrum", "MeanSpectrum").MeanSpectrum()
    encoder = Encoder(width=32, depth=1, heads=2)
    objective = settings.build(encoder, DecoderSize())
    masking = load("suite.masking.balanced", "Balanced").Balanced()
    mask = masking.sample(2, (4, 5), torch.Generator().manual_seed(0))
    loss = objective.losses(Batch(torch.randn(2, 80, 64), mask))["loss"]
    loss.backward()
    assert loss > 0
    assert encoder.patch_embedding.weight.grad.abs().sum() > 0


def test_the_example_probe_tells_blobs_apart(load) -> None:  # type: ignore[no-untyped-def]
    probe = load("suite.probes.centroid", "Centroid").Centroid()
    targets = torch.arange(60) % 3
    features = 10.0 * torch.eye(8)[targets] + torch.randn(
        60, 8, generator=torch.Generator().manual_seed(0)
    )
    train, valid = (
        Examples(features[:40], targets[:40], 3),
        Examples(features[40:50], targets[40:50], 3),
    )
    probe.fit(train, valid)
    assert torch.equal(probe.predict(features[50:]).argmax(dim=1), targets[50:])


def test_the_example_task_reads_its_folder(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    task_class = load("tasks.my_birds", "MyBirds").MyBirds
    place = tmp_path / "my_birds"
    place.mkdir()
    rows = [
        ("a", "robin", "train", "ann"),
        ("b", "wren", "valid", "bob"),
        ("c", "robin", "test", "cid"),
    ]
    table = pd.DataFrame(rows, columns=["clip", "species", "split", "recordist"])
    table.to_csv(place / "clips.csv", index=False)
    soundfile.write(place / "a.wav", np.full(16_000, 0.5), 16_000)
    task = task_class(data=tmp_path)
    with pytest.raises(ValueError, match="3 of the 500 clips"):
        task.clips()
    task_class.official_counts = dict.fromkeys(("train", "valid", "test"), 1)
    clips = task.read_clips()
    with pytest.raises(ValueError, match=measured_split_hash(clips)[:12]):
        task.clips()  # unpinned: the refusal tells the hash to pin
    task_class.split_hash = measured_split_hash(clips)
    (fold,) = task.folds()
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == ([0], [1], [2])
    sound, rate = task.waveform(0)
    assert (len(sound), rate) == (16_000, 16_000)


def test_the_readme_names_no_verb_that_does_not_exist() -> None:
    from suite.cli import VERBS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    typed = set(re.findall(r"^ +sourcebench (\w+)", readme, flags=re.MULTILINE))
    assert typed == set(VERBS)
