"""AudioPG's procedural audio without the released code's quirks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .procedural import AudioPG


@dataclass(kw_only=True)
class AudioPGClean(AudioPG, name="audiopg_clean"):
    """AudioPG's procedural clips with the four quirks of its released code mended; else ``audiopg``.

    The low-pass does not cut its output, nothing aliases, pitch is uniform in octaves, and clips differ
    in level (RMS from -40 to -15 dB below full scale). Each can be set back by itself: what
    ``source=audiopg_clean source.aliasing=true`` loses or gains is due to aliasing.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "ours, after Liu et al. 2026, ICMR; arXiv 2606.14791"
    speed = "fast"
    needs = "nothing"

    lowpass_clip: bool = False
    aliasing: bool = False
    pitch_prior: Literal["linear", "log"] = "log"
    level: Literal["peak", "rms", "none"] = "rms"
