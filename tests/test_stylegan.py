"""Untrained StyleGAN2: layers against definitions in float64, and the reference's fingerprints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fingerprints import Fingerprints
from scipy.stats import kstest
from torch import Tensor

import generators
from generators.drawer import UsageError
from generators.pictures import fast_convolution, stylegan_layers, wavelet_kernels
from generators.pictures.stylegan_synthesis import Network, Redrawn, convolutions, network, synthesise

CPU = torch.device("cpu")
NAMES = ["stylegan_random", "stylegan_high_frequency", "stylegan_sparse", "stylegan_oriented"]
LITE: dict[str, Any] = {"form": "lite", "height": 24, "width": 40}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_filter(stuffed: Tensor) -> Tensor:
    """[1, 3, 3, 1] along both axes with a gain of four, as one plane after another."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4.0
    channels = stuffed.shape[1]
    return F.conv2d(stuffed, torch.outer(line, line).expand(channels, 1, 4, 4), groups=channels)


def slow_layer(features: Tensor, style: Tensor, weights: Tensor, up: bool) -> Tensor:
    """A modulated convolution as defined, in float64; weights ``(B, O, C, 3, 3)``."""
    made = []
    for picture, scale, kernel in zip(features, style, weights, strict=True):
        modulated = kernel * scale[:, None, None]
        modulated = modulated / (modulated.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if not up:
            made.append(F.conv2d(picture[None], modulated, padding=1))
            continue
        height, width = picture.shape[1:]
        stuffed = torch.zeros(len(picture), 2 * height - 1, 2 * width - 1, dtype=torch.float64)
        stuffed[:, ::2, ::2] = picture
        # a transposed convolution is the full convolution of the stuffed picture
        full = F.conv2d(F.pad(stuffed, (2, 2, 2, 2))[None], modulated.flip(2, 3))
        made.append(slow_filter(F.pad(full, (1, 1, 1, 1))))
    return torch.cat(made) * math.sqrt(2.0)


def slow_double(pictures: Tensor) -> Tensor:
    """Up-sampling as defined: zeros between the pixels, then the filter."""
    batch, channels, height, width = pictures.shape
    stuffed = torch.zeros(batch, channels, 2 * height, 2 * width, dtype=torch.float64)
    stuffed[:, :, ::2, ::2] = pictures
    return slow_filter(F.pad(stuffed, (2, 1, 2, 1)))


# ---------------------------------------------------------------------------------------------------
# Layers


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 13), (5, 150), (4, 3)])
def test_tiles_compute_the_convolution(height: int, width: int) -> None:
    picture, weights = normal(height, width, 6), normal(5, 6, 3, 3, seed=1)
    scale, gain = normal(6, seed=2), normal(5, seed=3)
    wanted = F.conv2d((picture * scale).permute(2, 0, 1)[None], weights, padding=1)[0]
    ready = fast_convolution.transform_weights(weights.float())
    made = fast_convolution.convolve(picture.float(), scale.float(), ready, gain.float())
    assert torch.allclose(made.double(), wanted.permute(1, 2, 0) * gain, atol=2e-4)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 13), (3, 150), (4, 3)])
def test_tiles_compute_the_transposed_convolution(height: int, width: int) -> None:
    picture, weights, scale = normal(height, width, 6), normal(5, 6, 3, 3, seed=1), normal(6, seed=2)
    scaled = (picture * scale).permute(2, 0, 1)[None]
    wanted = F.conv_transpose2d(scaled, weights.transpose(0, 1), stride=2)[0].permute(1, 2, 0)
    ready = fast_convolution.transform_transposed(weights.float())
    made = fast_convolution.convolve_transposed(picture.float(), scale.float(), ready).double()
    assert torch.allclose(made[: 2 * height + 1, : 2 * width + 1], wanted, atol=2e-4)
    assert made[2 * height + 1 :].abs().max() < 1e-4
    assert made[:, 2 * width + 1 :].abs().max() < 1e-4


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_dense_layer_is_the_modulated_convolution(
    up: bool, tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stylegan_layers, "TILE_CHANNELS", 1 if tiled else 10**9)
    monkeypatch.setattr(stylegan_layers, "TILE_PIXELS", 1)
    features, weights, style = normal(1, 6, 9, 11), normal(5, 6, 3, 3, seed=1), normal(1, 6, seed=2)
    layer = stylegan_layers.dense_layer(weights.float(), up, 99)
    assert (layer.direct is None) == tiled
    made = stylegan_layers.apply_dense(features.float(), style.float(), layer)
    wanted = slow_layer(features, style, weights[None], up)
    assert made.shape == wanted.shape
    assert torch.allclose(made.double(), wanted, atol=1e-4)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("few", [False, True])
