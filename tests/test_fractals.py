"""FractalDB and the chaos game against sequential float64 games, exact moments, and fingerprints."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from fingerprints import Fingerprints

import generators
from generators.base import Draws
from generators.drawer import UsageError
from generators.pictures.contractive_fractals import contractive_systems
from generators.pictures.fractals import WEIGHTS, mirror_signs, paste_patches
from generators.pictures.ifs import (
    CANDIDATES,
    candidate_systems,
    chaos_game,
    cumulative_probabilities,
    fill_frame,
    find_category,
    fixed_point,
    histogram,
)


def slow_probabilities(maps: np.ndarray) -> np.ndarray:
    """|ad - bc| of maps ``(N, 6)``, normalised."""
    weight = np.abs(maps[:, 0] * maps[:, 3] - maps[:, 1] * maps[:, 2])
    return weight / weight.sum()


def slow_game(maps: np.ndarray, points: int, seed: int) -> np.ndarray:
    """One walker, float64, from (0, 0), 100 steps unseen: ``(points, 2)``."""
    rng = np.random.default_rng(seed)
    choices = rng.choice(len(maps), points + 100, p=slow_probabilities(maps)).tolist()
    rows, x, y, walk = maps.tolist(), 0.0, 0.0, []
    for choice in choices:
        a, b, c, d, e, f = rows[choice]
        x, y = a * x + b * y + e, c * x + d * y + f
        walk.append((x, y))
    return np.array(walk[100:])


def system(number: int) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """A contractive system: its maps in use, all maps ``(1, 7, 6)``, cumulatives ``(1, 7)``."""
    maps, count = contractive_systems(Draws(3, torch.tensor([number])))
    cumulative = cumulative_probabilities(maps, count)
    return maps[0, : count[0]].numpy(), maps.float(), cumulative.float()


def game(number: int, points: int = 200_000) -> tuple[np.ndarray, torch.Tensor]:
    used, maps, cumulative = system(number)
    walk = chaos_game(
        maps,
        cumulative,
        torch.tensor([5]),
        fixed_point(maps[:, 0]),
        points=points,
        walkers=2048,
        burn_in=24,
    )
    return used, walk


def flat(walk: torch.Tensor) -> np.ndarray:
    """Points ``(n, 2)`` of one system's walk ``(1, steps, 2, W)``."""
    return walk[0].transpose(1, 2).reshape(-1, 2).double().numpy()


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_parallel_walkers_sample_what_one_walker_samples(number: int) -> None:
    used, walk = game(number)
    points = flat(walk)
    slow = slow_game(used, 100_000, seed=number)
    edges = [np.linspace(slow[:, axis].min() - 0.01, slow[:, axis].max() + 0.01, 17) for axis in (0, 1)]
    ours, theirs = (np.histogram2d(*side.T, bins=edges)[0] for side in (points, slow))
    assert ours.sum() > 0.999 * len(points)
    total = ours + theirs
    expected = total * (len(points) / (len(points) + len(slow)))
    variance = expected * (len(slow) / (len(points) + len(slow)))
    busy = total > 40
    # one walker's successive points are correlated, so its histogram is a little noisier than Poisson
    chi_square = ((ours - expected)[busy] ** 2 / variance[busy]).sum() / busy.sum()
    assert 0.4 < chi_square < 3.0


@pytest.mark.parametrize("number", range(6))
def test_moments_solve_the_systems_own_equations(number: int) -> None:
    used, walk = game(number, 400_000)
    points, chance = flat(walk), slow_probabilities(used)
    linear, moved = used[:, [[0, 1], [2, 3]]], used[:, 4:]
    # the measure is a mixture of its images: mu = sum p (A mu + t), S = sum p E (A x + t)(A x + t)'
    mean = np.linalg.solve(
        np.eye(2) - np.einsum("n,nij->ij", chance, linear), np.einsum("n,ni->i", chance, moved)
    )
    kron = np.einsum("n,nij,nkl->ikjl", chance, linear, linear).reshape(4, 4)
    cross = np.einsum("n,nij,j,nk->ik", chance, linear, mean, moved)
    rest = cross + cross.T + np.einsum("n,ni,nk->ik", chance, moved, moved)
    second = np.linalg.solve(np.eye(4) - kron, rest.ravel()).reshape(2, 2)
    spread = np.sqrt(np.diag(second) - mean**2)
    assert np.abs((points.mean(axis=0) - mean) / spread).max() < 0.012
    assert np.abs((points.T @ points / len(points) - second) / np.outer(spread, spread)).max() < 0.03


def test_two_walks_of_a_system_differ_and_one_repeats() -> None:
    _, maps, cumulative = system(1)
    start = torch.zeros(1, 2)
    walks = [
        chaos_game(maps, cumulative, torch.tensor([key]), start, points=64, walkers=8, burn_in=4)
        for key in (1, 1, 2)
    ]
    assert walks[0].shape == (1, 8, 2, 8)
    assert torch.equal(walks[0], walks[1])
    assert not torch.equal(walks[0], walks[2])


