"""The drawers as Hydra configuration groups, an entry's signature its config, and their keys."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from generators.drawer import Drawer, UsageError, conforms, neighbours
from suite import drawers

# The drawers whose entries are configuration groups: source=..., masking=..., objective=...
GROUPS: dict[str, Drawer] = {
    "source": drawers.sources,
    "masking": drawers.masks,
    "objective": drawers.objectives,
}

SET_BY_THE_SUITE = {"seed", "size", "cache", "height", "width"}  # not typed by users


RUNNING = {  # the keys of config.yaml that change no result, and their types
    "tasks": tuple[str, ...],
    "probes": tuple[str, ...],
    "curve": tuple[float, ...],
    "run": str | None,
    "workers": int,
    "dry": bool,
    "count": int,
    "checkpoint_seconds": float,
    "log_every": int,
    "device": str,
    "threads": int | None,
}


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


def normalised(group: str, values: dict[str, Any]) -> dict[str, Any]:
    """An entry's configuration with whole numbers as floats where its fields are floats.

    ``source.seconds=5`` and ``source.seconds=5.0`` are one experiment.
    """
    hints = typing.get_type_hints(GROUPS[group].get(values["name"]))

    def as_float(value: Any, hint: Any) -> Any:
        if isinstance(value, list):
            return [as_float(item, hint) for item in value]
        whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if whole and "float" in str(hint) and "int" not in str(hint) else value

    return {key: as_float(value, hints.get(key)) for key, value in values.items()}


def register() -> None:
    """Make every entry of every group known to Hydra."""
    store = ConfigStore.instance()
    for group, drawer in GROUPS.items():
        for name in drawer.names():
            store.store(group=group, name=name, node=node(group, name))


def check_key(config: DictConfig, key: str) -> None:
    """Refuse a key that the configuration does not have, naming its neighbours."""
    node: Any = config
    parts = key.lstrip("+~").split(".")
    for depth, part in enumerate(parts):
        if not OmegaConf.is_dict(node) or part not in node:
            known = [str(name) for name in node] if OmegaConf.is_dict(node) else []
            where = ".".join(parts[:depth])
            owner = f"{where!r}" if where else "the configuration"
            if where in GROUPS:
                owner = f"{where} {node['name']!r}"
            raise UsageError(f"{owner} has no key {part!r}.{neighbours(part, known)}")
        node = node[part]


def check_running(config: dict[str, Any]) -> None:
    """Refuse ill-typed keys that say how something is run, before anything is spent."""
    for key, hint in RUNNING.items():
        value = config[key]
        if not conforms(value, hint):
            name = hint.__name__ if isinstance(hint, type) else str(hint)
            cure = f" Type {key}=[{value}]." if "tuple" in str(hint) else ""
            raise UsageError(f"{key}={value!r} is of the wrong type: expected {name}.{cure}")
        if key in ("workers", "count", "log_every", "threads") and value is not None and value < 1:
            raise UsageError(f"{key}={value}: expected at least 1.")