def test_a_wavelet_layer_is_the_dense_one_of_its_weights(
    up: bool, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stylegan_layers, "FEW_CHANNELS", 10**9 if few else 0)
    features, style = normal(2, 6, 9, 11), normal(2, 6, seed=1)
    kernels, mix = normal(2, 6, 3, 3, seed=2), normal(2, 5, 6, seed=3)
    arguments = (features.float(), style.float(), kernels.float(), mix.float())
    made = stylegan_layers.apply_wavelets(*arguments, up).double()
    weights = mix[:, :, :, None, None] * kernels[:, None]
    assert torch.allclose(made, slow_layer(features, style, weights, up), atol=1e-4)


def test_skips_are_doubled_by_stuffing_zeros_and_filtering() -> None:
    pictures = normal(2, 3, 5, 8)
    assert torch.allclose(stylegan_layers.double(pictures), slow_double(pictures))
    assert torch.allclose(
        slow_double(torch.ones(1, 1, 8, 8)).mean(), torch.tensor(0.9414).double(), atol=0.01
    )


def test_weights_are_standard_normal_and_known_by_their_key() -> None:
    keys = torch.tensor([3, 4])
    drawn = stylegan_layers.gaussian(keys, 20001, CPU)
    assert drawn.shape == (2, 20001)
    for row in drawn.double().numpy():
        assert kstest(row, "norm").pvalue > 1e-3
        assert abs(np.corrcoef(row[:10000], row[10001:])[0, 1]) < 0.04
    assert torch.equal(drawn[1:], stylegan_layers.gaussian(keys[1:], 20001, CPU))


# ---------------------------------------------------------------------------------------------------
# The network


def slow_network(net: Network, levels: Any, latents: Tensor, redrawn: Redrawn, kernels: Any) -> Tensor:
    """The generator of specification 5.3 in float64, from the same weights."""
    features = net.constant.double().expand(len(latents), -1, -1, -1)
    picture: Tensor | None = None
    for number, layer in enumerate(convolutions(levels)):
        style = latents[:, number].double() @ net.affine[number].double() + 1.0
        features = slow_layer(features, style, kernels[number].double(), layer.up) / math.sqrt(2.0)
        features = features[:, :, : layer.size[0], : layer.size[1]]
        if redrawn.noise:
            features = features + redrawn.noise[number].double()
        if redrawn.biases:
            features = features + redrawn.biases[number].double()[:, :, None, None]
        features = features.clamp_min(0.0) * math.sqrt(2.0)
        if number % 2 == 0:
            level = number // 2
            channels = features.shape[1]
            style = latents[:, number + 1].double() @ net.affine_colour[level].double() + 1.0
            weights = net.colour[level].double()[None] * style[:, None] / math.sqrt(channels)
            shown = torch.einsum("bkc,bchw->bkhw", weights, features)
            if picture is not None:
                shown = shown + slow_double(picture)[:, :, : layer.size[0], : layer.size[1]]
            picture = shown
    assert picture is not None
    return picture


def test_a_picture_is_that_of_the_network_as_published() -> None:
    levels = ((3, 4, 7), (6, 8, 5), (11, 15, 4))
    latents = normal(2, 6, 9).float()
    net = network(0, 3, levels, 9, 2, True, "cpu")
    layers = convolutions(levels)
    assert [layer[:3] for layer in layers] == [
        *((7, 7, False), (7, 5, True), (5, 5, False), (5, 4, True), (4, 4, False))
    ]
    kernels = []
    for layer, dense in zip(layers, net.dense, strict=True):
        assert dense.direct is not None
        weights = dense.direct.transpose(0, 1) if layer.up else dense.direct
        kernels.append(weights.expand(2, -1, -1, -1, -1))
    noise = tuple(normal(2, 1, *layer.size, seed=n).float() for n, layer in enumerate(layers))
    biases = tuple(normal(2, layer.outputs, seed=n).float() for n, layer in enumerate(layers))
    for redrawn in (Redrawn((), (), (), None), Redrawn(noise, biases, (), None)):
        made = synthesise(net, levels, latents, redrawn)
        wanted = slow_network(net, levels, latents, redrawn, kernels)
        assert made.shape == (2, 2, 11, 15)
        assert torch.allclose(made.double(), wanted, atol=1e-4 * float(wanted.std()))


def test_the_full_form_has_the_published_size() -> None:
    source: Any = generators.create("stylegan_random")
    assert [level[2] for level in source.levels] == [512, 512, 512, 512, 512, 256, 128]
    assert [level[0] for level in source.levels] == [4, 8, 16, 32, 64, 128, 256]
    drawn = source.draw_patterns(torch.arange(3))
    assert drawn["latents"].shape == (3, 14, 512)
    positive = drawn["latents"] > 0.0
    assert drawn["latents"][positive].double().square().mean() == pytest.approx(1.0, abs=0.03)
    assert drawn["latents"][~positive].double().square().mean() == pytest.approx(0.04, abs=0.002)


