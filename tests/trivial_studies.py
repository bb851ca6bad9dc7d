"""Studies without training: cells are scored by arithmetic, and every call leaves a line."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.ablation import Ablation, Params
from suite.trials import Scored

AXES = {
    "shape": {"choices": {"round": "", "square": "shape=square"}},
    "edge": {"word": "edge={}", "values": [1, 2, 3], "where": {"shape": "square"}},
    "speed": {"word": "speed={}", "values": [1, 2]},
}
RANGES = {
    "width": {"word": "width={}", "low": 0.0, "high": 1.0, "default": 0.5},
    "depth": {"word": "depth={}", "low": 1, "high": 64, "log": True, "default": 8},
    "shape": {"choices": {"round": "", "square": "shape=square"}},
}


def grid(**changes: Any) -> Ablation:
    """Eight cells at two seeds."""
    values: dict[str, Any] = {"name": "trivial", "axes": AXES, "seeds": 2}
    return Ablation(**{**values, "tasks": ("toy_pitch",), "probes": ("linear@1",), **changes})


def search(**changes: Any) -> Ablation:
    """A search whose best point is at width 0.3, depth 16, square."""
    return grid(**{"design": "search", "axes": RANGES, "trials": 12, "seeds": 1, **changes})


def worth(params: Params, seed: int) -> float:
    """The score of a cell at a seed, from 0 to 1."""
    score = 0.5 + 0.01 * seed
    score -= (float(params.get("width", 0.3)) - 0.3) ** 2
    score -= 0.0001 * abs(int(params.get("depth", 16)) - 16)
    return score + 0.1 * (params.get("shape") == "square")


@dataclass(frozen=True)
class Arithmetic:
    """A judge that writes a line for each call into a file of its process."""

    folder: Path
    kill_at: str = ""  # the line at whose first call the process kills itself
    seconds: float = 0.0

    def __call__(self, ablation: Ablation, params: Params, seed: int, share: float) -> Scored:
        line = f"{sorted(params.items())} seed {seed} share {share}"
        died = self.folder / "died"
        if self.kill_at == line and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        with (self.folder / f"{os.getpid()}.calls").open("a") as file:
            file.write(f"{line}\n")
        cost = None if ablation.cost is None else float(params.get("depth", 1))
        return Scored(worth(params, seed) * share, cost, f"run-{abs(hash(line))}")

    def forget(self, ablation: Ablation, params: Params, seeds: Sequence[int]) -> None:
        with (self.folder / f"{os.getpid()}.forgotten").open("a") as file:
            file.write(f"{sorted(params.items())} seeds {seeds}\n")

    def calls(self, kind: str = "calls") -> list[str]:
        """The lines of all processes; ``kind="forgotten"``: of the trials that were forgotten."""
        paths = sorted(self.folder.glob(f"*.{kind}"))
        return [line for path in paths for line in path.read_text().splitlines()]


@dataclass(frozen=True)
class Before:
    """A judge to whose cells something happens before they are scored."""

    judge: Arithmetic
    happens: Callable[[Params, int], None]  # cell, seed

    def __call__(self, ablation: Ablation, params: Params, seed: int, share: float) -> Scored:
        self.happens(params, seed)
        return self.judge(ablation, params, seed, share)

    def forget(self, ablation: Ablation, params: Params, seeds: Sequence[int]) -> None:
        self.judge.forget(ablation, params, seeds)
