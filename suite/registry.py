"""The drawers of the suite by name, and their entries as Hydra configuration groups."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

import generators
import tasks
from generators.drawer import Drawer
from suite.masking.base import drawer as masking_drawer
from suite.objectives.base import drawer as objective_drawer
from suite.probes.base import drawer as probe_drawer

# What the user can list, in the order of a study.
DRAWERS: dict[str, Drawer] = {
    "sources": generators.drawer,
    "masks": masking_drawer,
    "objectives": objective_drawer,
    "probes": probe_drawer,
    "tasks": tasks.drawer,
}

# The drawers whose entries are configuration groups: source=..., masking=..., objective=...
GROUPS: dict[str, Drawer] = {
    "source": generators.drawer,
    "masking": masking_drawer,
    "objective": objective_drawer,
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
