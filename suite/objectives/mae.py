"""The masked autoencoder: predict the pixels of the hidden patches from the visible ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from generators.drawer import UsageError
from suite.blocks import pick
from suite.encoder import Encoder
from suite.masking.base import Mask
from suite.objectives.base import Batch, DecoderSize, ObjectiveSettings, PixelObjective
from suite.objectives.decoder import TransformerDecoder, WindowDecoder


@dataclass(kw_only=True)
class MAESettings(ObjectiveSettings, name="mae"):
    """Mean squared error on hidden patches, against per-patch normalised or plain pixels (MAE)."""

    normalise_pixels: bool = True  # MAE, AudioPG, Audio-MAE; MSM-MAE predicts plain pixels
    # The decoder's size is scale.decoder. global: MAE, AudioPG, MSM-MAE; windowed: Audio-MAE.
    decoder_attention: Literal["global", "windowed"] = "global"
    decoder_key_bias: bool = True  # MSM-MAE: false
    decoder_positions: Literal["2d", "1d"] = "2d"  # MSM-MAE: 1d

    def __post_init__(self) -> None:
        if self.decoder_attention == "windowed" and not (
            self.decoder_key_bias and self.decoder_positions == "2d"
        ):
            raise UsageError(
                "objective.decoder_attention=windowed has biased keys and 2d positions. Leave "
                "objective.decoder_key_bias and objective.decoder_positions, or take global."
            )

    def build(self, encoder: Encoder, decoder: DecoderSize, vector_size: int = 0) -> MAE:
        return MAE(encoder, decoder, self)


class MAE(PixelObjective):
    """Encoder on visible patches, light decoder on all, loss on the hidden ones (spec 1.5, 3.1)."""

    def __init__(self, encoder: Encoder, decoder: DecoderSize, settings: MAESettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.normalise_pixels = settings.normalise_pixels
        pixels = encoder.patch[0] * encoder.patch[1]
        self.decoder: TransformerDecoder | WindowDecoder = (
            WindowDecoder(encoder.width, decoder, pixels)
            if settings.decoder_attention == "windowed"
            else TransformerDecoder(
                encoder.width,
                decoder,
                pixels,
                key_bias=settings.decoder_key_bias,
                positions=settings.decoder_positions,
            )
        )

    def reconstruct(self, images: Tensor, mask: Mask) -> Tensor:
        """Predicted pixels ``(B, N - K, P)`` of the hidden patches, in the order of ``mask.hide``."""
        return self.decoder(self.encoder.tokens(images, mask.keep), mask)

    def targets(self, images: Tensor, mask: Mask) -> Tensor:
        """Pixels ``(B, N - K, P)`` of the hidden patches, normalised per patch where asked."""
        pixels = pick(self.encoder.patchify(images).float(), mask.hide)
        if not self.normalise_pixels:
            return pixels
        mean, scale = normalisation(pixels)
        return (pixels - mean) * scale

    def pixels(self, predicted: Tensor, images: Tensor, mask: Mask) -> Tensor:
        """Where patches are normalised, each gets back its own mean and deviation, as in MAE's figures.

        No decoder was asked for these two numbers: they are read from the hidden patch itself.
        """
        if not self.normalise_pixels:
            return predicted
        mean, scale = normalisation(pick(self.encoder.patchify(images).float(), mask.hide))
        return predicted / scale + mean

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        images, mask = batch.images, batch.mask
        error = self.reconstruct(images, mask).float() - self.targets(images, mask)
        return {"loss": error.square().mean()}


def normalisation(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each patch of ``(B, n, P)`` and the inverse of its deviation, ``(B, n, 1)`` each."""
    mean = patches.mean(dim=2, keepdim=True)
    squares = (patches - mean).square().sum(dim=2, keepdim=True)
    return mean, (squares / (patches.shape[2] - 1) + 1e-6).rsqrt()  # as MAE: unbiased
