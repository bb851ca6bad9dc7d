"""Pre-training sources: what the network sees before it ever hears a task.

>>> import generators
>>> source = generators.create("dead_leaves", shape="square", height=80, width=208)
>>> pictures = source.batch(range(8))  # (8, 80, 208) in [0, 1]
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.drawer import BadData, DataMissing, Drawer, UsageError

if TYPE_CHECKING:
    from generators.base import Source

catalogue = Drawer("source", Path(__file__).parent, "generators")

__all__ = ["BadData", "DataMissing", "UsageError", "catalogue", "create", "names"]


def names() -> list[str]:
    """The names of all sources."""
    return catalogue.names()


def create(name: str, **fields: Any) -> Source:
    """A source by name; ``fields`` are its parameters (see its class)."""
    source: Source = catalogue.create(name, **fields)
    return source
