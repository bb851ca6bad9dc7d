"""How long a probe takes: on a fold like ESC-50's (1200 clips to train, 400 to validate, 50 classes),
on all five folds, neighbours among many clips, and fine-tuning on a fold like ESC-10's.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_probe_speed.py --benchmark-enable
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import numpy as np
import plain_mlp
import pytest
import torch
from benchmark_table import PROBES, note
from pytest_benchmark.fixture import BenchmarkFixture

import tasks
from suite import probes
from suite.configuration import configure, experiment_of
from suite.frontend import FrontEnd
from suite.machine import Machine
from suite.metrics import METRICS
from suite.probes import side_by_side
from suite.probes.base import Examples, Probe, Sounds, Tokens
from suite.probes.finetune import FineTune
from suite.probes.hear_mlp import drawn_points
from suite.views import reads_of

BAR_SECONDS = {"linear@1": 1.5, "knn@1": 0.1}  # per fold on two free cores
CLIPS, TOKENS, WIDTH, LAYERS, CLASSES = 400, 160, 128, 7, 10  # esc10 to the nano encoder
WIDER = [name for name in probes.names() if reads_of(name) in ("tokens", "layers")]
CASES = [*((name, width) for name in BAR_SECONDS for width in (192, 640, 1280)), ("fewshot-16@1", 640)]


def clips(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """2000 clips of a problem as hard as ESC-50 is to a small encoder, features correlated."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 50
    hidden = torch.randn(50, 60, generator=generator)[labels]
    hidden = hidden + 2.2 * torch.randn(2000, 60, generator=generator)
    mixing = torch.randn(60, width, generator=generator) * torch.logspace(0.0, -1.5, 60)[:, None]
    features = torch.relu(hidden @ mixing) + 0.1 * torch.randn(2000, width, generator=generator)
    return features, labels


def fold(width: int, tested: int = 4) -> tuple[Examples, Examples]:
    """Train and valid of the fold that tests one fifth; the next fifth validates."""
    features, labels = clips(width)
    fifth = torch.arange(2000) // 400
    valid = fifth == (tested + 1) % 5
    train = (fifth != tested) & ~valid
    return Examples(features[train], labels[train], 50), Examples(features[valid], labels[valid], 50)


@pytest.mark.parametrize(("name", "width"), CASES)
@pytest.mark.benchmark(group="probe")
def test_a_fold_is_fitted(benchmark: BenchmarkFixture, name: str, width: int) -> None:
    train, valid = fold(width)

    def fit() -> Probe:
        probe = probes.create(name)
        probe.fit(train, valid)
        return probe

    probe = benchmark.pedantic(fit, rounds=3, warmup_rounds=1)
    assert probe.predict(valid.features).shape == (400, 50)
    assert not probe.selection.get("unconverged")
    bar = 1 / BAR_SECONDS[name] if name in BAR_SECONDS else None
    note(benchmark, PROBES, name, f"fold of ESC-50, width {width}", 1, bar=bar)


