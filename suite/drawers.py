"""The five drawers of a study, by name; reading them imports neither torch nor pandas."""

from __future__ import annotations

from pathlib import Path

import generators
import tasks
from generators.drawer import Drawer, UsageError, neighbours

_SUITE = Path(__file__).parent

sources: Drawer = generators.catalogue
masks = Drawer("masking", _SUITE / "masking", "suite.masking")
objectives = Drawer("objective", _SUITE / "objectives", "suite.objectives")
probes = Drawer("probe", _SUITE / "probes", "suite.probes")

CONTROLS = ("untrained", "mel_statistics")  # control=...: encoders that no source has trained

# What the user can list, in the order of a study.
DRAWERS: dict[str, Drawer] = {
    "sources": sources,
    "masks": masks,
    "objectives": objectives,
    "probes": probes,
    "tasks": Drawer("task", tasks.catalogue.folder, "tasks"),
}


def facts(name: str) -> dict[str, str]:
    """Kind, family, citation, speed and needs of a source; ``not stated`` where its class is silent."""
    stated = sources.entries()[name].facts
    keys = ("kind", "family", "citation", "speed", "needs")
    return {key: str(stated.get(key, "not stated")) for key in keys}


def probe_id(name: str) -> str:
    """``linear`` as its newest version, ``linear@1``; a full id stays as it is.

    Raises :class:`UsageError` with the nearest names where there is no such probe.
    """
    return newest("probe", name, probes.names())


def newest(noun: str, name: str, known: list[str]) -> str:
    """The newest version of ``name`` among ``known`` versioned names, or the full name as it is.

    Raises :class:`UsageError` with the nearest names where there is no such ``noun``.
    """
    versions = [full for full in known if full.partition("@")[0] == name]
    found = max(versions, key=lambda full: int(full.partition("@")[2]), default=name)
    if found not in known:
        raise UsageError(f"unknown {noun} {name!r}.{neighbours(name, known)}")
    return found


def presets(group: str) -> dict[str, str]:
    """Preset files of a configuration group with the comment each opens with."""
    found = {}
    for path in sorted((_SUITE / "conf" / group).glob("*.yaml")):
        found[path.stem] = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    return found
