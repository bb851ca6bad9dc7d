"""Contractive fractals: the law of the singular values, the window, and the painting, independently."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import scipy.ndimage
import torch

import generators
from generators.base import Draws
from generators.drawer import UsageError
from generators.pictures.contractive_fractals import (
    blur,
    contractive_systems,
    singular_values,
    stamp,
    to_colours,
)

CPU = torch.device("cpu")
PLAIN = {"colour": False, "background": False, "p_blur": 0.0}


def one(fields: dict[str, object], index: int = 0) -> tuple[object, dict[str, torch.Tensor]]:
    """A source, and the drawn factors of one of its patterns, with the pattern first."""
    source = generators.create("contractive_fractals", **fields)
    return source, {key: value[:, 0] for key, value in source.parameters(torch.tensor([index])).items()}


def test_singular_values_keep_their_budget() -> None:
    draws = Draws(0, torch.arange(4000))
    count = draws.integers("count", 2, 7)
    first, second = singular_values(draws, count).unbind(2)
    assert float(second.min()) >= 0.0
    assert float((first - second).min()) >= -1e-9
    assert float(first.max()) <= 1.0 + 1e-9
    assert ((first > 0) == (torch.arange(7) < count[:, None])).all()
    place = (first + 2 * second).sum(dim=1) - (5 + count) / 2  # alpha, from the lower bound
    assert float(place.min()) > -1e-9
    assert float(place.max()) < 0.5 + 1e-9
    for maps in range(2, 8):
        assert float(place[count == maps].mean()) == pytest.approx(0.25, abs=0.03)


def test_singular_values_follow_the_sequential_law() -> None:
    draws = Draws(1, torch.arange(6000))
    count = torch.full((6000,), 3)
    ours = singular_values(draws, count)[:, :3].numpy()
    rng, theirs = np.random.default_rng(0), []
    for _ in range(6000):  # section 5.6: budgets p and q = p - 3 N + 3
        p, rows = rng.uniform(4.0, 4.5), []
        for rest in (2, 1):
            q = p - 3 * rest
            s1 = rng.uniform(max(0.0, q / 3), min(1.0, p))
            p, q = p - s1, q - s1
            s2 = rng.uniform(max(0.0, q / 2), min(s1, p / 2))
            p -= 2 * s2
            rows.append((s1, s2))
        s2 = rng.uniform(max(0.0, (p - 1) / 2), p / 3)
        theirs.append([*rows, (p - 2 * s2, s2)])
    slow = np.array(theirs)
    error = slow.std(axis=0) * np.sqrt(2 / 6000)
    assert np.abs((ours.mean(axis=0) - slow.mean(axis=0)) / error).max() < 4.0
    assert np.abs(ours.std(axis=0) / slow.std(axis=0) - 1).max() < 0.06


def test_maps_have_their_singular_values_and_any_orientation() -> None:
    draws = Draws(0, torch.arange(500))
    maps, count = contractive_systems(draws)
    used = torch.arange(7) < count[:, None]
    linear = maps[used][:, :4].view(-1, 2, 2)
    found = np.linalg.svd(linear.numpy(), compute_uv=False)
    np.testing.assert_allclose(found, singular_values(draws, count)[used], atol=1e-9)
    assert float((torch.linalg.det(linear) > 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float(maps[used][:, :4].mean().abs()) < 0.02
    assert float(maps[used][:, 4:].abs().max()) <= 1.0


def test_the_window_moves_and_zooms() -> None:
    source, drawn = one(PLAIN)
    drawn["mask"] = torch.tensor([16])  # the middle pixel alone
    drawn["shift"], drawn["zoom"] = torch.zeros(1, 2), torch.full((1, 2), 2.0)
    wide = source.shares(drawn, CPU)[0] > 0  # the attractor fills the middle half
    rows, columns = wide.nonzero().unbind(1)
    assert rows.aminmax() == (56, 168) or rows.aminmax() == (56, 167)
    assert columns.aminmax() == (56, 168) or columns.aminmax() == (56, 167)
    drawn["shift"] = torch.tensor([[0.25, -0.125]])
    rows, columns = (source.shares(drawn, CPU)[0] > 0).nonzero().unbind(1)
    assert abs(int(columns.min()) - (56 - 28)) <= 1
    assert abs(int(rows.max()) - (168 + 14)) <= 1


def test_shares_are_counts_relative_to_the_largest() -> None:
    source, drawn = one(PLAIN, 3)
    shares = source.shares(drawn, CPU)[0]
    assert float(shares.max()) == 1.0
    largest = 1.0 / float(shares[shares > 0].min())
    counts = shares.double() * round(largest)
    assert torch.allclose(counts, counts.round(), atol=1e-2)


def test_stamping_is_a_correlation_with_the_mask() -> None:
    rng = np.random.default_rng(0)
    counts, masks = rng.poisson(0.3, (6, 12, 17)), np.array([1, 16, 256, 511, 300, 77])
    ours = stamp(torch.from_numpy(counts).float(), torch.from_numpy(masks))
    for number, mask in enumerate(masks):
        kernel = ((mask >> np.arange(9)) & 1).reshape(3, 3)
        wanted = scipy.ndimage.convolve(counts[number], kernel, mode="constant")
        np.testing.assert_array_equal(ours[number], wanted)


def test_colours_are_those_of_the_standard_library() -> None:
    hue, saturation, value = torch.rand(3, 1, 8, 9, generator=torch.Generator().manual_seed(0))
    ours = to_colours(hue + 1.0, saturation, value)[0].flatten(1).T
    triples = zip(hue.flatten(), saturation.flatten(), value.flatten(), strict=True)
    wanted = [colorsys.hsv_to_rgb(*map(float, triple)) for triple in triples]
    torch.testing.assert_close(ours, torch.tensor(wanted), atol=2e-6, rtol=0.0)


def test_blur_is_a_normalised_gaussian_and_none_at_zero() -> None:
    pictures = torch.rand(2, 3, 10, 11, generator=torch.Generator().manual_seed(0))
    blurred = blur(pictures, torch.tensor([0.7, 0.0]))
    assert torch.equal(blurred[1], pictures[1])
    side = np.exp(-0.5 / 0.49)
    kernel = np.array([side, 1.0, side]) / (1 + 2 * side)
    for channel in range(3):
        wanted = pictures[0, channel].double().numpy()
        for axis in (0, 1):
            wanted = scipy.ndimage.correlate1d(wanted, kernel, axis=axis, mode="mirror")
        np.testing.assert_allclose(blurred[0, channel], wanted, atol=1e-6)


def test_half_of_the_samples_are_blurred() -> None:
    source = generators.create("contractive_fractals", height=80, width=208)
    blurs = source.parameters(torch.arange(800))["blur"]
    assert float((blurs > 0).float().mean()) == pytest.approx(0.5, abs=0.06)
    assert float(blurs[blurs > 0].min()) >= 0.5
    assert float(blurs.max()) <= 1.0


def test_binary_shading_and_no_background_leave_two_values() -> None:
    source = generators.create("contractive_fractals", shading="binary", height=224, width=224, **PLAIN)
    assert set(source.batch(range(3)).unique().tolist()) == {0.0, 1.0}


def test_the_background_lies_behind_the_fractal() -> None:
    fields = {"height": 224, "width": 224, "p_blur": 0.0, "colour": False}
    bare = generators.create("contractive_fractals", background=False, **fields).batch(range(4))
    clouded = generators.create("contractive_fractals", **fields).batch(range(4))
    assert torch.equal(clouded[bare > 0], bare[bare > 0])
    assert float((clouded[bare == 0] > 0).float().mean()) > 0.99


def test_samples_of_one_system_differ_by_one_jittered_map() -> None:
    source = generators.create("contractive_fractals", systems=1)
    drawn = {key: value[:, 0] for key, value in source.parameters(torch.arange(400)).items()}
    assert len(drawn["count"].unique()) == 1
    used = int(drawn["count"][0])
    # the largest magnitude of a map does not change under flips and exchange; the jitter scales it
    size = drawn["maps"][:, :used].abs().amax(dim=2)
    plain = size.median(dim=0).values
    ratio = size / plain
    assert ((ratio - 1).abs() > 1e-6).sum(dim=1).max() == 1
    jittered = ratio[(ratio - 1).abs() > 1e-6]
    assert len(jittered) > 350
    assert float(jittered.min()) >= 0.8 - 1e-5
    assert float(jittered.max()) <= 1.1 + 1e-5
    assert source.describe(0)["patterns"][0]["system"] == 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"side": 4}, r"source\.side=4.*at least 8.*Type for example source\.side=224"),
        ({"points": 0}, r"source\.points=0.*Type for example"),
        ({"systems": 0}, r"source\.systems=0.*source\.systems=null"),
        ({"p_blur": 1.5}, r"source\.p_blur=1\.5.*from 0 to 1.*Type source\.p_blur=0\.5"),
        ({"shading": "flat"}, r"source\.shading='flat'.*graded"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        generators.create("contractive_fractals", **fields)
