"""Dead leaves against an independent exact painter, and against the reference's fingerprints."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError
from generators.pictures.leaf_painting import first_leaf
from generators.pictures.leaf_shapes import SHAPES

MODES = ["square", "oriented", "mixed"]


def slow_corners(leaf: dict[str, Any]) -> list[tuple[int, int]]:
    """Integer corners on the canvas, from the specification."""
    kind, radius, x, y = SHAPES[leaf["kind"]], leaf["radius"], leaf["x"], leaf["y"]
    if kind == "square":
        half = int(radius * math.sqrt(2) / 2)
        return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    turns = leaf["angles"]
    if kind == "oriented_square":
        angles = [turns[0] * 2 * math.pi + math.pi / 4 + k * math.pi / 2 for k in range(4)]
    elif kind == "rectangle":
        a = turns[0] * math.pi / 2
        angles = [a, math.pi - a, math.pi + a, -a]
    elif kind == "triangle":
        angles = sorted(turn * 2 * math.pi for turn in turns[:3])
    else:
        angles = sorted(turn * 2 * math.pi for turn in turns)
    return [(int(x + radius * math.cos(angle)), int(y + radius * math.sin(angle))) for angle in angles]


def slow_interval(leaf: dict[str, Any], row: int) -> tuple[int, int] | None:
    """Columns covered on a row, in exact rational arithmetic; halves round outwards."""
    if SHAPES[leaf["kind"]] == "circle":
        square = leaf["radius"] ** 2 - (row - leaf["y"]) ** 2
        if square < 0:
            return None
        half = next(k for k in range(leaf["radius"] + 2) if (2 * k + 1) ** 2 > 4 * square)
        return leaf["x"] - half, leaf["x"] + half
    corners = slow_corners(leaf)
    crossings: list[Fraction] = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 == y1 == row:
            crossings += [Fraction(x0), Fraction(x1)]
        elif y0 != y1 and min(y0, y1) <= row <= max(y0, y1):
            crossings.append(x0 + Fraction((row - y0) * (x1 - x0), y1 - y0))
    if not crossings:
        return None
    half = Fraction(1, 2)
    return math.ceil(min(crossings) - half), math.floor(max(crossings) + half)


def slow_picture(source: Any, index: int) -> np.ndarray:
    """Front to back, leaf by leaf, until no pixel is bare."""
    drawn = source.parameters(torch.tensor([index]))
    columns = {key: value[0].tolist() for key, value in drawn.items()}
    picture = np.full((source.height, source.width), -1.0)
    for number in range(source.leaves):
        leaf = {key: values[number] for key, values in columns.items()}
        reach = leaf["radius"] + 1
        for row in range(max(0, leaf["y"] - reach), min(source.height, leaf["y"] + reach + 1)):
            interval = slow_interval(leaf, row)
            if interval is not None:
                left, right = max(interval[0], 0), min(interval[1] + 1, source.width)
                bare = picture[row, left : max(right, left)]
                bare[bare < 0] = leaf["grey"] / 255
        if (picture >= 0).all():
            break
    return np.maximum(picture, 0.0)


@pytest.mark.parametrize("shape", MODES)
@pytest.mark.parametrize(("height", "width", "side"), [(64, 64, 64), (20, 150, 40), (40, 24, 128)])
def test_every_pixel_equals_the_slow_painter(shape: str, height: int, width: int, side: int) -> None:
    source = generators.create("dead_leaves", shape=shape, height=height, width=width, side=side)
    for index in range(3):
        slow = torch.from_numpy(slow_picture(source, index)).float()
        assert torch.equal(source.sample(index), slow)


@pytest.mark.parametrize("shape", MODES)
def test_the_split_into_passes_changes_no_pixel(shape: str) -> None:
    source = generators.create("dead_leaves", shape=shape, height=48, width=80, side=64)
    drawn = source.parameters(torch.arange(4))
    whole = first_leaf(drawn, 48, 80, 62 * 82)
    for first_pass in (62, 310):
        assert torch.equal(first_leaf(drawn, 48, 80, first_pass), whole)


# sha256 of five pictures as bytes: published rows were trained on these pixels
PINNED = {
    ("square", 128, 128): "7dc62fbf68362c24",
    ("square", 80, 208): "671bde6797b03437",
    ("oriented", 128, 128): "6626af2dc30b3abd",
    ("oriented", 80, 208): "e050eea16342950d",
    ("mixed", 128, 128): "a1d9abef7a9c896f",
    ("mixed", 80, 208): "c723123cf636d21a",
}


@pytest.mark.parametrize(("shape", "height", "width"), list(PINNED))
def test_pictures_are_those_of_the_published_rows(shape: str, height: int, width: int) -> None:
    source = generators.create("dead_leaves", shape=shape, height=height, width=width)
    pixels = (source.batch(range(5)) * 255).round().to(torch.uint8)
    digest = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
    assert digest.startswith(PINNED[shape, height, width])


@pytest.mark.parametrize("shape", ["oriented", "mixed"])
def test_an_entry_of_its_own_name_is_the_shape_of_the_field(shape: str) -> None:
    named = generators.create(f"dead_leaves_{shape}", height=40, width=64)
    field = generators.create("dead_leaves", shape=shape, height=40, width=64)
    assert torch.equal(named.batch(range(4)), field.batch(range(4)))


@pytest.mark.parametrize("shape", MODES)
def test_large_pictures_do_not_depend_on_what_is_painted_beside_them(shape: str) -> None:
    source = generators.create("dead_leaves", shape=shape)
    together = source.batch(range(12))
    for index in (0, 7, 8, 11):
        assert torch.equal(source.sample(index), together[index])


@pytest.mark.parametrize(("height", "width", "side"), [(40, 90, 33), (32, 32, 32)])
def test_every_leaf_shows_its_texture(height: int, width: int, side: int) -> None:
    size = {"height": height, "width": width, "side": side}
    source = generators.create("dead_leaves_textured", textures=5, seed=3, **size)
    square = 48 if side == 33 else 32  # a texture's side is a multiple of 16
    textures = generators.create("spectrum_colour_wmm", height=square, width=square, seed=3)
    bank = textures.batch(range(5)).numpy()
    drawn = source.parameters(torch.tensor([6]))
    leaf = first_leaf(drawn, height, width, source.first_pass())[0].numpy()
    number, x, y = (drawn[key][0].numpy()[leaf] for key in ("texture", "shift_x", "shift_y"))
    assert len(np.unique(number)) == 5
    assert max(x.max(), y.max()) < square
    row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    expected = bank[number, (row + y) % square, (column + x) % square]
    np.testing.assert_array_equal(source.sample(6), expected)
    plain = generators.create("dead_leaves_mixed", seed=3, **size)
    assert torch.equal(drawn["radius"], plain.parameters(torch.tensor([6]))["radius"])


def test_textures_are_all_shown_equally_often() -> None:
    drawn = generators.create("dead_leaves_textured", textures=7).parameters(torch.arange(4))
    shares = torch.bincount(drawn["texture"].flatten(), minlength=7) / drawn["texture"].numel()
    assert shares.tolist() == pytest.approx([1 / 7] * 7, abs=0.01)
    assert len(generators.create("dead_leaves_textured").describe(3)["front_texture"]) == 16


def test_a_bank_without_textures_is_refused() -> None:
    with pytest.raises(UsageError, match="textures"):
        generators.create("dead_leaves_textured", textures=0)


def test_what_no_leaf_covers_is_black() -> None:
    source = generators.create("dead_leaves", max_leaves=20)
    picture = source.batch(range(6))
    leaf = first_leaf(source.parameters(torch.arange(6)), 128, 128, 62)
    assert (leaf < 0).any()
    assert (picture[leaf < 0] == 0).all()


def test_greys_are_whole_steps_of_255() -> None:
    steps = generators.create("dead_leaves").batch(range(4)).double() * 255
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert float(steps.max()) < 254.5


def test_radii_follow_the_published_law() -> None:
    relative = np.linspace(0.03, 1, 200)
    weight = relative**-3.0 - 1
    source = generators.create("dead_leaves")
    radii, cumulative = source.radius_law()
    np.testing.assert_allclose(cumulative, np.cumsum(weight) / weight.sum())
    np.testing.assert_array_equal(radii, (relative * 128).astype(int))
    # section 5.1: mean r 0.053, P(r < 0.05) 0.72, P(r > 0.2) 0.018
    probability = np.diff(cumulative, prepend=0.0)
    assert probability @ relative == pytest.approx(0.053, abs=0.001)
    assert probability[relative < 0.05].sum() == pytest.approx(0.72, abs=0.01)
    assert probability[relative > 0.2].sum() == pytest.approx(0.018, abs=0.001)
    # drawn as the entry whose cumulative probability is nearest to u, by brute force on a grid of u
    grid = (np.arange(20_000) + 0.5) / 20_000
    nearest = np.abs(np.cumsum(weight)[:, None] / weight.sum() - grid).argmin(axis=0)
    drawn = source.parameters(torch.arange(60))["radius"].flatten()
    for pixels in (3, 6, 10, 20):
        expected = (radii.numpy()[nearest] == pixels).mean()
        error = (expected * (1 - expected) / len(drawn)) ** 0.5
        share = float((drawn == pixels).double().mean())
        assert share == pytest.approx(expected, abs=4 * error + 1e-4)


def test_leaves_per_pixel_do_not_depend_on_the_canvas() -> None:
    square = generators.create("dead_leaves").batch(range(24))
    wide = generators.create("dead_leaves", height=80, width=1024).batch(range(6))
    edges = [float((x.diff(dim=2) != 0).double().mean()) for x in (square, wide)]
    assert edges[0] == pytest.approx(edges[1], rel=0.12)


def radial_slope(picture: np.ndarray) -> float:
    """Log-log slope of the radially averaged power spectrum, k = 2 ... S/2."""
    side = picture.shape[0]
    power = np.abs(np.fft.fft2(picture - picture.mean())) ** 2
    k = np.fft.fftfreq(side) * side
    ring = np.rint(np.hypot(k[:, None], k[None])).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    fitted = np.arange(2, side // 2 + 1)
    return float(np.polyfit(np.log(fitted), np.log(mean[fitted]), 1)[0])


# section 8.2, 16 pictures each: mean, std, total variation (sd over pictures), spectral slope (sd)
FINGERPRINTS = {
    "square": (0.502, 0.176, 0.0461, 0.0168, -2.32, 0.09),
    "oriented": (0.496, 0.176, 0.0575, 0.0188, -2.33, 0.08),
    "mixed": (0.489, 0.178, 0.0613, 0.0150, -2.24, 0.05),
}


@pytest.mark.parametrize("shape", MODES)
def test_fingerprints_agree_within_sampling_error(shape: str) -> None:
    source, count = generators.create("dead_leaves", shape=shape), 32
    measured = []
    for index in range(count):
        leaf = first_leaf(source.parameters(torch.tensor([index])), 128, 128, source.first_pass())[0]
        # the reference's grey is the luma of three independent channels
        colours = np.floor(np.random.default_rng(index).random((3, source.leaves)) * 255) / 255
        picture = (np.array([0.299, 0.587, 0.114]) @ colours)[leaf.numpy()]
        x, y = (np.abs(np.diff(picture, axis=axis)).mean() for axis in (1, 0))
        measured.append((picture.mean(), picture.std(), x + y, radial_slope(picture), x - y))
    mean, spread = np.mean(measured, axis=0), np.std(measured, axis=0)
    wanted_mean, wanted_std, variation, variation_sd, slope, slope_sd = FINGERPRINTS[shape]
    error = spread / count**0.5

    def within(number: int, wanted: float, wanted_sd: float) -> bool:
        return abs(mean[number] - wanted) < 3 * math.hypot(error[number], wanted_sd / 4)

    assert within(0, wanted_mean, spread[0])
    assert within(1, wanted_std, spread[1])
    assert within(2, variation, variation_sd)
    assert within(3, slope, slope_sd)
    assert abs(mean[4]) < 4 * error[4]  # no direction is preferred


def test_a_canvas_without_pixels_is_refused() -> None:
    with pytest.raises(UsageError, match="height"):
        generators.create("dead_leaves", height=1)


def test_radii_that_are_no_law_are_refused() -> None:
    with pytest.raises(UsageError, match="radius_low"):
        generators.create("dead_leaves", radius_low=1.5)
    with pytest.raises(UsageError, match=r"Type source\.sigma=3"):
        generators.create("dead_leaves", sigma=-1.0)
