"""Dead leaves: opaque shapes of power-law size fall over each other until the picture is covered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import UsageError
from ..dsp import in_chunks
from ..memory import keep_freed_memory
from .leaf_painting import WORD, first_leaf
from .leaf_shapes import ORIENTED, SHAPES, SQUARE

FIRST_PASS = 5.0  # leaves of the first pass, in expected coverings of a pixel far from the border
FIRST_PASS_WORDS = 20  # and at most so many words: the pass costs words x pixels
PIXELS_TOGETHER = 200_000  # painted in one go on a CPU: few enough for its cache


@dataclass(kw_only=True)
class DeadLeaves(Source, name="dead_leaves"):
    """Dead leaves of squares, oriented squares or mixed shapes, grey, after Baradad et al. (2021).

    Radii follow r^-3 - 1 on 200 values from 0.03 to 1 and are ``max(int(r * side), 1)`` pixels, so the
    number of leaves per pixel is that of a ``side`` x ``side`` picture on any canvas. Centres are
    uniform on the canvas's pixels; greys are int(255 U) / 255.

    Painted front to back: the first leaf that covers a pixel colours it, until every pixel is covered.
    That samples the stationary model exactly; painting back to front and stopping "when covered", as
    the reference does, is a biased sample of it (the last leaf is more often one that closed a gap).

    Coverage rule: corners are integers (truncated towards zero); on each pixel row the shape covers
    the columns between its leftmost and rightmost crossing, rounded to the nearest pixel, both ends
    included. A circle covers |x - centre| <= round(sqrt(radius^2 - dy^2)). A pixel that no leaf covers
    within ``max_leaves`` stays 0. About one picture in 10^6 is a single leaf.
    """

    kind = "picture"
    family = "dead leaves"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "fast"
    needs = "nothing"

    shape: Literal["square", "oriented", "mixed"] = "square"
    height: int = 128  # mel bands F
    width: int = 128  # frames T
    side: int = 128  # S of the radius law
    sigma: float = 3.0
    radii: int = 200
    radius_low: float = 0.03
    radius_high: float = 1.0
    max_leaves: int = 5000  # on a side x side canvas; scaled with the canvas's area

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.side) < 2:
            raise UsageError(
                f"a picture of height {self.height}, width {self.width} and side {self.side} is too "
                "small. Ask for at least 2 each, for example source.height=128."
            )
        if not 0.0 < self.radius_low < self.radius_high or self.radii < 2:
            raise UsageError(
                f"radii from {self.radius_low} to {self.radius_high} in {self.radii} steps are no law. "
                "Set 0 < source.radius_low < source.radius_high and source.radii >= 2."
            )
        if not self.sigma > 0.0:
            raise UsageError(
                f"source.sigma={self.sigma}: radii follow r^-sigma, which needs a positive exponent. "
                "Type source.sigma=3."
            )

    @property
    def leaves(self) -> int:
        """The most leaves one picture may have."""
        return max(1, round(self.max_leaves * self.height * self.width / self.side**2))

    def radius_law(self) -> tuple[Tensor, Tensor]:
        """Radii in pixels, int64 ``(radii,)``, and their cumulative probabilities, float64."""
        relative = torch.linspace(self.radius_low, self.radius_high, self.radii, dtype=torch.float64)
        weight = relative**-self.sigma - self.radius_high**-self.sigma
        cumulative = weight.cumsum(0) / weight.sum()
        return (relative * self.side).long().clamp_min(1), cumulative

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Every leaf, front to back, ``(B, leaves)``: kind, radius, centre, grey, angles in turns."""
        draws, count = Draws(self.seed, indices), self.leaves
        radii, cumulative = self.radius_law()
        # the entry whose cumulative probability is nearest to u: the mid-points part the entries
        borders = (cumulative[1:] + cumulative[:-1]) / 2.0
        radius = radii[torch.searchsorted(borders, draws.uniform("radius", 0.0, 1.0, count))]
        drawn = {
            "radius": radius,
            "x": (draws.uniform("x", 0.0, self.width, count)).long(),
            "y": (draws.uniform("y", 0.0, self.height, count)).long(),
            "grey": (draws.uniform("grey", 0.0, 255.0, count)).long(),
        }
        if self.shape == "mixed":
            drawn["kind"] = draws.integers("kind", 0, len(SHAPES) - 1, count)
            drawn["angles"] = draws.uniform("angles", 0.0, 1.0, count, 4)
        else:
            drawn["kind"] = torch.full_like(radius, SQUARE if self.shape == "square" else ORIENTED)
        if self.shape == "oriented":
            drawn["angles"] = draws.uniform("angles", 0.0, 1.0, count, 1)
        return drawn

    def describe(self, index: int) -> dict[str, Any]:
        """The law of the leaves and the 16 foremost ones: shape, radius and centre in pixels, grey."""
        wanted = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([wanted]))
        front = {key: drawn[key][0, :16].tolist() for key in ("radius", "x", "y")}
        return {
            "shape": self.shape,
            "sigma": self.sigma,
            "front_shapes": [SHAPES[kind] for kind in drawn["kind"][0, :16].tolist()],
            **{f"front_{key}": value for key, value in front.items()},
            "front_grey": (drawn["grey"][0, :16] / 255.0).tolist(),
        }

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""
        first_pass = self.first_pass()

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            drawn = {key: value.to(device) for key, value in drawn.items()}
            leaf = first_leaf(drawn, self.height, self.width, first_pass)  # (B, F, T), -1: none
            return self.paint(leaf.clamp_min(0), drawn) * (leaf >= 0)

        keep_freed_memory()
        together = max(1, PIXELS_TOGETHER // (self.height * self.width))
        return in_chunks(render_chunk, parameters, device, on_cpu=together)

    def paint(self, leaf: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Greys ``(B, F, T)`` of pixels by their foremost leaves ``(B, F, T)``."""
        grey = drawn["grey"].float() / 255.0
        return grey.gather(1, leaf.flatten(1)).reshape(leaf.shape)

    def first_pass(self) -> int:
        """Leaves of the first pass, a multiple of 62."""
        radii, cumulative = self.radius_law()
        probability = cumulative.diff(prepend=cumulative.new_zeros(1))
        area = float((2.0 * radii.double() ** 2 * probability).sum())
        wanted = FIRST_PASS * self.height * self.width / area
        return WORD * min(math.ceil(min(wanted, self.leaves) / WORD), FIRST_PASS_WORDS)


@dataclass(kw_only=True)
class OrientedDeadLeaves(DeadLeaves, name="dead_leaves_oriented"):
    """Dead leaves of squares turned by any angle; ``dead_leaves`` with ``shape=oriented``."""

    kind = "picture"
    family = "dead leaves"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "fast"
    needs = "nothing"

    shape: Literal["square", "oriented", "mixed"] = "oriented"


@dataclass(kw_only=True)
class MixedDeadLeaves(DeadLeaves, name="dead_leaves_mixed"):
    """Dead leaves of circles, rectangles and polygons; ``dead_leaves`` with ``shape=mixed``."""

    kind = "picture"
    family = "dead leaves"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "fast"
    needs = "nothing"

    shape: Literal["square", "oriented", "mixed"] = "mixed"
