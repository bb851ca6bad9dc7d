"""The plain MAE that speeds are compared with computes what ours computes.

.venv/bin/python -m pytest tests/test_plain_mae.py
"""

from __future__ import annotations

import plain_mae
import pytest
import torch
from torch import Tensor, nn

from suite import drawers
from suite.encoder import Encoder
from suite.objectives.base import Batch, DecoderSize
from suite.objectives.mae import MAE
from suite.stream import generator_of

GRID = (4, 5)


def ours() -> MAE:
    torch.manual_seed(0)
    encoder = Encoder(width=32, depth=2, heads=4)
    made: MAE = drawers.objectives.create("mae").build(encoder, DecoderSize(width=16, depth=2, heads=2))
    for parameter in made.parameters():  # biases and norms start alike, and would hide a mistake
        nn.init.normal_(parameter, std=0.1)
    return made


def given() -> tuple[Tensor, Batch, Tensor]:
    """Images ``(B, 1, T, F)``, the same as a batch of ours, and noise that sorts into its masks."""
    images = torch.randn(3, 80, 64, generator=generator_of("images"))
    mask = drawers.masks.create("random", ratio=0.75).sample(3, GRID, generator_of("masks"))
    noise = torch.cat([mask.keep, mask.hide], dim=1).argsort(dim=1).float()
    return images.transpose(1, 2)[:, None], Batch(images, mask), noise


def test_equal_weights_and_masks_give_the_same_loss_and_gradients() -> None:
    model = ours()
    plain = plain_mae.twin(model, GRID, (4, 2))
    pictures, batch, noise = given()
    expected, loss = plain(pictures, 0.75, noise), model.losses(batch)["loss"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    loss.backward()
    pairs = [
        (plain.blocks[0].attn.qkv.weight, model.encoder.blocks[0].attn.qkv.weight),
        (plain.decoder_blocks[1].mlp.fc1.bias, model.decoder.blocks[1].mlp.fc1.bias),
        (plain.mask_token, model.decoder.mask_token),
    ]
    for theirs, own in pairs:
        assert theirs.grad is not None
        assert own.grad is not None
        assert torch.allclose(theirs.grad, own.grad, atol=1e-5)


def test_as_many_parameters_are_trained() -> None:
    model = ours()
    plain = plain_mae.twin(model, GRID, (4, 2))
    sizes = [sum(p.numel() for p in part.parameters()) for part in (plain, model)]
    assert sizes[0] == sizes[1]