def test_a_maps_fixed_point_stays() -> None:
    maps = contractive_systems(Draws(0, torch.arange(50)))[0][:, 0]
    point = fixed_point(maps)
    linear, moved = maps[:, :4].view(-1, 2, 2), maps[:, 4:]
    torch.testing.assert_close((linear @ point[..., None])[..., 0] + moved, point)


def test_probabilities_are_the_determinants_shares() -> None:
    maps, count = candidate_systems(Draws(0, torch.arange(30)))
    assert sorted(set(count.tolist())) == [2, 3, 4, 5, 6, 7]
    for one, used, cumulative in zip(
        maps, count.tolist(), cumulative_probabilities(maps, count), strict=True
    ):
        wanted = np.cumsum(slow_probabilities(one[:used].double().numpy()))
        np.testing.assert_allclose(cumulative[:used], wanted, atol=1e-5)
        assert (cumulative[used - 1 :] == 1.0).all()


def test_the_histogram_floors_and_leaves_out_what_is_outside() -> None:
    generator = torch.Generator().manual_seed(0)
    walk = torch.rand(3, 50, 2, 20, generator=generator) * 4 - 2
    scale, offset = torch.tensor([[3.0, 5.0]] * 3), torch.tensor([[4.0, 6.0]] * 3)
    counts = histogram(walk, scale, offset, 9, 7)
    for number in range(3):
        column, row = np.floor(walk[number].transpose(1, 2).reshape(-1, 2).numpy() * [3, 5] + [4, 6]).T
        inside = (column >= 0) & (column < 7) & (row >= 0) & (row < 9)
        wanted = np.zeros((9, 7), dtype=int)
        np.add.at(wanted, (row[inside].astype(int), column[inside].astype(int)), 1)
        np.testing.assert_array_equal(counts[number], wanted)
    assert 0 < int(counts.sum()) < 3000


# ---------------------------------------------------------------------------------------------------
# Categories.


def slow_filling(maps: np.ndarray) -> float:
    """Share of 512 x 512 pixels that one walker's 100 000 points hit, within a border of 6."""
    walk = slow_game(maps, 100_000, seed=0)
    low, high = walk.min(axis=0), walk.max(axis=0)
    column, row = ((walk - low) * (500 / (high - low)) + 6).astype(int).T
    return len(np.unique(row * 512 + column)) / 512**2


@pytest.mark.parametrize("number", [0, 5])
def test_an_accepted_category_fills_a_fifth_of_the_frame(number: int) -> None:
    maps, count = find_category(0, number, 0.2)
    assert slow_filling(maps[:count].double().numpy()) > 0.195


def test_a_category_is_the_first_candidate_that_passes() -> None:
    number = 2
    maps, _ = find_category(0, number, 0.2)
    first = torch.arange(number << 20, (number << 20) + 8 * CANDIDATES)
    candidates, counts = candidate_systems(Draws(0, first))
    place = next(i for i, one in enumerate(candidates) if torch.equal(one, maps))
    assert place > 3
    for one, used in zip(candidates[:place][:8], counts[:place][:8].tolist(), strict=True):
        with np.errstate(all="ignore"):
            walk = slow_game(one[:used].double().numpy(), 20_000, seed=1)
        if np.abs(walk).max() < 1e3:  # else it diverges
            assert slow_filling(one[:used].double().numpy()) < 0.205


def test_a_category_depends_on_seed_and_number_alone() -> None:
    first = find_category(0, 3, 0.2)
    find_category.cache_clear()
    find_category(0, 4, 0.2)
    again = find_category(0, 3, 0.2)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], find_category(1, 3, 0.2)[0])


def test_samples_are_25_weightings_under_four_flips() -> None:
    source = generators.create("fractal_db", categories=2, points=100)
    drawn = {key: value[:, 0] for key, value in source.parameters(torch.arange(2000)).items()}
    assert len(WEIGHTS) == 25
    weighting = np.bincount(drawn["weighting"], minlength=25)
    assert ((weighting - 80) ** 2 / 80).sum() < 60  # chi-square with 24 degrees of freedom
    flips = Counter(map(tuple, drawn["flip"].tolist()))
    assert len(flips) == 4
    assert min(flips.values()) > 430
    for index in range(40):
        column, factor = WEIGHTS[drawn["weighting"][index]]
        weights = torch.ones(6)
        weights[column] = factor
        base = find_category(0, int(drawn["category"][index]), 0.2)[0]
        signs = mirror_signs(drawn["flip"][index : index + 1])
        torch.testing.assert_close(drawn["maps"][index], base * weights * signs)


def test_mirrored_maps_mirror_the_picture() -> None:
    _, maps, cumulative = system(2)
    flip = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    mirrored = maps * mirror_signs(flip)[:, None]
    key, start = torch.zeros(4, dtype=torch.int64), torch.zeros(4, 2)
    walk = chaos_game(
        mirrored, cumulative.expand(4, -1), key, start, points=20_000, walkers=500, burn_in=20
    )
    counts = histogram(walk, *fill_frame(walk, 40, 0), 40, 40).float()
    counts = counts.view(4, 10, 4, 10, 4).sum(dim=(2, 4))
    for number, axes in ((1, (1,)), (2, (0,)), (3, (0, 1))):
        assert float((counts[number].flip(axes) - counts[0]).abs().sum()) < 0.02 * 20_000
        assert float((counts[number] - counts[0]).abs().sum()) > 0.1 * 20_000


