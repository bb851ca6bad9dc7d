"""The light convolutional decoder of data2vec 2.0, EAT and CAT: noise where patches are hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.drawer import UsageError
from generators.dsp import gaussian_noise
from suite.blocks import pick
from suite.masking.base import Mask


class ConvolutionalDecoder(nn.Module):
    """Grouped 2-D convolutions over the grid of patches, then a product a patch (spec bootstrap A.3).

    It knows no positions beside the grid and has no mask token: hidden patches begin as noise. A layer
    is a convolution, a norm of the channels without parameters, GELU, and its input added.
    """

    def __init__(self, width: int, *, layers: int, kernel: int, groups: int) -> None:
        super().__init__()
        if width % groups:
            raise UsageError(
                f"objective.decoder_groups={groups} does not divide the encoder's width {width}. "
                "Choose a divisor, or a scale.width that is a multiple of it."
            )
        if layers < 1 or kernel < 1:
            raise UsageError(
                f"objective.decoder_layers={layers}, objective.decoder_kernel={kernel}: both must be "
                "at least 1."
            )
        self.even = kernel % 2 == 0
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups) for _ in range(layers)
        )
        self.prediction = nn.Linear(width, width)

    def forward(self, visible: Tensor, mask: Mask, seeds: Tensor, deviation: float) -> Tensor:
        """Predictions ``(R, N - K, D)`` of the hidden patches, from visible tokens ``(R, K, D)``.

        ``seeds (R,)`` are the keys of the noise N(0, deviation^2) in hidden places.
        """
        rows, hidden, width = len(visible), mask.hide.shape[1], visible.shape[2]
        noise = gaussian_noise(seeds, hidden * width, visible.device).view(rows, hidden, width)
        tokens = torch.cat([visible, (noise * deviation).to(visible.dtype)], dim=1)
        in_place = pick(tokens, torch.cat([mask.keep, mask.hide], dim=1).argsort(dim=1))
        # Channels stay innermost, which is how a CPU convolves and normalises them fastest.
        plane = in_place.unflatten(1, mask.grid)  # (R, T', F', D)
        for layer in self.layers:
            plane = plane + self.activated(layer(plane.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return self.prediction(pick(plane.flatten(1, 2), mask.hide))

    def activated(self, plane: Tensor) -> Tensor:
        """The norm and GELU of a layer's plane ``(R, T', F', D)``, cut to the grid."""
        if self.even:  # an even kernel with half its size as padding makes one row and column more
            plane = plane[:, :-1, :-1]
        return F.gelu(F.layer_norm(plane, plane.shape[3:], eps=1e-5))
