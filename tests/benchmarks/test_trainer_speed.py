"""How fast the trainer learns, embeds and hears.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_trainer_speed.py --benchmark-enable
The references' rates are those of spec/sources_and_mae.md 8.1, on one core.
"""

from __future__ import annotations

import multiprocessing
import time

import nano_steps
import numpy as np
import pytest
import torch
from benchmark_table import TRAINER, note
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from suite.chunks import clip_embeddings
from suite.configuration import configure, experiment_of
from suite.decode import Decoded
from suite.embed import in_batches
from suite.experiment import Experiment
from suite.frontend import FrontEnd
from suite.machine import open_machine
from suite.objectives.base import Batch
from suite.optimiser import Optimiser
from suite.stream import generator_of

CLIP_SAMPLES = 163_840  # 10.24 s


def nano() -> Experiment:
    return experiment_of(configure(["scale=nano"]))


@pytest.mark.benchmark(group="trainer")
@pytest.mark.parametrize(("batch", "compiled"), [(32, False), (128, False), (32, True), (128, True)])
def test_nano_learns(benchmark: BenchmarkFixture, batch: int, compiled: bool) -> None:
    """One MAE step at 80 x 208, forward, backward, clipping and AdamW, on all cores.

    The preset's batch is 32; compiled is ``training.compile=true``.
    """
    experiment = nano()
    open_machine("cpu")
    torch.manual_seed(0)
    objective = experiment.build_objective()
    images = torch.randn(batch, 80, 208)
    mask = experiment.build_masking().sample(len(images), (13, 5), generator_of("benchmark"))
    optimiser = Optimiser(objective, experiment.training)
    if compiled and not benchmark.disabled:  # a minute, for nothing where nothing is timed
        objective.compile()

    def step() -> float:
        loss = objective(Batch(images, mask))["loss"]
        loss.backward()
        optimiser.clip()
        optimiser.step(1e-3)
        return loss.item()

    loss = benchmark.pedantic(step, rounds=40, warmup_rounds=5)
    assert 0.0 < loss < 10.0
    item = f"sample learnt, {batch} a batch{', compiled' * compiled}"
    note(benchmark, TRAINER, "scale=nano", item, batch, bar=450.0)


@pytest.mark.benchmark(group="trainer")
def test_nano_learns_in_two_workers(benchmark: BenchmarkFixture) -> None:
    """The same step as ``compare workers=2`` runs it: two processes of one thread, side by side."""
    steps = 80
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        losses = benchmark.pedantic(
            pool.map, args=(nano_steps.learn, [steps, steps]), rounds=3, warmup_rounds=1
        )
    assert losses[0] == losses[1]
    items = 2 * steps * nano().scale.batch
    note(benchmark, TRAINER, "scale=nano", "sample learnt, two workers", items, bar=450.0)


@pytest.mark.benchmark(group="trainer")
def test_nano_embeds_five_seconds(benchmark: BenchmarkFixture) -> None:
    """Decoded clips of ESC-50's length to embeddings, front-end included, on all cores."""
    torch.manual_seed(0)
    encoder = nano().build_objective().encoder.eval().requires_grad_(False)
    clips, length = 320, 80_000
    samples = torch.randint(-(2**15), 2**15, (clips * length,), dtype=torch.int16).numpy()
    decoded = Decoded(samples, np.arange(clips + 1) * length, ["benchmark"] * clips)
    frontend, machine = FrontEnd(statistics="fixed", mean=-5.0, std=4.0), open_machine("cpu")

    def heard(positions: np.ndarray) -> Tensor:
        raw = frontend.log_mel(decoded.waveforms(positions))
        return clip_embeddings(encoder, frontend, raw, machine)

    def embedded() -> list[Tensor]:
        everything = np.ones(clips, dtype=bool)
        batches = in_batches(decoded, everything, machine, "embedding", heard)
        return [vectors for _, vectors in batches]

    embeddings = benchmark.pedantic(embedded, rounds=7, warmup_rounds=1)
    assert torch.cat(embeddings).isfinite().all()
    note(benchmark, TRAINER, "scale=nano", "clip of 5 s embedded", clips, bar=250.0)


@pytest.mark.benchmark(group="front-end", timer=time.process_time)
@pytest.mark.usefixtures("one_thread")
def test_kaldi_filter_banks(benchmark: BenchmarkFixture) -> None:
    """Clips of 10.24 s to 128 x 1022 images on one core."""
    frontend = FrontEnd(family="kaldi", bands=128, frames=1024)
    waveforms = torch.rand(16, CLIP_SAMPLES) * 2 - 1
    images = benchmark.pedantic(frontend.log_mel, (waveforms,), rounds=5, warmup_rounds=1)
    assert images.shape == (16, 128, 1022)
    note(benchmark, TRAINER, "Kaldi filter banks", "clip of 10.24 s", 16, bar=140.0)
