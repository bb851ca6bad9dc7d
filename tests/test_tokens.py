"""Tokens and layers depend on the clip alone, are priced before they are written, and survive a kill.

.venv/bin/python -m pytest tests/test_tokens.py
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tiny_runs
import torch
from beep_task import Beeps
from tone_tasks import FRONTEND, Tones, encoder, raw_images, trained
from torch.nn.functional import cosine_similarity

from generators.drawer import BadData, UsageError
from suite import kept as keeping
from suite import tokens as tokening
from suite import views as viewing
from suite.checkpoint import Trained
from suite.chunks import clip_views
from suite.decode import decode
from suite.embed import Hearing
from suite.encoder import Architecture, Encoder
from suite.evaluate import evaluate
from suite.foreign import load_foreign
from suite.frontend import FrontEnd
from suite.probes.base import Tokens
from suite.views import check_reads, reads_of, views

CONTROL = Trained(None, FrontEnd(bands=64), "mel_statistics@1")
BANDS, CHUNK = 5, FRONTEND.frames  # band steps of tone_tasks' encoder, and frames of a chunk
CLIPS = 48  # of the task Tones: of 50, 60 and 70 frames, so of 4, 4 and 5 time steps in two chunks
Captured = pytest.CaptureFixture[str]


def plain(class_token: bool) -> Encoder:
    torch.manual_seed(0)
    model = Encoder(width=16, depth=2, heads=2, architecture=Architecture(class_token=class_token))
    return model.eval().requires_grad_(False)


def clip_tokens(model: Encoder, raw: torch.Tensor) -> torch.Tensor:
    return clip_views(model, FRONTEND, raw, tiny_runs.machine(), ["tokens"])["tokens"]


def clip_layers(model: Encoder, raw: torch.Tensor) -> torch.Tensor:
    return clip_views(model, FRONTEND, raw, tiny_runs.machine(), ["layers"])["layers"]


def embed_tokens(cache: Path, hearing: Hearing | None = None) -> Tokens:
    """The tokens of the task Tones."""
    made = views(Tones(), hearing or trained(), tiny_runs.machine(), cache, ["tokens"])["tokens"]
    assert isinstance(made, Tokens)
    return made


def embed_layers(cache: Path, hearing: Hearing | None = None) -> torch.Tensor:
    """The layers of the task Tones."""
    made = views(Tones(), hearing or trained(), tiny_runs.machine(), cache, ["layers"])["layers"]
    assert isinstance(made, torch.Tensor)
    return made


# ---------------------------------------------------------------------------------------------------
# What is computed


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("frames", [10, 48, 100, 480])
def test_tokens_do_not_depend_on_the_batch(frames: int, class_token: bool) -> None:
    model, raw = plain(class_token), raw_images(frames)
    together = clip_tokens(model, raw)
    alone = [clip_tokens(model, raw[i : i + 1]) for i in range(5)]
    steps, chunks = -(-frames // 16), -(-frames // CHUNK)
    assert together.shape == (5, BANDS * steps + chunks * class_token, 16)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0.0, atol=1e-5)


def test_a_clip_is_padded_to_whole_patches_only() -> None:
    raw = raw_images(50)
    padded = FRONTEND.pad_frames(raw, 64)
    expected = clip_tokens(encoder(), padded)
    torch.testing.assert_close(clip_tokens(encoder(), raw), expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("class_token", [True, False])
def test_a_long_clip_is_its_chunks_as_short_clips(class_token: bool) -> None:
    model, raw = plain(class_token), raw_images(112)
    parts = [raw[:, :, first : first + CHUNK] for first in (0, 48, 96)]
    short = torch.cat([clip_tokens(model, part) for part in parts], dim=1)
    measured = clip_tokens(model, raw)
    torch.testing.assert_close(measured, short, rtol=0.0, atol=1e-5)
    direct = [model.tokens(FRONTEND.standardise(part)) for part in parts]
    torch.testing.assert_close(measured, torch.cat(direct, dim=1), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layers_are_means_over_the_patches_of_all_chunks(norm: str, class_token: bool) -> None:
    architecture = Architecture(norm="post" if norm == "post" else "pre", class_token=class_token)
    torch.manual_seed(0)
    model = Encoder(width=16, depth=2, heads=2, architecture=architecture).eval()
    raw = raw_images(112)
    images = FRONTEND.standardise(raw)
    heard: list[list[torch.Tensor]] = [[], [], []]
    for depth, block in enumerate(model.blocks):
        block.register_forward_hook(lambda _b, _i, said, at=depth + 1: heard[at].append(said))
    model.blocks[0].register_forward_pre_hook(lambda _block, given: heard[0].append(given[0]))
    for first in (0, 48, 96):
        model.tokens(images[:, :, first : first + CHUNK])
    skipped = int(class_token)
    expected = [torch.cat([said[:, skipped:] for said in layer], dim=1) for layer in heard]
    expected[2] = model.norm(expected[2])
    measured = clip_layers(model, raw)
    assert measured.shape == (5, 3, 16)
    means = torch.stack([layer.mean(dim=1) for layer in expected], dim=1)
    torch.testing.assert_close(measured, means, rtol=0.0, atol=1e-5)


def test_the_last_layer_is_the_mean_of_the_tokens() -> None:
    model, raw = plain(False), raw_images(112)
    mean = clip_tokens(model, raw).mean(dim=1)
    last = clip_layers(model, raw)[:, -1]
    torch.testing.assert_close(last, mean, rtol=0.0, atol=1e-5)


# ---------------------------------------------------------------------------------------------------
# On disk


def test_tokens_are_stored_in_the_order_of_the_clips(tmp_path: Path) -> None:
    tokens = embed_tokens(tmp_path)
    decoded = decode(Tones(), tmp_path)
    assert len(tokens) == CLIPS
    assert sorted(set(tokens.counts.tolist())) == [4 * BANDS + 2, 5 * BANDS + 2]
    for position in range(0, CLIPS, 7):
        raw = FRONTEND.log_mel(decoded.waveforms(np.array([position])))
        alone = clip_tokens(encoder(), raw)[0]
        assert tokens.vectors[position].dtype == np.float16
        assert np.allclose(tokens.vectors[position], alone, atol=2e-3)
    again = embed_tokens(tmp_path)
    assert all(map(np.array_equal, tokens.vectors, again.vectors))
    assert len(list((tmp_path / "tokens").glob("*/"))) == 1
    embed_tokens(tmp_path, trained(1))
    embed_tokens(tmp_path, replace(trained(), frontend=replace(FRONTEND, std=5.0)))
    assert len(list((tmp_path / "tokens").glob("*/"))) == 3


def test_what_was_embedded_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    tokens = embed_tokens(tmp_path)
    layers = embed_layers(tmp_path)
    assert layers.shape == (CLIPS, 2, 16)
    assert "tokens of tones: 48 clips" in capsys.readouterr().err
    monkeypatch.setattr(viewing, "clip_views", None)  # computing again would fail
    again = embed_tokens(tmp_path)
    assert all(map(np.array_equal, tokens.vectors, again.vectors))
    assert torch.equal(embed_layers(tmp_path), layers)
    assert "GB" not in capsys.readouterr().err  # nothing is spent
    assert not list(tmp_path.rglob("*.part"))


def test_the_price_is_printed_and_is_what_the_files_take(tmp_path: Path, capsys: Captured) -> None:
    embed_tokens(tmp_path)
    (file,) = (tmp_path / "tokens").rglob("*.npy")
    tokens = 33 * (4 * BANDS + 2) + 15 * (5 * BANDS + 2)
    expected = f"tokens of tones: 48 clips, {tokens:,} tokens of 16 numbers, 0.00 GB to write to "
    assert expected in capsys.readouterr().err
    assert file.stat().st_size == tokens * 16 * 2 + 128  # and the header of a .npy file


def shards_of(monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    """Make a file hold about this many clips."""
    monkeypatch.setattr(tokening, "SHARD_BYTES", clips * 27 * 16 * 2)


def test_the_tokens_of_many_files_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embed_tokens(tmp_path)
    shards_of(monkeypatch, 10)
    many = embed_tokens(tmp_path)
    assert len(list((tmp_path / "tokens").rglob("*.npy"))) == 1 + 5
    for first, second in zip(one.vectors, many.vectors, strict=True):
        assert np.allclose(first, second, atol=2e-3)
    shards_of(monkeypatch, 0)  # a clip that is larger than a file gets a file
    assert len(embed_tokens(tmp_path)) == CLIPS


def test_a_killed_command_goes_on_at_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of about ten clips and parts of ten: the second file is written from two of them."""
    shards_of(monkeypatch, 10)
    monkeypatch.setattr(keeping, "PART", 10)
    heard: list[int] = []
    whole = embed_tokens(tmp_path / "whole")

    def killed(model: Encoder, frontend: FrontEnd, raw: torch.Tensor, *rest: object) -> object:
        heard.append(len(raw))
        if len(heard) == 8:  # a part takes three batches: one for each length of its clips
            raise KeyboardInterrupt
        return clip_views(model, frontend, raw, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(viewing, "clip_views", killed)
    with pytest.raises(KeyboardInterrupt):
        embed_tokens(tmp_path / "cache")
    done = sorted((tmp_path / "cache" / "tokens").rglob("*.npy"))
    assert [path.name for path in done] == ["00000.npy"]
    left = list((tmp_path / "cache" / "tokens").rglob("*.part"))  # as kill -9 leaves it
    assert left
    times, heard_before = [path.stat().st_mtime_ns for path in done], len(heard)
    resumed = embed_tokens(tmp_path / "cache")
    assert all(map(np.array_equal, resumed.vectors, whole.vectors))
    assert [path.stat().st_mtime_ns for path in done] == times  # they were not made again
    assert sum(heard[heard_before:]) == CLIPS - 10  # the first part is not heard again
    assert not any(path.exists() for path in left)


class Usage(NamedTuple):
    """What shutil says of a disk."""

    total: int
    used: int
    free: int


def test_a_disk_that_is_too_small_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(2_000, 1_000, 1_000))
    monkeypatch.setattr(viewing, "clip_views", None)  # nothing is embedded
    with pytest.raises(
        UsageError, match=r"need 3\d,\d{3} bytes in .*tones-.*1,000 bytes .*paths\.cache="
    ):
        embed_tokens(tmp_path)
    assert not list((tmp_path / "tokens").rglob("*.npy"))


