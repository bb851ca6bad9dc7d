"""How fast the bootstrap objectives learn, CAT's stem embeds, and masks are drawn.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_objectives_speed.py --benchmark-enable
"""

from __future__ import annotations

import time

import dense_stem
import pytest
import torch
from benchmark_table import TRAINER, note
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from suite import drawers
from suite.configuration import configure, experiment_of
from suite.encoder import Architecture, Encoder
from suite.machine import Machine, open_machine
from suite.optimiser import Optimiser
from suite.step import Draws, gather_gradients
from suite.stream import generator_of


@pytest.mark.benchmark(group="objectives")
@pytest.mark.parametrize("objective", ["mae", "m2d", "eat", "cat"])
def test_tiny_learns(benchmark: BenchmarkFixture, objective: str) -> None:
    """One step of ViT-Ti, decoder 128 x 2, at 80 x 208, on all cores; EAT and CAT have four masks."""
    words = ["scale=tiny", f"objective={objective}"]
    if objective == "cat":
        words.append("objective.regulariser=none")
    experiment = experiment_of(configure(words))
    machine: Machine = open_machine("cpu")
    torch.manual_seed(0)
    model = experiment.build_objective()
    images = torch.randn(32, 80, 208)
    masking, optimiser = experiment.build_masking(), Optimiser(model, experiment.training)

    def step() -> float:
        draws = Draws(masking=masking, seed=0, step=0, steps=100)
        batch = draws.batch(model, images, None, machine)
        loss = gather_gradients(model, batch, machine, None)["loss"]
        optimiser.clip()
        optimiser.step(1e-4)
        model.after_step(1, 100)
        return loss.item()

    benchmark.pedantic(step, rounds=6, warmup_rounds=1)
    item, bar = f"clip learnt, {objective}, 32 a batch", 290.0 if objective == "mae" else None
    note(benchmark, TRAINER, "scale=tiny", item, len(images), bar=bar)


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
