"""Downstream tasks: what is asked of a network after pre-training.

>>> import tasks
>>> task = tasks.create("toy_pitch")
>>> task.clips().columns.tolist()
['clip', 'label', 'fold', 'group', 'path']
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.drawer import BadData, DataMissing, Drawer, UsageError

if TYPE_CHECKING:
    from tasks.base import Task

catalogue = Drawer("task", Path(__file__).parent, "tasks")

__all__ = ["BadData", "DataMissing", "UsageError", "catalogue", "create", "names"]


def names() -> list[str]:
    """The names of all tasks."""
    return catalogue.names()


def create(name: str, **fields: Any) -> Task:
    """A task by name; file-based tasks need ``data=`` the folder that holds the data sets.

    ``esc50-without-5`` is ``esc50`` without its official fold 5 (see :mod:`tasks.held_out`).
    """
    from tasks.held_out import MARK, without  # later: the names of tasks are listed without pandas

    whole, mark, fold = name.partition(MARK)
    task: Task = catalogue.create(whole, **fields)
    return without(task, fold, **fields) if mark else task
