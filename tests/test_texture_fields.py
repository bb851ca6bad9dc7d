"""Texture fields have the spectra, zeros, distances and growth their definitions promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

import generators
from generators.drawer import UsageError
from generators.pictures.diamond_square import displace
from generators.pictures.fields import normal_noise
from generators.pictures.perlin import gradient_noise
from generators.pictures.worley import FEATURES, METRICS

CPU = torch.device("cpu")


def with_factors(source: Any, count: int, **factors: Any) -> np.ndarray:
    """Pictures of ``count`` samples with some drawn factors replaced."""
    drawn = source.parameters(torch.arange(count))
    for key, value in factors.items():
        drawn[key] = torch.full_like(drawn[key], value)
    return source.render(drawn, CPU).double().numpy()


# ---------------------------------------------------------------------------------------------------
# Coloured noise


def power(pictures: np.ndarray) -> np.ndarray:
    """Mean periodogram ``(F, T)`` of pictures ``(n, F, T)``."""
    return (np.abs(np.fft.fft2(pictures)) ** 2).mean(axis=0)


def geometric_power(pictures: np.ndarray) -> np.ndarray:
    """Geometric mean periodogram ``(F, T)``: each picture's scale is a factor and bends no slope."""
    return np.exp(2 * np.log(np.abs(np.fft.fft2(pictures))).mean(axis=0))


def fitted_slope(frequency: np.ndarray, measured: np.ndarray, kept: np.ndarray) -> float:
    return float(np.polyfit(np.log(frequency[kept]), np.log(measured[kept]), 1)[0])


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize(("height", "width"), [(80, 208), (61, 45)])
def test_isotropic_power_falls_with_the_drawn_slope(alpha: float, height: int, width: int) -> None:
    source = generators.create(
        "coloured_noise", p_separable=0.0, p_anisotropic=0.0, contrast=0.08, height=height, width=width
    )
    measured = geometric_power(with_factors(source, 200_000 // (height * width), alpha=alpha))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    radius = np.hypot(rows, columns)
    assert fitted_slope(radius, measured, radius > 0) == pytest.approx(-alpha, abs=0.05)


def test_a_drawn_slope_is_the_slope_of_its_own_picture() -> None:
    source = generators.create("coloured_noise", p_separable=0.0, p_anisotropic=0.0, contrast=0.08)
    radius = np.hypot(np.fft.fftfreq(80)[:, None], np.fft.fftfreq(208)[None])
    told = [source.describe(index)["power_slope"] for index in range(8)]
    fits = [fitted_slope(radius, power(p[None]), radius > 0) for p in source.batch(range(8)).numpy()]
    np.testing.assert_allclose(fits, -np.array(told), atol=0.12)
    assert max(told) - min(told) > 1.5


def test_a_separable_field_has_one_slope_in_time_and_one_in_frequency() -> None:
    source = generators.create("coloured_noise", p_separable=1.0, contrast=0.08)
    measured = geometric_power(with_factors(source, 16, alpha_frequency=3.0, alpha_time=1.0))
    rows, columns = np.abs(np.fft.fftfreq(80)), np.abs(np.fft.fftfreq(208))
    by_row = np.exp(np.log(measured[:, 1:]).mean(axis=1))
    by_column = np.exp(np.log(measured[1:]).mean(axis=0))
    assert fitted_slope(rows, by_row, rows > 0) == pytest.approx(-3.0, abs=0.06)
    assert fitted_slope(columns, by_column, columns > 0) == pytest.approx(-1.0, abs=0.06)


def test_structures_are_long_in_the_told_direction_by_the_told_ratio() -> None:
    source = generators.create("coloured_noise", p_separable=0.0, contrast=0.08, height=96, width=96)
    angle, ratio = 0.5, 4.0
    measured = power(with_factors(source, 24, alpha=2.0, elongation=ratio, direction=angle))
    # for S = k^-2 on stretched frequencies, 1/S is the quadratic form whose eigenvalues have the
    # square of the ratio; the short axis of its level ellipses is the direction of long structures
    rows, columns = np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(96), indexing="ij")
    kept = (np.hypot(rows, columns) > 0.02) & (np.hypot(rows, columns) < 0.5)
    y, x, weight = rows[kept], columns[kept], measured[kept]
    design = np.stack([x * x, 2 * x * y, y * y], axis=1) * weight[:, None]
    form, *_ = np.linalg.lstsq(design, np.ones(len(x)), rcond=None)
    values, vectors = np.linalg.eigh([[form[0], form[1]], [form[1], form[2]]])
    assert math.sqrt(values[1] / values[0]) == pytest.approx(ratio, rel=0.06)
    long = vectors[:, 1]  # highest frequency cost: power falls fastest along the long structures
    assert abs(long @ [math.cos(angle), math.sin(angle)]) > 0.995


def test_the_laws_occur_as_often_as_their_probabilities_say() -> None:
    source = generators.create("coloured_noise", p_separable=0.25, p_anisotropic=0.5)
    drawn = source.parameters(torch.arange(4000))
    separable = drawn["separable"].double().mean().item()
    anisotropic = (drawn["elongation"] > 1.0).double().mean().item()
    assert separable == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 4000))
    assert anisotropic == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 4000))
    assert 0.0 <= drawn["alpha"].min() < 0.02
    assert 3.98 < drawn["alpha"].max() < 4.0


