"""EAT: predict a running average's view of the whole clip, patch by patch and as a whole."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from generators.drawer import UsageError
from suite.blocks import pick
from suite.encoder import Encoder
from suite.objectives.base import Batch, DecoderSize, Objective, ObjectiveSettings
from suite.objectives.convolutional_decoder import ConvolutionalDecoder
from suite.objectives.teacher import (
    averaged_layers,
    collapse_warning,
    decay_at,
    feed_forward_outputs,
    follow,
    spread,
)


@dataclass(kw_only=True)
class EATSettings(ObjectiveSettings, name="eat"):
    """Predict a running average's features of hidden patches, and of the clip (EAT, data2vec 2.0)."""

    architecture: ClassVar[Mapping[str, Any]] = {"norm": "post"}

    clones: int = 4  # masks a clip; EAT 16, CAT 4
    top_layers: int | None = None  # how many last blocks make the targets; null is all, as EAT
    # In the papers' code the clip's loss is summed over the rows of a device: its weight is
    # utterance_weight * clips of a device * clones, 192 for EAT-base (spec bootstrap fact 1). A mean's
    # default is BAT's 1: at nano 20 unlearns what patches say (LOG.md, 2026-11-27).
    utterance_weight: float = 1.0
    reduction: Literal["mean", "device_sum"] = "mean"  # device_sum as the papers' code, with weight 1
    device_clips: int | None = None  # clips of a device for device_sum; null is the batch at hand
    teacher_start: float = 80.0  # (1 - decay) * steps at the start and at the end: free of the length
    teacher_end: float = 4.0
    teacher_anneal: float = 0.25  # share of the steps until the end's decay is reached
    decoder_layers: int = 6  # large: 3 of kernel 5
    decoder_kernel: int = 3
    decoder_groups: int = 16
    noise: float = 0.01  # deviation of what stands for hidden patches in the decoder
    smooth_beta: float = 0.0  # 0: squared error; above: smooth L1

    def __post_init__(self) -> None:
        if self.clones < 1:
            raise UsageError(f"objective.clones={self.clones} must be at least 1 mask a clip.")
        if self.utterance_weight < 0:
            raise UsageError(
                f"objective.utterance_weight={self.utterance_weight} must not be negative."
            )

    def build(self, encoder: Encoder, decoder: DecoderSize, vector_size: int = 0) -> EAT:
        return EAT(encoder, self)


class EAT(Objective):
    """Student on visible patches, teacher on all, both losses on the student (spec bootstrap A)."""

    def __init__(self, encoder: Encoder, settings: EATSettings) -> None:
        super().__init__()
        depth = len(encoder.blocks)
        if settings.top_layers is not None and not 1 <= settings.top_layers <= depth:
            raise UsageError(
                f"objective.top_layers={settings.top_layers}: the encoder has 1 to {depth} blocks."
            )
        if encoder.class_token is None:
            raise UsageError(
                f"objective={settings.name} learns from the class token. Type encoder.class_token=true."
            )
        self.encoder = encoder
        self.settings = settings
        self.views = settings.clones
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.decoder = ConvolutionalDecoder(
            encoder.width,
            layers=settings.decoder_layers,
            kernel=settings.decoder_kernel,
            groups=settings.decoder_groups,
        )

    @torch.no_grad()
    def targets(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the teacher says of every patch ``(B, N, D)`` and of each clip ``(B, D)``."""
        with feed_forward_outputs(self.teacher) as layers:
            self.teacher.tokens(images)
        count = self.settings.top_layers or len(layers)
        patches = averaged_layers([layer[:, 1:] for layer in layers[-count:]])
        return patches, patches.mean(dim=1)

    def distance(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Sum over the channels of the error / sqrt(D), mean over the tokens ``(..., D)``."""
        beta = self.settings.smooth_beta
        error = (
            F.smooth_l1_loss(predicted.float(), target, beta=beta, reduction="none")
            if beta > 0
            else (predicted.float() - target).square()
        )
        return error.mean() * predicted.shape[-1] ** 0.5

    def scaled(self, weight: float, clips: int) -> float:
        """The weight of a loss of the clip's token beside means over tokens and rows."""
        settings = self.settings
        if settings.reduction == "mean":
            return weight
        return weight * (settings.device_clips or clips) * settings.clones

    def bootstrap(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of EAT, and the class tokens ``(B * C, D)`` of the masked views."""
        patches, clip = self.targets(batch.images)
        seen = self.encoder.tokens(batch.images, batch.mask.keep)  # (B * C, 1 + K, D)
        predicted = self.decoder(seen[:, 1:], batch.mask, batch.row_seeds(), self.settings.noise)
        frame = self.distance(predicted, pick(patches, batch.mask.hide))
        clones = len(seen) // len(clip)
        utterance = self.distance(seen[:, 0], clip.repeat_interleave(clones, dim=0))
        weight = self.scaled(self.settings.utterance_weight, len(clip))
        losses = {
            "loss": frame + weight * utterance,
            "frame_loss": frame.detach(),
            "utterance_loss": utterance.detach(),
            "target_spread": spread(patches),
            "prediction_spread": spread(predicted),
        }
        return losses, seen[:, 0]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self.bootstrap(batch)[0]

    def after_step(self, done: int, steps: int) -> None:
        settings = self.settings
        start, end = settings.teacher_start, settings.teacher_end
        decay = decay_at(done, steps, start=start, end=end, anneal=settings.teacher_anneal)
        follow(self.teacher, self.encoder, decay)

    def warning(self, logged: Mapping[str, float]) -> str | None:
        return collapse_warning(logged)
