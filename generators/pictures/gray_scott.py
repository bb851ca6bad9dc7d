"""Gray-Scott patterns: spots, holes, worms and labyrinths of two reacting, diffusing chemicals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from ..dsp import in_chunks
from .conversion import resize
from .fields import GreyField, Range, check_range, log_uniform, stretch

Regime = Literal["spots", "dividing_spots", "labyrinth", "coral", "fingerprint", "holes", "worms"]

# Feed and kill rates in the middle of each regime of Pearson's map that fills the plane and stays.
REGIMES: dict[Regime, tuple[float, float]] = {
    "spots": (0.0300, 0.0620),
    "dividing_spots": (0.0367, 0.0649),
    "labyrinth": (0.0290, 0.0570),
    "coral": (0.0545, 0.0620),
    "fingerprint": (0.0370, 0.0600),
    "holes": (0.0390, 0.0585),
    "worms": (0.0460, 0.0630),
}
NAMES: tuple[Regime, ...] = tuple(REGIMES)
SEEDED = 0.02  # share of the cells around which v starts
LEAST_CELLS = 40  # of a grid, along both axes: on a smaller one a pattern may die out
TRACE = 1e-12  # feed of v: keeps its tails from becoming denormal numbers, which are slow


@dataclass(kw_only=True)
class GrayScott(GreyField, Source, name="gray_scott"):
    """Reaction and diffusion (Pearson 1993): du = Du lap u - u v^2 + f (1 - u), dv = ... - (f + k) v.

    Explicit steps of 1 on cells of ``cell_px``^2 pixels, Dv = Du / 2, five-point Laplacian; the picture
    is v, interpolated linearly, from its smallest value (0) to its largest (1). Feed f and kill k are
    those of a random regime, each moved by up to ``spread``. The scale of a pattern goes with the root
    of ``diffusion``: Pearson's Du is 0.21 cells^2, ours is less, so patterns are finer and come sooner.
    The grid is a torus wound like a helix: rows are joined end to start. Repeat a name in ``regimes``
    to weight it.
    """

    kind = "picture"
    family = "texture field"
    citation = "Pearson 1993, Science 261; arXiv patt-sol/9304003"
    speed = "moderate"
    needs = "nothing"

    regimes: tuple[Regime, ...] = NAMES
    spread: float = 0.0005
    diffusion: Range = (0.06, 0.14)  # Du in cells^2 per step, log-uniform
    cell_px: int = 2
    steps: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("diffusion", self.diffusion, 0.001, 0.22)
        check_range("spread", (self.spread, self.spread), 0.0, 0.01)
        if not self.regimes:
            raise UsageError(
                f"source.regimes is empty: expected one or more of {', '.join(NAMES)}. "
                "Type for example 'source.regimes=[labyrinth]'."
            )
        if self.steps < 1:
            raise UsageError(f"source.steps={self.steps}: expected 1 or more. Type source.steps=1000.")
        if not 1 <= self.cell_px <= min(self.height, self.width) // 4:
            raise UsageError(
                f"source.cell_px={self.cell_px}: expected 1 to a quarter of the canvas's shorter side "
                f"({min(self.height, self.width) // 4}). Type source.cell_px=2."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Cells along frequency and along time; a small canvas shows a part of its grid."""
        rows, columns = self.shown
        return max(rows, LEAST_CELLS), max(columns, LEAST_CELLS)

    @property
    def shown(self) -> tuple[int, int]:
        """Cells on the canvas along frequency and along time."""
        return math.ceil(self.height / self.cell_px), math.ceil(self.width / self.cell_px)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Regime, feed, kill, diffusion of u, and the key of the seeds: ``(B,)``."""
        draws = Draws(self.seed, indices)
        numbers = torch.tensor([NAMES.index(regime) for regime in self.regimes])
        regime = numbers[draws.integers("regime", 0, len(numbers) - 1)]
        rates = torch.tensor([REGIMES[name] for name in NAMES], dtype=torch.float64)[regime]
        return {
            "regime": regime,
            "feed": rates[:, 0] + draws.uniform("feed", -self.spread, self.spread),
            "kill": rates[:, 1] + draws.uniform("kill", -self.spread, self.spread),
            "diffusion": log_uniform(draws, "diffusion", self.diffusion),
            "seed_key": draws.keys("seeds"),
        }

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""

        def simulate(drawn: dict[str, Tensor]) -> Tensor:
            drawn = {key: value.to(device) for key, value in drawn.items()}
            feed, kill, diffusion = (drawn[key].float() for key in ("feed", "kill", "diffusion"))
            return react(seeds(drawn["seed_key"], *self.grid), feed, kill, diffusion, self.steps)[1]

        # single products and sums only, so a batch on a CPU rounds as one sample does
        state = in_chunks(simulate, parameters, device, on_cpu=8)
        return super().render({**parameters, "state": state}, device)

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """The final v, at the canvas's size."""
        rows, columns = self.shown
        return stretch(resize(drawn["state"][:, :rows, :columns], self.height, self.width))

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Regime, rates per step and diffusion in cells^2 per step."""
        return {
            "regime": NAMES[drawn["regime"]],
            "feed_per_step": drawn["feed"],
            "kill_per_step": drawn["kill"],
            "diffusion_u": drawn["diffusion"],
            "diffusion_v": drawn["diffusion"] / 2.0,
        }


def seeds(keys: Tensor, rows: int, columns: int) -> Tensor:
    """Where v starts: 3 x 3 cells about random ones, bool ``(B, rows, columns)``."""
    chance = white_noise(keys, rows * columns, keys.device).view(-1, rows, columns)
    chosen = chance < 2.0 * SEEDED - 1.0
    chosen[:, rows // 2, columns // 2] = True  # a small canvas might have none
    chosen = chosen | chosen.roll(1, 1) | chosen.roll(-1, 1)
    return chosen | chosen.roll(1, 2) | chosen.roll(-1, 2)


def react(start: Tensor, feed: Tensor, kill: Tensor, diffusion: Tensor, steps: int) -> Tensor:
    """Concentrations u and v after ``steps``: float32 ``(2, B, rows, columns)``.

    ``start`` (B, rows, columns) says where u, v are 1/2, 1/4 at first, elsewhere 1, 0; the rates are
    float32 ``(B,)``. A cell's left and right neighbours are the ones before and after it in memory.
    """
    batch, rows, columns = start.shape
    cells = rows * columns
    padded = torch.empty(2, batch, cells + 2 * columns, device=start.device)  # one more row at each end
    state = padded[..., columns:-columns]
    u, v = state
    u.copy_(1.0 - 0.5 * start.flatten(1).float())
    v.copy_(0.25 * start.flatten(1).float())
    sides = [padded[..., shift : shift + cells] for shift in (0, 2 * columns, columns - 1, columns + 1)]
    spread = torch.stack([diffusion, diffusion / 2.0])[..., None]  # (2, B, 1)
    loss = torch.stack([feed, feed + kill])[..., None]
    keep = 1.0 - 4.0 * spread - loss
    supply = torch.stack([feed, torch.full_like(feed, TRACE)])[..., None]
    flow, reaction = torch.empty_like(state), torch.empty_like(u)
    for _ in range(steps):
        padded[..., :columns] = state[..., -columns:]
        padded[..., -columns:] = state[..., :columns]
        torch.add(sides[0], sides[1], out=flow)
        flow.add_(sides[2]).add_(sides[3]).mul_(spread).add_(supply)
        torch.mul(v, v, out=reaction).mul_(u)
        state.mul_(keep).add_(flow)
        u.sub_(reaction)
        v.add_(reaction)
    return state.reshape(2, batch, rows, columns)
