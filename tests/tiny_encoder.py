"""A finished run with an encoder too small to have learnt anything, as it lies on disk."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

from suite.encoder import Encoder

SCALE = {"width": 16, "depth": 2, "heads": 2, "patch": [8, 8]}


def tiny_encoder(seed: int = 0) -> Encoder:
    """The encoder of :func:`dead_leaves_run`, its biases and norms drawn too."""
    encoder = Encoder(patch=(8, 8), width=16, depth=2, heads=2)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return encoder.eval()


def dead_leaves_run(root: Path, *, seed: int = 0, source: str = "dead_leaves") -> Path:
    """Write the run below ``root``; returns its folder."""
    run = root / f"run-{seed}"
    (run / "checkpoint").mkdir(parents=True)
    state = {f"encoder.{name}": value for name, value in tiny_encoder(seed).state_dict().items()}
    state["prediction.weight"] = torch.zeros(2, 2)  # the objective's own part, which is not looked at
    save_file(state, run / "checkpoint" / "weights.safetensors")
    settings = {"source": {"name": source}, "scale": SCALE}
    text = f"# sourcebench pretrain ...\n{yaml.safe_dump(settings)}"
    (run / "experiment.yaml").write_text(text, encoding="utf-8")
    return run
