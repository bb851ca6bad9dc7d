"""Where the time of making samples goes: into the source, or into the log-mels of its sounds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from generators.base import Source
from suite.frontend import FrontEnd


@dataclass
class Clock:
    """Seconds spent making samples, and making log-mels of them; on a GPU, issuing that work."""

    generation: float = 0.0
    frontend: float = 0.0


@dataclass(frozen=True)
class TimedFrontEnd:
    """A front-end as a source sees it, its time told to a clock."""

    frontend: FrontEnd
    clock: Clock = field(compare=False)  # sources keep what they measured by front-end

    @property
    def bands(self) -> int:
        return self.frontend.bands

    def log_mel(self, waveforms: Tensor) -> Tensor:
        began = time.perf_counter()
        images = self.frontend.log_mel(waveforms)
        self.clock.frontend += time.perf_counter() - began
        return images

    def pad_frames(self, images: Tensor, frames: int) -> Tensor:
        return self.frontend.pad_frames(images, frames)


def timed_images(
    source: Source,
    indices: Tensor,
    frontend: FrontEnd,
    clock: Clock,
    device: torch.device | str = "cpu",
) -> Tensor:
    """``source.images(indices, frontend, device)``, its time split between the two."""
    began, heard_before = time.perf_counter(), clock.frontend
    images = source.images(indices, TimedFrontEnd(frontend, clock), device)
    clock.generation += time.perf_counter() - began - (clock.frontend - heard_before)
    return images
