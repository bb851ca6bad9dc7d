"""Procedural shaders: small picture programs composed at random, a free stand-in for Shaders1k."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from .conversion import LUMA
from .fields import GreyField, Range, check_range, check_share, stretch
from .shader_planes import BENDS, Numbers, canvas
from .shader_scenes import FAMILIES, LATTICE, POINTS, Scene

NUMBERS = max(len(ranges) for _, ranges in FAMILIES.values())
PLACE: dict[str, Range] = {  # of the canvas on the plane; zoom and stretch are exponents of 2
    "angle": (-math.pi, math.pi),
    "zoom": (-1.0, 1.0),
    "stretch": (-0.7, 0.7),
    "x": (-0.7, 0.7),
    "y": (-0.7, 0.7),
}
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
MIXES: dict[str, Mix] = {  # of two fields in [0, 1] and a weight
    "blend": lambda first, second, weight: torch.lerp(first, second, 0.25 + 0.5 * weight),
    "product": lambda first, second, weight: first * second,
    "lighter": lambda first, second, weight: torch.maximum(first, second),
    "difference": lambda first, second, weight: (first - second).abs(),
    "masked": lambda first, second, weight: torch.where(first > 0.3 + 0.4 * weight, first, second),
}
LAYERS = ("first", "second")
ROOM = 1.0  # how far the second field displaces the first one's plane, at most


@dataclass(kw_only=True)
class ProcShader(GreyField, Source, name="procshader"):
    """Thirteen families of shader (plasma, solids, fractals ...) bent, mixed and coloured at random.

    A replacement of Shaders1k (Baradad et al. 2022), whose programs have owners and cannot be had: none
    of them is used here. A program draws a family on a plane that is placed, bent and perhaps
    (``p_displace``) displaced by a second one; with ``p_mix`` the two are mixed; the value v becomes
    the colour a + b cos(2 pi (c v + d)) of three channels, and its luma is the picture. There are
    ``programs`` of them (None: a new one every time), each shown at a time of ``time_seconds``.
    Repeat a name in ``families`` to weight it.
    """

    kind = "picture"
    family = "shader"
    citation = "ours, after Baradad et al. 2022, NeurIPS; arXiv 2211.16412"
    speed = "fast"
    needs = "nothing"
    framed = True

    families: tuple[str, ...] = tuple(FAMILIES)
    programs: int | None = 1089  # as many as Shaders1k has
    time_seconds: Range = (0.1, 10.0)
    p_bend: float = 0.6
    p_displace: float = 0.3
    p_mix: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families:
            said = f"{unknown[0]!r} is none" if unknown else "it is empty"
            raise UsageError(
                f"source.families: {said}; expected some of {', '.join(FAMILIES)}. "
                "Type for example 'source.families=[plasma,solids]'."
            )
        if self.programs is not None and self.programs < 1:
            raise UsageError(
                f"source.programs={self.programs}: expected at least 1, or null for no end."
            )
        check_range("time_seconds", self.time_seconds, 0.0)
        for key in ("p_bend", "p_displace", "p_mix"):
            check_share(key, getattr(self, key))

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Which program ``(B,)`` and when, and the program: two layers, how they meet, the palette.

        A layer has a family, a bend and its numbers ``(B, 2)``, a place ``(B, 5)``, shares of the
        ranges of its family's numbers ``(B, NUMBERS)``, points ``(B, 16, 4)`` and a key of its lattice.
        """
        own = Draws(self.seed, indices)
        program = indices if self.programs is None else own.integers("program", 0, self.programs - 1)
        draws = Draws(self.seed, program)  # the same program has the same factors
        chosen = torch.tensor([list(FAMILIES).index(name) for name in self.families])
        drawn: dict[str, Tensor] = {"program": program, "time": own.uniform("time", *self.time_seconds)}
        for layer in LAYERS:
            bend = draws.integers(f"{layer}/bend", 1, len(BENDS) - 1)
            bent = draws.happens(f"{layer}/bent", self.p_bend)
            family = draws.integers(f"{layer}/family", 0, len(chosen) - 1)
            drawn |= {
                f"{layer}/family": chosen[family],
                f"{layer}/bend": torch.where(bent, bend, 0),
                f"{layer}/bend_numbers": draws.uniform(f"{layer}/bend_numbers", 0.0, 1.0, 2),
                f"{layer}/place": draws.uniform(f"{layer}/place", 0.0, 1.0, len(PLACE)),
                f"{layer}/shares": draws.uniform(f"{layer}/shares", 0.0, 1.0, NUMBERS),
                f"{layer}/points": draws.uniform(f"{layer}/points", 0.0, 1.0, POINTS, 4),
                f"{layer}/lattice": draws.keys(f"{layer}/lattice"),
            }
        mixed = draws.happens("mixed", self.p_mix)
        drawn |= {
            "displaced": draws.happens("displaced", self.p_displace),
            "displacement": draws.uniform("displacement", 0.2, ROOM),
            "mix": torch.where(mixed, draws.integers("mix", 0, len(MIXES) - 1), -1),
            "weight": draws.uniform("weight"),
            "cycles": draws.uniform("cycles", 0.5, 1.5, 3),
            "phases": draws.uniform("phases", 0.0, 1.0, 3),
        }
        return drawn

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` of drawn programs."""
        second = torch.zeros(len(drawn["time"]), self.height, self.width, device=device)
        wanted = (drawn["displaced"] | (drawn["mix"] >= 0)).nonzero()[:, 0]
        if len(wanted):
            some = {key: value[wanted] for key, value in drawn.items()}
            second[wanted] = self.layer("second", some, None, device)
        shift = torch.where(drawn["displaced"], drawn["displacement"], 0.0).float()[:, None, None]
        field = self.layer("first", drawn, shift * second, device)
        mixed = self.by_kind(
            drawn["mix"],
            list(MIXES.values()),
            lambda mix, rows: mix(field[rows], second[rows], drawn["weight"][rows, None, None].float()),
        )
        field = torch.where((drawn["mix"] >= 0)[:, None, None], stretch(mixed), field)
        picture = torch.full_like(field, 0.5)
        for channel, share in enumerate(LUMA):
            cycles, phase = (drawn[key][:, channel, None, None].float() for key in ("cycles", "phases"))
            picture += 0.5 * share * torch.cos(2.0 * math.pi * (cycles * field + phase))
        return picture.clamp_(0.0, 1.0)

    def layer(
        self, layer: str, drawn: dict[str, Tensor], shift: Tensor | None, device: torch.device
    ) -> Tensor:
        """The field of one layer in [0, 1], its plane moved by ``shift`` ``(B, F, T)``."""
        place = numbers(drawn[f"{layer}/place"], PLACE)
        x, y = canvas(self.height, self.width, place, device)
        bends = numbers(drawn[f"{layer}/bend_numbers"], {"first": (0.0, 1.0), "second": (0.0, 1.0)})
        if shift is not None:
            x, y = x + shift, y - shift
        plane = self.by_kind(
            drawn[f"{layer}/bend"],
            list(BENDS.values()),
            lambda bend, rows: torch.stack(
                bend(x[rows], y[rows], {key: value[rows] for key, value in bends.items()}), dim=1
            ),
        )

        def draw(entry: Any, rows: Tensor) -> Tensor:
            family, ranges = entry
            bent = plane[rows]
            keys = drawn[f"{layer}/lattice"][rows]
            scene = Scene(
                plane=(bent[:, 0], bent[:, 1]),
                time=drawn["time"][rows, None, None].float(),
                numbers=numbers(drawn[f"{layer}/shares"][rows], ranges),
                points=drawn[f"{layer}/points"][rows].float(),
                lattice=white_noise(keys, LATTICE * LATTICE, device).view(-1, LATTICE, LATTICE),
            )
            return family(scene)

        return stretch(self.by_kind(drawn[f"{layer}/family"], list(FAMILIES.values()), draw))

    def by_kind(
        self, kinds: Tensor, choices: Sequence[Any], draw: Callable[[Any, Tensor], Tensor]
    ) -> Tensor:
        """``draw(choice, rows)`` of the rows of each kind, put together; zeros where it is negative."""
        out: Tensor | None = None
        for kind in kinds.unique().tolist():
            rows = (kinds == kind).nonzero()[:, 0]
            if kind >= 0:
                piece = draw(choices[kind], rows)
                out = piece.new_zeros(len(kinds), *piece.shape[1:]) if out is None else out
                out[rows] = piece
        return (
            torch.zeros(len(kinds), self.height, self.width, device=kinds.device)
            if out is None
            else out
        )

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Program, time in seconds, and of each layer in use the family, its numbers and its bend."""
        used = LAYERS if drawn["displaced"] or drawn["mix"] >= 0 else LAYERS[:1]
        told: dict[str, Any] = {"program": drawn["program"], "time_seconds": drawn["time"]}
        for layer in used:
            name = list(FAMILIES)[drawn[f"{layer}/family"]]
            ranges = FAMILIES[name][1]
            shares = drawn[f"{layer}/shares"]
            told[layer] = name
            told[f"{layer}_bend"] = list(BENDS)[drawn[f"{layer}/bend"]]
            told[f"{layer}_numbers"] = {
                key: low + (high - low) * share
                for (key, (low, high)), share in zip(ranges.items(), shares, strict=False)
            }
        told["displacement"] = drawn["displacement"] if drawn["displaced"] else 0.0
        told["mix"] = list(MIXES)[drawn["mix"]] if drawn["mix"] >= 0 else "none"
        return told


def numbers(shares: Tensor, ranges: dict[str, Range]) -> Numbers:
    """Numbers ``(b, 1, 1)``, float32, at ``shares`` ``(b, at least len(ranges))`` of ranges."""
    return {
        key: (low + (high - low) * share).float()[:, None, None]
        for (key, (low, high)), share in zip(ranges.items(), shares.unbind(1), strict=False)
    }
