"""CAT's stem: as large as published, equal to the dense computation, deaf to what is hidden.

.venv/bin/python -m pytest tests/test_stem.py
"""

from __future__ import annotations

import dense_stem
import pytest
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite import drawers
from suite.encoder import Architecture, Encoder
from suite.masking.base import Mask
from suite.stem import OPTIONS
from suite.stem_convolution import MaskedConvolution, SeenConvolution, windows_of
from suite.stream import generator_of

SIDES = {option: OPTIONS[option].resolutions[-1] for option in range(len(OPTIONS))}
# Parameters of the encoder and of the stem in millions (spec/bootstrap_and_masking.md B.1).
PUBLISHED = {
    0: (88.8, 10.81),
    1: (85.9, 0.79),
    2: (91.0, 5.9),
    3: (98.1, 13.0),
    4: (91.0, 6.0),
    5: (125, 40.4),
    6: (125, 40.4),
}


def encoder(option: int, width: int = 32) -> Encoder:
    torch.manual_seed(0)
    side = SIDES[option]
    architecture = Architecture(norm="post", stem=option)
    return Encoder(patch=(side, side), width=width, depth=1, heads=2, architecture=architecture).eval()


def image(option: int, batch: int = 2) -> Tensor:
    """Images of 4 x 3 patches."""
    side = SIDES[option]
    return torch.randn(batch, 3 * side, 4 * side, generator=generator_of("image"))


def masks(rows: int) -> Mask:
    drawn: Mask = drawers.masks.create("random", ratio=0.5).sample(rows, (4, 3), generator_of("mask"))
    return drawn


@pytest.mark.parametrize("option", PUBLISHED)
def test_every_option_has_the_published_parameters(option: int) -> None:
    side = SIDES[option]
    depth = 11 if option == 0 else 12
    architecture = Architecture(norm="post", stem=option)
    with torch.device("meta"):
        model = Encoder(patch=(side, side), depth=depth, architecture=architecture)
    whole = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    stem = sum(parameter.numel() for parameter in model.patch_embedding.parameters()) / 1e6
    assert whole == pytest.approx(PUBLISHED[option][0], rel=0.004)
    assert stem == pytest.approx(PUBLISHED[option][1], rel=0.01)


@pytest.mark.parametrize("option", range(len(OPTIONS)))
@pytest.mark.parametrize("clones", [1, 3])
def test_seen_patches_alone_give_what_the_dense_stem_gives(option: int, clones: int) -> None:
    """The released form: every cell of every view, hidden ones zero before each 5 x 5."""
    model, pictures, drawn = encoder(option), image(option), masks(2 * clones)
    sparse = model.embedded(pictures, drawn.keep)
    dense = dense_stem.embedded(model, pictures, drawn)
    assert torch.allclose(sparse, dense, atol=1e-5)


@pytest.mark.parametrize("option", range(len(OPTIONS)))
def test_without_a_mask_every_patch_is_seen(option: int) -> None:
    model, pictures = encoder(option), image(option)
    everything = torch.arange(12).expand(2, -1)
    assert torch.allclose(model.embedded(pictures), model.embedded(pictures, everything), atol=1e-5)


@pytest.mark.parametrize("option", range(len(OPTIONS)))
def test_hidden_patches_do_not_reach_the_stem(option: int) -> None:
    """spec/bootstrap_and_masking.md 5.2, item 6: bit-identical."""
    model, pictures, drawn = encoder(option), image(option), masks(2)
    side, spoilt = SIDES[option], image(option)
    for row, hidden in enumerate(drawn.hide.tolist()):
        for token in hidden:
            step, band = divmod(token, 3)
            spoilt[row, band * side : (band + 1) * side, step * side : (step + 1) * side] = 1e3
    assert not torch.equal(pictures, spoilt)
    assert torch.equal(model.tokens(pictures, drawn.keep), model.tokens(spoilt, drawn.keep))


@pytest.mark.parametrize("side", [2, 4, 8])
@pytest.mark.parametrize("patches", [3, 12])
def test_the_5_x_5_over_seen_cells_is_the_one_over_the_masked_plane(side: int, patches: int) -> None:
    """Values and all gradients, in double precision, against torch's convolution of the whole plane."""
    rows, (steps, bands), channels = 3, (4, 3), 5
    generator = generator_of("cells", side, patches)
    keep = torch.rand(rows, steps * bands, generator=generator).argsort(dim=1)[:, :patches]
    layer = MaskedConvolution(channels).double()
    shape = (rows, patches, side, side, channels)
    cells = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    wanted = torch.randn(cells.shape, generator=generator, dtype=torch.float64)

    places = [(row, *divmod(token, bands)) for row in range(rows) for token in keep[row].tolist()]
    plane = torch.zeros(rows, channels, bands * side, steps * side, dtype=torch.float64)
    for (row, step, band), patch in zip(places, cells.flatten(0, 1), strict=True):
        corner = (slice(band * side, (band + 1) * side), slice(step * side, (step + 1) * side))
        plane[row, :, corner[0], corner[1]] = patch.permute(2, 0, 1)
    dense = layer.convolution(plane)
    expected = torch.stack(
        [
            dense[row, :, band * side : (band + 1) * side, step * side : (step + 1) * side]
            for row, step, band in places
        ]
    ).permute(0, 2, 3, 1)
    assert layer.convolution.bias is not None
    parameters = [cells, layer.convolution.weight, layer.convolution.bias]
    of_dense = torch.autograd.grad((expected * wanted.flatten(0, 1)).sum(), parameters)

    seen = layer(cells, (steps, bands), windows_of(keep, (steps, bands), side))
    of_seen = torch.autograd.grad((seen * wanted).sum(), parameters)
    torch.testing.assert_close(seen.flatten(0, 1), expected)
    for ours, theirs in zip(of_seen, of_dense, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("option", [0, 5])
def test_the_5_x_5_stays_in_float32_where_products_are_bfloat16(
    option: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pictures, drawn = encoder(option), image(option), masks(2)
    kinds: list[torch.dtype] = []
    apply = SeenConvolution.apply

    def heard(cells: Tensor, *rest: Tensor) -> Tensor:
        kinds.append(cells.dtype)
        return apply(cells, *rest)

    monkeypatch.setattr(SeenConvolution, "apply", heard)
    exact = model.embedded(pictures, drawn.keep)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.embedded(pictures, drawn.keep)
    assert set(kinds) == {torch.float32}
    assert (rounded - exact).abs().max() < 0.02 * exact.abs().max()


def test_a_neighbour_that_is_seen_matters() -> None:
    """Or the test before could not fail: the 5 x 5 convolution does look beyond the patch."""
    model, pictures, changed = encoder(0), image(0, 1), image(0, 1)
    changed[:, :16, 16:32] += 1.0  # token (1, 0)
    both, apart = torch.tensor([[0, 3]]), torch.tensor([[0]])
    assert not torch.allclose(model.embedded(pictures, both)[:, 0], model.embedded(changed, both)[:, 0])
    assert torch.equal(model.embedded(pictures, apart), model.embedded(changed, apart))


def test_stems_that_do_not_fit_are_refused_with_the_keys() -> None:
    with pytest.raises(UsageError, match=r"stem=2 makes patches of 8 x 8.*scale\.patch=\[8,8\]"):
        Encoder(width=32, depth=1, heads=2, architecture=Architecture(stem=2))
    with pytest.raises(UsageError, match=r"stem=7: expected 0 to 6"):
        Encoder(width=32, depth=1, heads=2, architecture=Architecture(stem=7))
