"""Masked modeling duo: predict a running average's view of the hidden patches alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.encoder import Encoder
from suite.objectives.base import Batch, DecoderSize, Objective, ObjectiveSettings
from suite.objectives.decoder import TransformerDecoder
from suite.objectives.teacher import collapse_warning, decay_at, follow, spread


@dataclass(kw_only=True)
class M2DSettings(ObjectiveSettings, name="m2d"):
    """2 - 2 cos to a running average that sees the hidden patches alone (M2D, Niizumi et al. 2024)."""

    # (1 - decay) * steps: 0.99995 to 0.99999 in a line over 300 passes of AudioSet in batches of 2048
    teacher_start: float = 15.0
    teacher_end: float = 3.0

    def build(self, encoder: Encoder, decoder: DecoderSize, vector_size: int = 0) -> M2D:
        return M2D(encoder, decoder, self)


class M2D(Objective):
    """Blocks and norm have a teacher; the patch embedding and class token are shared (spec 5)."""

    def __init__(self, encoder: Encoder, decoder: DecoderSize, settings: M2DSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        parts = (encoder.norm_first, encoder.blocks, encoder.norm)
        self.teacher = nn.Sequential(*copy.deepcopy(parts)).requires_grad_(False)
        self.decoder = TransformerDecoder(encoder.width, decoder, encoder.width)

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """The teacher's hidden patches ``(B, N - K, D)``, each with mean 0 and variance 1."""
        embedded = self.encoder.embedded(batch.images, batch.mask.hide)
        tokens = self.teacher(self.encoder.with_class_token(embedded))
        hidden = tokens[:, -embedded.shape[1] :].float()
        return F.layer_norm(hidden, hidden.shape[2:], eps=1e-6)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        wanted = self.targets(batch)
        seen = self.encoder.tokens(batch.images, batch.mask.keep)
        predicted = self.decoder(seen, batch.mask).float()
        return {
            "loss": 2.0 - 2.0 * F.cosine_similarity(predicted, wanted, dim=2).mean(),
            "target_spread": spread(wanted),
            "prediction_spread": spread(predicted),
        }

    def after_step(self, done: int, steps: int) -> None:
        start, end = self.settings.teacher_start, self.settings.teacher_end
        student = nn.ModuleList([self.encoder.norm_first, self.encoder.blocks, self.encoder.norm])
        follow(self.teacher, student, decay_at(done, steps, start=start, end=end, anneal=1.0))

    def warning(self, logged: Mapping[str, float]) -> str | None:
        return collapse_warning(logged)
