"""A frozen encoder's vectors: extracted once, by index, from descriptors, runs and HEAR modules.

.venv/bin/python -m pytest tests/test_frozen.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from torch import Tensor

from generators.drawer import BadData, UsageError
from suite import checkpoint, frozen
from suite.chunks import mel_statistics
from suite.clock import Clock
from suite.experiment import Experiment
from suite.objectives.base import Frozen
from suite.pretrain import open_stream
from suite.stream import Stream

CAT = ("objective=cat", "scale.width=32", "objective.decoder_layers=1")


def asked(kind: str, where: str = "", *, shuffled: bool = False, standardise: bool = False) -> Frozen:
    return Frozen(kind=kind, where=where, shuffled=shuffled, standardise=standardise)  # type: ignore[arg-type]


def opened(place: Path, *more: str) -> tuple[Experiment, Stream]:
    experiment = tiny_runs.experiment(*CAT, *more)
    places = tiny_runs.places(place)
    source = experiment.build_source(places.data, places.cache)
    return experiment, open_stream(source, experiment, places, tiny_runs.machine(), Clock())


def extracted(place: Path, wanted: Frozen, *more: str) -> Tensor:
    experiment, stream = opened(place, *more)
    return frozen.vectors(wanted, experiment, stream, place / "cache", tiny_runs.machine())


def test_descriptors_are_the_log_mel_statistics_of_each_sample_of_the_pool(tmp_path: Path) -> None:
    _, stream = opened(tmp_path)
    assert stream.pool is not None
    expected = mel_statistics(stream.pool.read(torch.arange(16)))
    found = extracted(tmp_path, asked("descriptors"))
    assert torch.allclose(found, expected, atol=1e-5)
    size = frozen.size_of(asked("descriptors"), tiny_runs.experiment().frontend)
    assert found.shape == (16, size)
    normal = extracted(tmp_path, asked("descriptors", standardise=True))
    assert torch.allclose(normal.mean(dim=0), torch.zeros(()), atol=1e-4)


def test_shuffled_vectors_are_all_there_and_none_is_its_own(tmp_path: Path) -> None:
    own, other = (extracted(tmp_path, asked("descriptors", shuffled=s)) for s in (False, True))
    assert torch.equal(own.sort(dim=0).values, other.sort(dim=0).values)
    assert not (own == other).all(dim=1).any()


def test_a_run_s_vectors_are_extracted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_runs.run(tmp_path)
    wanted = asked("run", str(run))
    found = extracted(tmp_path, wanted)
    assert found.shape == (16, frozen.size_of(wanted, tiny_runs.experiment().frontend))
    assert found.isfinite().all()
    monkeypatch.setattr(frozen, "extract", lambda *_: pytest.fail("extracted again"))
    assert torch.equal(found, extracted(tmp_path, wanted))


HEAR_MODULE = """
import torch

class Model:
    sample_rate = 8000
    scene_embedding_size = timestamp_embedding_size = 3

def load_model(path=""):
    return Model()

def get_scene_embeddings(audio, model):
    assert audio.dtype == torch.float32 and audio.shape[1] == 20000, audio.shape
    return torch.stack([audio.mean(1), audio.std(1), audio.abs().amax(1)], dim=1)

def get_timestamp_embeddings(audio, model):
    return get_scene_embeddings(audio, model)[:, None], torch.zeros(len(audio), 1)
"""


def test_a_hear_module_hears_the_sounds_at_its_own_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_ears.py").write_text(HEAR_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    found = extracted(tmp_path, asked("hear", "some_ears"))
    assert found.shape == (16, 3)
    assert (found[:, 1] > 0.1).all()
    with pytest.raises(UsageError, match="hears sounds"):
        extracted(tmp_path, asked("hear", "some_ears"), "source=dead_leaves")
    sys.modules.pop("some_ears")


def test_what_cannot_be_heard_is_refused_with_the_cure(tmp_path: Path) -> None:
    frontend = tiny_runs.experiment().frontend
    with pytest.raises(UsageError, match="no module 'no_such_ears'"):
        frozen.size_of(asked("hear", "no_such_ears"), frontend)
    with pytest.raises(UsageError, match="has no load_model"):
        frozen.size_of(asked("hear", "json"), frontend)
    run = tiny_runs.run(tmp_path)
    kaldi = tiny_runs.experiment("frontend=kaldi").frontend
    with pytest.raises(UsageError, match="trained behind msm_mae with 80 bands"):
        frozen.size_of(asked("run", str(run)), kaldi)
    with pytest.raises(UsageError, match="needs a pool"):
        extracted(tmp_path, asked("descriptors"), "pool=null")


def test_vectors_of_another_pool_are_refused(tmp_path: Path) -> None:
    experiment, stream = opened(tmp_path)
    wanted = asked("descriptors")
    path = frozen.place(wanted, experiment, stream, 16, tmp_path / "cache")
    path.parent.mkdir(parents=True)
    np.save(path, np.zeros((7, 320), np.float32))
    with pytest.raises(BadData, match=r"holds 7 vectors, but the pool has 16"):
        frozen.vectors(wanted, experiment, stream, tmp_path / "cache", tiny_runs.machine())


@pytest.mark.parametrize("objective", ["mae", "eat", "m2d"])
def test_micro_batches_learn_what_the_batch_learns(tmp_path: Path, objective: str) -> None:
    words = (f"objective={objective}", "scale.width=32")
    whole = tiny_runs.run(tmp_path / "whole", *words)
    parts = tiny_runs.run(tmp_path / "parts", *words, micro_batch=3)
    assert whole.name == parts.name  # one experiment
    lines = [
        [json.loads(line) for line in (run / checkpoint.METRICS).read_text().splitlines()]
        for run in (whole, parts)
    ]
    for one, other in zip(*lines, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)
    assert "training" in lines[0][-1]
    assert "frontend" in lines[0][-1]
