"""Probes: classifiers on frozen embeddings; one file an entry.

>>> from suite import probes
>>> probes.names()
['fewshot-1@1', 'fewshot-16@1', 'fewshot-4@1', 'hear-mlp@1', 'knn@1', 'linear@1']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suite.probes.base import Probe


def names() -> list[str]:
    """The names of all probes, with their versions."""
    from suite.drawers import probes as drawer

    return drawer.names()


def create(name: str, **fields: Any) -> Probe:
    """A fresh probe by name, for example ``create("linear@1")``."""
    from suite.drawers import probes as drawer

    probe: Probe = drawer.create(name, **fields)
    return probe
