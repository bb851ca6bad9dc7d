"""Fragment shaders of the user's own as a source, rendered by OpenGL without a window."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import BadData, DataMissing, UsageError
from .conversion import Pattern
from .fields import Range, check_range
from .shader_programs import SUFFIXES, draw, in_context


@dataclass(kw_only=True)
class ShaderFiles(Pattern, Source, name="shader_files"):
    """Fragment shaders (``.frag``, ``.fs``, ``.glsl``) of a folder, each at a random time.

    As Shaders1k (Baradad et al. 2022) is rendered: a uniformly drawn program at a time of
    ``time_seconds``, mouse and date fixed, channels and back-buffer black, on a square of ``side``
    pixels. Shadertoy's ``mainImage``, a plain ``main`` with ``gl_FragColor``, and TwiGL's short forms
    are understood. Needs the extra ``shaders`` and an EGL driver. The graphics driver decides the
    last bits: on one machine the same index gives the same picture.
    """

    kind = "picture"
    family = "shader"
    citation = "Baradad et al. 2022, NeurIPS; arXiv 2211.16412"
    speed = "moderate"
    needs = "a folder of fragment shaders"

    folder: Path | None = None
    side: int = 256  # pixels of a pattern
    time_seconds: Range = (0.1, 10.0)

    _files: list[tuple[Path, str]] = field(init=False, repr=False, default_factory=list)  # path, text

    def __post_init__(self) -> None:
        self.check_conversion()
        check_range("time_seconds", self.time_seconds, 0.0)
        if self.side < 16:
            raise UsageError(f"source.side={self.side}: expected at least 16. Type source.side=256.")
        if self.folder is None:
            raise UsageError("shader_files needs a folder. Set source.folder=path/to/shaders.")
        if not Path(self.folder).is_dir():
            raise DataMissing(f"{self.folder} is no folder. Set source.folder=path/to/shaders.")
        for path in sorted(Path(self.folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                try:
                    self._files.append((path, path.read_text(encoding="utf-8")))
                except UnicodeDecodeError as error:
                    raise BadData(f"{path} is no text in UTF-8. Convert it or take it away.") from error
        if not self._files:
            raise DataMissing(f"{self.folder} holds no file that ends in {', '.join(SUFFIXES)}.")

    @property
    def native(self) -> tuple[int, int]:
        """A square of ``side`` pixels."""
        return self.side, self.side

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """Number of the file in the sorted folder, int64, and time in seconds ``(P,)``."""
        draws = Draws(self.seed, indices)
        return {
            "program": draws.integers("program", 0, len(self._files) - 1),
            "time": draws.uniform("time", *self.time_seconds),
        }

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Colours ``(P, 3, side, side)`` in [0, 1]; BadData names a file that does not compile."""
        pictures = []
        for program, time in zip(drawn["program"].tolist(), drawn["time"].tolist(), strict=True):
            path, code = self._files[program]
            pictures.append(in_context(partial(draw, path, code, time, self.side)))
        colours = torch.from_numpy(np.stack(pictures)).to(device)
        return colours.permute(0, 3, 1, 2).float().div_(255.0)

    def describe(self, index: int) -> dict[str, Any]:
        """Files, relative to the folder, and times in seconds of the patterns of one sample."""
        drawn = self.parameters(self.distinct([index]))
        paths = [self._files[program][0] for program in drawn["program"][0].tolist()]
        names = [str(path.relative_to(Path(self.folder or "."))) for path in paths]
        return {"program": names, "time_seconds": drawn["time"][0].tolist()}

    def identity(self) -> dict[str, Any]:
        """Fields, and a hash of the shaders in place of where they lie."""
        digest = hashlib.sha256()
        for path, code in self._files:
            digest.update(f"{path.relative_to(Path(self.folder or '.'))}\0{code}\0".encode())
        values = super().identity()
        return {key: value for key, value in values.items() if key not in ("folder", "_files")} | {
            "shaders": digest.hexdigest()
        }
