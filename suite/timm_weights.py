"""An encoder of ours as a vision transformer of timm: the same function under timm's names.

timm reads patches band by band, we read them step by step: tokens come in another order, with their
positions, and say the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.rows import write_atomically
from suite.stem import MultiResolutionStem

WEIGHTS, CONFIG = "model.safetensors", "config.json"  # as timm names them


def write(encoder: Encoder, frontend: FrontEnd, out: Path) -> None:
    """Write what ``timm.create_model("local-dir:OUT", pretrained=True)`` reads.

    Inputs are images ``(B, 1, bands, frames)``, standardised as config.json says under ``audio``.
    """
    check_fits(encoder)
    weights = {name: tensor.contiguous() for name, tensor in named(encoder, frontend).items()}
    write_atomically(out / WEIGHTS, safetensors.torch.save(weights, metadata={"format": "pt"}))
    config = {
        "architecture": "vit_base_patch16_224",
        "num_classes": 0,
        "num_features": encoder.width,
        "global_pool": "token" if encoder.class_token is not None else "avg",
        "model_args": arguments(encoder, frontend),
        "pretrained_cfg": {"num_classes": 0, "input_size": [1, frontend.bands, frontend.frames]},
        "audio": frontend.plain(),
    }
    write_atomically(out / CONFIG, json.dumps(config, indent=1).encode())


def check_fits(encoder: Encoder) -> None:
    """Raise :class:`UsageError` for what timm's vision transformer cannot compute."""
    if encoder.architecture.norm != "pre" or isinstance(encoder.patch_embedding, MultiResolutionStem):
        raise UsageError(
            "timm's vision transformer has neither post-norm blocks nor CAT's stem, so encoders of eat "
            "and cat cannot become one. Type to=hear or to=hub."
        )


def arguments(encoder: Encoder, frontend: FrontEnd) -> dict[str, Any]:
    """What timm's ``VisionTransformer`` is built with."""
    attention: Any = encoder.blocks[0].get_submodule("attn")
    with_token = encoder.class_token is not None
    return {
        "img_size": [frontend.bands, frontend.frames],
        "patch_size": list(encoder.patch),
        "in_chans": 1,
        "embed_dim": encoder.width,
        "depth": len(encoder.blocks),
        "num_heads": attention.heads,
        "class_token": with_token,
        "global_pool": "token" if with_token else "avg",
        "fc_norm": False,
    }


def named(encoder: Encoder, frontend: FrontEnd) -> dict[str, Tensor]:
    """The weights under timm's names."""
    steps, bands = frontend.frames // encoder.patch[1], frontend.bands // encoder.patch[0]
    by_step = encoder.positions((steps, bands), torch.device("cpu")).unflatten(0, (steps, bands))
    positions = by_step.transpose(0, 1).flatten(0, 1)[None]  # (1, F' * T', D)
    embedding = encoder.patch_embedding
    assert isinstance(embedding, torch.nn.Linear)
    weights = {
        "patch_embed.proj.weight": embedding.weight.unflatten(1, (1, *encoder.patch)),
        "patch_embed.proj.bias": embedding.bias,
    }
    if encoder.class_token is not None:  # ours has no position
        weights["cls_token"] = encoder.class_token
        positions = torch.cat([torch.zeros(1, 1, encoder.width), positions], dim=1)
    weights["pos_embed"] = positions
    for prefix, part in (("blocks.", encoder.blocks), ("norm.", encoder.norm)):
        weights |= {f"{prefix}{name}": value for name, value in part.state_dict().items()}
    for name in [name for name in weights if name.endswith("query_bias")]:  # MSM-MAE: keys without
        queries, stem = weights.pop(name), name.removesuffix("query_bias")
        values = weights.pop(f"{stem}value_bias")
        weights[f"{stem}bias"] = torch.cat([queries, torch.zeros_like(queries), values])
    return {name: value.detach() for name, value in weights.items()}
