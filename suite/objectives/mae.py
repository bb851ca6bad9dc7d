"""The masked autoencoder: predict the pixels of the hidden patches from the visible ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.encoder import Encoder, initialise, last_tokens, pick, sine_cosine_2d, transformer_blocks
from suite.masking.base import Mask
from suite.objectives.base import DecoderSize, Objective, ObjectiveSettings


@dataclass(kw_only=True)
class MAESettings(ObjectiveSettings, name="mae"):
    """Mean squared error on hidden patches, against per-patch normalised or plain pixels (MAE)."""

    normalise_pixels: bool = True  # MAE, AudioPG, Audio-MAE; MSM-MAE predicts plain pixels

    def build(self, encoder: Encoder, decoder: DecoderSize) -> MAE:
        return MAE(encoder, decoder, normalise_pixels=self.normalise_pixels)


class MAE(Objective):
    """Encoder on visible patches, light decoder on all, loss on the hidden ones (spec 1.5, 3.1)."""

    def __init__(self, encoder: Encoder, decoder: DecoderSize, *, normalise_pixels: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.normalise_pixels = normalise_pixels
        self.embedding = nn.Linear(encoder.width, decoder.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder.width))
        self.blocks = transformer_blocks(decoder.width, decoder.depth, decoder.heads)
        self.norm = nn.LayerNorm(decoder.width, eps=1e-6)
        self.prediction = nn.Linear(decoder.width, encoder.patch[0] * encoder.patch[1])
        for part in (self.embedding, self.blocks, self.prediction):
            initialise(part)
        nn.init.normal_(self.mask_token, std=0.02)

    def reconstruct(self, images: Tensor, mask: Mask) -> Tensor:
        """Predicted pixels ``(B, N - K, P)`` of the hidden patches, in the order of ``mask.hide``."""
        seen = self.embedding(self.encoder.tokens(images, mask.keep))  # (B, [1 +] K, d)
        positions = sine_cosine_2d(mask.grid, seen.shape[2]).to(seen.device)  # (N, d)
        visible = mask.keep.shape[1]
        tokens = seen.split([seen.shape[1] - visible, visible], dim=1)
        hidden = self.mask_token + positions[mask.hide]
        # The decoder has no notion of order beyond the positions, so no patch is put back in place.
        sequence = torch.cat([tokens[0], tokens[1] + positions[mask.keep], hidden], dim=1)
        decoded = last_tokens(self.blocks, sequence, mask.hide.shape[1])
        return self.prediction(self.norm(decoded))

    def targets(self, images: Tensor, mask: Mask) -> Tensor:
        """Pixels ``(B, N - K, P)`` of the hidden patches, normalised per patch where asked."""
        pixels = pick(self.encoder.patchify(images).float(), mask.hide)
        if not self.normalise_pixels:
            return pixels
        centred = pixels - pixels.mean(dim=2, keepdim=True)
        variance = centred.square().sum(dim=2, keepdim=True) / (pixels.shape[2] - 1)  # as MAE: unbiased
        return centred * (variance + 1e-6).rsqrt()

    def losses(self, images: Tensor, mask: Mask) -> dict[str, Tensor]:
        error = self.reconstruct(images, mask).float() - self.targets(images, mask)
        return {"loss": error.square().mean()}