def test_every_four_hundred_pictures_have_a_network_of_their_own() -> None:
    source = generators.create("stylegan_random", **LITE)
    assert [source.describe(index)["network"] for index in (0, 399, 400, 1200)] == [0, 0, 1, 3]
    few = generators.create("stylegan_random", images_per_network=1, **LITE)
    same = generators.create("stylegan_random", images_per_network=2, **LITE)
    assert torch.equal(few.sample(0), same.sample(0))
    assert not torch.equal(few.sample(1), same.sample(1))


@pytest.mark.parametrize("name", NAMES)
def test_a_lite_picture_fits_any_canvas_and_has_the_drawn_level(name: str) -> None:
    for height, width in ((8, 9), (23, 65), (40, 24)):
        source: Any = generators.create(name, form="lite", height=height, width=width)
        pictures, drawn = source.batch(range(16)), source.draw_patterns(torch.arange(16))
        assert pictures.shape == (16, height, width)
        inside = (pictures.amin(dim=(1, 2)) > 0.0) & (pictures.amax(dim=(1, 2)) < 1.0)
        assert inside.any()
        mean, deviation = drawn["mean"][:, 0], drawn["deviation"][:, 0].abs()
        assert torch.allclose(pictures.mean(dim=(1, 2))[inside], mean[inside], atol=1e-4)
        assert torch.allclose(pictures.std(dim=(1, 2))[inside], deviation[inside], atol=1e-4)
    across = generators.create(name, form="lite", height=16, width=40, transpose=True)
    upright = generators.create(name, form="lite", height=40, width=16)
    assert torch.equal(across.sample(2), upright.sample(2).T)


# ---------------------------------------------------------------------------------------------------
# Wavelets, noise, biases


@pytest.mark.parametrize("signed", [False, True])
def test_the_bank_is_forty_wavelets_with_their_negatives(signed: bool) -> None:
    bank = wavelet_kernels.wavelet_bank(signed)
    assert bank.shape == (40, 3, 3)
    for kernel in bank:
        assert (bank + kernel).abs().amax(dim=(1, 2)).min() < 1e-6
    edges = bank[:16] if signed else bank[:8]
    assert edges.sum(dim=(1, 2)).abs().max() < 1e-5
    assert torch.allclose(edges[0], torch.tensor([[1.0, 0.0, -1.0]]).expand(3, 3), atol=1e-6)
    quarter = edges[4]  # a quarter turn lies 4 steps further in both banks
    assert torch.allclose(quarter.abs(), edges[0].T.abs(), atol=1e-6)
    if signed:
        assert set(edges.unique().tolist()) == {-1.0, 0.0, 1.0}
        assert (
            len({tuple(kernel.flatten().tolist()) for kernel in edges}) == 16
            or len({tuple(kernel.flatten().tolist()) for kernel in edges}) >= 8
        )


def test_noise_maps_fall_as_the_drawn_power_of_frequency() -> None:
    white = normal(24, 128, 128).float()
    for exponent in (0.5, 1.0, 1.5):
        maps = wavelet_kernels.pink_maps(white, torch.full((24,), exponent))
        assert torch.allclose(maps.mean(dim=(1, 2)), torch.zeros(24), atol=1e-5)
        assert torch.allclose(maps.std(dim=(1, 2), correction=0), torch.ones(24), atol=1e-5)
        slope = Fingerprints.of(maps.double().numpy()).rows[:, 3].mean()
        assert slope == pytest.approx(-2.0 * exponent, abs=0.12)


def test_envelopes_are_smooth_and_of_laplacian_values() -> None:
    uniform = (torch.arange(20001, dtype=torch.float64) + 0.5) / 20001
    assert kstest(wavelet_kernels.laplace(uniform).numpy(), "laplace").statistic < 1e-3
    coarse = normal(3, 4, 4).float()
    fine = wavelet_kernels.enlarge(coarse, 65, 97)
    assert fine.diff(dim=2).abs().max() < 0.15 * coarse.abs().max()
    assert torch.allclose(wavelet_kernels.enlarge(coarse, 12, 20)[:, 1::3, 2::5], coarse, atol=1e-5)
    one = wavelet_kernels.to_peak_one(fine)
    assert torch.allclose(one.abs().amax(dim=(1, 2)), torch.ones(3))
    assert torch.allclose(one * fine.abs().amax(dim=(1, 2), keepdim=True), fine)
    assert torch.allclose(wavelet_kernels.lanczos(4, 64).sum(dim=1), torch.ones(64))
    assert torch.allclose(wavelet_kernels.lanczos(4, 4), torch.eye(4), atol=1e-6)


