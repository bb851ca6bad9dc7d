"""Feature visualisations: the ascent, its movements and both networks against other implementations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny_encoder import dead_leaves_run, tiny_encoder
from torch import Tensor, nn
from torchvision.models import resnet50

import generators
from generators.drawer import BadData, DataMissing, UsageError
from generators.pictures import gradient_ascent, visualised_networks
from generators.pictures.visualised_networks import RESNET_50, SMALL, FinishedRun

CPU = torch.device("cpu")
TINY: dict[str, Any] = {"form": "small", "height": 32, "width": 48}


def still(count: int) -> dict[str, Tensor]:
    """No movement at all."""
    nothing = torch.zeros(count, 2)
    return {
        "shift_before": nothing,
        "shift_after": nothing,
        "scale": torch.ones(count),
        "turn": torch.zeros(count),
    }


# ---------------------------------------------------------------------------------------------------
# Networks


def test_the_full_network_is_a_resnet_50_as_it_is_initialised() -> None:
    stem, blocks = visualised_networks.random_weights(0, RESNET_50, "cpu")
    drawn = [stem]
    for block in blocks:
        drawn += [*block.layers, *([] if block.shortcut is None else [block.shortcut])]
    with torch.device("meta"):
        other = resnet50()
    other = other.to_empty(device="cpu").eval()
    convolutions = [module for module in other.modules() if isinstance(module, nn.Conv2d)]
    assert len(drawn) == len(convolutions) == 53
    with torch.no_grad():
        for module, weights in zip(convolutions, drawn, strict=True):
            assert module.weight.shape == weights.shape
            module.weight.copy_(weights)
            spread = (2.0 / (weights.shape[0] * weights.shape[2] ** 2)) ** 0.5
            assert float(weights.std()) == pytest.approx(spread, rel=0.05)
        for module in other.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        other.fc = nn.Identity()
        images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        wanted = other(images)
        made = visualised_networks.random_features(0, RESNET_50, "cpu")(images)
    assert made.shape == (2, 2048)
    assert torch.allclose(made, wanted, rtol=1e-3, atol=1e-3 * float(wanted.mean()))


def test_no_feature_of_the_small_network_is_dead() -> None:
    network = visualised_networks.random_features(0, SMALL, "cpu")
    images = torch.randn(16, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    features = network(images)
    assert features.shape == (16, SMALL.features) == (16, 128)
    assert (features.std(dim=0) > 0.0).all()


def test_a_runs_encoder_is_the_suites_encoder(tmp_path: Path) -> None:
    run = FinishedRun(dead_leaves_run(tmp_path))
    images = torch.rand(3, 1, 24, 40, generator=torch.Generator().manual_seed(0))
    made = visualised_networks.encoder_features(run, "cpu")(images)
    flat = images[:, 0]
    mean = flat.mean(dim=(1, 2), keepdim=True)
    standardised = (flat - mean) / flat.std(dim=(1, 2), keepdim=True)
    with torch.no_grad():
        wanted = tiny_encoder().tokens(standardised)[:, 1:].mean(dim=1)
    assert torch.allclose(made, wanted, atol=1e-5)


# ---------------------------------------------------------------------------------------------------
# The ascent


def test_single_features_come_first_and_then_the_pairs_in_order() -> None:
    source: Any = generators.create("feature_vis_random", size=8256, **TINY)
    assert source.describe(0)["features"] == [0]
    assert source.describe(127)["features"] == [127]
    assert source.describe(128)["features"] == [0, 1]
    assert source.describe(129)["features"] == [0, 2]
    assert source.describe(128 + 127)["features"] == [1, 2]
    assert source.describe(8255)["features"] == [126, 127]
    assert source.describe(8256)["features"] == [0]
    every = {tuple(pair) for pair in source.chosen(torch.arange(8256)).tolist()}
    assert len(every) == 8256


def test_the_picture_is_the_inverse_transform_of_a_scaled_spectrum() -> None:
    source: Any = generators.create("feature_vis_random", form="full", side=32)
    drawn = source.draw_patterns(torch.arange(2))
    spectrum = drawn["spectrum"].double().numpy()
    assert spectrum.std() == pytest.approx(0.01, rel=0.05)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)[None])
    complex_spectrum = (spectrum[:, 0] + 1j * spectrum[:, 1]) / np.maximum(frequency, 1.0 / 32)
    planes = np.fft.irfft2(complex_spectrum, s=(32, 32), norm="ortho") / 4.0
    mixing = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
    mixing /= np.linalg.norm(mixing, axis=0).max()
    wanted = 1.0 / (1.0 + np.exp(-np.einsum("cd,pdhw->pchw", mixing, planes)))
    np.testing.assert_allclose(source.picture(drawn["spectrum"]).numpy(), wanted, atol=1e-5)


def test_movements_shift_turn_and_scale() -> None:
    pictures = torch.rand(2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(gradient_ascent.moved(pictures, still(2)), pictures, atol=1e-5)
    for key in ("shift_before", "shift_after"):
        shifted = gradient_ascent.moved(pictures, {**still(2), key: torch.tensor([[3.0, -2.0]] * 2)})
        assert torch.allclose(shifted[:, :, :17, 2:], pictures[:, :, 3:, :18], atol=1e-5)
        assert torch.allclose(shifted[:, :, 17:], torch.tensor(0.5), atol=1e-5)
    turned = gradient_ascent.moved(pictures, {**still(2), "turn": torch.full((2,), 90.0)})
    quarter = [torch.allclose(turned, pictures.rot90(k, (2, 3)), atol=1e-4) for k in (1, 3)]
    assert sum(quarter) == 1
    ramp = torch.linspace(0.0, 1.0, 41).expand(1, 1, 21, 41)
    larger = gradient_ascent.moved(ramp, {**still(1), "scale": torch.tensor([1.1])})
    slope = larger.diff(dim=3)[0, 0, 10, 5:35] / ramp.diff(dim=3)[0, 0, 10, 5:35]
    assert torch.allclose(slope, torch.tensor(1.0 / 1.1), atol=1e-3)
    wide = torch.zeros(1, 1, 21, 61)
    wide[..., 10, :] = 1.0  # a level line, turned: as steep in pixels whatever the proportions
    tilted = gradient_ascent.moved(wide, {**still(1), "turn": torch.tensor([10.0])})
    bright = tilted[0, 0, 3:18]  # rows that nothing from beyond the border reaches
    centre = (bright * torch.arange(15.0)[:, None]).sum(dim=0) / bright.sum(dim=0)
    rise = float(centre[45] - centre[15])
    assert abs(rise) == pytest.approx(30 * np.tan(np.radians(10.0)), abs=0.1)


def test_movements_are_drawn_from_the_published_sets() -> None:
    source: Any = generators.create("feature_vis_random", **TINY)
    drawn = source.draw_patterns(torch.arange(40))
    before, after, scale, turn = (drawn[key].flatten() for key in gradient_ascent.MOVEMENTS)
    assert before.unique().tolist() == list(range(-4, 5))
    assert after.unique().tolist() == list(range(-2, 3))
    assert scale.unique().tolist() == pytest.approx([0.9 + 0.02 * step for step in range(11)])
    assert turn.unique().tolist() == list(range(-10, 11))
    assert float((turn == 0.0).float().mean()) == pytest.approx(6 / 26, abs=0.02)


def test_the_steps_are_those_of_adam() -> None:
    source: Any = generators.create("feature_vis_random", steps=6, **TINY)
    drawn = source.draw_patterns(torch.tensor([200]))
    network = source.network(CPU)
    asked = drawn["spectrum"].clone().requires_grad_()
    optimiser = torch.optim.Adam([asked], lr=0.05, maximize=True)
    for step in range(6):
        movement = {key: drawn[key][:, step] for key in gradient_ascent.MOVEMENTS}
        seen = source.prepare(gradient_ascent.moved(source.picture(asked), movement))
        optimiser.zero_grad()
        network(seen)[0, drawn["features"][0]].mean().backward()
        optimiser.step()
    picture = source.picture(asked.detach())[0, 0]
    wanted = (picture - picture.min()) / (picture.max() - picture.min())
    assert torch.allclose(source.paint(drawn, CPU)[0], wanted, atol=1e-3)


@pytest.mark.parametrize("name", ["feature_vis_random", "feature_vis_dead_leaves"])
def test_a_picture_excites_its_own_feature(name: str, tmp_path: Path) -> None:
    fields = TINY if name.endswith("random") else {"run": dead_leaves_run(tmp_path)}
    fields = {**fields, "height": 32, "width": 48, "size": 8}
    source: Any = generators.create(name, steps=24, **fields)
    start: Any = generators.create(name, steps=1, learning_rate=1e-9, **fields)
    excited = [
        made.network(CPU)(made.prepare(made.batch(range(8))[:, None])) for made in (source, start)
    ]
    gained = excited[0] - excited[1]  # (pictures, features)
    own = gained.diagonal()
    others = (gained[:, :8].sum(dim=0) - own) / 7
    assert (own > others).float().mean() > 0.8
    assert own.mean() > max(0.0, float(others.mean()))


def test_the_full_form_is_in_colour_at_its_own_size() -> None:
    source: Any = generators.create("feature_vis_random", side=32, steps=1, height=16, width=40)
    painted = source.paint(source.draw_patterns(torch.arange(2)), CPU)
    assert painted.shape == (2, 3, 32, 32)
    assert torch.allclose(painted.amin(dim=(1, 2, 3)), torch.zeros(2))
    assert torch.allclose(painted.amax(dim=(1, 2, 3)), torch.ones(2))
    assert source.batch([0, 1]).shape == (2, 16, 40)


# ---------------------------------------------------------------------------------------------------
# Runs and bad input


def test_a_run_is_known_by_its_weights_and_not_by_its_place(tmp_path: Path) -> None:
    fields = {"height": 24, "width": 40, "steps": 1, "size": 4}
    runs = [
        dead_leaves_run(tmp_path / "one"),
        dead_leaves_run(tmp_path / "two"),
        dead_leaves_run(tmp_path / "three", seed=1),
    ]
    identities = [
        generators.create("feature_vis_dead_leaves", run=run, **fields).identity() for run in runs
    ]
    assert identities[0] == identities[1]
    assert identities[0] != identities[2]
    assert str(tmp_path) not in str(identities[0])


def test_a_network_trained_on_dead_leaves_has_to_be_given(tmp_path: Path) -> None:
    for run in (None, tmp_path):
        with pytest.raises(DataMissing, match="sourcebench pretrain source=dead_leaves_mixed"):
            generators.create("feature_vis_dead_leaves", run=run)
    other = dead_leaves_run(tmp_path, source="audiopg")
    with pytest.raises(UsageError, match="trained on audiopg"):
        generators.create("feature_vis_dead_leaves", run=other)


def test_a_run_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    run = dead_leaves_run(tmp_path)
    with pytest.raises(UsageError, match="patches of 8 x 8"):
        generators.create("feature_vis_dead_leaves", run=run, height=28, width=40)
    source = generators.create("feature_vis_dead_leaves", run=run, height=24, width=40, size=4)
    weights = run / "checkpoint" / "weights.safetensors"
    save_file({**load_file(weights), "encoder.stem.weight": torch.zeros(1)}, weights)
    with pytest.raises(UsageError, match=r"stem\.weight"):
        source.sample(0)
    weights.write_bytes(b"no weights")
    source = generators.create("feature_vis_dead_leaves", run=run, height=24, width=40, size=4)
    with pytest.raises(BadData, match="cannot be read"):
        source.sample(0)
    (run / "experiment.yaml").write_text(yaml.safe_dump(["nothing"]))
    with pytest.raises(BadData, match="does not describe"):
        generators.create("feature_vis_dead_leaves", run=run)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": None}, "source.size=4096"),
        ({"size": 8257}, "8256 single features and pairs"),
        ({"size": 0}, "source.size=4096"),
        ({"steps": 0}, "source.steps=128"),
        ({"learning_rate": 0.0}, "source.learning_rate=0.05"),
        ({"side": 16}, "source.side=256"),
        ({"height": 4}, "at least 8"),
    ],
)
def test_impossible_fields_are_answered(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generators.create("feature_vis_random", **{**TINY, **fields})
