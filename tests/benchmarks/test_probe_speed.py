"""How long a probe takes on one fold of ESC-50: 1200 clips to train, 400 to validate, 50 classes.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_probe_speed.py --benchmark-enable
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmark_table import PROBES, note
from pytest_benchmark.fixture import BenchmarkFixture

import tasks
from suite import probes
from suite.probes.base import Examples, Probe, Tokens
from suite.views import reads_of

BAR_SECONDS = {"linear@1": 1.5, "knn@1": 0.1}  # per fold on two free cores
CLIPS, TOKENS, WIDTH, LAYERS, CLASSES = 400, 160, 128, 7, 10  # esc10 to the nano encoder


def fold(width: int) -> tuple[Examples, Examples]:
    """Train and valid of a problem as hard as ESC-50 is to a small encoder, features correlated."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(1600) % 50
    hidden = torch.randn(50, 60, generator=generator)[labels]
    hidden = hidden + 2.2 * torch.randn(1600, 60, generator=generator)
    mixing = torch.randn(60, width, generator=generator) * torch.logspace(0.0, -1.5, 60)[:, None]
    features = torch.relu(hidden @ mixing) + 0.1 * torch.randn(1600, width, generator=generator)
    return (
        Examples(features[:1200], labels[:1200], 50),
        Examples(features[1200:], labels[1200:], 50),
    )


@pytest.mark.parametrize("width", [192, 640, 1280])
@pytest.mark.parametrize("name", [name for name in probes.names() if reads_of(name) == "clip"])
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


@pytest.mark.parametrize("name", [name for name in probes.names() if reads_of(name) != "clip"])
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


@pytest.mark.parametrize("name", [name for name in tasks.names() if name.startswith("toy_")])
@pytest.mark.benchmark(group="toy")
def test_an_embedded_task_is_rendered(benchmark: BenchmarkFixture, name: str) -> None:
    task = tasks.create(name)
    clips = len(task.clips())
    rendered = benchmark.pedantic(lambda: [task.waveform(i)[0] for i in range(clips)], rounds=3)
    assert len(rendered) == clips
    note(benchmark, PROBES, name, "clip", clips, bar=clips / 5.0)