def test_the_oriented_set_chooses_from_few_wavelets() -> None:
    source: Any = generators.create("stylegan_oriented", **LITE)
    drawn = source.draw_patterns(torch.arange(200))
    counts = drawn["kernels"]
    assert (int(counts.min()), int(counts.max())) == (5, 40)
    widths = [layer.inputs for layer in convolutions(source.levels)]
    for number, kernels in enumerate(drawn["kernel"].split(widths, dim=1)):
        for row, count in zip(kernels, counts[:, number].tolist(), strict=True):
            assert len(row.unique()) <= count
    free: Any = generators.create("stylegan_sparse", **LITE)
    shares = torch.bincount(free.draw_patterns(torch.arange(200))["kernel"].flatten().long()).double()
    assert len(shares) == 40
    assert (shares / shares.mean() - 1.0).abs().max() < 0.1


def test_noise_is_one_of_a_layers_maps_or_one_map_for_all_layers() -> None:
    source: Any = generators.create("stylegan_high_frequency", noise_maps=2, **LITE)
    drawn = source.draw_patterns(torch.arange(12))
    last = source.noise(drawn, CPU)[-1][:, 0] / drawn["noise_strength"][:, -1, None, None]
    for number in (0, 1):
        chosen = last[drawn["noise_map"][:, -1] == number]
        assert len(chosen) > 1
        assert torch.allclose(chosen, chosen[:1].expand_as(chosen), atol=1e-5)
    assert len(last.round(decimals=3).unique(dim=0)) == 2
    tied: Any = generators.create("stylegan_oriented", form="lite", height=64, width=64)
    drawn = tied.draw_patterns(torch.arange(3))
    maps = [
        noise[:, 0] / drawn["noise_strength"][:, layer, None, None]
        for layer, noise in enumerate(tied.noise(drawn, CPU))
    ]
    halved = F.avg_pool2d(maps[-1][:, None], 2)[:, 0]
    assert torch.allclose(halved, maps[-3], atol=1e-5)


@pytest.mark.parametrize("field", ["noise_strength", "bias_range"])
def test_noise_and_biases_change_a_picture_and_can_be_switched_off(field: str) -> None:
    full = generators.create("stylegan_sparse", **LITE)
    without = generators.create("stylegan_sparse", **{field: 0.0}, **LITE)
    other = generators.create("stylegan_sparse", **{field: 0.1}, **LITE)
    pictures = [source.sample(0) for source in (full, without, other)]
    assert not torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])
    biases = getattr(full, "draw_patterns")(torch.arange(30))["biases"]  # noqa: B009
    assert -0.2 <= float(biases.min()) < -0.199
    assert 0.199 < float(biases.max()) < 0.2


# ---------------------------------------------------------------------------------------------------
# The reference


@pytest.mark.parametrize(
    ("name", "count", "reference", "variation_sd", "slope_sd"),
    [
        ("stylegan_random", 3, (0.433, 0.120, 0.0067, -3.69), 0.0018, 0.31),
        ("stylegan_high_frequency", 6, (0.509, 0.109, 0.0326, -2.81), 0.0118, 0.34),
        ("stylegan_sparse", 6, (0.443, 0.116, 0.0220, -3.54), 0.0121, 0.55),
        ("stylegan_oriented", 6, (0.449, 0.113, 0.0214, -3.21), 0.0082, 0.34),
    ],
)
def test_the_full_form_has_the_references_fingerprint(
    name: str,
    count: int,
    reference: tuple[float, float, float, float],
    variation_sd: float,
    slope_sd: float,
) -> None:
    """Specification 8.2, 12 pictures of each reference."""
    pictures = generators.create(name).batch(range(count)).double().numpy()
    errors = Fingerprints.of(pictures).errors(reference, 12, variation_sd, slope_sd)
    assert (np.abs(errors) < 3.5).all(), errors


# ---------------------------------------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"side": 100}, "source.side=256"),
        ({"side": 4}, "source.side=256"),
        ({"height": 7}, "at least 8"),
        ({"images_per_network": 0}, "images_per_network=0"),
        ({"noise_maps": 0}, "noise_maps=0"),
        ({"noise_strength": -0.1}, "source.noise_strength=0.2"),
        ({"bias_range": math.nan}, "source.bias_range=nan: expected a finite number"),
        ({"fewest_kernels": 0}, "1 <= fewest"),
        ({"fewest_kernels": 9, "most_kernels": 8}, "1 <= fewest"),
        ({"most_kernels": 41}, "1 <= fewest"),
        ({"form": "light"}, "lite"),
    ],
)
def test_impossible_fields_are_answered(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generators.create("stylegan_sparse", **fields)
