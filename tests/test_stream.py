"""The stream has no state but the step, and its images are standardised by the source.

.venv/bin/python -m pytest tests/test_stream.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import generators
from generators.base import Source
from generators.drawer import BadData, UsageError
from suite.frontend import FrontEnd
from suite.pools import Pool, open_pool
from suite.stream import Stream, generator_of, measure_source, seed_of

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
FRONTEND = FrontEnd(frames=48)
NOISE = generators.create("noise", seconds=0.64)  # 65 frames


def open_stream(cache: Path, size: int | None = 10, batch: int = 8, source: Source = NOISE) -> Stream:
    pool = None if size is None else open_pool(cache, source, FRONTEND, size)
    return Stream(source, FRONTEND, batch, 0, pool)


@pytest.mark.parametrize("size", [10, None])
@pytest.mark.parametrize("world", [2, 4, 8])
def test_ranks_share_one_global_batch(tmp_path: Path, size: int | None, world: int) -> None:
    stream = open_stream(tmp_path, size)
    for step in (0, 1, 5):
        whole = stream.batch(step, 0, 1, CPU)
        rows = [stream.batch(step, rank, world, CPU) for rank in range(world)]
        assert torch.equal(torch.cat(rows), whole)


@pytest.mark.parametrize("size", [10, None])
def test_a_batch_does_not_depend_on_what_was_asked_before(tmp_path: Path, size: int | None) -> None:
    forward = open_stream(tmp_path, size)
    expected = {step: forward.batch(step, 0, 1, CPU) for step in range(6)}
    jumping = open_stream(tmp_path, size)
    for step in (5, 0, 4, 4, 1, 5):
        assert torch.equal(jumping.batch(step, 0, 1, CPU), expected[step])


def test_batches_made_ahead_are_the_same(tmp_path: Path) -> None:
    stream = open_stream(tmp_path)
    ahead = list(stream.ahead(3, 7, 0, 1, CPU))
    assert len(ahead) == 4
    for step, (indices, images) in zip(range(3, 7), ahead, strict=True):
        assert torch.equal(indices, stream.indices(step))
        assert torch.equal(images, stream.batch(step, 0, 1, CPU))
    assert list(stream.ahead(7, 7, 0, 1, CPU)) == []


@dataclass(kw_only=True)
class Ruler(Source, name="ruler"):
    """Pictures whose pixels say which sample and frame they are."""

    kind = "picture"
    height: int = 16
    width: int = 100

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        return {"index": indices}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        frame = torch.arange(self.width).float()
        images = parameters["index"][:, None, None] * 128 + frame.expand(
            len(parameters["index"]), self.height, -1
        )
        return images.to(device)


@dataclass(kw_only=True)
class Announced(Ruler, name="announced"):
    """Remembers which samples it heard of and which it was asked for, in order."""

    heard: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def expect(self, indices: Tensor | list[int]) -> None:
        self.heard += torch.as_tensor(indices).tolist()

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        self.asked += indices.tolist()
        missing = set(indices.tolist()) - set(self.heard)
        assert not missing, f"{missing} were not announced"
        return super().parameters(indices)


def test_a_source_hears_of_samples_before_they_are_needed_and_once() -> None:
    source = Announced(width=48)
    stream = Stream(source, FRONTEND, 8, 0, None)
    batches = stream.ahead(3, 12, 1, 2, CPU)
    next(batches)
    assert source.heard[-1] >= 8 * 6 + 7  # three steps further than what was just given out
    list(batches)
    mine = [8 * step + row for step in range(3, 12) for row in range(4, 8)]
    assert source.heard == mine
    assert source.asked == mine


@pytest.mark.parametrize("size", [5, 16, 300])
def test_a_pool_s_samples_are_announced_once(tmp_path: Path, size: int) -> None:
    source = Announced(width=48)
    source.heard = [0]  # the shape is asked for first
    open_pool(tmp_path, source, FRONTEND, size)
    assert source.heard[1:] == list(range(size))
    assert source.asked[1:] == list(range(size))


@pytest.mark.parametrize(("size", "batch"), [(10, 8), (16, 8), (7, 3), (3, 8), (1, 8), (5, 64)])
def test_every_epoch_visits_each_sample_of_the_pool_once(tmp_path: Path, size: int, batch: int) -> None:
    stream = open_stream(tmp_path, size, batch)
    visited = torch.cat([stream.indices(step) for step in range(4 * size)])
    epochs = visited[: len(visited) // size * size].view(-1, size)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(size).expand(len(epochs), -1))
    if size > 4:
        assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1


def test_live_samples_never_repeat(tmp_path: Path) -> None:
    stream = open_stream(tmp_path, None)
    visited = torch.cat([stream.indices(step) for step in range(5)])
    assert torch.equal(visited, torch.arange(40))


def test_live_and_pooled_samples_are_the_same_sounds(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, NOISE, FRONTEND, 5)
    live = FRONTEND.log_mel(NOISE.batch(torch.arange(5)))
    assert torch.allclose(pool.read(torch.arange(5)), live, atol=0.01)  # float16


def test_crops_lie_in_range_and_anywhere(tmp_path: Path) -> None:
    stream = Stream(Ruler(), FRONTEND, 8, 0, open_pool(tmp_path, Ruler(), FRONTEND, 6))
    starts = set()
    for step in range(60):
        images = stream.batch(step, 0, 1, CPU)
        assert images.shape == (8, 16, 48)
        samples, frames = images.long() // 128, images.long() % 128
        assert torch.equal(samples[:, 0, 0], stream.indices(step))
        assert torch.equal(frames, frames[:, :1, :1] + torch.arange(48).expand(8, 16, -1))
        starts |= set(frames[:, 0, 0].tolist())
    assert min(starts) == 0
    assert max(starts) == 52


def test_short_samples_are_padded(tmp_path: Path) -> None:
    short = generators.create("noise", seconds=0.2)  # 21 frames
    images = open_stream(tmp_path, 4, 8, short).batch(0, 0, 1, CPU)
    assert images.shape == (8, 80, 48)
    assert torch.allclose(images[:, :, 21:], torch.tensor(FRONTEND.pad_level))


def test_two_seeds_have_two_orders(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, NOISE, FRONTEND, 10)
    streams = [Stream(NOISE, FRONTEND, 10, seed, pool) for seed in (0, 1)]
    assert not torch.equal(streams[0].indices(0), streams[1].indices(0))


def test_seeds_are_pinned() -> None:
    """A run made today must be continued by the suite of tomorrow."""
    assert seed_of("order", 0, 3) == 3_067_814_781_472_862_278
    assert seed_of("order", 0, 3) != seed_of("order", 3, 0)
    drawn = torch.rand(3, generator=generator_of("mask", 0, 1))
    assert torch.equal(drawn, torch.rand(3, generator=generator_of("mask", 0, 1)))


# ---------------------------------------------------------------------------------------------------
# Statistics of the source


def test_the_source_s_images_are_standardised_by_its_own_statistics(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, NOISE, FRONTEND, 16)
    measured = measure_source(NOISE, FRONTEND, pool)
    images = measured.standardise(pool.read(torch.arange(16)))
    assert images.mean().item() == pytest.approx(0.0, abs=1e-3)
    assert images.std().item() == pytest.approx(1.0, abs=1e-3)


def test_fixed_statistics_are_kept_for_sounds(tmp_path: Path) -> None:
    fixed = FrontEnd(frames=48, statistics="fixed", mean=-4.26, std=4.56)
    assert measure_source(NOISE, fixed, None) == fixed


def test_pictures_are_standardised_by_their_own_statistics_even_so(tmp_path: Path) -> None:
    pictures = generators.create("dead_leaves", height=80, width=64)
    fixed = FrontEnd(frames=48, statistics="fixed", mean=-4.26, std=4.56)
    measured = measure_source(pictures, fixed, None)
    assert 0.2 < measured.mean < 0.8
    assert measured.statistics == "fixed"


def test_a_constant_source_is_refused_by_name(tmp_path: Path) -> None:
    pool = Pool(np.full((4, 80, 65), 3.0, np.float16))
    with pytest.raises(BadData, match="'noise'"):
        measure_source(NOISE, FRONTEND, pool)


def test_pictures_have_no_statistics_for_sounds() -> None:
    pictures = generators.create("dead_leaves", height=80, width=64)
    with pytest.raises(UsageError, match=r"frontend\.statistics=task"):
        measure_source(pictures, FrontEnd(frames=48, statistics="source"), None)
