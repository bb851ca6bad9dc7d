"""The entries of the drawers as Hydra configuration groups: a constructor's signature is its config."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from generators.drawer import Drawer
from suite import drawers

# The drawers whose entries are configuration groups: source=..., masking=..., objective=...
GROUPS: dict[str, Drawer] = {
    "source": drawers.sources,
    "masking": drawers.masks,
    "objective": drawers.objectives,
}

SET_BY_THE_SUITE = {"seed", "size", "cache", "height", "width"}  # not typed by users


def plain(value: Any) -> Any:
    """A default value as YAML can hold it."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def node(group: str, name: str) -> dict[str, Any]:
    """The configuration of one entry: its name and its constructor's fields with their defaults."""
    fields = dataclasses.fields(GROUPS[group].get(name))
    values: dict[str, Any] = {"name": name}
    for field in fields:
        if not field.init or (group == "source" and field.name in SET_BY_THE_SUITE):
            continue
        if field.default is not dataclasses.MISSING:
            values[field.name] = plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = plain(field.default_factory())
        else:
            values[field.name] = "???"
    return values


def register() -> None:
    """Make every entry of every group known to Hydra."""
    store = ConfigStore.instance()
    for group, drawer in GROUPS.items():
        for name in drawer.names():
            store.store(group=group, name=name, node=node(group, name))