def test_gaussian_noise_is_gaussian() -> None:
    keys = generators.create("coloured_noise").parameters(torch.arange(20))["noise_key"]
    noise = np.sort(normal_noise(keys, 10_000, CPU).double().numpy().ravel())
    expected = scipy.special.ndtr(noise)
    observed = (np.arange(len(noise)) + 0.5) / len(noise)
    assert np.abs(expected - observed).max() < 1.9 / len(noise) ** 0.5  # Kolmogorov, p about 0.001
    assert np.isfinite(noise).all()


# ---------------------------------------------------------------------------------------------------
# Perlin noise


def slow_perlin(y: float, x: float, angle: np.ndarray) -> float:
    """One value of gradient noise in double precision, as Perlin (2002) defines it."""
    j, i = math.floor(y), math.floor(x)
    total = 0.0
    for b in (0, 1):
        for a in (0, 1):
            dy, dx = y - (j + b), x - (i + a)
            fades = [1 - abs(d) ** 3 * (abs(d) * (abs(d) * 6 - 15) + 10) for d in (dy, dx)]
            gradient = angle[j + b, i + a]
            total += fades[0] * fades[1] * (math.cos(gradient) * dx + math.sin(gradient) * dy)
    return total


def lattice_angles(keys: torch.Tensor, lattice: list[int]) -> np.ndarray:
    turns = generators.base.white_noise(keys, lattice[0] * lattice[1], CPU)
    return turns.double().numpy().reshape(lattice) * math.pi


def test_perlin_noise_equals_the_sum_over_corners() -> None:
    rng, keys, lattice = np.random.default_rng(0), torch.tensor([12345]), [7, 9]
    y, x = rng.uniform(0, 6, 20), rng.uniform(0, 8, 30)
    fast = gradient_noise(torch.tensor(y)[None], torch.tensor(x)[None], keys, lattice)[0]
    angle = lattice_angles(keys, lattice)
    slow = [[slow_perlin(row, column, angle) for column in x] for row in y]
    np.testing.assert_allclose(fast.numpy(), slow, atol=3e-6)


def test_perlin_noise_is_zero_on_the_lattice_and_has_its_gradients_there() -> None:
    keys, lattice, step = torch.tensor([7]), [6, 8], 1e-3
    whole = [torch.arange(1, n - 1, dtype=torch.float64) for n in lattice]
    here = gradient_noise(whole[0][None], whole[1][None], keys, lattice)
    assert (here.abs() < 1e-7).all()
    right = gradient_noise(whole[0][None], whole[1][None] + step, keys, lattice)[0] / step
    angle = lattice_angles(keys, lattice)[1:-1, 1:-1]
    np.testing.assert_allclose(right.numpy(), np.cos(angle), atol=3e-3)


def test_perlin_noise_is_smooth_across_the_lattice() -> None:
    keys, lattice, step = torch.tensor([3]), [5, 9], 1e-2
    x = torch.arange(0.0, 7.9, step, dtype=torch.float64)
    line = gradient_noise(torch.tensor([[1.37]], dtype=torch.float64), x[None], keys, lattice)[0, 0]
    slope = line.double().diff() / step
    assert slope.abs().max() < 4.0
    assert (
        slope.diff().abs().max() < 12.0 * step + 1e-3
    )  # a jump of slope would not shrink with the step


