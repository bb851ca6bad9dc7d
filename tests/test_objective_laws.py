"""Laws of objectives, over every entry of the drawer.

.venv/bin/python -m pytest tests/test_objective_laws.py
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import generators
from suite import drawers
from suite.encoder import Architecture, Encoder
from suite.masking.base import Mask
from suite.objectives.base import Batch, DecoderSize, Objective
from suite.objectives.mae import MAE
from suite.stream import generator_of

EVERY = drawers.objectives.names()
MASKING = drawers.masks.create("random")
DECODER = DecoderSize(width=32, depth=1, heads=2)
VECTOR = 6  # numbers of a frozen encoder's vector


def build(name: str, seed: int = 0, **fields: Any) -> Objective:
    torch.manual_seed(seed)
    settings = drawers.objectives.create(name, **fields)
    architecture = Architecture(**settings.architecture)
    encoder = Encoder(patch=(16, 16), width=32, depth=2, heads=2, architecture=architecture)
    objective: Objective = settings.build(encoder, DECODER, VECTOR if settings.frozen() else 0)
    return objective


def given(objective: Objective, images: Tensor, drawn: Mask) -> Batch:
    """A batch with vectors of a frozen encoder, which those that ask for none leave aside."""
    vectors = torch.randn(len(images), VECTOR, generator=generator_of("vectors"))
    return Batch(images, drawn, 7919 * torch.arange(len(drawn.keep)), vectors)


def pictures(batch: int = 8) -> Tensor:
    """Standardised pictures ``(B, 80, 96)``: 30 patches each."""
    images = generators.create("dead_leaves", height=80, width=96).batch(torch.arange(batch))
    return (images - images.mean()) / images.std()


def mask(batch: int = 8, views: int = 1) -> Mask:
    drawn: Mask = MASKING.sample(batch * views, (6, 5), generator_of("test"))
    return drawn


def batch_of(objective: Objective) -> Batch:
    return given(objective, pictures(), mask(views=objective.views))


def with_noise_where_hidden(objective: Objective, images: Tensor, drawn: Mask) -> Tensor:
    """The images with other pixels in every hidden patch."""
    spoiled = images.clone()
    noise = torch.randn(images.shape, generator=generator_of("noise")) * 100
    for row, hidden in enumerate(drawn.hide.tolist()):
        for token in hidden:
            step, band = divmod(token, drawn.grid[1])
            place = (row, slice(band * 16, band * 16 + 16), slice(step * 16, step * 16 + 16))
            spoiled[place] = noise[place]
    kept = drawn.keep[..., None].expand(-1, -1, 256)
    patchify = objective.encoder.patchify
    assert torch.equal(patchify(images).gather(1, kept), patchify(spoiled).gather(1, kept))
    assert not torch.equal(images, spoiled)
    return spoiled


@pytest.mark.parametrize("name", EVERY)
def test_hidden_patches_do_not_influence_the_encoder(name: str) -> None:
    """spec/bootstrap_and_masking.md 5.2, item 6: bit-identical."""
    objective, images, drawn = build(name), pictures(), mask()
    seen: list[Tensor] = []
    objective.encoder.norm.register_forward_hook(lambda _module, _args, output: seen.append(output))
    for pixels in (images, with_noise_where_hidden(objective, images, drawn)):
        torch.manual_seed(0)
        objective.losses(given(objective, pixels, drawn))
    assert torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("normalise", [True, False])
def test_hidden_patches_do_not_influence_the_mae_s_reconstruction(normalise: bool) -> None:
    objective, images, drawn = build("mae", normalise_pixels=normalise), pictures(), mask()
    assert isinstance(objective, MAE)
    spoiled = with_noise_where_hidden(objective, images, drawn)
    assert torch.equal(objective.reconstruct(images, drawn), objective.reconstruct(spoiled, drawn))
    assert not torch.equal(objective.targets(images, drawn), objective.targets(spoiled, drawn))


@pytest.mark.parametrize("name", EVERY)
def test_gradients_reach_every_trained_parameter(name: str) -> None:
    objective = build(name)
    objective.losses(batch_of(objective))["loss"].backward()
    for parameter_name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name
    assert all(parameter.requires_grad for parameter in objective.encoder.parameters())


@pytest.mark.parametrize("name", EVERY)
def test_the_loss_falls_by_half_on_eight_samples(name: str) -> None:
    objective = build(name)
    batch = batch_of(objective)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    first = objective.losses(batch)["loss"].item()
    for step in range(250):
        loss = objective.losses(batch)["loss"]
        if loss.item() < first / 2:
            return
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        objective.after_step(step + 1, 250)
    pytest.fail(f"{name}: from {first:.3f} to {loss.item():.3f} in 250 steps")


@pytest.mark.parametrize("name", EVERY)
def test_state_round_trips(name: str) -> None:
    objective, other = build(name), build(name, seed=1)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    objective.losses(batch_of(objective))["loss"].backward()
    optimiser.step()
    objective.after_step(1, 2)
    losses = []
    for model in (other, objective):
        model.load_state_dict(objective.state_dict())
        torch.manual_seed(0)
        losses.append(model.losses(batch_of(model)))
    assert losses[0].keys() == losses[1].keys()
    for key, value in losses[0].items():
        assert torch.equal(value, losses[1][key]), key


@pytest.mark.parametrize("name", EVERY)
def test_losses_are_finite_scalars_with_one_named_loss(name: str) -> None:
    objective = build(name)
    losses = objective.losses(batch_of(objective))
    assert "loss" in losses
    for key, value in losses.items():
        assert value.shape == (), key
        assert value.isfinite(), key


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_clips_does_not_change_the_loss(name: str) -> None:
    objective = build(name)
    batch = batch_of(objective)
    torch.manual_seed(0)
    expected = objective.losses(batch)["loss"].item()
    parts = [batch.part(clip, clip + 1) for clip in reversed(range(8))]
    assert batch.seeds is not None
    backwards = Batch(
        torch.cat([part.images for part in parts]),
        Mask(*(torch.cat([getattr(p.mask, name) for p in parts]) for name in ("keep", "hide")), (6, 5)),
        torch.cat([part.row_seeds() for part in parts]),
        torch.cat([part.vectors for part in parts if part.vectors is not None]),
    )
    torch.manual_seed(0)
    assert objective.losses(backwards)["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_normalised_targets_have_zero_mean_and_unit_variance() -> None:
    """MAE: (p - mean) / sqrt(variance + 1e-6), unbiased variance (spec/sources_and_mae.md 1.5)."""
    objective, drawn = build("mae"), mask()
    assert isinstance(objective, MAE)
    images = torch.randn(8, 80, 96, generator=generator_of("pixels")) * 5 + 3
    targets = objective.targets(images, drawn)
    assert targets.shape == (8, drawn.hide.shape[1], 256)
    assert torch.allclose(targets.mean(dim=2), torch.zeros(()), atol=1e-5)
    assert torch.allclose(targets.var(dim=2), torch.ones(()), atol=1e-4)


def test_the_loss_is_the_mean_over_hidden_patches() -> None:
    objective, images, drawn = build("mae", normalise_pixels=False), pictures(), mask()
    assert isinstance(objective, MAE)
    predicted = objective.reconstruct(images, drawn)
    total, count = 0.0, 0
    for row, hidden in enumerate(drawn.hide.tolist()):
        for place, token in enumerate(hidden):
            step, band = divmod(token, 5)
            pixels = images[row, band * 16 : band * 16 + 16, step * 16 : step * 16 + 16].flatten()
            total += (predicted[row, place] - pixels).square().mean().item()
            count += 1
    assert objective.losses(Batch(images, drawn))["loss"].item() == pytest.approx(
        total / count, rel=1e-5
    )
