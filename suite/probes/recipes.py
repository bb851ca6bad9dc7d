"""What a fine-tuning recipe fixes, and the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an encoder is trained on labels. Shares are 0 to 1; alphas are of Beta distributions.

    Where there are several ``rates``, one is chosen on valid by trainings of ``trial_epochs``.
    """

    epochs: int
    batch: int
    rates: tuple[float, ...]  # of the head; deeper layers learn slower by layer_decay
    trial_epochs: int = 0
    warmup: float = 0.1  # share of the steps
    last_rate: float = 0.0  # where the cosine ends, as a share of the rate
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    drop_path: float = 0.0  # of the last block; less before, none in the first
    label_smoothing: float = 0.1
    mixup: float = 0.0  # alpha; 0: none
    cutmix: float = 0.0  # alpha; where both are, one of them is drawn for each batch
    mask_bands: float = 0.0  # widest stripe of SpecAugment, as a share of the bands
    mask_frames: float = 0.0  # the same of the frames
    hide: float = 0.0  # share of time steps, and of band steps, whose patches are not read
    roll: bool = False  # turn each clip in time
    reads: Literal["class-token", "patch-mean"] = "patch-mean"


# Ours (spec evaluation.md 2.8 [R], at 20 epochs; higher rates too, for small encoders).
OURS = Recipe(
    epochs=20,
    batch=16,
    rates=(3e-4, 1e-3, 3e-3),
    trial_epochs=3,
    layer_decay=0.75,
    drop_path=0.1,
    mixup=0.2,
    hide=0.2,
)
# AudioPG's code for ESC-50: AdamW 2e-4, 100 epochs of 32, mixup 0.8, CutMix 1.0.
AUDIOPG = Recipe(epochs=100, batch=32, rates=(2e-4,), warmup=0.0, mixup=0.8, cutmix=1.0)
# Audio-MAE on ESC-50: 50 epochs of 64, base rate 1e-3 (x 64 / 256), layer decay 0.75, drop path 0.1,
# stripes of up to 96 of 128 bands and 24 of 512 frames.
AUDIO_MAE = Recipe(
    epochs=50,
    batch=64,
    rates=(2.5e-4,),
    warmup=0.1,
    layer_decay=0.75,
    drop_path=0.1,
    mask_bands=0.75,
    mask_frames=0.047,
)
# EAT and CAT on ESC-50: 4000 updates of 48 (100 epochs of 1600 clips are 3333), 400 of warm-up, 5e-5
# to 1e-6, 0.4 of the patches hidden in whole lines, clips turned in time, the class token read.
EAT = Recipe(
    epochs=120,
    batch=48,
    rates=(5e-5,),
    last_rate=0.02,
    betas=(0.9, 0.95),
    hide=0.225,  # of time and of bands: 0.4 of the patches
    roll=True,
    reads="class-token",
)
