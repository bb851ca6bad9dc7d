"""EAT, CAT and M2D as their papers have them: targets, teachers, clones, weights, stems.

.venv/bin/python -m pytest tests/test_bootstrap.py
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import generators
from generators.drawer import UsageError
from suite import drawers
from suite.configuration import configure, experiment_of
from suite.encoder import Architecture, Encoder
from suite.masking.base import Mask
from suite.objectives.base import Batch, DecoderSize
from suite.objectives.cat import CAT
from suite.objectives.eat import EAT
from suite.objectives.m2d import M2D
from suite.objectives.teacher import averaged_layers, collapse_warning, decay_at
from suite.stream import generator_of

GRID = (6, 5)


def build(name: str = "eat", *, vector: int = 0, depth: int = 2, **fields: Any) -> Any:
    torch.manual_seed(0)
    settings = drawers.objectives.create(name, **fields)
    architecture = Architecture(**settings.architecture)
    encoder = Encoder(width=32, depth=depth, heads=2, architecture=architecture)
    return settings.build(encoder, DecoderSize(width=32, depth=1, heads=2), vector)


def images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 80, 96, generator=generator_of("images"))


def masks(rows: int, ratio: float = 0.8) -> Mask:
    mask: Mask = drawers.masks.create("random", ratio=ratio).sample(rows, GRID, generator_of("masks"))
    return mask


def repeated(mask: Mask, times: int) -> Mask:
    keep, hide = (part.repeat_interleave(times, dim=0) for part in (mask.keep, mask.hide))
    return Mask(keep, hide, mask.grid)


def test_targets_are_normal_over_channels_and_layers_over_patches() -> None:
    """spec/bootstrap_and_masking.md 5.2, item 2."""
    objective: EAT = build()
    patches, clip = objective.targets(images())
    assert patches.shape == (4, 30, 32)
    assert torch.allclose(patches.mean(dim=2), torch.zeros(()), atol=1e-5)
    assert torch.allclose(patches.var(dim=2, correction=0), torch.ones(()), atol=1e-3)
    assert torch.allclose(clip, patches.mean(dim=1))
    layers = [torch.randn(3, 30, 32, generator=generator_of(k)) * 5 + 2 for k in range(2)]
    by_hand = torch.zeros(3, 30, 32)
    for layer in layers:
        over_patches = (layer - layer.mean(1, keepdim=True)) / (
            layer.var(1, correction=0, keepdim=True) + 1e-5
        ).sqrt()
        assert over_patches.mean(dim=1).abs().max() < 1e-5
        by_hand += over_patches / 2
    centred = by_hand - by_hand.mean(2, keepdim=True)
    by_hand = centred / (by_hand.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(averaged_layers(layers), by_hand, atol=1e-5)


def test_targets_are_feed_forward_outputs_of_the_last_layers() -> None:
    """Before the residual and the second norm (spec fact 3), the class token left out."""
    objective: EAT = build(top_layers=1)
    teacher = objective.teacher
    tokens = teacher.norm_first(teacher.with_class_token(teacher.embedded(images())))
    first, last = teacher.blocks
    tokens = first(tokens)
    between = last.norm1(tokens + last.attn(tokens))
    expected = averaged_layers([last.mlp(between)[:, 1:]])
    assert torch.allclose(objective.targets(images())[0], expected, atol=1e-6)


def test_the_order_of_clones_does_not_change_the_loss_and_equal_ones_count_once() -> None:
    """spec/bootstrap_and_masking.md 5.2, item 3."""
    objective: EAT = build(noise=0.0)
    mask = masks(8)
    turned = torch.arange(8).view(4, 2).flip(1).flatten()
    swapped = Mask(mask.keep[turned], mask.hide[turned], GRID)
    loss = objective.losses(Batch(images(), mask))["loss"]
    assert objective.losses(Batch(images(), swapped))["loss"].item() == pytest.approx(
        loss.item(), rel=1e-5
    )
    once = objective.losses(Batch(images(), masks(4)))["loss"]
    twice = objective.losses(Batch(images(), repeated(masks(4), 2)))["loss"]
    assert twice.item() == pytest.approx(once.item(), rel=1e-5)


def test_only_the_papers_reduction_depends_on_the_batch() -> None:
    """spec/bootstrap_and_masking.md 5.2, item 4, and fact 1: EAT-base's weight is 192."""

    def terms(clips: int, **fields: Any) -> dict[str, float]:
        objective: EAT = build(noise=0.0, clones=1, **fields)
        twice = images(2).repeat(clips // 2, 1, 1)
        mask = masks(2)
        many = Mask(*(part.repeat(clips // 2, 1) for part in (mask.keep, mask.hide)), GRID)
        return {key: value.item() for key, value in objective.losses(Batch(twice, many)).items()}

    few, many = terms(2), terms(4)
    assert many["loss"] == pytest.approx(few["loss"], rel=1e-5)
    few, many = (terms(clips, reduction="device_sum", utterance_weight=1.0) for clips in (2, 4))
    assert few["loss"] == pytest.approx(few["frame_loss"] + 2 * few["utterance_loss"], rel=1e-5)
    assert many["loss"] == pytest.approx(few["frame_loss"] + 4 * few["utterance_loss"], rel=1e-5)
    published: EAT = build(clones=16, reduction="device_sum", utterance_weight=1.0, device_clips=12)
    assert published.scaled(1.0, clips=48) == 192.0


def test_losses_are_sums_over_channels_over_the_root_of_their_number() -> None:
    objective: EAT = build()
    predicted, target = torch.randn(5, 7, 32), torch.randn(5, 7, 32)
    by_hand = ((predicted - target) ** 2).sum(dim=2).mean() / math.sqrt(32)
    assert objective.distance(predicted, target).item() == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["eat", "cat", "m2d"])
@pytest.mark.parametrize(("keeps", "moves"), [(1e9, True), (0.0, False)])
def test_a_teacher_that_keeps_nothing_is_the_student_and_one_that_keeps_all_is_constant(
    name: str, keeps: float, moves: bool
) -> None:
    """spec/bootstrap_and_masking.md 5.2, item 5: more than all steps, and none."""
    fields: dict[str, Any] = {"teacher_start": keeps, "teacher_end": keeps}
    if name == "cat":
        fields["regulariser"] = "none"
    objective = build(name, **fields)
    before = [parameter.clone() for parameter in objective.teacher.parameters()]
    with torch.no_grad():
        for parameter in objective.encoder.parameters():
            parameter.add_(0.1)
    objective.after_step(1, 100)
    encoder = objective.encoder
    student = (
        nn.ModuleList([encoder.norm_first, encoder.blocks, encoder.norm]) if name == "m2d" else encoder
    )
    expected = list(student.parameters()) if moves else before
    for parameter, wanted in zip(objective.teacher.parameters(), expected, strict=True):
        assert torch.allclose(parameter, wanted, atol=1e-7)


def test_the_teacher_s_schedule_is_eats_at_eats_length_and_free_of_the_length() -> None:
    schedule = {"start": 80.0, "end": 4.0, "anneal": 0.25}
    assert decay_at(0, 400_000, **schedule) == pytest.approx(0.9998)
    assert decay_at(50_000, 400_000, **schedule) == pytest.approx((0.9998 + 0.99999) / 2)
    assert decay_at(100_000, 400_000, **schedule) == pytest.approx(0.99999)
    assert decay_at(300_000, 400_000, **schedule) == pytest.approx(0.99999)
    assert decay_at(0, 2_000, **schedule) == pytest.approx(0.96)
    assert decay_at(2_000, 2_000, **schedule) == pytest.approx(0.998)
    m2d = {"start": 15.0, "end": 3.0, "anneal": 1.0}
    assert decay_at(0, 300_000, **m2d) == pytest.approx(0.99995)
    assert decay_at(300_000, 300_000, **m2d) == pytest.approx(0.99999)


def test_noise_stands_for_hidden_patches_and_is_the_row_s_own() -> None:
    objective: EAT = build(noise=1.0)
    seen, mask = torch.randn(4, 6, 32), masks(4)
    seeds = torch.tensor([11, 12, 13, 14])
    together = objective.decoder(seen, mask, seeds, 1.0)
    alone = objective.decoder(seen[2:3], mask.rows(2, 3, seen.device), seeds[2:3], 1.0)
    assert torch.allclose(together[2:3], alone, atol=1e-5)
    assert not torch.allclose(together, objective.decoder(seen, mask, seeds + 1, 1.0), atol=1e-3)


def test_m2d_s_teacher_sees_the_hidden_patches_alone_and_the_student_the_others() -> None:
    objective: M2D = build("m2d")
    mask, clean = masks(4), images()
    spoilt = clean.clone()
    for row, kept in enumerate(mask.keep.tolist()):
        for token in kept:
            step, band = divmod(token, GRID[1])
            spoilt[row, band * 16 : band * 16 + 16, step * 16 : step * 16 + 16] = 99.0
    assert torch.equal(objective.targets(Batch(clean, mask)), objective.targets(Batch(spoilt, mask)))
    targets = objective.targets(Batch(clean, mask))
    assert targets.shape == (4, 25, 32)
    assert torch.allclose(targets.mean(dim=2), torch.zeros(()), atol=1e-5)
    losses = objective.losses(Batch(clean, mask))
    assert 0.0 < losses["loss"].item() < 4.0


def test_cat_draws_the_class_token_of_every_view_to_its_clip_s_vector() -> None:
    objective: CAT = build("cat", vector=5, clones=2, noise=0.0)
    vectors = torch.randn(4, 5)
    batch = Batch(images(), masks(8), vectors=vectors)
    losses = objective.losses(batch)
    clip = objective.encoder.tokens(batch.images, batch.mask.keep)[:, 0]
    assert objective.projection is not None
    apart = objective.projection(clip) - vectors.repeat_interleave(2, dim=0)
    by_hand = apart.square().sum(dim=1).mean() / math.sqrt(5)
    assert losses["regulariser_loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    frame, utterance = losses["frame_loss"].item(), losses["utterance_loss"].item()
    assert losses["loss"].item() == pytest.approx(frame + utterance + by_hand.item(), rel=1e-5)


def test_eat_does_not_collapse_in_its_first_steps() -> None:
    """spec/bootstrap_and_masking.md 5.2, item 8."""
    torch.set_num_threads(1)
    pictures = generators.create("dead_leaves", height=80, width=96).batch(torch.arange(16))
    pictures = (pictures - pictures.mean()) / pictures.std()
    objective: EAT = build(clones=2)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-3)
    spreads, steps = [], 500
    for step in range(steps):
        clips = pictures[torch.randint(16, (4,), generator=generator_of("clips", step))]
        drawn = drawers.masks.create("random", ratio=0.8).sample(8, GRID, generator_of("mask", step))
        losses = objective.losses(Batch(clips, drawn, torch.arange(8) + 8 * step))
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 60)
        losses["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
        objective.after_step(step + 1, steps)
        spreads.append((losses["target_spread"].item(), losses["prediction_spread"].item()))
    assert min(target for target, _ in spreads) > 0.2 * spreads[0][0]
    assert min(predicted for _, predicted in spreads[100:]) > 0.01


def test_tokens_that_are_all_alike_are_a_collapse() -> None:
    said = collapse_warning({"target_spread": 0.5, "prediction_spread": 0.001})
    assert said is not None
    assert "prediction spread is 0.0010" in said
    assert "teacher_start" in said
    assert collapse_warning({"target_spread": 0.5, "prediction_spread": 0.4}) is None
    assert collapse_warning({"loss": 1.0}) is None


def test_half_of_the_published_eat_is_as_large_as_published() -> None:
    """Encoder 85.25 M, decoder 2.59 M (spec/bootstrap_and_masking.md A.2)."""
    experiment = experiment_of(configure(["scale=base", "objective=eat", "frontend=kaldi"]))
    with torch.device("meta"):
        objective = experiment.build_objective()
    assert sum(p.numel() for p in objective.encoder.parameters()) == 85_254_144
    assert isinstance(objective, EAT)
    assert sum(p.numel() for p in objective.decoder.parameters()) == 2_585_856
    assert not any(p.requires_grad for p in objective.teacher.parameters())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"clones": 0}, "objective.clones=0"),
        ({"top_layers": 9}, r"top_layers=9: the encoder has 1 to 2"),
        ({"decoder_groups": 5}, "decoder_groups=5 does not divide"),
        ({"decoder_layers": 0}, "decoder_layers=0"),
        ({"utterance_weight": -1.0}, "utterance_weight=-1.0"),
    ],
)
def test_what_eat_cannot_be_is_refused_with_its_key(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(**fields)


def test_eat_without_a_class_token_and_cat_without_its_teacher_are_refused() -> None:
    experiment = experiment_of(configure(["objective=eat", "encoder.class_token=false"]))
    with pytest.raises(UsageError, match=r"encoder\.class_token=true"):
        experiment.build_objective()
    with pytest.raises(UsageError, match=r"regulariser_from=runs/RUN"):
        build("cat", regulariser="run")
