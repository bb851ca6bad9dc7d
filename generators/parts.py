"""Sources made of other sources: how their parts are written, checked and created."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from .base import Source
from .drawer import Drawer, UsageError, neighbours

sources = Drawer("source", Path(__file__).parent, "generators")

Parts = Annotated[dict[str, Any], "weighted sources"]
"""Sources by label: ``{"audiopg": 2, "pink": {"name": "noise", "colour": "pink", "weight": 1}}``.

A value is a weight, a list of weights, or the fields of the source, with ``weight`` (1 where it is left
out) and ``name`` (the label where it is left out) among them.
"""

Part = Annotated[dict[str, Any], "one source"]
"""One source with its fields, as ``{"noise": {"colour": "pink"}}``; ``"noise"`` stands for it alone."""

OF_THE_WHOLE = ("seed", "size", "cache", "height", "width", "horizon")  # given to all parts alike


@dataclass(kw_only=True)
class Whole:
    """The fields that a source of other sources hands down to those that have them."""

    height: int = 80  # rows of its images, mel bands
    width: int = 208  # frames of its pictures
    cache: Path = Path("cache")
    horizon: int | None = None  # index at which the training ends; None where it does not tell the time


def spelt_out(parts: Any, where: str, *, weighted: bool) -> dict[str, dict[str, Any]]:
    """Parts as ``{label: {"name": ..., "weight": ..., fields as typed}}``, in the order of the labels.

    ``where`` is the key they were typed under, for example ``source.parts``; only ``weighted`` parts
    have a weight. Raises :class:`UsageError` for anything that is no source or no field of it.
    """
    example = f"'{where}={{audiopg: 1, noise: 1}}'" if weighted else f"{where}=noise"
    if isinstance(parts, str) and parts:
        parts = {parts: {}}
    if not isinstance(parts, dict) or not parts:
        raise UsageError(f"{where}={parts!r} names no source. Type for example {example}.")
    found = {}
    for label, value in sorted(parts.items()):
        if not isinstance(value, dict) and not weighted:
            raise UsageError(f"{where}.{label}={value!r}: expected fields, as in {example}.")
        typed = value if isinstance(value, dict) else {"weight": value}
        values = {"name": label, **({"weight": 1.0} if weighted else {}), **typed}
        name = values["name"]
        if name not in sources.names():
            known = neighbours(str(name), sources.names())
            raise UsageError(f"{where}.{label}: unknown source {name!r}.{known}")
        own = [field.name for field in fields(sources.get(name)) if field.init]
        for key in values:
            if key in OF_THE_WHOLE:
                raise UsageError(f"{where}.{label}.{key} cannot be set: all parts have the same.")
            if key not in own and key != "name" and not (weighted and key == "weight"):
                free = [field for field in own if field not in OF_THE_WHOLE]
                raise UsageError(
                    f"{where}.{label}: source {name!r} has no field {key!r}.{neighbours(key, free)}"
                )
        found[label] = values
    return found


def create(parts: dict[str, dict[str, Any]], whole: Source, where: str) -> dict[str, Source]:
    """The sources of spelt-out ``parts``, with the fields of ``whole`` that are alike for all.

    A part's sample i is the source's sample i: it has the same seed and sees the same index.
    """
    created = {}
    for label, values in parts.items():
        own = {field.name for field in fields(sources.get(values["name"])) if field.init}
        given = {key: getattr(whole, key) for key in OF_THE_WHOLE if key != "size" and key in own}
        given |= {key: value for key, value in values.items() if key not in ("name", "weight")}
        try:
            created[label] = sources.create(values["name"], **given)
        except UsageError as error:  # its message names keys of a source that stands alone
            raise UsageError(str(error).replace("source.", f"{where}.{label}.")) from error
    return created


def create_one(part: Any, whole: Source, where: str) -> tuple[str, Source]:
    """Label and source of a :data:`Part`; raises :class:`UsageError` where it names several."""
    spelt = spelt_out(part, where, weighted=False)
    if len(spelt) != 1:
        raise UsageError(
            f"{where} is one source, got {', '.join(spelt)}. Type for example {where}={min(spelt)}."
        )
    ((label, source),) = create(spelt, whole, where).items()
    return label, source