def clips_of(reads: str) -> tuple[Examples, Examples]:
    """300 clips to train and 100 to validate, whose class shows in 8 of 160 tokens, or in one layer."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(CLIPS) % CLASSES
    centres = torch.randn(CLASSES, WIDTH, generator=generator)
    if reads == "layers":
        layers = torch.randn(CLIPS, LAYERS, WIDTH, generator=generator)
        layers[:, 4] += centres[labels]
        return (
            Examples(layers[:300], labels[:300], CLASSES),
            Examples(layers[300:], labels[300:], CLASSES),
        )
    vectors: list[np.ndarray] = []
    for label in labels.tolist():
        tokens = 2.0 * torch.randn(TOKENS, WIDTH, generator=generator)
        tokens[torch.randperm(TOKENS, generator=generator)[:8]] += centres[label]
        vectors.append(tokens.half().numpy())
    return (
        Examples(Tokens(vectors[:300]), labels[:300], CLASSES),
        Examples(Tokens(vectors[300:]), labels[300:], CLASSES),
    )


@pytest.mark.parametrize("name", WIDER)
@pytest.mark.benchmark(group="probe")
def test_a_fold_of_tokens_or_layers_is_fitted(
    benchmark: BenchmarkFixture, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if benchmark.disabled:  # among the tests, that it runs is enough
        monkeypatch.setattr("suite.probes.training.EPOCHS", 1)
    train, valid = clips_of(reads_of(name))

    def fit() -> Probe:
        probe = probes.create(name)
        probe.fit(train, valid)
        return probe

    probe = benchmark.pedantic(fit, rounds=1)  # seconds, of the same work every time
    assert probe.predict(valid.features).shape == (100, CLASSES)
    shape = f"{TOKENS} tokens" if reads_of(name) == "tokens" else f"{LAYERS} layers"
    note(benchmark, PROBES, name, f"fold of {CLIPS} clips, {shape} of {WIDTH}, {CLASSES} classes", 1)


@pytest.mark.benchmark(group="probe")
def test_five_folds_are_fitted_by_the_linear_probe(benchmark: BenchmarkFixture) -> None:
    """2000 clips x 640, nine strengths on each of five folds: under 3 s on two free cores is asked."""
    folds = [fold(640, tested) for tested in range(1 if benchmark.disabled else 5)]

    def fit() -> None:
        for train, valid in folds:
            probes.create("linear@1").fit(train, valid)

    benchmark.pedantic(fit, rounds=3, warmup_rounds=1)
    note(benchmark, PROBES, "linear@1", "five folds of ESC-50, width 640", 1, bar=1 / 3.0)


@pytest.mark.benchmark(group="probe")
def test_neighbours_are_found_among_many_clips(benchmark: BenchmarkFixture) -> None:
    """40 000 clips x 768, 10 000 answers, 200 labels; 10 s on two free cores is asked."""
    scale = 100 if benchmark.disabled else 1
    train, tested, labels = 40_000 // scale, 10_000 // scale, 200
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(train + tested, 768, generator=generator)
    targets = (torch.rand(train, labels, generator=generator) < 0.02).float()
    none = Examples(features[:0], targets[:0], labels)

    def answer() -> torch.Tensor:
        probe = probes.create("knn@1")
        probe.fit(Examples(features[:train], targets, labels), none)
        return probe.predict(features[train:])

    scores = benchmark.pedantic(answer, rounds=1)
    assert scores.shape == (tested, labels)
    note(benchmark, PROBES, "knn@1", "10 000 answers among 40 000 clips x 768", 1, bar=0.1)


@pytest.mark.benchmark(group="probe", timer=time.process_time)
def test_a_grid_of_networks_is_trained(
    benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    """The grid of hear-mlp@1 on one fold, six epochs, and the same in plain torch before each round.

    Five times as fast is asked. In plain float32 the products are two thirds of the time; in bfloat16
    they take half as long, and that is about a third: more than three times as fast cannot be.
    """
    train, valid = fold(640)
    points, epochs = drawn_points(), 6
    if benchmark.disabled:
        points, epochs = points[:2], 3
        monkeypatch.setattr("suite.probes.hear_mlp.GRID_POINTS", 2)
    monkeypatch.setattr(side_by_side, "EPOCHS", epochs)
    seconds: list[float] = []

    def score(targets: torch.Tensor, answers: torch.Tensor) -> float:
        return METRICS["accuracy"](targets.numpy(), answers.numpy())

    def plain() -> None:
        began = time.process_time()
        for point in points:
            plain_mlp.train(point, train, valid, score, epochs=epochs)
        seconds.append(time.process_time() - began)

    def fit() -> Probe:
        probe = probes.create("hear-mlp@1")
        probe.fit(train, valid)
        return probe

    probe = benchmark.pedantic(fit, setup=plain, rounds=1 if benchmark.disabled else 5)
    assert probe.selection["valid_accuracy"] > 0.1
    reference = 1 / statistics.median(seconds)
    item = f"{len(points)} networks on a fold of ESC-50, {epochs} epochs, beside plain torch"
    bar = 5 * reference
    note(benchmark, PROBES, "hear-mlp@1", item, 1, reference=reference, bar=bar, scaled=False)


def hummed(clips: int) -> tuple[Sounds, torch.Tensor]:
    """Log-mels of clips of 5 s, as esc10's are: noise, in which eight bands of 80 show the class."""
    rng, labels = np.random.default_rng(0), torch.arange(clips) % CLASSES
    images = []
    for label in labels.tolist():
        rows = rng.standard_normal((500, 80)).astype(np.float16)
        rows[:, 8 * label : 8 * label + 8] += 1.0
        images.append(rows.T)
    torch.manual_seed(0)  # the encoder's weights: what a fold learns from them differs
    encoder = experiment_of(configure(["scale=nano"])).build_encoder()
    machine = Machine(torch.device("cpu"), "float32")
    return Sounds(images, encoder, FrontEnd(statistics="fixed"), machine), labels


@pytest.mark.benchmark(group="probe")
def test_an_encoder_is_fine_tuned_on_a_fold(
    benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of esc10's five folds by finetune@1, from the choice of a rate to the answers for test.

    Under four minutes on two free cores is asked of the five, so 48 s of one.
    """
    sounds, labels = hummed(40 if benchmark.disabled else 400)
    if benchmark.disabled:
        monkeypatch.setattr(FineTune, "recipe", replace(FineTune.recipe, epochs=1, trial_epochs=1))
    fifth = 5 * torch.arange(len(labels)) // len(labels)
    train, valid, tested = (torch.where(part)[0] for part in (fifth > 1, fifth == 1, fifth == 0))
    test = sounds[tested]

    def fit() -> torch.Tensor:
        probe = FineTune(watched=test)
        probe.fit(
            Examples(sounds[train], labels[train], CLASSES),
            Examples(sounds[valid], labels[valid], CLASSES),
        )
        return probe.predict(test)

    scores = benchmark.pedantic(fit, rounds=1)
    right = scores.argmax(dim=1) == labels[tested]
    assert benchmark.disabled or right.float().mean() > 0.5
    item = "one of five folds of esc10, nano encoder"
    note(benchmark, PROBES, "finetune@1", item, 1, bar=1 / 48.0)


@pytest.mark.parametrize("name", [name for name in tasks.names() if name.startswith("toy_")])
@pytest.mark.benchmark(group="toy")
def test_an_embedded_task_is_rendered(benchmark: BenchmarkFixture, name: str) -> None:
    task = tasks.create(name)
    count = len(task.clips())
    rendered = benchmark.pedantic(lambda: [task.waveform(i)[0] for i in range(count)], rounds=3)
    assert len(rendered) == count
    note(benchmark, PROBES, name, "clip", count, bar=count / 5.0)
