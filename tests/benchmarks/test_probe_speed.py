"""How long a probe takes on one fold of ESC-50: 1200 clips to train, 400 to validate, 50 classes.

make bench, or: .venv/bin/python -m pytest tests/benchmarks/test_probe_speed.py --benchmark-enable
"""

from __future__ import annotations

import pytest
import torch
from benchmark_table import PROBES, note
from pytest_benchmark.fixture import BenchmarkFixture

import tasks
from suite import probes
from suite.probes.base import Examples, Probe

BAR_SECONDS = {"linear@1": 1.5, "knn@1": 0.1}  # per fold on two free cores


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
@pytest.mark.parametrize("name", probes.names())
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


@pytest.mark.parametrize("name", [name for name in tasks.names() if name.startswith("toy_")])
@pytest.mark.benchmark(group="toy")
def test_an_embedded_task_is_rendered(benchmark: BenchmarkFixture, name: str) -> None:
    task = tasks.create(name)
    clips = len(task.clips())
    rendered = benchmark.pedantic(lambda: [task.waveform(i)[0] for i in range(clips)], rounds=3)
    assert len(rendered) == clips
    note(benchmark, PROBES, name, "clip", clips, bar=clips / 5.0)
