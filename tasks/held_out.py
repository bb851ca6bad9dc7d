"""A task without one of its official folds: for choices that the fold is to judge afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.base import Task, fold_names
from tasks.drawer import UsageError

MARK = "-without-"  # esc50-without-5
PARTS = 4  # folds that one official train and valid split is divided into


def without(whole: Task, fold: str, **fields: Any) -> Task:
    """``whole`` with the clips of its official ``fold`` gone, as a task of its own.

    Its name is ``<task>-without-<fold>``. The other folds are cross-validated as in the whole task;
    where train, valid and test are official, train and valid are divided by their groups into four
    folds, drawn by the groups' names. What is chosen on it has not seen ``fold``. Raises
    :class:`UsageError` naming the folds where there is no such one, or too few are left.
    """
    kind: Any = type(whole)

    @dataclass(kw_only=True)
    class Rest(kind, name=f"{whole.name}{MARK}{fold}"):  # type: ignore[call-arg, misc]
        official_counts = {name: n for name, n in whole.official_counts.items() if name != fold}
        official_total = 0
        split_hash = ""
        split_rule = f"the official split without {fold}"

        def read_clips(self) -> pd.DataFrame:
            clips = super().read_clips()
            names = fold_names(clips)
            official = set(names) == {"train", "valid", "test"}
            if fold not in (["test"] if official else names):
                known = "test" if official else ", ".join(names)
                raise UsageError(
                    f"task {whole.name!r} has no fold {fold!r} to leave out. Type "
                    f"{whole.name}{MARK} followed by one of: {known}."
                )
            if len(names) < 4 and not official:
                raise UsageError(
                    f"task {whole.name!r} has {len(names)} folds; without one, too few are left to "
                    "train, validate and test. Choose another task to search on."
                )
            rest = clips[clips["fold"].astype(str) != fold].reset_index(drop=True)
            return rest.assign(fold=rest["group"].map(part_of)) if official else rest

    if set(whole.official_counts) == {"train", "valid", "test"}:
        Rest.official_counts = {}
    made: Task = Rest(**fields)
    return made


def part_of(group: object) -> str:
    """The fold of a group, drawn by its name: the same for ever."""
    return str(int(hashlib.sha256(str(group).encode()).hexdigest(), 16) % PARTS + 1)
