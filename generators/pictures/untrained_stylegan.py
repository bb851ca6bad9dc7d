"""What the untrained StyleGAN2 sources share: fields, drawn factors, and a picture from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import Draws, white_noise
from ..drawer import UsageError
from .conversion import Pattern
from .stylegan_layers import gaussian
from .stylegan_synthesis import Level, Redrawn, convolutions, network, redrawn_weights, synthesise
from .wavelet_kernels import enlarge, laplace, pink_maps, to_peak_one, wavelet_bank

# Mean and deviation over photographs of a channel's mean and of its deviation: red, green, blue.
COLOUR_MEANS = ((0.483, 0.145), (0.455, 0.142), (0.401, 0.161))
COLOUR_DEVIATIONS = ((0.219, 0.063), (0.213, 0.062), (0.213, 0.069))
# The same of the grey of independent channels, 0.299 R + 0.587 G + 0.114 B.
GREY_MEAN, GREY_DEVIATION = (0.457, 0.096), (0.143, 0.033)

Laws = tuple[tuple[float, float], ...]

LITE_DOUBLINGS = 5
LITE_CHANNELS, LITE_BUDGET = 64, 1024  # min(64, 1024 / scale), scale = 4 ... 128: 8 at the finest


@dataclass(kw_only=True)
class UntrainedStyleGAN(Pattern):
    """What the four sets share; ``form`` says what is computed.

    ``full``: the published network, ``side`` x ``side`` in colour, whose pictures then become inputs as
    ``grey`` and ``fit`` say: w of 512 dimensions, min(512, 32768 / scale) channels, from 4 x 4 upwards.
    ``lite``: ours, for a CPU. Grey, straight on the canvas without resizing: five doublings up to
    ``height`` x ``width``, w of 64 dimensions, min(64, 1024 / scale) channels; one output channel whose
    mean and deviation are drawn as those of the full form's grey. ``side``, ``grey`` and ``fit`` idle.

    Published: conv weights N(0, 1), demodulated; style affine N(0, 1) / sqrt(512) with bias 1; constant
    input N(0, 1); up-sampling by [1, 3, 3, 1]; ReLU; to-RGB N(0, 1) / sqrt(C) summed over resolutions;
    w ~ LeakyReLU_0.2(N(0, 1)) drawn for each layer of each picture; a new network every 400 pictures
    (specification 5.3).
    """

    dense: ClassVar[bool] = False  # a network's own kernels, or wavelets redrawn for every picture
    signed: ClassVar[bool] = False  # which bank of wavelets
    envelope: ClassVar[Literal["none", "laplace", "peak one"]] = "none"  # over the noise
    one_map: ClassVar[bool] = False  # one noise map for all layers of a picture

    size: int | None = None
    form: Literal["full", "lite"] = "full"
    side: int = 256  # of the full form's pictures: a power of two from 8
    height: int = 256  # mel bands F
    width: int = 256  # frames T
    images_per_network: int = 400
    noise_strength: float = 0.0  # a layer's noise is multiplied by U(0, this)
    noise_maps: int = 100  # pre-drawn maps of a layer of a network
    bias_range: float = 0.0  # biases of the convolutions are U(-this, this), for every picture
    fewest_kernels: int = 40  # wavelets that a layer of a picture chooses from, of 40
    most_kernels: int = 40

    def __post_init__(self) -> None:
        self.check_conversion(least=8)
        if self.side < 8 or self.side & (self.side - 1):
            raise UsageError(
                f"source.side={self.side}: expected a power of two from 8. Type source.side=256."
            )
        for key in ("images_per_network", "noise_maps"):
            if getattr(self, key) < 1:
                raise UsageError(f"source.{key}={getattr(self, key)}: expected at least 1.")
        for key in ("noise_strength", "bias_range"):
            if not 0.0 <= getattr(self, key) < math.inf:
                raise UsageError(
                    f"source.{key}={getattr(self, key)}: expected 0 or more. Type source.{key}=0.2."
                )
        if not 1 <= self.fewest_kernels <= self.most_kernels <= 40:
            raise UsageError(
                f"source.fewest_kernels={self.fewest_kernels} and source.most_kernels="
                f"{self.most_kernels}: expected 1 <= fewest <= most <= 40. "
                "Type source.fewest_kernels=5 source.most_kernels=40."
            )

    # -----------------------------------------------------------------------------------------------
    # Geometry

    @property
    def native(self) -> tuple[int, int]:
        """Height and width of a pattern."""
        if self.form == "full":
            return self.side, self.side
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Height, width and channels of every resolution, coarse to fine."""
        if self.form == "full":
            scales = [2**power for power in range(2, self.side.bit_length())]
            return tuple((scale, scale, min(32768 // scale, 512)) for scale in scales)
        height, width = self.native
        return tuple(
            (
                -(-height // 2 ** (LITE_DOUBLINGS - level)),
                -(-width // 2 ** (LITE_DOUBLINGS - level)),
                min(LITE_BUDGET // 2 ** (level + 2), LITE_CHANNELS),
            )
            for level in range(LITE_DOUBLINGS + 1)
        )

    @property
    def style_dimensions(self) -> int:
        """Dimensions of w."""
        return 512 if self.form == "full" else 64

    # -----------------------------------------------------------------------------------------------
    # Factors

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """Network, latents, grey levels, and what noise, wavelets and biases need; see the spec 5.3."""
        draws, levels = Draws(self.seed, indices), self.levels
        layers = convolutions(levels)
        colours = 3 if self.form == "full" else 1
        means: Laws = COLOUR_MEANS if colours == 3 else (GREY_MEAN,)
        deviations: Laws = COLOUR_DEVIATIONS if colours == 3 else (GREY_DEVIATION,)
        latents = draws.normal("latents", 2 * len(levels), self.style_dimensions).float()
        drawn = {
            "network": indices // self.images_per_network,
            "latents": F.leaky_relu(latents, 0.2),
            "mean": scattered(means, draws.normal("mean", colours)),
            "deviation": scattered(deviations, draws.normal("deviation", colours)),
        }
        if self.noise_strength > 0.0:
            strength = draws.uniform("noise strength", 0.0, self.noise_strength, len(layers))
            drawn["noise_strength"] = strength.float()
            if not self.one_map:
                drawn["noise_map"] = draws.integers("noise map", 0, self.noise_maps - 1, len(layers))
            else:
                drawn["noise_key"] = draws.keys("noise")
                drawn["noise_exponent"] = draws.uniform("noise exponent", 0.5, 1.5)
                drawn["noise_envelope"] = laplace(draws.uniform("noise envelope", 0.0, 1.0, 4, 4))
        if self.bias_range > 0.0:
            count = sum(layer.outputs for layer in layers)
            drawn["biases"] = draws.uniform("biases", -self.bias_range, self.bias_range, count).float()
        if not self.dense:
            chosen = draws.integers("kernels", self.fewest_kernels, self.most_kernels, len(layers))
            order = draws.uniform("kernel order", 0.0, 1.0, len(layers), 40).argsort(dim=2)
            places = draws.uniform("kernel", 0.0, 1.0, sum(layer.inputs for layer in layers))
            split = places.split([layer.inputs for layer in layers], dim=1)
            picked = [
                order[:, number].gather(1, (place * chosen[:, number : number + 1]).long())
                for number, place in enumerate(split)
            ]
            drawn |= {
                "kernels": chosen,
                "kernel": torch.cat(picked, dim=1).to(torch.uint8),
                "weights_key": draws.keys("weights"),
            }
        return drawn

    def describe(self, index: int) -> dict[str, Any]:
        """Form, network, level, noise strengths and numbers of wavelets, layer by layer."""
        wanted = index if self.size is None else index % self.size
        drawn = {key: value[0, 0] for key, value in self.parameters(torch.tensor([wanted])).items()}
        names = {
            "network": "network",
            "mean": "mean_level",
            "deviation": "level_deviation",
            "noise_strength": "noise_strength_by_layer",
            "noise_exponent": "noise_amplitude_slope",
            "kernels": "wavelets_by_layer",
        }
        said = {name: drawn[key].tolist() for key, name in names.items() if key in drawn}
        return {"form": self.form, **said}

    # -----------------------------------------------------------------------------------------------
    # Pictures

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, 3, H, W)`` in colour, grey ``(P, H, W)`` in the lite form."""
        numbers = drawn["network"]
        together = torch.arange(len(numbers)) if device.type == "cpu" else numbers
        groups = [(together == value).nonzero()[:, 0] for value in together.unique()]
        painted = [
            self.paint_group({key: value[group] for key, value in drawn.items()}, device)
            for group in groups
        ]
        place = torch.cat(groups).argsort().to(device)
        patterns = torch.cat(painted)[place]
        return patterns if self.form == "full" else patterns[:, 0]

    def paint_group(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, 3 or 1, H, W)`` of one network."""
        levels, number = self.levels, int(drawn["network"][0])
        layers = convolutions(levels)
        colours = drawn["mean"].shape[1]
        net = network(
            self.seed, number, levels, self.style_dimensions, colours, self.dense, str(device)
        )
        noise: tuple[Tensor, ...] = ()
        biases: tuple[Tensor, ...] = ()
        kernels: tuple[Tensor, ...] = ()
        weights = None
        if self.noise_strength > 0.0:
            noise = self.noise(drawn, device)
        if self.bias_range > 0.0:
            biases = drawn["biases"].to(device).split([layer.outputs for layer in layers], dim=1)
        if not self.dense:
            bank = wavelet_bank(self.signed)[drawn["kernel"].long()].to(device)  # (P, sum of C, 3, 3)
            kernels = bank.split([layer.inputs for layer in layers], dim=1)
            count = sum(redrawn_weights(levels, colours))
            weights = gaussian(drawn["weights_key"], count, device)
        redrawn = Redrawn(noise, biases, kernels, weights)
        picture = synthesise(net, levels, drawn["latents"].to(device), redrawn)
        deviation, mean = torch.std_mean(picture, dim=(2, 3), keepdim=True)
        gain = drawn["deviation"].to(picture)[:, :, None, None] / deviation
        level = drawn["mean"].to(picture)[:, :, None, None]
        return ((picture - mean) * gain + level).clamp_(0.0, 1.0)

    def noise(self, drawn: dict[str, Tensor], device: torch.device) -> tuple[Tensor, ...]:
        """Additive noise ``(P, 1, H, W)`` of every layer."""
        strength = drawn["noise_strength"].to(device)
        sizes = [layer.size for layer in convolutions(self.levels)]
        if self.one_map:
            height, width = (2 * side for side in sizes[-1])
            key, exponent = drawn["noise_key"], drawn["noise_exponent"]
            whole = self.noise_map(key, exponent, drawn["noise_envelope"], (height, width), device)
            maps = [F.adaptive_avg_pool2d(whole[:, None], size) for size in sizes]
        else:
            layers = torch.arange(len(sizes))
            numbers = (drawn["network"][:, None] * self.noise_maps + drawn["noise_map"]) * len(sizes)
            draws = Draws(self.seed, (numbers + layers).flatten())  # one of a layer's pre-drawn maps
            exponent = draws.uniform("map exponent", 0.5, 1.5).view(numbers.shape)
            envelope = laplace(draws.uniform("map envelope", 0.0, 1.0, 4, 4)).view(*numbers.shape, 4, 4)
            keys = draws.keys("map").view(numbers.shape)
            maps = [
                self.noise_map(keys[:, n], exponent[:, n], envelope[:, n], size, device)[:, None]
                for n, size in enumerate(sizes)
            ]
        return tuple(plane * strength[:, n, None, None, None] for n, plane in enumerate(maps))

    def noise_map(
        self,
        keys: Tensor,
        exponent: Tensor,
        envelope: Tensor,
        size: tuple[int, int],
        device: torch.device,
    ) -> Tensor:
        """Pink noise ``(P, H, W)``, under its envelope where the set has one."""
        height, width = size
        white = white_noise(keys, height * width, device).view(-1, height, width)
        pink = pink_maps(white, exponent.to(device))
        if self.envelope == "none":
            return pink
        over = enlarge(envelope.to(device), height, width)
        return pink * (to_peak_one(over) if self.envelope == "peak one" else over)


def scattered(law: Laws, normal: Tensor) -> Tensor:
    """N(mean, deviation), float32, of N(0, 1) ``(P, colours)``; one (mean, deviation) a colour."""
    means, deviations = torch.tensor(law, dtype=torch.float64).T
    return (means + deviations * normal).float()
