"""Transformer blocks of the papers' encoders and decoders, with timm's names and weights."""

from __future__ import annotations

from typing import Any, Literal

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from generators.drawer import UsageError

Norm = Literal["pre", "post"]


class Attention(nn.Module):
    """Every token attends to all tokens of its row, in ``heads`` heads; timm's names and weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, N, D)`` to tokens of the same shape."""
        split = self.qkv(tokens).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, D / heads)
        heard = attend(*split.permute(2, 0, 3, 1, 4).unbind(0))
        return self.proj(heard.transpose(1, 2).flatten(2))


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(Q K' / sqrt(d)) V of ``(B, heads, N, d)``, by torch's fused kernel.

    But on a CPU the fused kernel's way back in bfloat16 takes two to six times as long as the plain
    products do.
    """
    if queries.device.type == "cpu" and queries.dtype == torch.bfloat16 and queries.requires_grad:
        logits = (queries * queries.shape[3] ** -0.5) @ keys.transpose(2, 3)
        return logits.softmax(dim=3) @ values
    return F.scaled_dot_product_attention(queries, keys, values)


class PreNormBlock(nn.Module):
    """x + attention(norm1(x)), then x + mlp(norm2(x)): ViT, MAE."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, N, D)`` to tokens of the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class PostNormBlock(nn.Module):
    """x = norm1(x + attention(x)), then norm2(x + mlp(x)): data2vec 2.0, EAT (spec bootstrap A.2).

    The parts carry the names of timm's pre-norm ``Block``, whose weights would fit and mean another
    function.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
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

    def block() -> nn.Module:
        made: Any = PostNormBlock(width, heads) if norm == "post" else PreNormBlock(width, heads)
        if not key_bias:
            made.attn.qkv = KeylessBias(width)
        return made

    return nn.Sequential(*(block() for _ in range(depth)))


def last_tokens(blocks: nn.Sequential, tokens: Tensor, count: int) -> Tensor:
    """``blocks(tokens)[:, -count:]`` of pre-norm blocks; the last one's MLP sees no other."""
    last: Any = blocks[-1]
    tokens = blocks[:-1](tokens)
    tokens = (tokens + last.attn(last.norm1(tokens)))[:, -count:]
    return tokens + last.mlp(last.norm2(tokens))


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
