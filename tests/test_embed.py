"""Embeddings depend on the clip alone; files that cannot be used are named.

.venv/bin/python -m pytest tests/test_embed.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
import tiny_runs
import torch
from tone_tasks import FRONTEND, LABELS, Files, Tones, encoder, raw_images, trained
from torch import Tensor

import tasks.drawer
from generators.drawer import DataMissing
from suite import kept
from suite import views as viewing
from suite.checkpoint import Trained
from suite.chunks import Said, clip_embeddings, clip_views, mel_statistics
from suite.decode import decode
from suite.embed import equal_lengths
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.pooling import mean_std_change_in_passing
from suite.views import views
from tasks.base import Task

CLIPS = 48  # of the task Tones


def embed(task: Task, hearing: Trained, machine: Machine, cache: Path) -> np.ndarray:
    """The embeddings of a task's clips ``(clips, E)``."""
    clips = views(task, hearing, machine, cache, ["clip"])["clip"]
    assert isinstance(clips, Tensor)
    return clips.numpy()


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
    chunks = [model.tokens(images[:, :, i : i + 48])[:, 1:] for i in (0, 48, 96)]
    frames = torch.cat(chunks, dim=1).view(5, -1, 5 * 16)  # five band steps side by side
    assert frames.shape[1] == 7
    changes = frames[:, 1:] - frames[:, :-1]
    spreads = [part.var(1, correction=0).sqrt() for part in (frames, changes)]
    expected = torch.cat([frames.mean(1), *spreads], dim=1)
    measured = clip_embeddings(model, FRONTEND, raw, tiny_runs.machine())
    assert torch.allclose(measured, expected, atol=1e-5)


def test_hours_are_pooled_in_passing_to_the_same_numbers() -> None:
    steps = torch.randn(2, 37, 6, generator=torch.Generator().manual_seed(1)) + 5.0
    measured = mean_std_change_in_passing(steps.split(8, dim=1))
    spreads = [part.std(1, correction=0) for part in (steps, steps.diff(dim=1))]
    assert torch.allclose(measured, torch.cat([steps.mean(1), *spreads], dim=1), atol=1e-5)
    assert mean_std_change_in_passing([steps[:, :1]])[:, 6:].abs().max() == 0.0


