"""Laws of masks, over every entry of the drawer.

.venv/bin/python -m pytest tests/test_masking_laws.py
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.drawer import UsageError
from suite import drawers
from suite.masking.base import Mask, Masking, count_visible
from suite.stream import generator_of

EVERY = drawers.masks.names()
GRIDS = st.one_of(
    st.sampled_from([(8, 8), (13, 5), (64, 8), (50, 1), (1, 5), (1, 2)]),  # square, long, one row
    st.tuples(st.integers(1, 70), st.integers(1, 9)).filter(lambda grid: grid[0] * grid[1] > 1),
)
RATIOS = st.floats(0.02, 0.98)


def masking(name: str, ratio: float | None = None) -> Masking:
    """An entry, with blocks that fit the small grids."""
    known = {field.name for field in dataclasses.fields(drawers.masks.get(name))}
    fields: dict[str, Any] = {"ratio": ratio} if "ratio" in known and ratio is not None else {}
    fields |= {key: value for key, value in {"size": 2, "adjust": "auto"}.items() if key in known}
    strategy: Masking = drawers.masks.create(name, **fields)
    return strategy


def draw(
    name: str, ratio: float | None, grid: tuple[int, int], batch: int = 4, seed: int = 0
) -> Mask | None:
    """A mask, or None where the entry refuses what hides all or nothing, or fits no block."""
    strategy, generator = masking(name, ratio), generator_of("test", seed)
    weights = torch.rand(batch, grid[0] * grid[1], generator=generator) + 0.1
    given = {"weights": weights} if strategy.weighted else {}
    try:
        strategy.visible(grid)
    except UsageError:
        with pytest.raises(UsageError):
            strategy.sample(batch, grid, generator, **given)
        return None
    return strategy.sample(batch, grid, generator, **given)


@pytest.mark.parametrize("name", EVERY)
@given(ratio=RATIOS, grid=GRIDS)
@settings(max_examples=60, deadline=None)
def test_keep_and_hide_are_complementary(name: str, ratio: float, grid: tuple[int, int]) -> None:
    mask = draw(name, ratio, grid)
    if mask is None:
        return
    assert mask.grid == grid
    assert mask.keep.dtype == mask.hide.dtype == torch.int64
    both = torch.cat([mask.keep, mask.hide], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(grid[0] * grid[1]).expand(4, -1))
    assert mask.keep.shape[1] >= 1
    assert mask.hide.shape[1] >= 1


@pytest.mark.parametrize("name", EVERY)
@given(ratio=RATIOS, grid=GRIDS)
@settings(max_examples=60, deadline=None)
def test_the_count_is_known_before_a_mask_is_drawn(
    name: str, ratio: float, grid: tuple[int, int]
) -> None:
    mask = draw(name, ratio, grid)
    if mask is not None:
        assert mask.keep.shape == (4, masking(name, ratio).visible(grid))


PATCHWISE = [*("random", "grouped", "chunked", "block", "inverse_block", "inverse_block_flexible")]
PATCHWISE += ["multi_block", "dispersion", "energy"]


@pytest.mark.parametrize("name", PATCHWISE)
@given(ratio=RATIOS, grid=GRIDS)
@settings(max_examples=30, deadline=None)
def test_single_patches_meet_the_exact_count(name: str, ratio: float, grid: tuple[int, int]) -> None:
    """int(N (1 - ratio)) visible, the rule of all references (spec/bootstrap_and_masking.md 4.1)."""
    mask = draw(name, ratio, grid)
    if mask is not None:
        assert mask.keep.shape == (4, int(grid[0] * grid[1] * (1.0 - ratio)))


@pytest.mark.parametrize("name", EVERY)
@given(ratio=RATIOS, grid=GRIDS, seed=st.integers(0, 2**40))
@settings(max_examples=30, deadline=None)
def test_a_mask_is_a_function_of_its_generator(
    name: str, ratio: float, grid: tuple[int, int], seed: int
) -> None:
    first = draw(name, ratio, grid, seed=seed)
    torch.manual_seed(seed)  # the global generator must not matter
    second = draw(name, ratio, grid, seed=seed)
    if first is None or second is None:
        assert first is second
        return
    assert torch.equal(first.keep, second.keep)
    assert torch.equal(first.hide, second.hide)


CHANCE = [name for name in EVERY if not drawers.masks.get(name).fixed]


@pytest.mark.parametrize("name", CHANCE)
@pytest.mark.parametrize("grid", [(13, 5), (64, 8), (8, 8)])
def test_rows_and_seeds_have_different_masks(name: str, grid: tuple[int, int]) -> None:
    mask, other = draw(name, 0.6, grid, batch=8), draw(name, 0.6, grid, batch=8, seed=1)
    assert mask is not None
    assert other is not None
    assert len({tuple(sorted(row)) for row in mask.keep.tolist()}) > 1
    assert not torch.equal(mask.keep.sort(dim=1).values, other.keep.sort(dim=1).values)


@pytest.mark.parametrize("name", CHANCE)
def test_every_patch_is_seen_and_hidden_now_and_then(name: str) -> None:
    mask = draw(name, 0.6, (13, 5), batch=1000)
    assert mask is not None
    assert len(mask.keep.unique()) == len(mask.hide.unique()) == 65


@pytest.mark.parametrize("name", EVERY)
def test_a_rank_gets_its_rows(name: str) -> None:
    mask = draw(name, 0.6, (13, 5), batch=8)
    assert mask is not None
    halves = [mask.rows(0, 4, torch.device("cpu")), mask.rows(4, 8, torch.device("cpu"))]
    assert torch.equal(torch.cat([half.keep for half in halves]), mask.keep)
    assert torch.equal(torch.cat([half.hide for half in halves]), mask.hide)


@pytest.mark.parametrize(
    ("patches", "ratio", "visible"), [(512, 0.75, 128), (65, 0.75, 16), (512, 0.8, 102)]
)
def test_counts_are_the_published_ones(patches: int, ratio: float, visible: int) -> None:
    assert count_visible(patches, ratio) == visible


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.999, -0.5, 2.0])
def test_hiding_all_or_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match=r"masking\.ratio"):
        count_visible(65, ratio)
