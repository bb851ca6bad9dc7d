"""A small encoder behind HEAR's calls, and ways in which such a module can misbehave.

Each loader is typed as ``encoder=foreign_ears:LOADER``; the calls do what the model's flaw says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

HOP = 160  # samples at 8 kHz: 20 ms


class Ears(nn.Module):
    """Loudness and sharpness of every 20 ms, behind a fixed linear layer."""

    sample_rate = 8000
    scene_embedding_size = 6
    timestamp_embedding_size = 6

    def __init__(self, flaw: str = "") -> None:
        super().__init__()
        self.flaw = flaw
        self.layer = nn.Linear(2, 6)
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(12.0).view(6, 2) / 12)
            self.layer.bias.zero_()

    def forward(self, audio: Tensor) -> Tensor:
        """Steps ``(B, T, 6)`` of ``audio (B, samples)``."""
        if self.flaw == "short" and audio.shape[1] < 4000:
            raise RuntimeError("the kernel is larger than the input")
        frames = nn.functional.pad(audio, (0, -audio.shape[1] % HOP)).unflatten(1, (-1, HOP))
        loudness = frames.square().mean(2)
        if self.flaw == "silence":
            loudness = loudness / loudness.amax(1, keepdim=True)  # 0 / 0
        if self.flaw == "batch":
            loudness = loudness - loudness.mean()
        if self.flaw == "random":
            loudness = loudness + torch.rand(1)
        heard = torch.stack([loudness, frames.diff(dim=2).square().mean(2)], dim=2)
        if self.flaw == "numpy":
            return torch.from_numpy(heard.numpy() @ self.layer.weight.detach().numpy().T)
        steps: Tensor = self.layer(heard)
        if self.flaw == "offset":
            steps = (steps + 100.0) - 100.0  # bfloat16 has 8 bits: nothing is left
        if self.flaw == "overflow" and steps.dtype != torch.float32:
            steps = steps / 0.0
        return steps


def load_model(path: str = "") -> Ears:
    return Ears(path).eval()


def unfit() -> Ears:
    return Ears("training")


def get_timestamp_embeddings(audio: Tensor, model: Ears) -> tuple[Tensor, Tensor]:
    with torch.set_grad_enabled(model.flaw == "training"):
        steps = model(audio)
    times = (torch.arange(steps.shape[1]) + 0.5) * (1000.0 * HOP / model.sample_rate)
    if model.flaw == "seconds":
        times = times / 1000.0
    if model.flaw == "drift":
        times = times * 1.03
    if model.flaw == "uneven":
        times[1::2] += 5.0
    if model.flaw == "size":
        steps = steps[..., :5]
    return steps, times.expand(len(audio), -1)


def get_scene_embeddings(audio: Tensor, model: Ears) -> Tensor:
    with torch.set_grad_enabled(model.flaw == "training"):
        scene: Tensor = model(audio).mean(1)
    if model.flaw == "scenes":
        scene = scene[:, :5]
    if model.flaw == "array":
        scene = torch.from_numpy(scene.numpy())  # numpy has no bfloat16
    return scene.double() if model.flaw == "double" else scene
