"""VisualAtom and RCDB against a slow painter, the specification's laws and the references' figures."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from fingerprints import Fingerprints

import generators
from generators.base import Draws, white_noise
from generators.drawer import UsageError
from generators.pictures.radial_contours import gradient_noise, grow, trace
from generators.pictures.visual_atoms import wave_numbers

CPU = torch.device("cpu")


def slow_trace(contours: np.ndarray, greys: list[int], shade: int, side: int) -> np.ndarray:
    """Line after line, segment after segment, pixel after pixel; ``contours`` is ``(2, L, V)``."""
    picture = np.full((side, side), shade)
    _, lines, vertices = contours.shape
    for line in range(lines):
        for vertex in range(vertices):
            x0, y0 = (int(value) for value in contours[:, line, vertex])
            x1, y1 = (int(value) for value in contours[:, line, (vertex + 1) % vertices])
            steps = max(abs(x1 - x0), abs(y1 - y0), 1)
            for step in range(steps):
                # nearest pixel; halves upwards
                x = x0 + math.floor(step * (x1 - x0) / steps + 0.5)
                y = y0 + math.floor(step * (y1 - y0) / steps + 0.5)
                if 0 <= x < side and 0 <= y < side:
                    picture[y, x] = greys[line]
    return picture


@pytest.mark.parametrize("vertices", [3, 7, 40])
@pytest.mark.parametrize("shade", [0, 255])
def test_every_pixel_equals_the_slow_painter(vertices: int, shade: int) -> None:
    rng = np.random.default_rng(vertices)
    for reach in (15, 60):  # mostly inside, mostly outside
        contours = rng.integers(16 - reach, 16 + reach, (2, 12, vertices)).astype(np.int32)
        greys = rng.integers(0, 256, 12)
        line = trace(torch.from_numpy(contours), 32).numpy()
        ours = np.array([shade, *greys])[line]
        slow = slow_trace(contours, greys.tolist(), shade, 32)
        # a tie between two pixels may fall either way, as slopes are fixed-point numbers
        assert (ours != slow).mean() < 0.03
        assert (slow != shade).mean() > 0.1


def test_lines_without_ties_are_exact() -> None:
    # 2^k steps at most: slopes have no rounding
    contours = torch.tensor([[[2, 18, 18, 2]], [[3, 7, 23, 11]]], dtype=torch.int32)
    ours = trace(contours, 32)
    assert np.array_equal(ours, slow_trace(contours.numpy(), [1], 0, 32))


def test_the_last_line_covers_the_others() -> None:
    square = torch.tensor([[4, 20, 20, 4], [4, 4, 20, 20]], dtype=torch.int32)
    contours = square[:, None].expand(2, 5, 4).contiguous()
    assert set(trace(contours, 32).unique().tolist()) == {0, 5}


def test_what_lies_outside_leaves_the_canvas_blank() -> None:
    contours = torch.full((2, 3, 10), 900, dtype=torch.int32)
    assert (trace(contours, 64) == 0).all()


@pytest.mark.parametrize(("name", "scale"), [("visual_atom", 1.0), ("rcdb", 1.0), ("rcdb", 0.25)])
def test_contours_grow_as_specified(name: str, scale: float) -> None:
    source = generators.create(name)
    for index in range(4):
        drawn = {key: value[0, 0] for key, value in source.parameters(torch.tensor([index])).items()}
        lines, vertices = int(drawn["lines"]), int(drawn["vertices"])
        count = 2 * lines * vertices
        noise = gradient_noise(white_noise(drawn["noise_key"][None], count, CPU))
        noise = noise.view(2, lines, vertices).double().numpy()
        theta = 2 * np.pi * np.arange(vertices) / vertices
        outwards = np.stack([np.cos(theta), np.sin(theta)])
        n1, n2 = drawn["waves"].tolist()
        rate = float(drawn["roughness"]) / (2 if name == "rcdb" else 1)
        width = float(drawn["drift"]) - rate
        vertex = drawn["centre"].numpy()[:, None] + int(drawn["radius"]) * (
            drawn["oval"].numpy()[:, None] * outwards
        )
        ours = grow(drawn, scale, CPU).numpy()
        off = 0
        for line in range(lines):
            if name == "rcdb":  # delta = 2 lambda P - lambda; the noise is symmetric
                delta = -2 * rate * noise[:, line] - rate
            else:  # delta = lambda (P - 1) - sin(n1 t)/2 - sin(n2 t)/2
                delta = rate * (-noise[:, line] - 1) - (np.sin(n1 * theta) + np.sin(n2 * theta)) / 2
            vertex = vertex - outwards * (delta - width)
            off += int((np.abs(np.floor(vertex * scale) - ours[:, line]) > 0).sum())
            assert np.abs(np.floor(vertex * scale) - ours[:, line]).max() <= 1
        assert off < 0.002 * count + 1  # float32 may fall on the other side of a whole number


def test_noise_has_the_measured_distribution() -> None:
    noise = gradient_noise(white_noise(torch.tensor([1]), 400_000, CPU))[0].double().numpy()
    # section 5.7: mean 0, sd 0.329, range 0.952, kurtosis 3.75, 5/25/75/95 % -.58/-.15/.14/.62
    assert noise.mean() == pytest.approx(0.0, abs=0.002)
    assert noise.std() == pytest.approx(0.329, abs=0.003)
    assert (noise**4).mean() / noise.var() ** 2 == pytest.approx(3.75, abs=0.12)
    assert np.abs(noise).max() == pytest.approx(0.952, abs=0.02)
    np.testing.assert_allclose(
        np.quantile(noise, [0.05, 0.25, 0.75, 0.95]), [-0.58, -0.15, 0.14, 0.62], atol=0.03
    )


def test_wave_numbers_differ_or_start_with_zero() -> None:
    pairs = Counter(map(tuple, wave_numbers(Draws(0, torch.arange(40_000))).tolist()))
    allowed = {(a, b) for a in range(20) for b in range(20) if a != b or a == 0}
    assert set(pairs) == allowed
    counts = np.array(list(pairs.values()))
    expected = 40_000 / len(allowed)
    # chi-square with 380 degrees of freedom: 380 +- 28
    assert abs(((counts - expected) ** 2 / expected).sum() - 380) < 120


def test_visual_atoms_factors_have_their_ranges() -> None:
    source = generators.create("visual_atom", categories=4000)
    drawn = {key: value[:, 0] for key, value in source.parameters(torch.arange(4000)).items()}
    for key, low, high in (("vertices", 200, 999), ("lines", 1, 199), ("radius", 10, 59)):
        values = drawn[key].double()
        assert (int(values.min()), int(values.max())) == (low, high)
        assert float(values.mean()) == pytest.approx((low + high) / 2, rel=0.05)
    assert 1.0 <= float(drawn["oval"].min()) < 1.01
    assert 1.99 < float(drawn["oval"].max()) < 2.0
    assert float(drawn["roughness"].mean()) == pytest.approx(2.0, abs=0.1)
    width = drawn["drift"] - drawn["roughness"]
    assert float(width.min()) >= 0.0
    assert float(width.max()) < 0.1
    assert (float(drawn["centre"].min()), float(drawn["centre"].max())) == (0.0, 511.5)
    assert int(drawn["grey"].max()) == 254


def test_rcdbs_vertices_are_a_truncated_exponential() -> None:
    source = generators.create("rcdb", categories=6000)
    drawn = {key: value[:, 0] for key, value in source.parameters(torch.arange(6000)).items()}
    draws = np.random.default_rng(0).exponential(100.0, 200_000).astype(int)
    wanted = draws[(draws > 2) & (draws <= 200)]
    vertices = drawn["vertices"].numpy()
    assert (vertices.min(), vertices.max()) == (3, 200)
    # samples share categories: about 3 800 distinct ones
    assert abs(vertices.mean() - wanted.mean()) < 4 * wanted.std() / math.sqrt(3000)
    assert (vertices < 50).mean() == pytest.approx((wanted < 50).mean(), abs=0.04)
    assert (int(drawn["radius"].min()), int(drawn["radius"].max())) == (0, 99)
    assert (float(drawn["centre"].min()), float(drawn["centre"].max())) == (56.0, 455.5)
    assert int(drawn["grey"].max()) == 255
    torch.testing.assert_close(drawn["roughness"] / 2, drawn["drift"], atol=0.1, rtol=0.0)


@pytest.mark.parametrize("name", ["visual_atom", "rcdb"])
def test_samples_of_a_category_share_its_factors(name: str) -> None:
    drawn = generators.create(name, categories=5).parameters(torch.arange(200))
    category = drawn["category"][:, 0]
    assert len(category.unique()) == 5
    for key in ("vertices", "lines", "radius", "oval", "roughness", "drift", "waves"):
        for number in range(5):
            assert len(torch.unique(drawn[key][category == number], dim=0)) == 1
    assert len(torch.unique(drawn["centre"][category == 0], dim=0)) > 30


# section 8.2, 48 categories each: mean, std, total variation, slope; sd of the latter two
REFERENCES = {
    ("visual_atom", 512): ((0.160, 0.248, 0.2527, -1.31), 0.1859, 0.24),
    ("visual_atom", 128): ((0.161, 0.163, 0.1220, -1.94), 0.0859, 0.35),
    ("rcdb", 512): ((0.909, 0.204, 0.1989, -1.14), 0.1573, 0.33),
    ("rcdb", 128): ((0.909, 0.121, 0.0838, -1.79), 0.0619, 0.45),
}


@pytest.mark.parametrize(("name", "side"), list(REFERENCES))
def test_fingerprints_agree_with_the_reference(name: str, side: int) -> None:
    source = generators.create(name, height=side, width=side)  # 128: area averages of 512
    pictures = source.batch(range(72)).numpy()
    reference, variation_sd, slope_sd = REFERENCES[name, side]
    errors = Fingerprints.of(pictures).errors(reference, 48, variation_sd, slope_sd)
    assert np.abs(errors).max() < 3.0


def test_another_side_shows_the_same_shape() -> None:
    large = generators.create("rcdb", side=512, height=64, width=64).batch(range(8))
    small = generators.create("rcdb", side=256, height=64, width=64).batch(range(8))
    # one-pixel lines are twice as wide relative to a canvas of half the side: darker, but alike
    for big, little in zip(large, small, strict=True):
        together = torch.stack([big.flatten(), little.flatten()])
        assert float(torch.corrcoef(together)[0, 1]) > 0.8


@pytest.mark.parametrize("name", ["visual_atom", "rcdb"])
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"categories": 0}, r"source\.categories=0.*Type source\.categories=1000"),
        ({"side": 4}, r"source\.side=4.*8 to 4096 pixels.*source\.side=512"),
        ({"side": 5000}, r"source\.side=5000"),
        ({"fit": "crop", "height": 600}, r"source\.fit=crop"),
    ],
)
def test_impossible_fields_are_refused(name: str, fields: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        generators.create(name, **fields)


def test_a_description_is_in_pixels_of_the_pattern() -> None:
    told = {
        side: generators.create("visual_atom", side=side).describe(2)["patterns"][0]
        for side in (256, 512)
    }
    assert told[512]["start_radius_px"] == 2 * told[256]["start_radius_px"]
    assert len(told[512]["line_greys"]) == told[512]["lines"]
    assert 0 <= told[512]["centre_px"][0] < 512
