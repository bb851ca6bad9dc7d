"""Statistical image models against independent numpy, and against the reference's fingerprints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from scipy.special import gammainc

import generators
from generators.base import Draws
from generators.drawer import UsageError
from generators.pictures import colour_statistics, marginals, power_spectrum, wavelet_statistics

CPU = torch.device("cpu")
NAMES = ["spectrum", "wmm", "spectrum_colour", "spectrum_wmm", "spectrum_colour_wmm"]


# ---------------------------------------------------------------------------------------------------
# Spectrum


def slow_power_law(height: int, width: int, down: float, across: float) -> np.ndarray:
    """Section 5.2, on the whole plane, with f = (index - S/2) / S."""
    fy = np.abs((np.arange(height) - height // 2) / height)[:, None]
    fx = np.abs((np.arange(width) - width // 2) / width)[None]
    magnitude = np.fft.ifftshift(1.0 / (1e-16 + fx**across + fy**down))
    magnitude[0, 0] = 0.0
    return magnitude


@pytest.mark.parametrize(("height", "width"), [(16, 24), (15, 32), (32, 15), (9, 9)])
def test_the_spectrum_is_the_published_sum_of_powers(height: int, width: int) -> None:
    slopes = torch.tensor([[0.7, 1.1], [2.9, 3.0]], dtype=torch.float64)
    magnitude = power_spectrum.power_law(slopes, height, width)
    pictures = power_spectrum.random_phases(torch.tensor([5, 6]), magnitude, 2, width)
    assert pictures.shape == (4, height, width)
    slopes = slopes.repeat_interleave(2, dim=0)
    for picture, (down, across) in zip(pictures.double().numpy(), slopes.tolist(), strict=True):
        wanted = slow_power_law(height, width, down, across)
        measured = np.abs(np.fft.fft2(picture - picture.mean()))
        wanted *= np.sqrt((measured**2).sum() / (wanted**2).sum())
        np.testing.assert_allclose(measured, wanted, atol=1e-5 * wanted.max())
        assert picture.mean() == pytest.approx(0.0, abs=1e-5)
        assert picture.std() == pytest.approx(1.0, rel=1e-5)


def test_imposing_a_spectrum_keeps_phases_mean_and_variance() -> None:
    noise = 256.0 * torch.rand(2, 20, 32, dtype=torch.float64)
    slopes = torch.tensor([[1.5, 1.4], [0.6, 0.7]], dtype=torch.float64)
    magnitude = power_spectrum.power_law(slopes, 20, 32)
    spectrum = torch.fft.rfft2(noise)
    imposed = power_spectrum.impose_spectrum(spectrum, magnitude.double(), 32)
    assert torch.allclose(imposed.angle(), spectrum.angle(), atol=1e-6)
    pictures = torch.fft.irfft2(imposed, s=(20, 32))
    assert torch.allclose(pictures.mean(dim=(1, 2)), noise.mean(dim=(1, 2)))
    assert torch.allclose(pictures.std(dim=(1, 2)), noise.std(dim=(1, 2)))
    ratio = imposed.abs().flatten(1)[:, 1:] / magnitude.double().flatten(1)[:, 1:]
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio))


def test_slopes_follow_their_law() -> None:
    slopes = generators.create("spectrum", exact=False).parameters(torch.arange(4000))["slopes"]
    mean, difference = slopes.mean(dim=1), slopes.diff(dim=1)[:, 0]
    assert float(mean.min()) >= 0.5
    assert float(mean.max()) < 3.5
    assert float(mean.mean()) == pytest.approx(2.0, abs=0.06)
    assert float(mean.std()) == pytest.approx(3 / math.sqrt(12), rel=0.05)
    assert float(difference.std()) == pytest.approx(2 * 0.05, rel=0.05)


def test_the_noise_s_phases_are_uniform_and_independent() -> None:
    source = generators.create("spectrum", slope=(1.0, 1.0))
    pictures = source.impose(source.parameters(torch.arange(20)))
    spectrum = torch.fft.rfft2(pictures)[:, 1:64, 1:64]
    phase = spectrum / spectrum.abs()
    error = phase.numel() ** -0.5
    assert float(phase.mean().abs()) < 4 * error
    assert float((phase * phase).mean().abs()) < 4 * error
    for other in (phase.roll(1, 0), phase.roll(1, 1), phase.roll(1, 2)):
        assert float((phase * other.conj()).mean().abs()) < 4 * error


# ---------------------------------------------------------------------------------------------------
# Wavelets


def slow_bands(picture: np.ndarray, levels: int) -> list[np.ndarray]:
    """High-pass residual and oriented bands of a steerable pyramid, on whole centred planes."""
    height, width = picture.shape
    y, x = np.meshgrid(
        (np.arange(height) - height // 2) / (height / 2),
        (np.arange(width) - width // 2) / (width / 2),
        indexing="ij",
    )
    with np.errstate(divide="ignore"):
        octave, angle = np.log2(np.hypot(y, x)), np.arctan2(y, x)

    def high(shift: int) -> np.ndarray:
        return np.cos(np.pi / 2 * np.clip(-(octave + shift), 0, 1))

    def low(shift: int) -> np.ndarray:
        return np.sqrt(1 - high(shift) ** 2)

    spectrum, passed = np.fft.fftshift(np.fft.fft2(picture)), low(0)
    bands = [np.fft.ifft2(np.fft.ifftshift(spectrum * high(0))).real]
    for level in range(levels):
        h, w = height >> level, width >> level
        rows = slice(height // 2 - h // 2, height // 2 - h // 2 + h)
        columns = slice(width // 2 - w // 2, width // 2 - w // 2 + w)
        for turn in range(4):
            lobe = math.sqrt(0.8) * np.cos(angle - turn * np.pi / 4) ** 3
            band = (spectrum * high(level + 1) * passed * lobe * (-1j) ** 3)[rows, columns]
            bands.append(np.fft.ifft2(np.fft.ifftshift(band)).real)
        passed = passed * low(level + 1)
    return bands


def test_bands_are_those_of_a_steerable_pyramid() -> None:
    picture = np.random.default_rng(0).normal(size=(32, 48))
    pyramid = wavelet_statistics.build_pyramid(32, 48, 3, CPU)
    spectrum = torch.fft.rfft2(torch.from_numpy(picture).float())
    got = []
    for level, responses in enumerate(pyramid.bands):
        size = (32 >> level, 48 >> level)
        got += list(torch.fft.irfft2(wavelet_statistics.cut(spectrum, *size) * responses, s=size))
    wanted = slow_bands(picture, 3)
    assert len(got) == len(wanted) == 13
    for ours, slow in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, slow, atol=2e-5 * np.abs(slow).max())


def test_the_pyramid_reconstructs_perfectly() -> None:
    pyramid = wavelet_statistics.build_pyramid(64, 32, 3, CPU)
    total = pyramid.low.clone()
    for level, responses in enumerate(pyramid.bands):
        power = responses.abs().square().sum(dim=0)
        half, kept = (64 >> level) // 2, (32 >> level) // 2 + 1
        total[:half, :kept] += power[:half]
        total[-half:, :kept] += power[half:]
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


def test_targets_are_generalised_gaussians() -> None:
    exponents = torch.tensor([[0.4, 0.503, 0.6, 0.7, 0.8] + [0.5] * 8])
    table, spread = wavelet_statistics.marginal_targets(exponents.double(), 3, (0.4, 0.8))
    share = np.sin(np.linspace(0, np.pi / 2, marginals.STEPS + 1)) ** 2
    for row, exponent in enumerate([0.4, 0.503, 0.6, 0.7, 0.8]):
        x = np.arange(-200, 200.5, 0.5)
        density = np.exp(-(np.abs(x / 4.0) ** exponent))
        wanted = math.sqrt((density * x**2).sum() / density.sum())
        assert float(spread[row]) == pytest.approx(wanted, rel=1e-3)
        # the closed form of the continuous law, truncated at 200
        fine = np.linspace(-200, 200, 40_001)
        upper = gammainc(1 / exponent, (200 / 4.0) ** exponent)
        cumulative = 0.5 + np.sign(fine) * gammainc(1 / exponent, np.abs(fine / 4.0) ** exponent) / (
            2 * upper
        )
        np.testing.assert_allclose(
            table[row], np.interp(share, cumulative, fine), atol=0.3 + 0.01 * wanted
        )
    coarse = np.exp(-((np.abs(np.arange(-200, 200.5, 0.5)) / 256.0) ** 0.5))  # scale 4: 4^4
    wanted = math.sqrt((coarse * np.arange(-200, 200.5, 0.5) ** 2).sum() / coarse.sum())
    assert float(spread[-1]) == pytest.approx(wanted, rel=1e-3)


def test_matching_gives_the_target_s_distribution_and_keeps_the_order() -> None:
    rng = np.random.default_rng(3)
    values = torch.from_numpy(rng.laplace(size=(2, 16384)) * [[1.0], [30.0]]).float()
    table, spread = wavelet_statistics.marginal_targets(
        torch.full((1, 13), 0.6).double(), 3, (0.4, 0.8)
    )
    table, spread = table[:2], spread[:2]
    matched = marginals.impose_marginals([values.clone()], table, spread)[0]
    for row in range(2):
        order = values[row].argsort()
        assert (matched[row][order].diff() >= -1e-4).all()
        assert float(matched[row].mean()) == pytest.approx(0.0, abs=0.02 * float(spread[row]))
        assert float(matched[row].std()) == pytest.approx(float(spread[row]), rel=0.01)
        share = np.sin(np.linspace(0, np.pi / 2, marginals.STEPS + 1)) ** 2
        wanted = np.interp((np.arange(16384) + 0.5) / 16384, share, table[row])
        wanted *= float(spread[row]) / wanted.std()
        got = np.sort(matched[row].numpy())
        np.testing.assert_allclose(got[200:-200], wanted[200:-200], atol=0.04 * wanted.std())


def test_rows_of_several_groups_are_matched_as_if_alone() -> None:
    table, spread = wavelet_statistics.marginal_targets(
        torch.full((1, 13), 0.5).double(), 3, (0.5, 0.5)
    )
    groups = [torch.randn(5, 1024), torch.randn(4, 256), torch.randn(4, 64)]
    together = marginals.impose_marginals([group.clone() for group in groups], table, spread)
    first = 0
    for group, matched in zip(groups, together, strict=True):
        rows = slice(first, first + len(group))
        alone = marginals.impose_marginals([group.clone()], table[rows], spread[rows])[0]
        assert torch.equal(alone, matched)
        first += len(group)


def test_bands_have_heavier_tails_than_noise() -> None:
    source = generators.create("wmm", tail=(0.4, 0.4))
    channel = source.impose(source.parameters(torch.tensor([0])))[0].double().numpy()
    for band in slow_bands(channel, 1)[1:]:
        kurtosis = ((band - band.mean()) ** 4).mean() / band.var() ** 2
        assert kurtosis > 4.0  # 3 for a normal distribution


# ---------------------------------------------------------------------------------------------------
# Colour


def slow_reference(palette: dict[str, torch.Tensor], index: int, height: int, width: int) -> np.ndarray:
    """The reference picture pixel by pixel, blurred in both directions, ``(H, W, 3)``."""
    end = palette["stripe_end"][index].numpy()
    stripe = np.searchsorted(end, np.arange(height * width), side="right")
    picture = palette["palette"][index].numpy()[stripe].reshape(height, width, 3).astype(float)
    size = int(palette["blur"][index])
    picture = uniform_filter(picture, (size, size, 1), mode="nearest")
    picture -= picture.min()
    return np.floor(picture * 255 / picture.max() + 1e-9)


def test_the_reference_picture_agrees_with_one_of_pixels() -> None:
    palette = colour_statistics.draw_palette(Draws(0, torch.arange(8)), 64, 96)
    cells = colour_statistics.reference_colours(palette, 64, 96).numpy()
    assert cells.reshape(8, -1).min(axis=1).tolist() == [0.0] * 8
    assert cells.reshape(8, -1).max(axis=1).tolist() == [255.0] * 8
    for index in range(8):
        slow = slow_reference(palette, index, 64, 96).reshape(-1, 3)
        # a stripe shorter than a row is softened in the pixels and not in the cells, which moves the
        # ends of the stretch by a few steps of all channels together
        np.testing.assert_allclose(cells[index].mean(axis=0), slow.mean(axis=0), atol=8)
        ours, theirs = np.cov(cells[index].T), np.cov(slow.T)
        np.testing.assert_allclose(ours / np.trace(ours), theirs / np.trace(theirs), atol=0.01)
        for channel in range(3):
            ours, theirs = np.sort(cells[index][:, channel]), np.sort(slow[:, channel])
            steps = [
                np.quantile((v - v.mean()) / v.std(), np.linspace(0.02, 0.98, 49))
                for v in (ours, theirs)
            ]
            assert np.abs(steps[0] - steps[1]).mean() < 0.03


def test_stripes_have_the_mean_and_spread_of_a_multinomial() -> None:
    palette = colour_statistics.draw_palette(Draws(1, torch.arange(3000)), 64, 64)
    count = palette["colours"]
    assert torch.bincount(count, minlength=23)[3:].min() > 100  # 3 to 22, 150 each
    length = palette["stripe_end"].diff(dim=1, prepend=torch.zeros(3000, 1, dtype=torch.int64))
    assert (length >= 0).all()
    assert (length.sum(dim=1) == 4096).all()
    assert (length[torch.arange(22) >= count[:, None]] == 0).all()
    weight = 0.001 + Draws(1, torch.arange(3000)).uniform("proportions", 0.0, 1.0, 22)
    weight = weight * (torch.arange(22) < count[:, None])
    share = weight / weight.sum(dim=1, keepdim=True)
    error = (length - 4096 * share) / (4096 * share * (1 - share) + 1 / 12).sqrt()
    many = error[(share > 0.02) & (share < 0.9)]
    assert float(many.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(many.std()) == pytest.approx(1.0, abs=0.03)


def test_axes_are_the_untransposed_eigenvectors() -> None:
    draws = Draws(0, torch.arange(5))
    reference = colour_statistics.reference_colours(
        colour_statistics.draw_palette(draws, 32, 32), 32, 32
    )
    rotation, mean = colour_statistics.colour_axes(reference, draws)
    for index in range(5):
        axes = rotation[index].numpy()
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
        diagonal = axes.T @ np.cov(reference[index].numpy().T) @ axes
        off = np.abs(diagonal - np.diag(np.diag(diagonal))).max()
        assert off < 1e-6 * np.trace(diagonal)
        np.testing.assert_allclose(mean[index], reference[index].numpy().mean(axis=0))


@pytest.mark.parametrize("name", ["spectrum_colour", "spectrum_colour_wmm"])
def test_decorrelated_channels_have_the_palette_s_histograms(name: str) -> None:
    source = generators.create(name, height=64, width=64, iterations=3)
    drawn = source.parameters(torch.tensor([7]))
    palette = {key[8:]: value for key, value in drawn.items() if key.startswith("palette_")}
    reference = colour_statistics.reference_colours(palette, 64, 64)
    rotation, mean = drawn["colour_rotation"].double(), drawn["colour_mean"].double()
    wanted = colour_statistics.decorrelate(reference, rotation, mean)[0].numpy()
    got = source.impose(drawn).flatten(1).double().numpy()
    for ours, target in zip(got, wanted, strict=True):
        assert ours.mean() == pytest.approx(target.mean(), abs=0.02 * target.std())
        assert ours.std() == pytest.approx(target.std(), rel=0.02)
        grid = np.linspace(target.min(), target.max(), 9)[1:-1]
        difference = (ours[:, None] < grid).mean(axis=0) - (target[:, None] < grid).mean(axis=0)
        assert np.abs(difference).max() < 0.05


# ---------------------------------------------------------------------------------------------------
# The five models


def radial_slope(picture: np.ndarray) -> float:
    """Log-log slope of the radially averaged power spectrum, k = 2 ... S/2."""
    side = picture.shape[0]
    power = np.abs(np.fft.fft2(picture - picture.mean())) ** 2
    k = np.fft.fftfreq(side) * side
    ring = np.rint(np.hypot(k[:, None], k[None])).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    fitted = np.arange(2, side // 2 + 1)
    return float(np.polyfit(np.log(fitted), np.log(mean[fitted]), 1)[0])


# section 8.2: pictures, mean, std, total variation (sd over pictures), spectral slope (sd)
FINGERPRINTS = {
    "spectrum": (24, 0.529, 0.077, 0.0305, 0.0325, -2.81, 0.84),
    "wmm": (8, 0.535, 0.044, 0.0653, 0.0181, -1.14, 0.56),
    "spectrum_colour": (24, 0.493, 0.123, 0.0469, 0.0500, -2.72, 0.79),
    "spectrum_colour_wmm": (8, 0.492, 0.108, 0.1154, 0.0229, -1.22, 0.29),
}


@pytest.mark.parametrize("name", list(FINGERPRINTS))
def test_fingerprints_agree_within_sampling_error(name: str) -> None:
    pictures, wanted_mean, wanted_std, variation, variation_sd, slope, slope_sd = FINGERPRINTS[name]
    source = generators.create(name)
    count = 12 if "wmm" in name else 48
    measured = []
    for index in range(count):
        colours = source.colours(source.parameters(torch.tensor([index])))[0].double().numpy()
        # the reference's pictures are bytes: a smooth one's spectrum ends in their rounding noise
        picture = np.tensordot([0.299, 0.587, 0.114], np.floor(colours * 255), axes=1) / 255
        x, y = (np.abs(np.diff(picture, axis=axis)).mean() for axis in (1, 0))
        measured.append((picture.mean(), picture.std(), x + y, radial_slope(picture)))
    mean, spread = np.mean(measured, axis=0), np.std(measured, axis=0, ddof=1)
    wanted = np.array([wanted_mean, wanted_std, variation, slope])
    wanted_spread = np.array([spread[0], spread[1], variation_sd, slope_sd])
    error = np.hypot(spread / count**0.5, wanted_spread / pictures**0.5)
    assert (np.abs(mean - wanted) < 3 * error).all(), (mean, wanted, error)


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_stretched_over_its_colours(name: str) -> None:
    source = generators.create(name, height=40, width=24, iterations=2)
    colours = source.colours(source.parameters(torch.arange(2)))
    assert colours.shape == (2, 3, 40, 24)
    assert colours.flatten(1).amin(dim=1).tolist() == [0.0, 0.0]
    assert colours.flatten(1).amax(dim=1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("height", "width"), [(21, 33), (33, 9), (64, 101), (48, 80), (128, 128)])
@pytest.mark.parametrize("name", ["spectrum", "spectrum_colour_wmm"])
def test_a_picture_has_the_same_bits_in_every_batch(
    name: str, height: int, width: int, exact: bool
) -> None:
    source = generators.create(name, height=height, width=width, exact=exact, iterations=1)
    batch = source.batch(range(5))
    assert source.together >= 4 or not exact
    for index in (0, 3, 4):
        assert torch.equal(source.sample(index), batch[index])
    assert torch.equal(source.batch([4, 2]), batch[[4, 2]])


@pytest.mark.parametrize("name", NAMES)
def test_one_grey_channel_is_enough_where_it_need_not_be_exact(name: str) -> None:
    source = generators.create(name, height=32, width=32, iterations=2, exact=False)
    assert source.channels == 1
    batch = source.batch([3, 8])
    assert torch.equal(batch[1], source.sample(8))
    assert batch.flatten(1).amin(dim=1).tolist() == [0.0, 0.0]
    assert batch.flatten(1).amax(dim=1).tolist() == [1.0, 1.0]
    assert ("colour_table" in source.parameters(torch.arange(1))) == ("colour" in name)
    assert "colour_rotation" not in source.parameters(torch.arange(1))


def test_a_canvas_that_does_not_halve_is_cut_from_a_larger_one() -> None:
    source = generators.create("wmm", height=20, width=33, iterations=1)
    assert source.canvas == (24, 40)
    assert source.sample(0).shape == (20, 33)
    assert generators.create("wmm", height=256, width=300).canvas == (256, 304)  # four levels
    assert generators.create("spectrum", height=21, width=33).canvas == (21, 33)


def test_a_description_speaks_of_slopes_exponents_and_palette() -> None:
    facts = generators.create("spectrum_colour_wmm").describe(2)
    assert 0.3 < facts["slope_time"] < 3.7
    assert np.shape(facts["marginal_exponents"]) == (3, 13)
    assert len(facts["palette_rgb"]) == len(facts["palette_shares"])
    assert sum(facts["palette_shares"]) == pytest.approx(1.0)
    assert 1 <= facts["palette_blur_pixels"] <= 10


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"height": 4}, "height"),
        ({"iterations": 0}, "iterations"),
        ({"slope": (2.0, 1.0)}, "slope"),
        ({"tail": (0.0, 1.0)}, "tail"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        generators.create("spectrum_wmm", **fields)
