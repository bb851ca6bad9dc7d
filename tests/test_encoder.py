"""The encoder is ViT with the published sizes, positions and token order.

.venv/bin/python -m pytest tests/test_encoder.py
"""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.blocks import attend, last_tokens, pick, transformer_blocks
from suite.configuration import configure, experiment_of
from suite.encoder import Architecture, Encoder, sine_cosine_2d
from suite.pooling import stacked_bands

SMALL = {"width": 32, "depth": 2, "heads": 4}


def encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(patch=(16, 16), **SMALL).eval()


def image(bands: int = 80, frames: int = 208, batch: int = 2) -> Tensor:
    return torch.randn(batch, bands, frames, generator=torch.Generator().manual_seed(1))


def test_base_has_exactly_the_published_parameters() -> None:
    """spec/sources_and_mae.md 1.5."""
    experiment = experiment_of(configure(["scale=base", "frontend=kaldi"]))
    with torch.device("meta"):
        objective = experiment.build_objective()
    encoder = sum(parameter.numel() for parameter in objective.encoder.parameters())
    everything = sum(parameter.numel() for parameter in objective.parameters())
    assert encoder == 85_254_144
    assert everything - encoder == 25_745_664


def test_blocks_carry_timms_names() -> None:
    """Published weights load by name (spec/bootstrap_and_masking.md 6)."""
    names = set(encoder().blocks.state_dict())
    parts = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    expected = {
        f"{block}.{part}.{kind}" for block in "01" for part in parts for kind in ("weight", "bias")
    }
    assert names == expected


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_attention_is_the_same_with_and_without_gradients(kind: torch.dtype) -> None:
    """A CPU takes plain products where bfloat16 has to come back, and the fused kernel elsewhere."""
    drawn = torch.randn(3, 2, 4, 17, 8, generator=torch.Generator().manual_seed(2))
    with_gradient = [part.to(kind).requires_grad_() for part in drawn]
    heard = attend(*with_gradient)
    queries, keys, values = drawn.to(kind).double()
    expected = (queries @ keys.transpose(2, 3) / 8**0.5).softmax(dim=3) @ values
    near = {"atol": 1e-5 if kind == torch.float32 else 0.02, "rtol": 0.0}
    assert heard.dtype == kind
    assert torch.allclose(heard.double(), expected, **near)
    assert torch.allclose(attend(*drawn.to(kind)).double(), expected, **near)
    heard.backward(torch.ones_like(heard))
    assert all(part.grad is not None and part.grad.isfinite().all() for part in with_gradient)


