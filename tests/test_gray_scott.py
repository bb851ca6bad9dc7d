"""Gray-Scott patterns obey the reaction's equations, and every regime shows its pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError
from generators.pictures.gray_scott import NAMES, REGIMES, react, seeds


def slow_react(
    start: np.ndarray, feed: float, kill: float, diffusion: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Explicit steps of Pearson's equations in double precision, on the helical torus."""
    shape = start.shape
    u, v = 1.0 - 0.5 * start.ravel(), 0.25 * start.ravel()

    def laplacian(x: np.ndarray) -> np.ndarray:
        return sum(np.roll(x, shift) for shift in (1, -1, shape[1], -shape[1])) - 4.0 * x

    for _ in range(steps):
        reaction = u * v * v
        u, v = (
            u + diffusion * laplacian(u) - reaction + feed * (1.0 - u),
            v + diffusion / 2.0 * laplacian(v) + reaction - (feed + kill) * v,
        )
    return u.reshape(shape), v.reshape(shape)


@pytest.mark.parametrize("steps", [1, 40, 300])
def test_concentrations_equal_plain_double_precision_steps(steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(2, 20, 33, generator=generator) < 0.1
    rates = torch.tensor([[0.029, 0.057, 0.1], [0.0545, 0.062, 0.2]], dtype=torch.float32)
    state = react(start, *rates.unbind(1), steps).double().numpy()
    for number in range(2):
        slow = slow_react(start[number].numpy(), *rates[number].double().tolist(), steps)
        np.testing.assert_allclose(state[:, number], slow, atol=2e-4)


def test_without_reaction_diffusion_keeps_the_amount() -> None:
    start = torch.zeros(1, 16, 24, dtype=torch.bool)
    start[0, 3:6, 4:9] = True
    none, diffusion = torch.zeros(1), torch.full((1,), 0.2)
    before, after = (react(start, none, none, diffusion, steps) for steps in (0, 1))
    lost = (before[0] - after[0]).sum()
    gained = (after[1] - before[1]).sum()
    reacted = (before[0] * before[1].square()).sum()
    assert lost.item() == pytest.approx(reacted.item(), rel=1e-4)
    assert gained.item() == pytest.approx(reacted.item(), rel=1e-4)


@pytest.mark.parametrize("regime", NAMES)
def test_every_regime_fills_the_plane_with_its_pattern(regime: Any) -> None:
    source = generators.create("gray_scott", regimes=[regime])
    drawn = source.parameters(torch.arange(4))
    feed, kill = drawn["feed"], drawn["kill"]
    assert (feed - REGIMES[regime][0]).abs().max() <= source.spread
    assert (kill - REGIMES[regime][1]).abs().max() <= source.spread
    start = seeds(drawn["seed_key"], *source.grid)
    v = react(start, feed.float(), kill.float(), drawn["diffusion"].float(), source.steps)[1]
    assert (v.flatten(1).std(dim=1) > 0.04).all()  # neither died out nor became uniform
    assert source.describe(1)["regime"] == regime


def test_a_share_of_the_cells_is_seeded() -> None:
    key = generators.create("gray_scott").parameters(torch.arange(60))["seed_key"]
    share = seeds(key, 40, 104).double().mean().item()
    assert share == pytest.approx(1 - 0.98**9, rel=0.05)


def test_the_scale_goes_with_the_root_of_the_diffusion() -> None:
    def cycles(diffusion: float) -> float:
        source = generators.create(
            "gray_scott", regimes=["fingerprint"], diffusion=[diffusion, diffusion], spread=0.0
        )
        pictures = source.batch(range(8)).double().numpy()
        spectrum = np.abs(np.fft.fft2(pictures - pictures.mean(axis=(1, 2), keepdims=True))) ** 2
        radius = np.hypot(np.fft.fftfreq(80)[:, None], np.fft.fftfreq(208))
        return float((spectrum * radius).sum() / spectrum.sum())

    assert cycles(0.06) / cycles(0.14) == pytest.approx((0.14 / 0.06) ** 0.5, rel=0.08)


def test_a_small_canvas_shows_a_part_of_a_living_pattern() -> None:
    small = generators.create("gray_scott", height=24, width=40)
    assert small.grid == (40, 40)
    assert small.batch(range(40)).flatten(1).std(dim=1).min() > 0.05


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"regimes": []}, "source.regimes is empty"),
        ({"diffusion": [0.1, 0.3]}, "source.diffusion"),
        ({"steps": 0}, "source.steps=0"),
        ({"cell_px": 0}, "source.cell_px=0"),
        ({"cell_px": 30}, "quarter"),
        ({"spread": 0.5}, "source.spread"),
    ],
)
def test_impossible_fields_are_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        generators.create("gray_scott", **fields)
