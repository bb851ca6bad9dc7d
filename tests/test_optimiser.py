"""How weights move: the schedule, what decays, and flat buffers against torch's own AdamW."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import tiny_runs
import torch
from torch import nn

from suite.optimiser import Optimiser, Training, decayed_and_free, learning_rate


def training(**changes: object) -> Training:
    values: dict[str, object] = {"warmup": 0.1, "schedule": "cosine", "weight_decay": 0.05}
    values |= {"decay_all": False, "betas": (0.9, 0.95), "clip_norm": 1.0, "precision": "float32"}
    values |= {"compile": False}
    return Training(**{**values, **changes})  # type: ignore[arg-type]


def test_the_learning_rate_warms_up_and_follows_half_a_cosine() -> None:
    rates = [learning_rate(step, 100, 2.0, training()) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1.0 - math.cos(math.pi / 90))
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_the_learning_rate_may_stay_constant() -> None:
    """AudioPG: no warm-up, no decay (spec/sources_and_mae.md 1.6)."""
    constant = training(warmup=0.0, schedule="constant")
    assert {learning_rate(step, 100, 1e-4, constant) for step in range(100)} == {1e-4}


def test_decay_spares_vectors_and_biases() -> None:
    objective = tiny_runs.experiment().build_objective()
    decayed, free = decayed_and_free(objective, training())
    names = {id(parameter): name for name, parameter in objective.named_parameters()}
    spared = {names[id(parameter)] for parameter in free}
    assert {"encoder.norm.weight", "decoder.prediction.bias"} <= spared
    assert all(parameter.ndim >= 2 for parameter in decayed)
    moved = {names[id(parameter)] for parameter in decayed}
    assert {"encoder.class_token", "decoder.mask_token"} <= moved  # stored as (1, 1, D), as published
    assert len(decayed) + len(free) == len(names)


def test_decay_may_cover_everything() -> None:
    """AudioPG decays biases, norms and tokens too."""
    objective = tiny_runs.experiment().build_objective()
    decayed, free = decayed_and_free(objective, training(decay_all=True))
    assert len(decayed) == len(list(objective.parameters()))
    assert not free


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.LayerNorm(7), nn.Linear(7, 3))


@pytest.mark.parametrize("clip_norm", [0.1, None])
def test_flat_buffers_move_weights_as_one_kernel_a_tensor_does(clip_norm: float | None) -> None:
    flat, plain = network(), network()
    optimiser = Optimiser(flat, training(clip_norm=clip_norm))
    decayed, free = decayed_and_free(plain, training())
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    start = copy.deepcopy(plain.state_dict())
    for step in range(5):
        inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        flat(inputs).square().sum().backward()
        plain(inputs).square().sum().backward()
        norm = nn.utils.clip_grad_norm_(plain.parameters(), clip_norm or math.inf)
        assert optimiser.clip().item() == pytest.approx(norm.item(), rel=1e-5)
        optimiser.step(0.01)
        reference.step()
        reference.zero_grad()
    for name, value in flat.state_dict().items():
        assert torch.allclose(value, plain.state_dict()[name], atol=1e-6), name
        assert not torch.allclose(value, start[name], atol=1e-3), name


def test_gradients_gather_until_the_step_and_are_then_forgotten() -> None:
    model = network()
    optimiser = Optimiser(model, training(clip_norm=None))
    inputs = torch.ones(2, 5)
    model(inputs).sum().backward()
    once = optimiser.clip().item()
    model(inputs).sum().backward()
    assert optimiser.clip().item() == pytest.approx(2.0 * once, rel=1e-5)
    optimiser.step(0.0)
    assert optimiser.clip().item() == 0.0


def test_what_is_not_trained_does_not_move() -> None:
    model = network()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model[0].state_dict())
    optimiser = Optimiser(model, training())
    model(torch.ones(2, 5)).square().sum().backward()
    optimiser.step(0.1)
    assert all(torch.equal(value, before[name]) for name, value in model[0].state_dict().items())