def test_halving_the_cell_doubles_perlins_frequencies() -> None:
    def centroid(cell: float) -> float:
        source = generators.create(
            "perlin", cell_px=[cell, cell], octaves=[1, 1], p_turbulence=0.0, height=128, width=128
        )
        pictures = source.batch(range(12)).double().numpy()
        measured = power(pictures - pictures.mean(axis=(1, 2), keepdims=True))
        radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
        return float((measured * radius).sum() / measured.sum())

    assert centroid(8.0) / centroid(16.0) == pytest.approx(2.0, rel=0.08)


def test_octaves_add_fine_detail_and_none_is_finer_than_two_pixels() -> None:
    few = generators.create("perlin", cell_px=[32, 32], octaves=[1, 1], p_turbulence=0.0)
    many = generators.create("perlin", cell_px=[32, 32], octaves=[5, 5], p_turbulence=0.0)
    capped = generators.create("perlin", cell_px=[32, 32], octaves=[9, 9], p_turbulence=0.0)

    def variation(source: Any) -> float:
        return float(source.batch(range(6)).diff(dim=2).abs().mean())

    assert variation(many) > 1.5 * variation(few)
    assert capped.describe(0)["octaves"] == many.describe(0)["octaves"] == 5


def test_turbulence_has_creases_where_the_noise_changes_sign() -> None:
    source = generators.create("perlin", octaves=[1, 1], p_turbulence=1.0, cell_px=[16, 16])
    plain = generators.create("perlin", octaves=[1, 1], p_turbulence=0.0, cell_px=[16, 16])

    def skewness(pictures: torch.Tensor) -> float:
        centred = pictures - pictures.mean()
        return float(centred.pow(3).mean() / centred.square().mean() ** 1.5)

    assert skewness(source.batch(range(12))) > 0.3  # magnitudes of a symmetric field
    assert abs(skewness(plain.batch(range(12)))) < 0.2


# ---------------------------------------------------------------------------------------------------
# Worley noise


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("feature", FEATURES)
def test_worley_distances_equal_brute_force(metric: Any, feature: Any) -> None:
    source = generators.create(
        "worley", metrics=[metric], features=[feature], p_invert=0.0, height=20, width=30
    )
    drawn = source.parameters(torch.arange(3))
    places, pictures = source.points(drawn).numpy(), source.render(drawn, CPU).numpy()
    for number in range(3):
        points = places[number][: int(drawn["points"][number])]
        y, x = np.meshgrid(np.arange(20) + 0.5, np.arange(30) + 0.5, indexing="ij")
        dy = np.abs(y.reshape(-1, 1) - points[:, 0])
        dx = np.abs(x.reshape(-1, 1) - points[:, 1]) / float(drawn["aspect"][number])
        distance = {
            "euclidean": np.hypot(dy, dx),
            "manhattan": dy + dx,
            "chebyshev": np.maximum(dy, dx),
        }
        near = np.sort(distance[metric], axis=1)[:, :2]
        field = {"f1": near[:, 0], "f2": near[:, 1], "f2_minus_f1": near[:, 1] - near[:, 0]}[feature]
        field = (field - field.min()) / (field.max() - field.min())
        np.testing.assert_allclose(pictures[number].ravel(), field, atol=2e-5)


def test_worley_points_are_as_dense_beside_the_border_as_inside() -> None:
    source = generators.create("worley", spacing_px=[8, 8], aspect=[1, 1], height=40, width=60)
    points = source.points(source.parameters(torch.arange(400))).reshape(-1, 2)
    inside = ((points >= 0) & (points < torch.tensor([40, 60]))).all(dim=1).sum().item() / 400
    assert inside == pytest.approx(40 * 60 / 64, rel=0.03)
    edge = ((points[:, 0] >= -8) & (points[:, 0] < 0) & (points[:, 1] >= 0) & (points[:, 1] < 60)).sum()
    assert edge.item() / 400 == pytest.approx(8 * 60 / 64, rel=0.08)


def test_an_inverted_worley_picture_is_one_minus_the_picture() -> None:
    plain, inverted = (generators.create("worley", p_invert=p).batch(range(4)) for p in (0.0, 1.0))
    assert torch.allclose(plain, 1.0 - inverted, atol=1e-6)


# ---------------------------------------------------------------------------------------------------
# Diamond-square


