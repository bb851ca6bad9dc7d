"""Embeddings depend on the clip alone; evaluation skips what is done and keeps what is finished.

.venv/bin/python -m pytest tests/test_evaluate.py
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny_runs
import torch
from torch import Tensor

import suite.evaluate as evaluation
import tasks.drawer
from generators.drawer import BadData, DataMissing
from suite import embed as embedding
from suite.checkpoint import Trained
from suite.embed import clip_embeddings, decode, embed, equal_lengths, mel_statistics
from suite.encoder import Encoder
from suite.evaluate import evaluate
from suite.frontend import FrontEnd
from suite.metrics import METRICS
from suite.rows import predictions_path, read_predictions, read_rows
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


# ---------------------------------------------------------------------------------------------------
# Embeddings


@pytest.mark.parametrize("frames", [10, 48, 100, 480])
def test_an_embedding_does_not_depend_on_its_batch(frames: int) -> None:
    machine, raw = tiny_runs.machine(), raw_images(frames)
    together = clip_embeddings(encoder(), FRONTEND, raw, machine)
    alone = torch.cat([clip_embeddings(encoder(), FRONTEND, raw[i : i + 1], machine) for i in range(5)])
    assert together.shape == (5, 3 * 5 * 16)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_clip_is_padded_to_whole_patches_only() -> None:
    """Neither by another clip nor up to a whole input."""
    machine, raw = tiny_runs.machine(), raw_images(50)
    padded = FRONTEND.pad_frames(raw, 64)
    expected = clip_embeddings(encoder(), FRONTEND, padded, machine)
    assert torch.allclose(clip_embeddings(encoder(), FRONTEND, raw, machine), expected, atol=1e-5)
    assert padded.shape[2] == 64


def test_long_clips_are_read_chunk_by_chunk() -> None:
    """Mean, deviation and deviation of changes over the time steps of all chunks, written out."""
    raw, model = raw_images(112), encoder()
    images = FRONTEND.standardise(raw)
    frames = torch.cat([model.frames(images[:, :, i : i + 48]) for i in (0, 48, 96)], dim=1)
    assert frames.shape[1] == 7
    changes = frames[:, 1:] - frames[:, :-1]
    spreads = [part.var(1, correction=0).sqrt() for part in (frames, changes)]
    expected = torch.cat([frames.mean(1), *spreads], dim=1)
    measured = clip_embeddings(model, FRONTEND, raw, tiny_runs.machine())
    assert torch.allclose(measured, expected, atol=1e-5)


def test_batches_hold_clips_of_one_length() -> None:
    lengths = np.array([5, 3, 5, 5, 9, 3] * 40)
    batches = list(equal_lengths(lengths, 16))
    assert sorted(np.concatenate(batches).tolist()) == list(range(240))
    for batch in batches:
        assert len(set(lengths[batch])) == 1
        assert len(batch) <= 16


def test_mel_statistics_are_four_numbers_a_band() -> None:
    raw = raw_images(20)
    measured = mel_statistics(raw).view(5, 4, 80)
    assert torch.allclose(measured[:, 0], raw.mean(2))
    assert torch.allclose(measured[:, 1], raw.var(2, correction=0).sqrt(), atol=1e-5)
    changes = raw[:, :, 1:] - raw[:, :, :-1]
    assert torch.allclose(measured[:, 2], changes.var(2, correction=0).sqrt(), atol=1e-5)
    assert torch.allclose(measured[:, 3], raw.amax(2))
    assert mel_statistics(raw[:, :, :1]).isfinite().all()


def test_embeddings_are_cached_by_what_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tiny_runs.machine()
    first = embed(Tones(), trained(), machine, tmp_path)
    other = embed(Tones(), trained(1), machine, tmp_path)
    assert first.shape == (48, 240)
    assert not np.allclose(first, other)
    monkeypatch.setattr(embedding, "clip_embeddings", None)  # computing again would fail
    assert np.array_equal(embed(Tones(), trained(), machine, tmp_path), first)
    assert len(list((tmp_path / "embeddings").iterdir())) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_embeddings_are_in_the_order_of_the_clips(tmp_path: Path) -> None:
    machine, task = tiny_runs.machine(), Tones()
    clips = embed(task, trained(), machine, tmp_path)
    for position in (0, 1, 17, 47):
        samples = torch.from_numpy(task.waveform(position)[0])[None]
        alone = clip_embeddings(encoder(), FRONTEND, FRONTEND.log_mel(samples), machine)[0]
        assert np.allclose(clips[position], alone, atol=5e-3)  # decoded clips are kept as 16 bits


def test_clips_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode(Tones(), tmp_path)
    monkeypatch.setattr(Tones, "waveform", None)
    again = decode(Tones(), tmp_path)
    assert np.array_equal(first.samples, again.samples)
    assert first.data_hash == again.data_hash
    assert len(first.lengths) == 48


# ---------------------------------------------------------------------------------------------------
# Files that cannot be used are named


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "data" / "files"
    folder.mkdir(parents=True)
    task = Tones()
    for position, path in enumerate(task.clips()["path"]):
        soundfile.write(folder / path, task.waveform(position)[0], 16_000)
    return Files(data=tmp_path / "data")


def spoil(files: Files, kind: str) -> Path:
    assert files.data is not None
    path = files.data / "files" / "03-1.wav"
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:20])
    elif kind == "empty":
        soundfile.write(path, np.zeros(0, np.float32), 16_000)
    elif kind == "nan":
        soundfile.write(path, np.full(8_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    elif kind == "no sound":
        path.write_text("not a sound")
    else:
        path.unlink()
    return path


@pytest.mark.parametrize("kind", ["truncated", "empty", "nan", "no sound", "missing"])
def test_a_clip_that_cannot_be_used_is_named(files: Files, tmp_path: Path, kind: str) -> None:
    path = spoil(files, kind)
    with pytest.raises((tasks.drawer.BadData, DataMissing), match=path.name):
        decode(files, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_stereo_and_other_rates_are_read(files: Files, tmp_path: Path) -> None:
    assert files.data is not None
    time = np.arange(22_050) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 900 * time)
    soundfile.write(files.data / "files" / "03-1.wav", np.stack([tone, tone], 1), 44_100)
    decoded = decode(files, tmp_path / "cache")
    assert decoded.lengths[3 * LABELS + 1] == 8_000


def test_a_changed_file_is_decoded_again(files: Files, tmp_path: Path) -> None:
    assert files.data is not None
    before = decode(files, tmp_path / "cache").data_hash
    soundfile.write(files.data / "files" / "03-1.wav", np.full(4_000, 0.1, np.float32), 16_000)
    assert decode(files, tmp_path / "cache").data_hash != before


# ---------------------------------------------------------------------------------------------------
# A run is scored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_runs.run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A finished run of this test's own."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def test_every_row_is_computed_from_its_stored_predictions(run: Path, tmp_path: Path) -> None:
    done = evaluate(run, [Tones()], ["linear@1", "knn@1"], tiny_runs.machine(), tmp_path / "cache")
    assert (done.measured, done.already) == (2, 0)
    assert [row.probe for row in done.rows] == ["linear@1", "knn@1"]
    assert done.rows == read_rows(run / "rows.jsonl")
    for row in done.rows:
        path = predictions_path(run / "predictions", row.task, row.probe, row.samples_seen)
        predictions = read_predictions(path)
        assert row.score == METRICS[row.metric](predictions.target, predictions.scores)
        assert row.n_test == len(predictions.clip) == 12
        assert row.samples_seen == 64
        assert row.command.startswith("sourcebench pretrain")
        assert row.data_hash == decode(Tones(), tmp_path / "cache").data_hash
        assert row.config["seed"] == 0


def test_what_is_done_is_skipped(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    before = (run / "rows.jsonl").read_bytes()
    monkeypatch.setattr(evaluation, "probe_task", None)
    done = evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    assert (done.measured, done.already) == (0, 1)
    assert (run / "rows.jsonl").read_bytes() == before


def test_an_interrupt_keeps_the_tasks_before_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, machine, cache = [Tones(), Bells()], tiny_runs.machine(), tmp_path / "cache"
    with monkeypatch.context() as patched:
        patched.setattr(Bells, "waveform", interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, asked, ["knn@1"], machine, cache)
    assert [row.task for row in read_rows(run / "rows.jsonl")] == ["tones"]
    done = evaluate(run, asked, ["knn@1"], machine, cache)
    assert (done.measured, done.already) == (1, 1)
    assert [row.task for row in done.rows] == ["tones", "bells"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_learning_curve_is_scored_by_the_first_probe(tmp_path: Path) -> None:
    from suite.pretrain import pretrain

    run = pretrain(
        tiny_runs.experiment(),
        tiny_runs.places(tmp_path),
        tiny_runs.machine(),
        command="x",
        curve=(0.25, 0.5),
    )
    done = evaluate(run, [Tones()], ["knn@1", "linear@1"], tiny_runs.machine(), tmp_path / "cache")
    asked = [(row.samples_seen, row.probe) for row in done.rows]
    assert asked == [(16, "knn@1"), (32, "knn@1"), (64, "knn@1"), (64, "linear@1")]


@pytest.mark.parametrize("control", ["untrained", "mel_statistics"])
def test_controls_are_scored(tmp_path: Path, control: str) -> None:
    run = tiny_runs.run(tmp_path, f"control={control}")
    done = evaluate(run, [Tones()], ["linear@1"], tiny_runs.machine(), tmp_path / "cache")
    (row,) = done.rows
    assert (row.source, row.control, row.samples_seen) == (control, True, 0)
    if control == "mel_statistics":
        assert row.score > 0.9  # three distant tones
        assert row.parameters == 0


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "DONE").unlink()
    with pytest.raises(DataMissing, match="not finished"):
        evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
    with pytest.raises(DataMissing, match="is not a run"):
        evaluate(tmp_path / "nothing", [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")


def test_broken_weights_are_named(run: Path, tmp_path: Path) -> None:
    path = run / "checkpoint" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadData, match=r"weights\.safetensors"):
        evaluate(run, [Tones()], ["knn@1"], tiny_runs.machine(), tmp_path / "cache")