@pytest.mark.parametrize("family", ["msm_mae", "kaldi"])
def test_blocks_of_a_long_clip_are_the_frames_of_the_whole(
    family: Literal["msm_mae", "kaldi"], monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend = FrontEnd(family=family)
    samples = torch.randn(1, 20_000, generator=torch.Generator().manual_seed(0)) * 0.1
    whole = frontend.log_mel(samples)
    monkeypatch.setattr("suite.frontend.BLOCK", 7)
    assert torch.allclose(frontend.log_mel(samples), whole, atol=1e-4)


def test_batches_hold_clips_of_one_length() -> None:
    lengths = np.array([5, 3, 5, 5, 9, 3] * 40)
    batches = list(equal_lengths(lengths, 16 * 160_000))
    assert sorted(np.concatenate(batches).tolist()) == list(range(240))
    for batch in batches:
        assert len(set(lengths[batch])) == 1
        assert len(batch) <= 16


def test_a_batch_of_long_clips_holds_fewer() -> None:
    batches = list(equal_lengths(np.array([1_000_000] * 5), 16 * 160_000))
    assert sorted(map(len, batches)) == [1, 2, 2]
    assert [len(batch) for batch in equal_lengths(np.array([10**9] * 2), 16 * 160_000)] == [1, 1]


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
    monkeypatch.setattr(viewing, "clip_views", None)  # computing again would fail
    assert np.array_equal(embed(Tones(), trained(), machine, tmp_path), first)
    assert len(list((tmp_path / "embeddings").glob("*.npy"))) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_a_killed_embedding_goes_on_behind_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve clips a part, in three lengths: of one that is killed in the second, the first is there.

    The bits are those of an embedding that nothing interrupted.
    """
    monkeypatch.setattr(kept, "PART", 12)
    machine, task, heard = tiny_runs.machine(), Tones(), []
    whole = embed(task, trained(), machine, tmp_path / "whole")

    def failing(model: Encoder, frontend: FrontEnd, raw: Tensor, *rest: Any) -> dict[Said, Tensor]:
        heard.append(len(raw))
        if len(heard) == 5:
            raise KeyboardInterrupt
        return clip_views(model, frontend, raw, *rest)

    monkeypatch.setattr(viewing, "clip_views", failing)
    with pytest.raises(KeyboardInterrupt):
        embed(task, trained(), machine, tmp_path / "parts")
    assert sum(heard[:3]) == 12
    heard_before = len(heard)
    found = embed(task, trained(), machine, tmp_path / "parts")
    assert sum(heard[heard_before:]) == CLIPS - 12
    assert np.array_equal(found, whole)
    assert [path.name for path in (tmp_path / "parts" / "embeddings").iterdir()] == [
        path.name for path in (tmp_path / "whole" / "embeddings").iterdir()
    ]


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


def test_all_clips_that_cannot_be_used_are_named_at_once(files: Files, tmp_path: Path) -> None:
    assert files.data is not None
    for name in ("00-0", "05-2", "09-1", "10-0", "13-2", "14-1"):
        (files.data / "files" / f"{name}.wav").write_text("not a sound")
    with pytest.raises(tasks.drawer.BadData, match=r"6 of 48 clips .*00-0.*13-2.* And 1 more.*partial"):
        decode(files, tmp_path / "cache")


def test_partial_data_are_used_without_the_clips_that_cannot_be(files: Files, tmp_path: Path) -> None:
    spoil(files, "empty")
    for _ in range(2):  # decoded, and then from the cache
        task = Files(data=files.data, partial=True)
        for _ in range(2):
            decoded = decode(task, tmp_path / "cache")
            assert len(decoded.lengths) == len(task.clips()) == 47
            assert decoded.notes == ("audio@1: 1 clips cannot be decoded and are left out: 03-1",)
        assert task.is_partial
        original = Tones().waveform(int(np.flatnonzero(Tones().clips()["clip"] == "03-2")[0]))[0]
        row = int(np.flatnonzero(task.clips()["clip"] == "03-2")[0])
        assert np.allclose(decoded.waveforms(np.array([row]))[0], original, atol=1e-3)
    with pytest.raises(tasks.drawer.BadData, match=r"03-1\.wav is empty"):
        decode(files, tmp_path / "cache")


def test_silent_and_very_short_clips_are_kept_and_noted(files: Files, tmp_path: Path) -> None:
    assert files.data is not None
    for name in ("00-0", "09-1"):  # of two folds: silence is not a duplicate
        soundfile.write(files.data / "files" / f"{name}.wav", np.zeros(4_000), 16_000)
    soundfile.write(files.data / "files" / "05-2.wav", np.full(100, 0.3), 16_000)
    decoded = decode(files, tmp_path / "cache")
    assert decoded.notes == (
        "audio@1: 1 clips are shorter than 25 ms: 05-2",
        "audio@1: 2 clips are silent: 00-0, 09-1",
    )
    machine = tiny_runs.machine()
    assert np.isfinite(embed(files, trained(), machine, tmp_path / "cache")).all()


def test_a_planted_duplicate_is_found_by_its_sound(files: Files, tmp_path: Path) -> None:
    assert files.data is not None
    samples, rate = soundfile.read(files.data / "files" / "00-0.wav", dtype="int16")
    soundfile.write(files.data / "files" / "13-1.wav", samples, rate, format="FLAC")
    with pytest.raises(tasks.drawer.BadData, match=r"'00-0' \(fold train\) and '13-1' \(fold test\)"):
        decode(files, tmp_path / "cache")


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
