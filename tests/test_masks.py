"""Each mask does what its name says, and blocks reproduce the published statistics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite import drawers
from suite.masking.base import Mask, ranked
from suite.masking.blocks import blocks, centres_for, dilate
from suite.stream import generator_of

GRID = (64, 8)


def hidden(mask: Mask) -> Tensor:
    """Bool ``(B, T', F')``."""
    cells = torch.zeros(len(mask.hide), mask.grid[0] * mask.grid[1], dtype=torch.bool)
    return cells.scatter_(1, mask.hide, True).view(-1, *mask.grid)  # type: ignore[arg-type]


def sample(name: str, batch: int = 64, grid: tuple[int, int] = GRID, **fields: object) -> Tensor:
    strategy = drawers.masks.create(name, **fields)
    return hidden(strategy.sample(batch, grid, generator_of("test", name)))


def test_ranks_follow_tiers_and_are_uniform_within_one() -> None:
    tiers = torch.tensor([[1, 0, 1, 0, 2]]).repeat(4000, 1)
    order = ranked(tiers, generator_of("ranks"))
    assert torch.equal(tiers.gather(1, order), torch.tensor([[0, 0, 1, 1, 2]]).repeat(4000, 1))
    assert (order[:, 0] == 1).double().mean() == pytest.approx(0.5, abs=0.04)


def test_time_hides_whole_steps_and_frequency_whole_bands() -> None:
    for name, dim, count in (("time", 2, 48), ("frequency", 1, 5)):
        cells = sample(name)
        assert torch.equal(cells.any(dim), cells.all(dim)), name
        assert (cells.all(dim).sum(dim=1) == count).all(), name


def test_time_and_frequency_show_what_neither_hides() -> None:
    """Audio-MAE's defaults leave 19 x 5 = 95 of 512 patches (spec/bootstrap_and_masking.md 4.2)."""
    seen = ~sample("time_frequency")
    assert (seen.sum(dim=(1, 2)) == 95).all()
    assert torch.equal(seen, seen.any(2)[:, :, None] & seen.any(1)[:, None, :])


def test_groups_are_seen_or_hidden_together() -> None:
    cells = sample("grouped")
    assert torch.equal(cells[:, 0::2], cells[:, 1::2])  # 128 of 512 are 64 whole pairs


def test_spans_are_long_and_fall_everywhere_alike() -> None:
    cells = sample("time_spans", batch=2000)
    steps = cells.all(2)
    assert torch.equal(cells.any(2), steps)
    assert (steps.sum(1) == 38).all()
    changes = (steps[:, 1:] != steps[:, :-1]).sum(1).double().mean()
    assert changes < 9  # 38 single steps of 64 would change about 30 times
    first, last = steps[:, 8:32].double().mean(), steps[:, 32:56].double().mean()
    assert first == pytest.approx(last.item(), abs=0.02)  # M2D's late frames are hidden less


def test_chunks_hide_every_band_alike() -> None:
    """SSAST hides 42 % of its lowest band and 89 % of others (spec/bootstrap_and_masking.md 4.5)."""
    cells = sample("chunked", batch=1500)
    assert (cells.sum(dim=(1, 2)) == 400).all()
    by_band = cells.double().mean(dim=(0, 1))
    assert (by_band - 400 / 512).abs().max() < 0.01
    runs = (cells[:, 1:] & cells[:, :-1]).double().mean() / cells.double().mean()
    assert runs > 0.85  # single patches would have 0.78 hidden neighbours


def test_blocks_spread_as_pooling_does() -> None:
    cells = torch.rand(5, 9, 7, generator=generator_of("cells")) < 0.05
    spread = dilate(dilate(cells, 3, 1), 3, 2)
    pooled = torch.nn.functional.max_pool2d(cells.float()[:, None], 3, 1, 1)[:, 0] > 0
    assert torch.equal(spread, pooled)


TABLE = [  # size, centres, raw mean, raw deviation, strays: spec/bootstrap_and_masking.md 4.3, 64 x 8
    (2, 34, 112.1, 5.8, 0.001),
    (3, 15, 109.4, 7.6, 0.008),
    (4, 8, 99.9, 9.9, 0.049),
    (5, 5, 95.8, 11.4, 0.081),
    (6, 3, 81.0, 13.1, 0.207),
    (7, 2, 72.3, 13.0, 0.291),
    (8, 2, 88.3, 16.8, 0.153),
]


@pytest.mark.parametrize(("size", "centres", "mean", "deviation", "strays"), TABLE)
def test_inverse_blocks_have_the_published_statistics(
    size: int, centres: int, mean: float, deviation: float, strays: float
) -> None:
    strategy = drawers.masks.create("inverse_block", size=size)
    assert strategy.centres(GRID, (size, size)) == centres
    raw = blocks(4000, GRID, centres, (size, size), generator_of("raw", size)).sum(1).double()
    assert raw.mean() == pytest.approx(mean, abs=1.0)
    assert raw.std() == pytest.approx(deviation, abs=0.6)
    mask = strategy.sample(4000, GRID, generator_of("mask", size))
    assert mask.keep.shape[1] == 102
    assert mask.strays == pytest.approx(strays, abs=0.01)


