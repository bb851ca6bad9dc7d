"""Experiments small enough for tests: a network of one block and runs of a few steps."""

from __future__ import annotations

from pathlib import Path

from suite.configuration import configure, experiment_of
from suite.experiment import Experiment
from suite.machine import Machine, open_machine
from suite.pretrain import Keeping, Places, pretrain

TINY = (
    "scale.width=16",
    "scale.depth=1",
    "scale.heads=2",
    "scale.decoder={width: 16, depth: 1, heads: 2}",
    "scale.batch=8",
    "scale.samples_seen=64",
    "pool=16",
)
SHORT_NOISE = ("source=noise", "source.seconds=2.5")
HERE = ("device=cpu", "threads=1")


def words(place: Path) -> list[str]:
    """The words of a tiny run whose files all lie below ``place``."""
    paths = [f"paths.{name}={place / name}" for name in ("runs", "cache", "results")]
    return [*SHORT_NOISE, *TINY, *HERE, *paths]


def experiment(*more: str) -> Experiment:
    """A tiny experiment, on noise unless ``more`` words name another source."""
    source = () if any(word.startswith("source=") for word in more) else SHORT_NOISE
    return experiment_of(configure([*source, *TINY, *more]))


def machine() -> Machine:
    return open_machine("cpu", "float32", threads=1)


def places(place: Path) -> Places:
    return Places(data=place / "data", runs=place / "runs", cache=place / "cache")


def run(
    place: Path,
    *more: str,
    log_every: int = 1,
    checkpoint_seconds: float = 60.0,
    micro_batch: int | None = None,
) -> Path:
    """Pre-train a tiny experiment below ``place``; returns the run's folder."""
    return pretrain(
        experiment(*more),
        places(place),
        machine(),
        command="sourcebench pretrain ...",
        keeping=Keeping(
            log_every=log_every, checkpoint_seconds=checkpoint_seconds, micro_batch=micro_batch
        ),
    )
