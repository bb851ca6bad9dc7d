"""The masked autoencoder as public code is written: what our training step is compared with.

From the description of facebookresearch/mae's models_mae.py, as Audio-MAE and AudioPG use it on images
(1, T, F) (spec/sources_and_mae.md 1.5, 3.1): timm's blocks, a convolution as patch embedding, masks by
two argsorts and gathers, mask tokens put back in place by a gather, every patch predicted, the loss of
hidden ones picked by a product. Float32; PyTorch's AdamW as it comes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from suite.encoder import sine_cosine_2d
from suite.objectives.mae import MAE


class PlainMAE(nn.Module):
    """MAE for images ``(B, 1, T, F)`` with patches of 16 x 16; sizes as ``scale`` has them."""

    def __init__(
        self, grid: tuple[int, int], encoder: tuple[int, int, int], decoder: tuple[int, int, int]
    ) -> None:
        """``encoder`` and ``decoder`` are (width, depth, heads)."""
        super().__init__()
        norm: Any = partial(nn.LayerNorm, eps=1e-6)

        def blocks(width: int, depth: int, heads: int) -> nn.ModuleList:
            return nn.ModuleList(
                Block(width, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=norm) for _ in range(depth)
            )

        def positions(width: int) -> Tensor:
            return torch.cat([torch.zeros(1, width), sine_cosine_2d(grid, width)])[None]

        width, narrow = encoder[0], decoder[0]
        self.patch_embed = nn.Conv2d(1, width, kernel_size=16, stride=16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.register_buffer("pos_embed", positions(width))
        self.blocks = blocks(*encoder)
        self.norm = norm(width)
        self.decoder_embed = nn.Linear(width, narrow)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, narrow))
        self.register_buffer("decoder_pos_embed", positions(narrow))
        self.decoder_blocks = blocks(*decoder)
        self.decoder_norm = norm(narrow)
        self.decoder_pred = nn.Linear(narrow, 256)

    def forward(self, imgs: Tensor, mask_ratio: float = 0.75, noise: Tensor | None = None) -> Tensor:
        """The loss of images ``(B, 1, T, F)``; ``noise (B, N)`` is drawn unless it is given."""
        latent, mask, ids_restore = self.forward_encoder(imgs, mask_ratio, noise)
        return self.forward_loss(imgs, self.forward_decoder(latent, ids_restore), mask)

    def random_masking(
        self, x: Tensor, mask_ratio: float, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens kept ``(B, K, D)``, the mask ``(B, N)`` (1 is hidden), and what restores the order."""
        batch, length, width = x.shape
        len_keep = int(length * (1 - mask_ratio))
        noise = torch.rand(batch, length) if noise is None else noise
        ids_shuffle = torch.argsort(noise, dim=1)
        ids_restore = torch.argsort(ids_shuffle, dim=1)
        ids_keep = ids_shuffle[:, :len_keep]
        x_masked = torch.gather(x, dim=1, index=ids_keep.unsqueeze(-1).repeat(1, 1, width))
        mask = torch.ones(batch, length)
        mask[:, :len_keep] = 0
        return x_masked, torch.gather(mask, dim=1, index=ids_restore), ids_restore

    def forward_encoder(
        self, imgs: Tensor, mask_ratio: float, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = self.patch_embed(imgs).flatten(2).transpose(1, 2)  # (B, N, D)
        x = x + self.pos_embed[:, 1:, :]
        x, mask, ids_restore = self.random_masking(x, mask_ratio, noise)
        cls_tokens = (self.cls_token + self.pos_embed[:, :1, :]).expand(x.shape[0], -1, -1)
        x = torch.cat((cls_tokens, x), dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x), mask, ids_restore

    def forward_decoder(self, x: Tensor, ids_restore: Tensor) -> Tensor:
        x = self.decoder_embed(x)
        mask_tokens = self.mask_token.repeat(x.shape[0], ids_restore.shape[1] + 1 - x.shape[1], 1)
        x_ = torch.cat([x[:, 1:, :], mask_tokens], dim=1)
        x_ = torch.gather(x_, dim=1, index=ids_restore.unsqueeze(-1).repeat(1, 1, x.shape[2]))
        x = torch.cat([x[:, :1, :], x_], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:, :]  # (B, N, 256)

    def forward_loss(self, imgs: Tensor, pred: Tensor, mask: Tensor) -> Tensor:
        batch, _, frames, bands = imgs.shape
        target = imgs.reshape(batch, 1, frames // 16, 16, bands // 16, 16)
        target = torch.einsum("nchpwq->nhwpqc", target).reshape(batch, -1, 256)
        mean = target.mean(dim=-1, keepdim=True)
        var = target.var(dim=-1, keepdim=True)
        target = (target - mean) / (var + 1.0e-6) ** 0.5
        loss = ((pred - target) ** 2).mean(dim=-1)  # (B, N)
        return (loss * mask).sum() / mask.sum()


def twin(ours: MAE, grid: tuple[int, int], heads: tuple[int, int]) -> PlainMAE:
    """The plain MAE with the weights of ``ours``; a patch's pixels run over time first in it."""
    weights = ours.state_dict()
    widths = [weights[name].shape[2] for name in ("encoder.class_token", "decoder.mask_token")]
    depths = [len(ours.encoder.blocks), len(ours.decoder.blocks)]
    encoder, decoder = zip(widths, depths, heads, strict=True)
    plain = PlainMAE(grid, encoder, decoder)

    def turned(rows: Tensor) -> Tensor:
        """``(256, ...)`` of pixels that run over bands first, as over time first."""
        return rows.unflatten(0, (16, 16)).transpose(0, 1).flatten(0, 1)

    renamed = {
        "patch_embed.weight": turned(weights.pop("encoder.patch_embedding.weight").T).T.unflatten(
            1, (1, 16, 16)
        ),
        "patch_embed.bias": weights.pop("encoder.patch_embedding.bias"),
        "cls_token": weights.pop("encoder.class_token"),
        "mask_token": weights.pop("decoder.mask_token"),
        "decoder_pred.weight": turned(weights.pop("decoder.prediction.weight")),
        "decoder_pred.bias": turned(weights.pop("decoder.prediction.bias")),
        "pos_embed": plain.pos_embed,
        "decoder_pos_embed": plain.decoder_pos_embed,
    }
    for name, value in weights.items():
        name = name.removeprefix("encoder.").replace("decoder.embedding", "decoder_embed")
        renamed[name.replace("decoder.", "decoder_")] = value
    plain.load_state_dict(renamed)
    return plain