def test_half_of_a_position_tells_the_band_and_half_the_time() -> None:
    """spec/bootstrap_and_masking.md 5.2, item 7."""
    steps, rows, width = 13, 5, 32
    positions = sine_cosine_2d((steps, rows), width).unflatten(0, (steps, rows))
    band, time = positions[..., : width // 2], positions[..., width // 2 :]
    assert torch.equal(band, band[:1].expand(steps, -1, -1))
    assert torch.equal(time, time[:, :1].expand(-1, rows, -1))
    assert len(torch.unique(positions.flatten(0, 1), dim=0)) == steps * rows


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (64, 8), (1, 5)])
def test_positions_are_sines_and_cosines_of_the_published_rates(grid: tuple[int, int]) -> None:
    """spec/sources_and_mae.md 3.2, number by number."""
    width = 16
    positions = sine_cosine_2d(grid, width).double()
    for step in range(grid[0]):
        for row in range(grid[1]):
            expected = []
            for place in (row, step):
                rates = [10_000.0 ** (-k / (width / 4)) for k in range(width // 4)]
                angles = torch.tensor([place * rate for rate in rates], dtype=torch.float64)
                expected += [angles.sin(), angles.cos()]
            assert torch.allclose(positions[step * grid[1] + row], torch.cat(expected), atol=1e-6)


def test_longer_images_keep_the_positions_of_shorter_ones() -> None:
    assert torch.equal(sine_cosine_2d((4, 5), 32), sine_cosine_2d((9, 5), 32)[:20])


@pytest.mark.parametrize(
    ("patch", "size"), [((16, 16), (80, 208)), ((8, 4), (16, 20)), ((80, 2), (80, 6))]
)
def test_patches_are_time_major_and_hold_every_pixel_once(
    patch: tuple[int, int], size: tuple[int, int]
) -> None:
    model = Encoder(patch=patch, width=16, depth=1, heads=2)
    pixels = torch.arange(2 * size[0] * size[1]).float().view(2, *size)
    patches = model.patchify(pixels)
    steps, rows = size[1] // patch[1], size[0] // patch[0]
    assert model.grid(pixels) == (steps, rows)
    assert patches.shape == (2, steps * rows, patch[0] * patch[1])
    back = torch.empty_like(pixels)
    for step in range(steps):
        for row in range(rows):
            bands = slice(row * patch[0], (row + 1) * patch[0])
            frames = slice(step * patch[1], (step + 1) * patch[1])
            back[:, bands, frames] = patches[:, step * rows + row].view(2, *patch)
    assert torch.equal(back, pixels)


def test_the_order_of_kept_patches_only_orders_the_tokens() -> None:
    model, keep = encoder(), torch.stack([torch.randperm(65)[:16] for _ in range(2)])
    order = torch.randperm(16)
    tokens, shuffled = model.tokens(image(), keep), model.tokens(image(), keep[:, order])
    assert torch.allclose(shuffled[:, 0], tokens[:, 0], atol=1e-5)
    assert torch.allclose(shuffled[:, 1:], tokens[:, 1:][:, order], atol=1e-5)


def test_keeping_every_patch_is_keeping_none_out() -> None:
    everything = torch.arange(65).expand(2, -1)
    model = encoder()
    assert torch.allclose(model.tokens(image(), everything), model.tokens(image()), atol=1e-6)


def test_patches_that_are_not_kept_are_never_read() -> None:
    keep = torch.tensor([[0, 7, 64], [3, 4, 5]])
    spoiled = image()
    unread = torch.ones_like(spoiled, dtype=torch.bool)
    for row, kept in enumerate(keep.tolist()):
        for token in kept:
            step, band = divmod(token, 5)
            unread[row, band * 16 : band * 16 + 16, step * 16 : step * 16 + 16] = False
    spoiled[unread] = torch.nan
    model = encoder()
    assert torch.equal(model.tokens(image(), keep), model.tokens(spoiled, keep))


def test_a_frame_holds_its_band_steps_side_by_side() -> None:
    model = encoder()
    tokens = model.tokens(image())
    frames = stacked_bands(tokens, model.grid(image()))
    assert frames.shape == (2, 13, 5 * 32)
    assert torch.equal(frames[:, 4, 2 * 32 : 3 * 32], tokens[:, 1 + 4 * 5 + 2])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_last_layer_is_the_tokens_bit_for_bit(norm: Literal["pre", "post"]) -> None:
    torch.manual_seed(0)
    model = Encoder(width=32, depth=3, heads=2, architecture=Architecture(norm=norm)).eval()
    layers = list(model.layers(image()))
    assert len(layers) == 4
    assert torch.equal(layers[-1], model.tokens(image()))
    assert torch.equal(layers[2], model.blocks[1](layers[1]))


def test_an_image_has_the_same_tokens_in_any_batch() -> None:
    model, images = encoder(), image(batch=5)
    together = model.tokens(images)
    alone = torch.cat([model.tokens(images[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_sizes_that_do_not_divide_are_refused_with_the_keys() -> None:
    with pytest.raises(UsageError, match=r"frontend\.bands"):
        encoder().tokens(image(bands=72))
    with pytest.raises(UsageError, match="heads=3"):
        Encoder(width=32, depth=1, heads=3)


def test_the_last_tokens_are_those_of_all_blocks() -> None:
    torch.manual_seed(0)
    blocks = transformer_blocks(16, 2, 2)
    tokens = torch.randn(3, 7, 16)
    assert torch.allclose(last_tokens(blocks, tokens, 4), blocks(tokens)[:, -4:], atol=1e-6)


def test_patches_are_picked_as_they_are_gathered() -> None:
    patches, chosen = torch.randn(2, 5, 3), torch.tensor([[4, 0, 1], [2, 2, 3]])
    picked = pick(patches, chosen)
    assert torch.equal(picked, patches.gather(1, chosen[..., None].expand(-1, -1, 3)))
