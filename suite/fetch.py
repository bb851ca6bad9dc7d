"""The verb ``fetch``: licence, size and disk first; then data sets, each judged by its tasks."""

from __future__ import annotations

from pathlib import Path

import tasks
from generators.drawer import UsageError
from suite.configuration import configure
from suite.progress import Transferred
from tasks.archives import ALSO, DATA_SETS, DataSet, named, of_folder
from tasks.fetch import check_disk, price
from tasks.fetch import fetch as get
from tasks.obtaining import Wishes, check_wishes


def fetch(words: list[str]) -> None:
    """``fetch NAME ... [key=value ...]``; raises an error with its exit code."""
    names = [word for word in words if "=" not in word]
    if not names:
        raise UsageError(f"fetch what? Known: {', '.join([*DATA_SETS, *ALSO])}.")
    data_sets = named([known(name) for name in names])
    config = configure([word for word in words if "=" in word])
    data = Path(config.paths.data)
    wishes = Wishes(
        mirrors=several(config.mirror),
        offline=None if config["from"] is None else Path(config["from"]),
        checksums=tuple(checksum.lower() for checksum in several(config.checksum)),
        keep=config.keep,
    )
    check_wishes(data_sets, wishes)
    cost = price(data_sets, data, wishes)
    print("\n".join(cost.lines))
    if not cost.missing:
        return
    print(
        f"disk: needs {cost.needed / 1e9:.1f} GB, {cost.free / 1e9:.1f} GB free at {data}", flush=True
    )
    check_disk(cost, data)
    if config.dry:
        return
    try:
        get(data_sets, data, wishes, Transferred(), judged)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what was downloaded is kept; the same command goes on") from None


def known(name: str) -> str:
    """A data set's name; a task stands for the data set of its folder."""
    if name in DATA_SETS or name in ALSO or name not in tasks.names():
        return name
    task = tasks.catalogue.get(name)
    if task.embedded:
        raise UsageError(f"task {name!r} is synthesised by the suite: there is nothing to fetch.")
    return of_folder(task.folder) or name


def several(value: str | list[str] | None) -> tuple[str, ...]:
    """A key that takes one word or a list of them."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def judged(data_set: DataSet, folder: Path) -> None:
    """Read the clip table of every task that the data set is for; raises what the task raises.

    A task refuses any but the official split, and names the clip whose file is missing.
    """
    for name in tasks.names():
        if tasks.catalogue.get(name).folder == data_set.folder:
            clips = tasks.create(name, data=folder).clips()
            print(
                f"{data_set.name}: {len(clips):,} clips of task {name} in the official split",
                flush=True,
            )