def test_a_disk_that_fills_up_gets_its_space_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    decode(Tones(), tmp_path)
    monkeypatch.setattr(keeping.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        embed_tokens(tmp_path)
    assert str(caught.value.filename).endswith("00000.part")
    assert not list((tmp_path / "tokens").rglob("*.part"))


def test_tokens_that_float16_does_not_hold_are_refused(tmp_path: Path) -> None:
    model = encoder()
    model.norm.weight.fill_(1e6)
    with pytest.raises(BadData, match="beyond float16"):
        embed_tokens(tmp_path, Trained(model, FRONTEND, "loud"))


def test_the_control_says_log_mel_statistics(tmp_path: Path) -> None:
    tokens = embed_tokens(tmp_path, CONTROL)
    assert sorted(set(tokens.counts.tolist())) == [4, 5]
    assert tokens.vectors[0].shape[1] == 4 * 64
    assert embed_layers(tmp_path, CONTROL).shape == (CLIPS, 1, 4 * 64)


def test_very_wide_tokens_are_projected_and_keep_their_angles() -> None:
    generator = torch.Generator().manual_seed(1)
    narrow = torch.randn(2, 5, 1024, generator=generator)
    assert tokening.projected(narrow) is narrow
    wide = torch.randn(2, 20, 3000, generator=generator) @ torch.randn(3000, 3000, generator=generator)
    found = tokening.projected(wide)
    assert found.shape == (2, 20, 1024)
    angles = [cosine_similarity(each[0, :, None], each[0], dim=2) for each in (wide, found)]
    assert (angles[0] - angles[1]).abs().max() < 0.15  # five times 1024**-0.5
    assert found.square().mean() == pytest.approx(float(wide.square().mean()), rel=0.05)
    torch.testing.assert_close(found[0, 0], tokening.projected(wide[0, 0]), rtol=1e-4, atol=1e-3)
    assert torch.linalg.matrix_rank(tokening.projected(torch.eye(900, 2000))) == 900  # nothing is lost


def test_a_foreign_encoder_s_very_wide_tokens_are_priced_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(tokening, "WIDEST", 4)
    tokening.projection.cache_clear()
    tokens = embed_tokens(tmp_path, load_foreign("foreign_ears"))  # of six numbers
    tokening.projection.cache_clear()
    assert {vectors.shape[1] for vectors in tokens.vectors} == {4}
    assert "tokens of 4 numbers" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------
# In an evaluation


def test_probes_say_what_they_read() -> None:
    read = {name: reads_of(name) for name in ("linear@1", "attentive@1", "prototype@1", "layers@1")}
    assert list(read.values()) == ["clip", "tokens", "tokens", "layers"]


def test_events_are_refused_before_anything_is_spent(tmp_path: Path) -> None:
    check_reads([Beeps(), Tones()], ["linear@1"])
    for name in ("attentive@1", "prototype@1", "layers@1"):
        with pytest.raises(UsageError, match=rf"{name}.*'beeps'.*probes=\[linear@1\]"):
            check_reads([Beeps()], ["linear@1", name])
    run = tiny_runs.run(tmp_path)
    with pytest.raises(UsageError, match=r"attentive@1 reads the tokens"):
        evaluate(run, [Tones(), Beeps()], ["attentive@1"], tiny_runs.machine(), tmp_path / "other")
    assert not (tmp_path / "other").exists()
