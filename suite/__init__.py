"""sourcebench: which pre-training source makes the best audio encoder, and why?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suite.hear_api import HearModel


def load(run: str | Path) -> HearModel:
    """The encoder of a finished run, or of what `sourcebench export` made of one.

    ``load("runs/RUN").scenes(audio)`` embeds ``audio (n, samples)``, float32 in [-1, 1] at
    ``sample_rate``, as ``(n, E)``; ``timestamps(audio)`` gives ``(n, T, E)`` and the times in ms.
    """
    from suite.hear_api import load_model  # torch is imported by who loads, not by `sourcebench --help`

    return load_model(str(run))