# ---------------------------------------------------------------------------------------------------
# Drawing.


def slow_paste(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points in random order, each pasting a random mask of 3 x 3 opaquely at (x + 1, y + 1)."""
    picture = np.zeros((counts.shape[0] + 3, counts.shape[1] + 3), dtype=bool)
    rows, columns = np.nonzero(counts)
    points = np.repeat(np.stack([rows, columns], axis=1), counts[rows, columns], axis=0)
    for row, column in rng.permutation(points):
        mask = (int(rng.integers(1, 512)) >> np.arange(9)) & 1
        picture[row + 1 : row + 4, column + 1 : column + 4] = mask.reshape(3, 3)
    return picture[: counts.shape[0], : counts.shape[1]]


def test_patches_are_as_if_pasted_one_after_the_other() -> None:
    counts = np.zeros((9, 9), dtype=int)
    counts[2, 2], counts[2, 3], counts[3, 2], counts[4, 4], counts[1, 4] = 6, 1, 2, 1, 3
    rng, trials = np.random.default_rng(0), 3000
    slow = np.stack([slow_paste(counts, rng) for _ in range(trials)]).reshape(trials, -1).astype(float)
    many = torch.from_numpy(counts).expand(trials, -1, -1)
    fast = paste_patches(many, Draws(0, torch.arange(trials)).keys("x")).flatten(1).double().numpy()
    assert ((slow.mean(axis=0) > 0) == (fast.mean(axis=0) > 0)).all()
    # joint moments tell whether one mask covers another as a whole
    both = [pictures.T @ pictures / trials for pictures in (slow, fast)]
    error = np.sqrt(2 * np.maximum(both[0] * (1 - both[0]), 1e-9) / trials)
    assert np.abs((both[0] - both[1]) / error).max() < 4.8


@pytest.mark.parametrize(
    ("drawing", "lit", "reference", "variation_sd", "slope_sd"),
    [
        ("patch_gray", 0.144, (0.072, 0.155, 0.1498, -0.93), 0.0982, 0.18),
        ("point_gray", 0.197, (0.098, 0.166, 0.0654, -1.31), 0.0467, 0.37),
    ],
)
def test_fingerprints_agree_with_the_reference(
    drawing: str,
    lit: float,
    reference: tuple[float, float, float, float],
    variation_sd: float,
    slope_sd: float,
) -> None:
    source = generators.create("fractal_db", drawing=drawing, height=362, width=362, categories=30)
    pictures = source.batch(range(45)).numpy()
    measured = Fingerprints.of(pictures)
    assert np.abs(measured.errors(reference, 13, variation_sd, slope_sd)).max() < 3.0
    shares = (pictures > 0).mean(axis=(1, 2))
    assert abs(shares.mean() - lit) < 3.0 * shares.std() * np.sqrt(1 / 13 + 1 / 45)
    if drawing == "patch_gray":  # variation per lit pixel: hardly depends on the category
        variation = measured.rows[:, 2].sum() / shares.sum()
        assert variation == pytest.approx(reference[2] / lit, rel=0.1)
    assert set(np.unique(pictures)) <= {np.float32(0.0), np.float32(127 / 255)}


def test_an_unstable_system_still_makes_a_picture() -> None:
    source = generators.create("fractal_db", categories=1, points=4000, side=64, height=64, width=64)
    drawn = {key: value[:, 0] for key, value in source.parameters(torch.arange(2)).items()}
    drawn["maps"] = drawn["maps"] * 20.0
    picture = source.paint(drawn, torch.device("cpu"))
    assert torch.isfinite(picture).all()
    assert ((picture > 0).sum(dim=(1, 2)) > 0).all()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"side": 14}, r"source\.side=14 .*source\.pad=6.*Type source\.side=362"),
        ({"pad": -1}, r"source\.pad=-1.*Type source\.side=362 source\.pad=6"),
        ({"categories": 0}, r"source\.categories=0.*Type for example source\.categories=1000"),
        ({"points": 0}, r"source\.points=0.*Type for example"),
        ({"filling": 0.9}, r"source\.filling=0\.9.*from 0 to 0\.25.*Type source\.filling=0\.2"),
        ({"drawing": "lines"}, r"source\.drawing='lines'.*patch_gray"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        generators.create("fractal_db", **fields)


def test_a_description_names_category_weights_and_flips() -> None:
    told = generators.create("fractal_db", categories=3).describe(8)
    (pattern,) = told["patterns"]
    assert told["drawing"] == "patch_gray"
    assert 0 <= pattern["category"] < 3
    assert pattern["weighted_parameter"] in "abcdef"
    assert pattern["maps"] == len(pattern["map_parameters_abcdef"])
    assert {len(row) for row in pattern["map_parameters_abcdef"]} == {6}
