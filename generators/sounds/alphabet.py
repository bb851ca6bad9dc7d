"""The sounds that other sounds are made of: primitives by name and weight, created when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..base import Source
from ..drawer import UsageError
from ..parts import Parts, create, sources, spelt_out

LEVEL = ("peak_db", "level", "rms_db")  # fields of a sound's level, of AudioPG's among them
BACKGROUND = (
    *("p_background", "background", "background_db"),
    *("background_scale", "background_level", "background_snr_db"),
)
ALPHABET = ("plucked", "struck", "sweeps", "grains", "formants", "textures")


@dataclass(frozen=True)
class Alphabet:
    """Sources of sounds with weights, in the order of their labels."""

    labels: tuple[str, ...]
    weights: tuple[float, ...]
    children: tuple[Source, ...]

    def identities(self) -> dict[str, Any]:
        """Weight and identity of each primitive, for the identity of what is made of them."""
        return {
            label: {"weight": weight, **child.identity()}
            for label, weight, child in zip(self.labels, self.weights, self.children, strict=True)
        }

    def sounds(self, which: Tensor, indices: Tensor, device: torch.device) -> Tensor:
        """Samples ``indices`` (E,) of primitives ``which`` (E,), float32 ``(E, samples)``."""
        out: Tensor | None = None
        for number, child in enumerate(self.children):
            rows = (which == number).nonzero()[:, 0]
            if len(rows):
                made = child.batch(indices[rows], device)
                out = made.new_empty(len(which), made.shape[1]) if out is None else out
                out.index_copy_(0, rows.to(device), made)
        if out is None:
            raise ValueError("no sounds were asked for.")
        return out


def tupled(value: Any) -> Any:
    """A list, as a configuration writes a range, as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def alphabet(
    parts: Parts, whole: Source, where: str, given: Mapping[str, Any], instead: Mapping[str, str]
) -> Alphabet:
    """The primitives of ``parts``; those that have a field of ``given`` get that value.

    Such a field, and one of level or noise, which the whole sets anew, has no effect where it is typed
    for a primitive: ``instead`` says for each what to type for the whole, "" where nothing.

    Raises :class:`UsageError` where a part is no source of sounds, has no plain weight or a field
    without effect, or where all weights are 0; ``where`` is the key that was typed, for example
    ``source.primitives``.
    """
    spelt = spelt_out(parts, where, weighted=True)
    weights = {}
    for label, values in spelt.items():
        entry = sources.get(values["name"])
        if entry.kind != "waveform" or values["name"] == whole.name:
            raise UsageError(
                f"{where}.{label} is no sound that {whole.name} can be made of. "
                f"Choose among {', '.join(ALPHABET)}, audiopg, noise."
            )
        weight = values["weight"]
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not weight >= 0.0:
            raise UsageError(
                f"{where}.{label}.weight={weight!r}: expected a number of at least 0. "
                f"Type for example {where}.{label}=1."
            )
        weights[label] = float(weight)
        usual = {field.name: field.default for field in fields(entry)}  # a configuration spells all
        for key, value in values.items():
            if key in instead and tupled(value) != usual.get(key):
                cure = f"Type {instead[key]} instead." if instead[key] else "Leave it out."
                raise UsageError(
                    f"{where}.{label}.{key} has no effect: {whole.name} decides it for all. {cure}"
                )
        own = {field.name for field in fields(entry) if field.init}
        values |= {key: value for key, value in given.items() if key in own}
    if not sum(weights.values()) > 0.0:
        raise UsageError(
            f"the weights of {where} are all 0. Type for example '{where}={{plucked: 1}}'."
        )
    kept = {label: values for label, values in spelt.items() if weights[label] > 0.0}
    children = create(kept, whole, where)
    return Alphabet(tuple(kept), tuple(weights[label] for label in kept), tuple(children.values()))
