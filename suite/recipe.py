"""Published recipes: what ``experiment=NAME`` types before the user's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from generators.drawer import UsageError, neighbours
from suite.drawers import presets

FOLDER = Path(__file__).parent / "conf" / "experiment"
SMALL = ("nano", "tiny")  # the scales for which a recipe says what changes (spec bootstrap 5.1)


def spelt_out(words: list[str]) -> list[str]:
    """``words`` with ``experiment=NAME`` replaced by the words of that recipe; later words win.

    A recipe has words that always hold, and others for the published scale and for each small one:
    ``experiment=eat scale=nano``. Raises :class:`UsageError` for an unknown recipe, or a scale that it
    says nothing of.
    """
    chosen = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    if not chosen:
        return words
    own = [word for word in words if not word.startswith("experiment=")]
    scales = [word.partition("=")[2] for word in own if word.startswith("scale=")]
    recipe = read(chosen[-1])
    published = recipe["published"]["scale"]
    scale = scales[-1] if scales else published
    if scale not in (*SMALL, published):
        raise UsageError(
            f"experiment={chosen[-1]} is described at scale={published} (as published), nano and tiny, "
            f"not at {scale!r}. Choose one of these, and type what differs after it."
        )
    given = {**recipe["always"], **recipe["published" if scale == published else scale]}
    typed = dict(word.partition("=")[::2] for word in own)
    kept = {key: value for key, value in given.items() if key not in typed and fits(key, given, typed)}
    return [*(f"{key}={said(value)}" for key, value in kept.items()), *own]


def fits(key: str, given: dict[str, Any], typed: dict[str, str]) -> bool:
    """Whether a recipe's field is of the entry that is used, not of one the user replaced."""
    group = key.partition(".")[0]
    replaced = group in given and group in typed and typed[group] != given[group]
    return not replaced or group == "scale"  # the fields of a small scale are said for that scale


def read(name: str) -> dict[str, dict[str, Any]]:
    """The recipe ``name``: its words in the parts ``always``, ``published``, ``nano`` and ``tiny``."""
    known = list(presets("experiment"))
    if name not in known:
        raise UsageError(f"unknown experiment {name!r}.{neighbours(name, known)}")
    recipe: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return recipe


def said(value: Any) -> str:
    """A value as it can be typed: null and false in Hydra's spelling."""
    return value if isinstance(value, str) else json.dumps(value)