def test_inverse_blocks_of_eat_large() -> None:
    strategy = drawers.masks.create("inverse_block", ratio=0.75, adjust=0.1)
    mask = strategy.sample(4000, GRID, generator_of("large"))
    assert (strategy.centres(GRID, (5, 5)), mask.keep.shape[1]) == (7, 128)
    assert mask.strays == pytest.approx(0.042, abs=0.01)


def test_inverse_blocks_on_a_small_grid() -> None:
    small = drawers.masks.create("inverse_block", size=2)
    assert small.centres((13, 5), (2, 2)) == 4
    mask = small.sample(8000, (13, 5), generator_of("small"))
    assert (mask.keep.shape[1], round(mask.strays, 2)) == (12, pytest.approx(0.045, abs=0.02))
    with pytest.raises(UsageError, match=r"Take a smaller masking\.size"):
        drawers.masks.create("inverse_block").sample(2, (13, 5), generator_of("none"))


@pytest.mark.parametrize(("grid", "size"), [((64, 8), 5), ((64, 8), 7), ((32, 8), 4), ((13, 5), 2)])
def test_automatic_adjustment_covers_the_target_on_average(grid: tuple[int, int], size: int) -> None:
    target = int(grid[0] * grid[1] * 0.2)
    count = centres_for(target, grid, (size, size))

    def mean(centres: int) -> float:
        marked = blocks(3000, grid, centres, (size, size), generator_of("auto", size))
        return marked.sum(1).double().mean().item()

    assert abs(mean(count) - target) <= min(abs(mean(count + d) - target) for d in (-1, 1)) + 0.5
    strategy = drawers.masks.create("inverse_block", size=size, adjust="auto")
    assert strategy.centres(grid, (size, size)) == count


def test_blocks_are_the_opposite_of_inverse_blocks() -> None:
    neighbours = [
        (cells[:, 1:] == cells[:, :-1]).double().mean().item()
        for cells in (sample("random", ratio=0.8), sample("block"), sample("inverse_block"))
    ]
    assert neighbours[0] < 0.72 < min(neighbours[1:])


def test_the_context_of_several_targets_holds_no_target() -> None:
    cells = sample("multi_block", batch=400, ratio=0.6)
    alike = (cells[:, 1:] == cells[:, :-1]).double().mean()
    assert alike > 0.7  # single patches: 0.52
    assert cells[:, 24:40].double().mean() > cells[:, :4].double().mean()  # targets lie within


def test_what_varies_is_hidden_more_often() -> None:
    patches = torch.randn(400, 512, 16, generator=generator_of("patches"))
    patches[:, :256] *= 4.0
    patches[:, 256:] += 3.0  # louder, but no more lively

    def share(name: str, **fields: object) -> float:
        """Of the hidden patches, those among the lively half."""
        strategy = drawers.masks.create(name, **fields)
        weights = strategy.weigh(patches)
        mask = strategy.sample(400, GRID, generator_of("w"), weights=weights)
        return (mask.hide < 256).double().mean().item()

    assert share("dispersion", ratio=0.5, hint=0.0) == pytest.approx(0.71, abs=0.02)
    assert share("dispersion", ratio=0.5, hint=1.0) == pytest.approx(0.5, abs=0.02)
    assert share("energy", ratio=0.5, hint=0.0) < 0.3
    assert share("energy", ratio=0.5, hint=0.0, inverse=True) > 0.7


def test_a_race_draws_in_proportion_to_the_weights() -> None:
    """One of three patches is hidden, with odds of 1 : 2 : 5."""
    strategy = drawers.masks.create("dispersion", ratio=0.3, hint=0.0)
    weights = torch.tensor([[1.0, 2.0, 5.0]]).repeat(20_000, 1)
    mask = strategy.sample(20_000, (3, 1), generator_of("race"), weights=weights)
    assert mask.hide.shape[1] == 1
    shares = torch.bincount(mask.hide[:, 0]) / 20_000
    assert torch.allclose(shares, torch.tensor([0.125, 0.25, 0.625]), atol=0.015)


def test_a_curriculum_moves_from_one_strategy_to_the_other() -> None:
    strategy = drawers.masks.create("curriculum", first="random", last="time", ratio_last=0.5)

    def whole_steps(progress: float) -> float:
        drawn = [
            hidden(strategy.sample(1, GRID, generator_of(number), progress=progress))
            for number in range(200)
        ]
        return (
            torch.cat([torch.eq(cells.any(2), cells.all(2)).all(1) for cells in drawn])
            .double()
            .mean()
            .item()
        )

    assert (whole_steps(0.0), whole_steps(1.0)) == (0.0, 1.0)
    assert whole_steps(0.3) == pytest.approx(0.3, abs=0.12)
    assert (strategy.visible(GRID, 0.0), strategy.visible(GRID, 1.0)) == (128, 256)


def test_the_past_is_seen_before_the_future() -> None:
    cells = sample("causal")
    assert not cells[:, :32].any()
    assert cells[:, 32:].all()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("grouped", {"group": 0}),
        ("time_spans", {"span": 0}),
        ("block", {"size": 0}),
        ("multi_block", {"targets": 0}),
        ("chunked", {"sizes": ()}),
        ("dispersion", {"hint": 1.5}),
    ],
)
def test_settings_without_a_meaning_are_refused(name: str, fields: dict[str, object]) -> None:
    (field,) = fields
    with pytest.raises(UsageError, match=f"masking.{field}"):
        drawers.masks.create(name, **fields)