def grids(decay: float, count: int, side: int = 128) -> np.ndarray:
    noise = 2.0 * torch.rand(count, (side + 1) ** 2, generator=torch.Generator().manual_seed(5)) - 1.0
    decays = torch.full((count,), decay, dtype=torch.float64)
    return displace(noise, decays, (1, 1), side).double().numpy()


def test_each_level_is_displaced_from_its_neighbours_mean_by_its_own_amplitude() -> None:
    decay, side = 0.55, 64
    grid = grids(decay, 24, side)
    step, level = side, 1
    while step > 1:
        half, amplitude = step // 2, 0.5 * math.exp(decay * (1 - level))
        moved = []
        for row in range(0, side + 1, half):
            for column in range(0, side + 1, half):
                odd = (row // half % 2, column // half % 2)
                if odd == (0, 0):
                    continue
                if odd == (1, 1):
                    around = [(row + i, column + j) for i in (-half, half) for j in (-half, half)]
                else:
                    around = [(row + half, column), (row - half, column)]
                    around += [(row, column + half), (row, column - half)]
                inside = [grid[:, r, c] for r, c in around if 0 <= r <= side and 0 <= c <= side]
                moved.append(grid[:, row, column] - np.mean(inside, axis=0))
        displacement = np.array(moved) / amplitude
        assert np.abs(displacement).max() < 1.001
        assert displacement.var() == pytest.approx(1 / 3, abs=5 * 0.3 / displacement.size**0.5)
        step, level = half, level + 1


@pytest.mark.parametrize("decay", [0.2, 0.35, 0.5])
def test_squared_differences_grow_as_the_hurst_exponent_says(decay: float) -> None:
    grid = grids(decay, 40)
    # distances of one level's step, from that level's points: differences of the same standing
    steps = 2 ** np.arange(1, 6)
    growth = [np.mean((grid[:, ::s, s::s] - grid[:, ::s, :-s:s]) ** 2) for s in steps]
    fit = np.polyfit(np.log(steps), np.log(growth), 1)[0]
    assert fit == pytest.approx(2 * decay / math.log(2), abs=0.13)


@pytest.mark.parametrize("decay", [0.2, 0.4, 0.6])
def test_diamond_square_power_follows_its_law(decay: float) -> None:
    # S(f) = f^-(2 H + 2); away from the coarsest squares and from the aliased half of the band
    grid = grids(decay, 60)[:, :128, :128]
    window = np.hanning(128)[:, None] * np.hanning(128)
    measured = power((grid - grid.mean(axis=(1, 2), keepdims=True)) * window)
    k = np.fft.fftfreq(128) * 128
    ring = np.rint(np.hypot(k[:, None], k)).astype(int).ravel()
    radial = np.bincount(ring, measured.ravel()) / np.bincount(ring)
    cycles = np.arange(len(radial), dtype=float)
    slope = fitted_slope(cycles, radial, (cycles >= 3) & (cycles < 16))
    assert slope == pytest.approx(-(2 * decay / math.log(2) + 2), abs=0.15)


@pytest.mark.parametrize(("height", "width"), [(8, 300), (128, 128), (130, 40)])
def test_the_window_lies_inside_the_grid(height: int, width: int) -> None:
    source = generators.create("diamond_square", height=height, width=width)
    drawn = source.parameters(torch.arange(300))
    rows, columns = (count * source.square + 1 for count in source.squares)
    assert int(drawn["row"].min()) == 0
    assert int(drawn["row"].max()) == rows - height or rows - height > 60
    assert int(drawn["column"].max()) <= columns - width
    assert source.sample(0).shape == (height, width)


# ---------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("coloured_noise", {"height": 4}, "source.height=4"),
        ("coloured_noise", {"alpha": [3.0, 1.0]}, "source.alpha"),
        ("coloured_noise", {"p_separable": 1.5}, "source.p_separable"),
        ("coloured_noise", {"contrast": 0.0}, "source.contrast"),
        ("coloured_noise", {"grey": "one_channel"}, "Leave source.grey out"),
        ("perlin", {"cell_px": [1.0, 8.0]}, "at least 2"),
        ("perlin", {"octaves": [0, 3]}, "source.octaves"),
        ("worley", {"features": []}, "source.features is empty"),
        ("worley", {"spacing_px": [0.0, 8.0]}, "source.spacing_px"),
        ("diamond_square", {"decay": [-1.0, 0.5]}, "source.decay"),
    ],
)
def test_impossible_fields_are_refused_by_name(name: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        generators.create(name, **fields)
