"""Transformer blocks of the papers' encoders and decoders, made of timm's parts."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from generators.drawer import UsageError

Norm = Literal["pre", "post"]


class PostNormBlock(nn.Module):
    """x = norm1(x + attention(x)), then norm2(x + mlp(x)): data2vec 2.0, EAT (spec bootstrap A.2).

    The parts carry the names of timm's pre-norm ``Block``, whose weights would fit and mean another
    function.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads, qkv_bias=True)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, N, D)`` to tokens of the same shape."""
        tokens = self.norm1(tokens + self.attn(tokens))
        return self.norm2(tokens + self.mlp(tokens))


class KeylessBias(nn.Module):
    """Queries, keys and values of tokens in one product, the keys without a bias (MSM-MAE, BEiT)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3 * width, width))
        self.query_bias = nn.Parameter(torch.zeros(width))
        self.value_bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, N, D)`` to ``(B, N, 3 D)``."""
        bias = torch.cat([self.query_bias, torch.zeros_like(self.query_bias), self.value_bias])
        return F.linear(tokens, self.weight, bias)


def transformer_blocks(
    width: int, depth: int, heads: int, *, norm: Norm = "pre", key_bias: bool = True
) -> nn.Sequential:
    """Transformer blocks with an MLP of four times the width: ViT's, or post-norm ones."""
    if width % heads or width % 4:
        raise UsageError(f"width={width} must be a multiple of heads={heads} and of 4.")
    layer_norm: Any = partial(nn.LayerNorm, eps=1e-6)  # timm calls it; its hint asks for a class

    def block() -> nn.Module:
        made: Any = (
            PostNormBlock(width, heads)
            if norm == "post"
            else Block(width, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=layer_norm)
        )
        if not key_bias:
            made.attn.qkv = KeylessBias(width)
        return made

    return nn.Sequential(*(block() for _ in range(depth)))


def last_tokens(blocks: nn.Sequential, tokens: Tensor, count: int) -> Tensor:
    """``blocks(tokens)[:, -count:]`` of pre-norm blocks; the last one's MLP sees no other."""
    last: Any = blocks[-1]
    tokens = blocks[:-1](tokens)
    tokens = tokens + last.drop_path1(last.ls1(last.attn(last.norm1(tokens))))
    tokens = tokens[:, -count:]
    return tokens + last.drop_path2(last.ls2(last.mlp(last.norm2(tokens))))


def initialise(module: nn.Module) -> None:
    """MAE's start: Xavier-uniform matrices, zero biases, unit norms, N(0, 0.02) tokens (spec 1.5)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
    for name, parameter in module.named_parameters():
        if name.endswith("_token"):
            nn.init.normal_(parameter, std=0.02)


def pick(patches: Tensor, chosen: Tensor) -> Tensor:
    """The patches ``chosen (R, K)`` of ``patches (B, N, P)``, as ``(R, K, P)``.

    R is a multiple of B: rows of ``chosen`` that belong to one row of ``patches`` stand side by side.
    Whole patches are copied: on a CPU, a fifth of the time of gathering element by element.
    """
    batch, count = patches.shape[:2]
    row = torch.arange(len(chosen), device=patches.device) // (len(chosen) // batch)
    places = (row[:, None] * count + chosen).flatten()
    return patches.flatten(0, 1).index_select(0, places).unflatten(0, chosen.shape)
