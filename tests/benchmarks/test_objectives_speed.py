"""How fast the bootstrap objectives learn, CAT's stem embeds, and masks are drawn.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_objectives_speed.py --benchmark-enable
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import dense_stem
import plain_mae
import pytest
import torch
from benchmark_table import TRAINER, note
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from suite import drawers
from suite.configuration import configure, experiment_of
from suite.encoder import Architecture, Encoder
from suite.machine import Precision, open_machine
from suite.optimiser import Optimiser
from suite.step import Draws, count_flops, gather_gradients
from suite.stream import generator_of


@dataclass(frozen=True)
class Step:
    """Training steps of one objective on the same clips, and FLOPs a clip."""

    take: Callable[[], float]
    flops: float


def batch_size(benchmark: BenchmarkFixture, clips: int = 32) -> int:
    """Two clips where nothing is timed."""
    return 2 if benchmark.disabled else clips


def step_of(objective: str, precision: Precision, clips: int) -> Step:
    """Steps of ViT-Ti, decoder 128 x 2, at 80 x 208, on all cores; EAT and CAT have four masks."""
    words = ["scale=tiny", f"objective={objective}"]
    if objective == "cat":
        words.append("objective.regulariser=none")
    experiment = experiment_of(configure(words))
    machine = open_machine("cpu", precision)
    torch.manual_seed(0)
    model = experiment.build_objective()
    images = torch.randn(clips, 80, 208)
    draws = Draws(masking=experiment.build_masking(), seed=0, step=0, steps=100)
    flops = count_flops(model, draws, images[:2], None)
    optimiser = Optimiser(model, experiment.training)

    def take() -> float:
        batch = draws.batch(model, images, None, machine)
        loss = gather_gradients(model, batch, machine, None)["loss"]
        optimiser.clip()
        optimiser.step(1e-4)
        model.after_step(1, 100)
        return loss.item()

    return Step(take, flops)


def in_turn(
    benchmark: BenchmarkFixture, take: Callable[[], float], other: Callable[[], float], rounds: int = 10
) -> float:
    """Time ``take`` with a step of ``other`` before each round; returns the other's median seconds.

    What else the machine does in the meantime slows both alike.
    """
    seconds: list[float] = []

    def before() -> None:
        began = time.perf_counter()
        other()
        seconds.append(time.perf_counter() - began)

    if not benchmark.disabled:
        take()
        other()
    benchmark.pedantic(take, setup=before, rounds=rounds)
    return statistics.median(seconds)


@pytest.mark.benchmark(group="objectives")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("objective", ["mae", "m2d", "eat", "cat"])
def test_tiny_learns(benchmark: BenchmarkFixture, objective: str, precision: Precision) -> None:
    """Forward, backward, clipping, AdamW and the teacher's move; masks are drawn anew."""
    clips = batch_size(benchmark)
    step = step_of(objective, precision, clips)
    loss = benchmark.pedantic(step.take, rounds=6, warmup_rounds=1)
    assert math.isfinite(loss)
    item, bar = f"clip learnt, {objective}, {precision}", 290.0 if objective == "mae" else None
    note(benchmark, TRAINER, "scale=tiny", item, clips, bar=bar)


@pytest.mark.benchmark(group="objectives")
@pytest.mark.parametrize("clips", [32, 256])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tiny_mae_beside_the_plain_one(
    benchmark: BenchmarkFixture, clips: int, precision: Precision
) -> None:
    """The reference is the plain float32 form, timed in turn with ours; 1.4 times as fast is asked."""
    clips = batch_size(benchmark, clips)
    step = step_of("mae", precision, clips)
    torch.manual_seed(0)
    plain = plain_mae.PlainMAE((13, 5), (192, 12, 3), (128, 2, 4))
    images = torch.randn(clips, 1, 208, 80)
    optimiser = torch.optim.AdamW(plain.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)

    def take() -> float:
        optimiser.zero_grad()
        loss = plain(images)
        loss.backward()
        optimiser.step()
        return float(loss.item())

    reference = clips / in_turn(benchmark, step.take, take)
    item = f"clip learnt beside the plain MAE, {precision}, {clips} a batch"
    bar = 1.4 * reference
    note(benchmark, TRAINER, "scale=tiny", item, clips, reference=reference, bar=bar, scaled=False)


@pytest.mark.benchmark(group="objectives")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_eat_costs_what_its_flops_say(benchmark: BenchmarkFixture, precision: Precision) -> None:
    """The reference is the MAE's rate over the ratio of their FLOPs; at most a fifth more is asked."""
    clips = batch_size(benchmark)
    mae, eat = step_of("mae", precision, clips), step_of("eat", precision, clips)
    reference = clips / in_turn(benchmark, eat.take, mae.take) * mae.flops / eat.flops
    item = f"clip learnt, eat, {precision}, beside what its FLOPs say"
    bar = reference / 1.2
    note(benchmark, TRAINER, "scale=tiny", item, clips, reference=reference, bar=bar, scaled=False)


@pytest.mark.benchmark(group="objectives", timer=time.process_time)
@pytest.mark.usefixtures("one_thread")
def test_cat_s_stem_embeds_views(benchmark: BenchmarkFixture) -> None:
    """Four views of a clip, a fifth of it seen; the reference is the dense stem, timed here."""
    torch.manual_seed(0)
    architecture = Architecture(norm="post", stem=0)
    model = Encoder(width=192, depth=1, heads=3, architecture=architecture)
    images = torch.randn(8, 80, 208)
    drawn = drawers.masks.create("random", ratio=0.8).sample(32, (13, 5), generator_of("views"))

    def embed() -> Tensor:
        return model.embedded(images, drawn.keep)

    embedded = benchmark.pedantic(embed, rounds=6, warmup_rounds=1)
    assert embedded.shape == (32, drawn.keep.shape[1], 192)
    if benchmark.stats is not None:
        dense_stem.embedded(model, images, drawn)
        began = time.process_time()
        for _ in range(3):
            dense_stem.embedded(model, images, drawn)
        dense = 3 * 32 / (time.process_time() - began)
        item = "view embedded by CAT's stem"
        note(benchmark, TRAINER, "width 192", item, 32, reference=dense, bar=2 * dense, scaled=False)


@pytest.mark.benchmark(group="objectives", timer=time.process_time)
@pytest.mark.usefixtures("one_thread")
def test_inverse_block_masks(benchmark: BenchmarkFixture) -> None:
    """EAT's masks on the published grid of 64 x 8."""
    masking = drawers.masks.create("inverse_block")
    generator = generator_of("masks")
    mask = benchmark.pedantic(masking.sample, (4096, (64, 8), generator), rounds=6, warmup_rounds=1)
    assert mask.keep.shape == (4096, 102)
    note(benchmark, TRAINER, "inverse_block", "mask of 64 x 8", 4096, bar=50_000.0)
