"""The drawers as Hydra configuration groups, an entry's signature its config, and their keys."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from generators.drawer import Drawer, UsageError, conforms, neighbours
from generators.parts import OF_THE_WHOLE, Part, Parts, spelt_out
from suite import drawers

# The drawers whose entries are configuration groups: source=..., masking=..., objective=...
GROUPS: dict[str, Drawer] = {
    "source": drawers.sources,
    "masking": drawers.masks,
    "objective": drawers.objectives,
}

SET_BY_THE_SUITE = {*OF_THE_WHOLE, "workers"}  # not typed by users


RUNNING = {  # the keys of config.yaml that change no result, and their types
    "tasks": tuple[str, ...],
    "probes": tuple[str, ...],
    "pooling": str,
    "partial": bool,
    "curve": tuple[float, ...],
    "run": str | None,
    "to": str | None,
    "statistics_of": str,
    "out": str | None,
    "workers": int,
    "dry": bool,
    "trials": int | None,
    "confirm": int | None,
    "storage": str | None,
    "from": str | None,
    "mirror": str | tuple[str, ...] | None,
    "checksum": str | tuple[str, ...] | None,
    "keep": bool,
    "count": int,
    "masks": bool,
    "inputs": int,
    "patience": float,
    "checkpoint_seconds": float,
    "log_every": int,
    "micro_batch": int | None,
    "device": str,
    "threads": int | None,
}


COUNTED = (  # of these, at least 1
    *("workers", "count", "inputs", "log_every", "threads", "patience", "micro_batch"),
    *("trials", "confirm"),
)


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


def made_of(group: str, name: str) -> dict[str, bool]:
    """The fields of an entry that hold sources, and whether these have weights."""
    hints = typing.get_type_hints(GROUPS[group].get(name), include_extras=True)
    options = {key: (hint, *typing.get_args(hint)) for key, hint in hints.items()}
    return {key: Parts in hint for key, hint in options.items() if Parts in hint or Part in hint}


def normalised(group: str, values: dict[str, Any], where: str = "") -> dict[str, Any]:
    """An entry's configuration with whole numbers as floats where its fields are floats.

    ``source.seconds=5`` and ``source.seconds=5.0`` are one experiment. Sources that the entry is made
    of are spelt out with all their fields. ``where`` is the entry's key where that is not the group.
    """
    hints = typing.get_type_hints(GROUPS[group].get(values["name"]))
    inner = made_of(group, values["name"])

    def as_float(value: Any, hint: Any) -> Any:
        if isinstance(value, list):
            return [as_float(item, hint) for item in value]
        whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if whole and "float" in str(hint) and "int" not in str(hint) else value

    def as_parts(value: Any, key: str) -> dict[str, Any]:
        parts = {}
        for label, part in spelt_out(value, key, weighted=inner[key.rpartition(".")[2]]).items():
            fields = {name: item for name, item in part.items() if name != "weight"}
            full = normalised(group, {**node(group, part["name"]), **fields}, f"{key}.{label}")
            weight = {"weight": as_float(part["weight"], float)} if "weight" in part else {}
            parts[label] = {**full, **weight}
        return parts

    return {
        key: as_parts(value, f"{where or group}.{key}")
        if key in inner
        else as_float(value, hints.get(key))
        for key, value in values.items()
    }


def changed(group: str, values: dict[str, Any]) -> dict[str, str]:
    """The fields of a normalised configuration that differ from the default, as they can be typed."""
    inner = made_of(group, values["name"])
    default = normalised(group, node(group, values["name"]))
    differ = {key: value for key, value in values.items() if value != default.get(key)}
    return {
        key: typed_parts(group, value) if key in inner else str(value) for key, value in differ.items()
    }


def typed_parts(group: str, parts: dict[str, Any]) -> str:
    """Spelt-out parts in short: ``{dead_leaves: 2, pink: {name: noise, colour: pink}}``, or a name."""
    words = []
    for label, part in parts.items():
        fields = changed(group, {key: value for key, value in part.items() if key != "weight"})
        if part["name"] != label:
            fields = {"name": part["name"], **fields}
        weight = str(part.get("weight", 1.0)).replace(".0,", ",").replace(".0]", "]").removesuffix(".0")
        if not fields and "weight" not in part and len(parts) == 1:
            return label
        if fields and weight != "1":
            fields["weight"] = weight
        inside = ", ".join(f"{key}: {value}" for key, value in fields.items())
        words.append(f"{label}: {{{inside}}}" if fields else f"{label}: {weight}")
    return f"{{{', '.join(words)}}}"


def set_parts(config: DictConfig, words: list[str]) -> None:
    """Put ``source.parts=...`` and ``source.parts.noise.colour=...`` into a composed configuration.

    What is typed replaces the default: these keys are free, so nothing could take a part away.
    """
    typed: dict[str, Any] = {}
    for word in words:
        override = OverridesParser.create().parse_override(word)
        if override.is_sweep_override() or override.is_delete():
            raise UsageError(f"{word!r}: expected one value. Type for example source.of=noise.")
        *path, last = override.key_or_group.split(".")
        place = typed
        for key in path:
            below = place.setdefault(key, {})
            if not isinstance(below, dict):  # a weight or a name, which now gets fields
                below = {below: {}} if isinstance(below, str) else {"weight": below}
                place[key] = below
            place = below
        place[last] = override.value()
    for group, fields in typed.items():
        for key, value in fields.items():
            OmegaConf.update(config, f"{group}.{key}", value, merge=False)


def holds_parts(config: DictConfig, key: str) -> bool:
    """Whether a key lies in a field of the chosen entry that holds sources."""
    group, *path = key.lstrip("+~").split(".")
    return group in GROUPS and bool(path) and path[0] in made_of(group, config[group]["name"])


def register(chosen: dict[str, str]) -> None:
    """Make the chosen entry of each group known to Hydra, or the default one.

    No other entry is imported: a source that cannot be costs those that can nothing.
    """
    store = ConfigStore.instance()
    written = OmegaConf.to_container(OmegaConf.load(Path(__file__).parent / "conf" / "config.yaml"))
    assert isinstance(written, dict)
    lines = [line for line in written["defaults"] if isinstance(line, dict)]
    default = {key: value for line in lines for key, value in line.items()}
    for group in GROUPS:
        name = chosen.get(group, default[group])
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
        if key in COUNTED and value is not None and value < 1:
            raise UsageError(f"{key}={value}: expected at least 1.")
