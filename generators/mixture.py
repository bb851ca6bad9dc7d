"""A blend of sources: every sample comes from one of them, drawn by weights that training may move."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .base import Draws, LogMel, Source
from .drawer import BadData, UsageError
from .parts import Parts, Whole, create, spelt_out

MEASURED = 64  # samples of a part whose pixels give its mean and standard deviation
GRID = 1001  # points of progress over which shares are averaged


@dataclass(kw_only=True)
class Mixture(Whole, Source, name="mixture"):
    """Sounds and pictures of several sources in one stream, in proportion to their weights.

    ``parts`` are sources by label. A weight is a number, or the numbers it passes through while
    training goes from its start to its end, at equal distances and linear in between: [1, 0] fades out.
    Sample i is sample i of the part that (seed, i) draws, so it is still a function of i.

    Sounds become log-mel images by the front-end; pictures are images already. Each part is
    standardised by its own mean and standard deviation, those of its first 64 samples, so that
    neither a level nor an exponent tells one kind from the other and weights mean what they say.
    Images longer than ``width`` are cut at a place drawn from (seed, i), shorter ones padded with
    silence.

    A schedule needs to know where an index stands in the training: ``horizon`` is the index at which
    it ends. Without one (a finite pool, which is drawn from all along) parts are drawn by their
    average shares, and :meth:`chances` says which rows of the pool are due.
    """

    kind = "image"
    family = "blend"
    citation = "ours"
    speed = "fast"
    needs = "nothing"

    parts: Parts = field(default_factory=lambda: {"audiopg": 1.0, "dead_leaves": 1.0})
    _measured: dict[tuple[str, LogMel], tuple[float, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        where = "source.parts"
        spelt = spelt_out(self.parts, where, weighted=True)
        for label, values in spelt.items():
            if values["name"] == self.name:
                raise UsageError(f"{where}.{label}: a mixture holds no mixture. Name its parts here.")
        if len(spelt) < 2:
            (label,) = spelt
            name, other = spelt[label]["name"], "audiopg" if label == "noise" else "noise"
            raise UsageError(
                f"{where} holds {label} alone, which is no mixture. Type source={name}, or add another "
                f"part, for example {where}.{other}=1."
            )
        self.weights = {
            label: knots(values["weight"], f"{where}.{label}") for label, values in spelt.items()
        }
        turns = {at / (len(w) - 1) for w in self.weights.values() if len(w) > 1 for at in range(len(w))}
        for turn in sorted(turns or {0.0}):  # shares are linear in between
            if float(self.levels(torch.tensor([turn])).sum()) == 0.0:
                raise UsageError(
                    f"the weights of {where} are all 0 at {turn:.0%} of the training. "
                    f"Give at least one part a positive weight there."
                )
        self.children = create(spelt, self, where)

    # ------------------------------------------------------------------------------ choosing

    @property
    def scheduled(self) -> bool:
        """Whether shares change during training."""
        shares = self.shares(torch.linspace(0, 1, GRID))
        return bool((shares - shares[:1]).abs().max() > 1e-9)

    def levels(self, progress: Tensor) -> Tensor:
        """Weights at ``progress`` (P,) in [0, 1], float64 ``(P, parts)``."""
        columns = []
        for weights in self.weights.values():
            values = torch.tensor([*weights, weights[-1]], dtype=torch.float64)
            at = progress.double().clamp(0.0, 1.0) * (len(weights) - 1)
            below = at.long()
            columns.append(values[below] + (at - below) * (values[below + 1] - values[below]))
        return torch.stack(columns, dim=1)

    def shares(self, progress: Tensor) -> Tensor:
        """Probabilities of the parts at ``progress`` (P,), float64 ``(P, parts)``."""
        levels = self.levels(progress)
        return levels / levels.sum(dim=1, keepdim=True)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Number of the part, int64, and place of the cut in [0, 1), float64: ``(B,)`` each."""
        draws, own = Draws(self.seed, indices), f"mixture of {', '.join(self.weights)}"
        if self.horizon is None:
            shares = self.shares(torch.linspace(0, 1, GRID)).mean(dim=0, keepdim=True)
        else:
            shares = self.shares(indices.double() / self.horizon)
        bounds = shares.cumsum(dim=1)[:, :-1]  # (B, parts - 1)
        part = (draws.uniform(f"{own}/part")[:, None] >= bounds).sum(dim=1)
        return {"part": part, "place": draws.uniform(f"{own}/place")}

    def made_of(self) -> dict[str, Source]:
        """Its parts."""
        return {f"parts.{label}": child for label, child in self.children.items()}

    def chances(self, rows: Tensor, progress: float) -> Tensor | None:
        """Relative probability of each row of a pool: its part's share among the part's rows."""
        if not self.scheduled:
            return None
        part = self.parameters(self.distinct(rows))["part"]
        counts = torch.bincount(part, minlength=len(self.weights))
        shares = self.shares(torch.tensor([progress]))[0] / counts.clamp_min(1)
        if not float(shares[part].sum()) > 0.0:
            due = [label for label, share in zip(self.weights, shares.tolist(), strict=True) if share]
            raise UsageError(
                f"a pool of {len(rows)} samples holds none of {', '.join(due)}, which are due at "
                f"{progress:.0%} of the training. Type a larger pool=..., or pool=null."
            )
        return shares[part]

    # ------------------------------------------------------------------------------ making

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Raises UsageError: without a front-end sounds and pictures have no common shape."""
        raise UsageError(
            "a mixture is no batch of waveforms or pictures: ask for images(indices, frontend)."
        )

    def expect(self, indices: Tensor | list[int]) -> None:
        """Pass to each part the indices that it will be asked for."""
        wanted = self.distinct(indices)
        part = self.parameters(wanted)["part"]
        for number, child in enumerate(self.children.values()):
            child.expect(wanted[part == number])

    def images(
        self, indices: Tensor | list[int], frontend: LogMel, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Images ``(B, height, width)``, each part with mean 0 and standard deviation 1."""
        wanted = self.distinct(indices)
        drawn = self.parameters(wanted)
        out = torch.empty(len(wanted), self.height, self.width, device=device)
        for number, (label, child) in enumerate(self.children.items()):
            rows = (drawn["part"] == number).nonzero()[:, 0]
            if len(rows):
                images = child.images(wanted[rows], frontend, device)
                if images.shape[1] != self.height:
                    raise UsageError(
                        f"source.parts.{label} has images of {images.shape[1]} bands, not "
                        f"source.height={self.height}. Give the front-end as many bands."
                    )
                images = frontend.pad_frames(images, self.width)
                mean, std = self.statistics(label, frontend)
                cut = windows(images, drawn["place"][rows], self.width)
                out[rows.to(device)] = (cut - mean) / std
        return out

    def statistics(self, label: str, frontend: LogMel) -> tuple[float, float]:
        """Mean and standard deviation of the pixels of a part's first 64 samples, on the CPU."""
        if (label, frontend) not in self._measured:
            pixels = self.children[label].images(torch.arange(MEASURED), frontend).double()
            mean, std = pixels.mean().item(), pixels.std().item()
            if not math.isfinite(mean) or not std > 1e-6:
                raise BadData(
                    f"source.parts.{label} gives constant or non-finite images (mean {mean:.3g}, "
                    f"std {std:.3g}). Leave it out, or look at it: sourcebench preview source={label}"
                )
            self._measured[label, frontend] = mean, std
        return self._measured[label, frontend]

    def sounds(self, indices: Tensor | list[int]) -> list[tuple[Tensor, int] | None]:
        """The samples of parts that can be heard; None for pictures."""
        wanted = self.distinct(indices)
        children = list(self.children.values())
        parts = self.parameters(wanted)["part"].tolist()
        return [
            children[part].sounds([index])[0]
            for part, index in zip(parts, wanted.tolist(), strict=True)
        ]

    def describe(self, index: int) -> dict[str, Any]:
        """The part that was drawn, and what it says of its sample."""
        wanted = self.distinct([index])
        label = list(self.children)[int(self.parameters(wanted)["part"])]
        return {"part": label, **self.children[label].describe(int(wanted))}

    def identity(self) -> dict[str, Any]:
        """Its own fields, and the identities of its parts with their weights."""
        values = super().identity()
        for key in ("cache", "_measured"):
            del values[key]
        parts = {
            label: {"weight": list(self.weights[label]), **child.identity()}
            for label, child in self.children.items()
        }
        return {**values, "parts": parts}


def knots(weight: Any, where: str) -> tuple[float, ...]:
    """The weights at equal distances over the training; one where it stays the same."""
    values = tuple(weight) if isinstance(weight, (list, tuple)) else (weight,)
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0.0 <= value < math.inf:
            raise UsageError(
                f"{where}.weight={weight!r}: expected a number of at least 0, or a list of them over "
                f"the training. Type for example {where}.weight=2 or {where}.weight=[1,0]."
            )
    if not values:
        raise UsageError(f"{where}.weight=[] is no weight. Type for example {where}.weight=1.")
    return tuple(map(float, values))


def windows(images: Tensor, place: Tensor, width: int) -> Tensor:
    """``width`` frames of each image ``(B, F, T)``; ``place`` (B,) in [0, 1) says where they start."""
    start = (place * (images.shape[2] - width + 1)).long()  # (B,)
    columns = (start[:, None] + torch.arange(width)).to(images.device)  # (B, width)
    return images.gather(2, columns[:, None, :].expand(-1, images.shape[1], -1))
