"""The machine a run lives on: device, precision, ranks, peak memory and provenance."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import distributed

from generators.drawer import UsageError
from generators.memory import keep_freed_memory

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Machine:
    """Where this process computes, and which rank of how many it is."""

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    rank: int = 0
    world: int = 1

    @property
    def writes(self) -> bool:
        """Rank 0 writes; every rank reads."""
        return self.rank == 0

    def autocast(self) -> Any:
        """The context in which matrix products run in this machine's precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def describe(self) -> str:
        """For rows: the device's name, or the processor and its thread count."""
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)} x {self.world}"
        return f"{processor()}, {torch.get_num_threads()} threads x {self.world}"


def open_machine(
    device: str = "auto", precision: Precision = "auto", threads: int | None = None
) -> Machine:
    """Choose the device and precision, and join the other ranks when started by torchrun.

    ``precision="auto"`` is bfloat16 on a GPU that has it and float32 on a CPU. Only CPUs that multiply
    bfloat16 in hardware gain from it: ``tiny`` trains 1.5 to 1.9 times as fast with AMX, ``nano`` 1.3
    to 1.4 times with AVX512-BF16.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(
            f"device={device} but torch sees no GPU here. Type device=cpu, or `sourcebench doctor`."
        )
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if precision == "auto":
        has_it = chosen.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bfloat16" if has_it else "float32"
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Machine(chosen, precision, rank, world)


def processor() -> str:
    """The processor's model name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory(machine: Machine) -> int:
    """Peak bytes so far: of the GPU where there is one, else of this process."""
    if machine.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(machine.device))
    status = Path("/proc/self/status")
    if status.exists():  # the rusage of a started process counts what the starting one held
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclass(frozen=True)
class Provenance:
    """Which code made a number."""

    version: str
    commit: str  # "" outside a git checkout
    dirty: bool
    torch: str
    python: str


def provenance() -> Provenance:
    """The suite's version and git commit, and whether the checkout has uncommitted changes."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:  # no git on this machine: the row's commit stays empty
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    is_ours = (root / ".git").exists()
    return Provenance(
        version=version("sourcebench"),
        commit=git("rev-parse", "HEAD") if is_ours else "",
        dirty=bool(git("status", "--porcelain", "--untracked-files=no")) if is_ours else False,
        torch=torch.__version__,
        python=platform.python_version(),
    )
