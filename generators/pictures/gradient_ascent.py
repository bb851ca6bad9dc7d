"""Gradient ascent on a picture: what excites chosen features of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import Draws
from ..drawer import UsageError
from .conversion import Pattern
from .visualised_networks import Features

# Colours of natural pictures from decorrelated ones, over the longest column (specification 5.4).
COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
PHOTOGRAPH_MEANS, PHOTOGRAPH_DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SPECTRUM_DEVIATION = 0.01
ADAM = (0.9, 0.999, 1e-8)
SCALES = tuple(0.9 + 0.02 * step for step in range(11))
TURNS = (*range(-10, 11), 0, 0, 0, 0, 0)  # degrees
SHIFTS = (8, 4)  # pixels: two jitters


@dataclass(kw_only=True)
class FeatureVisualisation(Pattern):
    """What both sets share: a Fourier picture, Adam, and small random movements before the network.

    Sample i maximises the mean of one feature, features 0, 1, ... in turn, then of every pair in
    lexicographic order: so a set is finite, and ``size`` says how many samples it has. The spectrum
    starts as N(0, 0.01^2) over max(f, 1 / side), a quarter of its inverse transform (orthonormal)
    passes colour correlation and a sigmoid. Each step the picture is shifted, scaled by 0.9 to 1.1 and
    turned by up to 10 degrees about its centre (in one resampling, ours; grey 0.5 beyond its border).
    Afterwards it is stretched to [0, 1] (specification 5.4, after Olah et al., Distill, 2017).
    """

    size: int | None = 4096
    steps: int = 128  # of Adam
    learning_rate: float = 0.05
    height: int = 256  # mel bands F
    width: int = 256  # frames T

    def check_fields(self, least: int) -> None:
        """Refuse impossible fields with :class:`UsageError`."""
        self.check_conversion(least)
        if self.steps < 1 or not 0.0 < self.learning_rate < math.inf:
            raise UsageError(
                f"source.steps={self.steps}, source.learning_rate={self.learning_rate}: expected at "
                "least 1 step and a positive rate. Type source.steps=128 source.learning_rate=0.05."
            )
        most = self.features * (self.features + 1) // 2
        if self.size is None or not 1 <= self.size <= most:
            raise UsageError(
                f"source.size={self.size}: a network of {self.features} features has {most} single "
                f"features and pairs. Type source.size={min(4096, most)}."
            )

    @property
    def features(self) -> int:
        """D: how many features the network has."""
        raise NotImplementedError

    @property
    def colours(self) -> int:
        """Channels of the pictures that the network sees."""
        return 1

    def network(self, device: torch.device) -> Features:
        """The network on ``device``."""
        raise NotImplementedError

    # -----------------------------------------------------------------------------------------------
    # Factors

    def chosen(self, indices: Tensor) -> Tensor:
        """The features of samples ``indices``, int64 ``(P, 2)``; a single one stands twice."""
        count = self.features
        single = indices[:, None].expand(-1, 2)
        first, second = torch.triu_indices(count, count, 1)
        pair = (indices - count).clamp(0, count * (count - 1) // 2 - 1)
        both = torch.stack([first[pair], second[pair]], dim=1)
        return torch.where(indices[:, None] < count, single, both)

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """Features, the start's spectrum, and each step's movements in pixels, parts and degrees."""
        draws, (height, width) = Draws(self.seed, indices), self.native
        spectrum = draws.normal("spectrum", 2, self.colours, height, width // 2 + 1)
        shifts = [
            draws.integers(f"shift {number}", 0, 2 * reach, self.steps, 2) - reach
            for number, reach in enumerate(reach // 2 for reach in SHIFTS)
        ]
        scale = torch.tensor(SCALES)[draws.integers("scale", 0, len(SCALES) - 1, self.steps)]
        turn = torch.tensor(TURNS)[draws.integers("turn", 0, len(TURNS) - 1, self.steps)]
        return {
            "features": self.chosen(indices % self.size) if self.size else self.chosen(indices),
            "spectrum": (SPECTRUM_DEVIATION * spectrum).float(),
            "shift_before": shifts[0].float(),
            "shift_after": shifts[1].float(),
            "scale": scale,
            "turn": turn.float(),
        }

    def describe(self, index: int) -> dict[str, Any]:
        """The features that the picture excites, and how long it was searched for."""
        wanted = index if self.size is None else index % self.size
        excited = self.chosen(torch.tensor([wanted * self.patterns_per_sample]))[0]
        return {"features": sorted(set(excited.tolist())), "steps": self.steps}

    # -----------------------------------------------------------------------------------------------
    # Gradient ascent

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, H, W)``, or ``(P, 3, H, W)`` where the network sees colour."""
        network, drawn = self.network(device), {k: v.to(device) for k, v in drawn.items()}
        spectrum = drawn["spectrum"]  # (P, 2, colours, H, W // 2 + 1)
        first, second = torch.zeros_like(spectrum), torch.zeros_like(spectrum)
        momentum, memory, epsilon = ADAM
        for step in range(self.steps):
            with torch.enable_grad():
                asked = spectrum.detach().requires_grad_()
                seen = self.prepare(
                    moved(self.picture(asked), {k: drawn[k][:, step] for k in MOVEMENTS})
                )
                excited = network(seen).gather(1, drawn["features"]).mean(dim=1).sum()
                (slope,) = torch.autograd.grad(excited, asked)
            first = first.lerp_(slope, 1.0 - momentum)
            second = second.lerp_(slope.square(), 1.0 - memory)
            size = (second / (1.0 - memory ** (step + 1))).sqrt_().add_(epsilon)
            spectrum = spectrum + self.learning_rate / (1.0 - momentum ** (step + 1)) * first / size
        picture = self.picture(spectrum)
        low, high = picture.amin(dim=(1, 2, 3), keepdim=True), picture.amax(dim=(1, 2, 3), keepdim=True)
        stretched = ((picture - low) / (high - low)).clamp_(0.0, 1.0)
        return stretched[:, 0] if self.colours == 1 else stretched

    def picture(self, spectrum: Tensor) -> Tensor:
        """Pictures ``(P, colours, H, W)`` in (0, 1) of a spectrum."""
        height, width = self.native
        down = torch.fft.fftfreq(height, device=spectrum.device)[:, None]
        across = torch.fft.rfftfreq(width, device=spectrum.device)
        gain = 1.0 / torch.hypot(down, across).clamp_min(1.0 / max(height, width))
        spectra = torch.complex(spectrum[:, 0] * gain, spectrum[:, 1] * gain)
        planes = torch.fft.irfft2(spectra, s=(height, width), norm="ortho") / 4.0
        if self.colours == 3:
            mixing = torch.tensor(COLOURS, device=spectrum.device)
            mixing = mixing / mixing.norm(dim=0).max()
            planes = torch.einsum("cd,pdhw->pchw", mixing, planes)
        return planes.sigmoid()

    def prepare(self, pictures: Tensor) -> Tensor:
        """Pictures as the network expects them: standardised like photographs."""
        mean = torch.tensor(PHOTOGRAPH_MEANS, device=pictures.device)[:, None, None]
        deviation = torch.tensor(PHOTOGRAPH_DEVIATIONS, device=pictures.device)[:, None, None]
        if self.colours == 1:
            mean, deviation = mean.mean(), deviation.mean()
        return (pictures - mean) / deviation


MOVEMENTS = ("shift_before", "shift_after", "scale", "turn")


def moved(pictures: Tensor, movement: dict[str, Tensor]) -> Tensor:
    """Pictures ``(P, C, H, W)`` shifted, turned and scaled about the centre, shifted; 0.5 outside.

    Shifts are pixels ``(P, 2)``, down and to the right; turns degrees, scales factors, ``(P,)``.
    """
    height, width = pictures.shape[2:]
    angle = movement["turn"] * (math.pi / 180.0)
    cosine, sine = angle.cos() / movement["scale"], angle.sin() / movement["scale"]
    rotation = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    offset = (rotation @ movement["shift_after"][:, :, None])[:, :, 0] + movement["shift_before"]
    half = torch.tensor([height / 2.0, width / 2.0], device=pictures.device)
    rotation = rotation * (half[None, :] / half[:, None])  # in halves of the picture's own sides
    affine = torch.cat([rotation, (offset / half)[:, :, None]], dim=2)  # rows and columns: y, x
    affine = affine.flip(1)[:, :, [1, 0, 2]]
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures - 0.5, grid, align_corners=False) + 0.5
