"""From patterns to inputs: grey rules, canvases and value mappings against plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.base import Draws, Source
from generators.drawer import UsageError
from generators.pictures import conversion
from generators.pictures.conversion import Pattern


@dataclass(kw_only=True)
class Cloth(Pattern, Source, name="cloth"):
    """Random coloured pixels: a pattern of its own size, to be converted."""

    kind = "picture"

    @property
    def native(self) -> tuple[int, int]:
        return 24, 36

    def __post_init__(self) -> None:
        self.check_conversion()

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        return {"colour": Draws(self.seed, indices).uniform("colour", 0.0, 1.0, 3, 24, 36)}

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        return drawn["colour"].float().to(device)


def luma(colour: np.ndarray) -> np.ndarray:
    return np.tensordot(np.array([0.299, 0.587, 0.114]), colour, axes=(0, 0))


def colours(cloth: Cloth, number: int) -> np.ndarray:
    return cloth.draw_patterns(torch.tensor([number]))["colour"][0].numpy()


def test_luma_is_the_weighted_sum() -> None:
    cloth = Cloth(height=24, width=36)
    np.testing.assert_allclose(cloth.sample(5), luma(colours(cloth, 5)), atol=1e-6)


def test_one_channel_shows_each_channel_equally_often() -> None:
    cloth = Cloth(height=24, width=36, grey="one_channel")
    drawn = cloth.parameters(torch.arange(600))
    shares = torch.bincount(drawn["conversion_channel"].flatten(), minlength=3) / 600
    assert float((shares - 1 / 3).abs().max()) < 0.08
    for index in range(4):
        channel = int(drawn["conversion_channel"][index])
        np.testing.assert_allclose(cloth.sample(index), colours(cloth, index)[channel], atol=1e-6)


def test_the_principal_component_is_that_of_the_colours() -> None:
    rng = np.random.default_rng(0)
    colour = 0.5 + 0.2 * rng.uniform(-1, 1, (20, 30)) * np.array([0.9, 0.5, -0.4])[:, None, None]
    colour += 0.02 * rng.uniform(-1, 1, colour.shape)
    grey = conversion.to_grey(torch.from_numpy(colour).float()[None], "principal")[0].numpy()
    flat = colour.reshape(3, -1)
    axis = np.linalg.svd(flat - flat.mean(axis=1, keepdims=True))[0][:, 0]
    axis *= np.sign(axis.sum())
    low, high = np.minimum(axis, 0).sum(), np.maximum(axis, 0).sum()
    np.testing.assert_allclose(grey.ravel(), (axis @ flat - low) / (high - low), atol=1e-5)


@pytest.mark.parametrize(("source", "target"), [(256, 80), (256, 128), (7, 7), (10, 3)])
def test_shrinking_averages_areas(source: int, target: int) -> None:
    line = np.random.default_rng(1).random(source)
    fine = np.repeat(line, target).reshape(target, source).mean(axis=1)  # common multiple, exact
    got = conversion.resampling(source, target).double() @ torch.from_numpy(line)
    np.testing.assert_allclose(got, fine, atol=1e-6)


def test_enlarging_interpolates_between_pixel_centres() -> None:
    line = np.random.default_rng(2).random(9)
    centres = (np.arange(31) + 0.5) * 9 / 31 - 0.5
    got = conversion.resampling(9, 31).double() @ torch.from_numpy(line)
    np.testing.assert_allclose(got, np.interp(centres, np.arange(9), line), atol=1e-6)


def test_resize_fills_any_canvas_and_keeps_the_mean() -> None:
    small = Cloth(height=12, width=12).sample(3)
    whole = luma(colours(Cloth(), 3))
    np.testing.assert_allclose(small, whole.reshape(12, 2, 12, 3).mean(axis=(1, 3)), atol=1e-6)


def test_a_crop_is_a_window_and_every_window_occurs() -> None:
    cloth = Cloth(height=23, width=35, fit="crop")
    seen = set()
    for index in range(40):
        whole, window = luma(colours(cloth, index)), cloth.sample(index).numpy()
        places = [(top, left) for top in (0, 1) for left in (0, 1)]
        fits = [np.allclose(window, whole[t : t + 23, x : x + 35], atol=1e-6) for t, x in places]
        assert sum(fits) == 1
        seen.add(fits.index(True))
    assert seen == {0, 1, 2, 3}


def test_tiles_are_independent_patterns_side_by_side() -> None:
    cloth = Cloth(height=24, width=100, fit="tile")
    assert cloth.patterns_per_sample == 3
    expected = np.concatenate([luma(colours(cloth, 2 * 3 + tile)) for tile in range(3)], axis=1)
    np.testing.assert_allclose(cloth.sample(2), expected[:, :100], atol=1e-6)


def test_mirrors_meet_without_a_seam() -> None:
    cloth = Cloth(height=24, width=100, fit="mirror")
    once = luma(colours(cloth, 2))
    expected = np.concatenate([once, once[:, ::-1], once], axis=1)[:, :100]
    np.testing.assert_allclose(cloth.sample(2), expected, atol=1e-6)


def test_transpose_exchanges_time_and_frequency() -> None:
    cloth = Cloth(height=36, width=24, transpose=True)
    np.testing.assert_allclose(cloth.sample(1), luma(colours(cloth, 1)).T, atol=1e-6)


@pytest.mark.parametrize("fit", ["resize", "crop", "tile", "mirror"])
@pytest.mark.parametrize("values", ["keep", "rank", "log_mel"])
def test_a_sample_does_not_depend_on_its_batch(fit: Any, values: Any) -> None:
    cloth = Cloth(height=20, width=30, fit=fit, values=values, grey="one_channel", tilt=0.2, floor=0.1)
    batch = cloth.batch([4, 0, 2**40, 9])
    assert torch.equal(batch[2], cloth.sample(2**40))
    assert batch.shape == (4, 20, 30)
    assert float(batch.min()) >= 0.0
    assert float(batch.max()) <= 1.0


def test_ranks_are_uniform_and_keep_ties_and_order() -> None:
    picture = torch.tensor([[[0.3, 0.3, 0.9, 0.1]]])
    assert conversion.ranks(picture).tolist() == [[[0.5, 0.5, 0.875, 0.125]]]
    many = torch.randperm(4096).reshape(1, 64, 64) / 4096
    uniform = conversion.map_values(many, "rank").flatten().sort().values
    assert torch.allclose(uniform, (torch.arange(4096) + 0.5) / 4096, atol=1e-6)


def test_log_mel_values_have_the_quantiles_of_real_log_mels() -> None:
    picture = torch.randn(1, 128, 128).sigmoid()
    mapped = conversion.map_values(picture, "log_mel")
    share = torch.linspace(0.0, 1.0, 33)
    quantiles = torch.quantile(mapped.flatten(), share)
    assert torch.allclose(quantiles, torch.tensor(conversion.LOG_MEL_QUANTILES), atol=0.003)
    order = picture.flatten().argsort()
    assert (mapped.flatten()[order].diff() >= 0.0).all()


def test_tilt_darkens_the_high_bands_and_floor_clips_a_share() -> None:
    picture = torch.rand(1, 50, 40)
    tilted = conversion.spectrogramise(picture, 0.5, 0.0)
    assert torch.allclose(tilted[0, -1], picture[0, -1] / 1.5)
    assert torch.allclose(tilted[0, 0], (picture[0, 0] + 0.5) / 1.5)
    clipped = conversion.spectrogramise(picture, 0.0, 0.25)
    assert float((clipped == 0.0).double().mean()) == pytest.approx(0.25, abs=0.002)
    assert float(clipped.max()) <= 1.0
    assert torch.equal(conversion.spectrogramise(picture, 0.0, 0.0), picture)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"height": 1}, "height"),
        ({"tilt": 1.5}, "tilt"),
        ({"floor": 1.0}, "floor"),
        ({"fit": "crop", "width": 100}, "fit=tile"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Cloth(**fields)
