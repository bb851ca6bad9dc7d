"""A drawer: a folder of one-file entries that are found by name without being imported.

An entry is a class defined with a ``name=`` keyword, for example
``class DeadLeaves(Source, name="dead_leaves")``. The folder is read as text, so listing a
drawer costs milliseconds and imports nothing heavy; an entry is imported when it is asked for.

``generators`` and ``tasks`` are independent libraries, so each carries this file; a test keeps the
two copies identical.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import importlib
import math
import types
import typing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


class UsageError(ValueError):
    """What the user typed cannot be done; the message says what to type instead."""

    exit_code = 2


class DataMissing(FileNotFoundError):
    """A data set or file is not there; the message says where it was looked for and the cure."""

    exit_code = 3


class BadData(ValueError):
    """Data is there but cannot be used (corrupt, empty, NaN, changed); the message names it."""

    exit_code = 1


@dataclass(frozen=True)
class Entry:
    """One class of a drawer, as read from the text of its file."""

    name: str
    module: str
    class_name: str
    summary: str  # first paragraph of the class docstring
    facts: dict[str, Any]  # class variables that the class body states as plain values


@cache
def scan(folder: Path, package: str) -> dict[str, Entry]:
    """Entries of a drawer by name, read from the files' text; nothing is imported."""
    entries: dict[str, Entry] = {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join([package, *path.relative_to(folder).with_suffix("").parts])
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef):
                continue
            for keyword in node.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    name = str(keyword.value.value)
                    if name in entries:
                        raise ValueError(f"two entries of {package} are named {name!r}")
                    doc = (ast.get_docstring(node) or "").split("\n\n")[0]
                    summary = " ".join(doc.split())
                    entries[name] = Entry(name, module, node.name, summary, stated(node))
    return entries


def stated(node: ast.ClassDef) -> dict[str, Any]:
    """Class variables with plain values, as ``kind = "picture"``, read from a class body."""
    found: dict[str, Any] = {}
    for line in node.body:
        if isinstance(line, ast.Assign) and len(line.targets) == 1:
            target, value = line.targets[0], line.value
        elif isinstance(line, ast.AnnAssign) and "ClassVar" in ast.unparse(line.annotation):
            target, value = line.target, line.value or line.target
        else:
            continue
        if isinstance(target, ast.Name):
            with contextlib.suppress(ValueError):  # computed, not plain
                found[target.id] = ast.literal_eval(value)
    return found


@dataclass(frozen=True)
class Drawer:
    """A named folder of entries, for example ``Drawer("source", Path(...), "generators")``."""

    noun: str
    folder: Path
    package: str

    def entries(self) -> dict[str, Entry]:
        return scan(self.folder, self.package)

    def names(self) -> list[str]:
        return sorted(self.entries())

    def get(self, name: str) -> type[Any]:
        """The class registered as ``name``; raises :class:`UsageError` with the nearest names."""
        entries = self.entries()
        if name not in entries:
            raise UsageError(f"unknown {self.noun} {name!r}.{neighbours(name, list(entries))}")
        entry = entries[name]
        loaded: type[Any] = getattr(importlib.import_module(entry.module), entry.class_name)
        return loaded

    def create(self, name: str, **fields: Any) -> Any:
        """An instance of the entry; unknown or ill-typed fields raise :class:`UsageError`."""
        entry_class = self.get(name)
        known = {field.name: field for field in dataclasses.fields(entry_class) if field.init}
        for key in fields:
            if key not in known:
                raise UsageError(
                    f"{self.noun} {name!r} has no field {key!r}.{neighbours(key, list(known))}"
                )
        hints = typing.get_type_hints(entry_class)
        for key, value in fields.items():
            if not conforms(value, hints[key]):
                raise UsageError(f"{self.noun}.{key}={value!r}: expected {spelt(hints[key])}.")
            if not finite(value):
                raise UsageError(f"{self.noun}.{key}={value!r}: expected a finite number.")
        return entry_class(**fields)


def neighbours(word: str, known: list[str]) -> str:
    """`` Did you mean ...? Known: ...`` for an error message."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return f"{guess} Known: {', '.join(sorted(known))}."


def spelt(hint: Any) -> str:
    """A type hint in words: ``one of white, pink, brown``, else as it is written."""
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    return f"a value of type {hint.__name__ if isinstance(hint, type) else hint}".replace("typing.", "")


def finite(value: Any) -> bool:
    """Whether no number in a plain value is infinite or none at all."""
    if isinstance(value, (list, tuple)):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def conforms(value: Any, hint: Any) -> bool:
    """Whether a plain value (from YAML or a caller) fits a dataclass field's type hint."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(conforms(value, option) for option in typing.get_args(hint))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, (str, Path))
    if hint is None or hint is type(None):
        return value is None
    if origin in (tuple, list) or hint in (tuple, list):
        if not isinstance(value, (tuple, list)):
            return False
        inner = [arg for arg in typing.get_args(hint) if arg is not Ellipsis]
        if origin is tuple and inner and Ellipsis not in typing.get_args(hint):
            return len(value) == len(inner) and all(map(conforms, value, inner))
        return not inner or all(conforms(item, inner[0]) for item in value)
    if origin is dict or hint is dict:
        return isinstance(value, dict)
    return isinstance(value, hint) if isinstance(hint, type) else True
