"""The verb ``fetch``: licence, size and disk first; then data sets, each judged by its tasks."""

from __future__ import annotations

from pathlib import Path

import tasks
from generators.drawer import UsageError
from suite.configuration import configure
from suite.progress import Transferred
from tasks.archives import ALSO, DATA_SETS, DataSet, named, of_folder
from tasks.drawer import DataMissing
from tasks.fetch import check_disk, price, unfinished
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
    if not cost.missing and not any(unfinished(data_set, data) for data_set in data_sets):
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
    source = of_folder(task.folder)
    if source is None:
        raise UsageError(
            f"task {name!r} has no archive that fetch knows: put its data at {task.folder}/ below the "
            f"data folder by hand ({task.reference})."
        )
    return source


def several(value: str | list[str] | None) -> tuple[str, ...]:
    """A key that takes one word or a list of them."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def judged(data_set: DataSet, folder: Path) -> None:
    """Read the clip table of every task that the data set is for; raises what the task raises.

    A task refuses any but the official split. One that lacks a file may want another data set beside
    this one, which holds what it must and passed its checksum; where there is no checksum to rely on,
    that is a refusal too.
    """
    by_contents = any(archive.regenerated for archive in data_set.archives)
    for name in tasks.names():
        if tasks.catalogue.get(name).folder != data_set.folder:
            continue
        try:
            clips = tasks.create(name, data=folder).clips()
        except DataMissing as error:
            if by_contents:
                raise
            print(f"{data_set.name}: task {name} could not be read yet: {error}", flush=True)
            continue
        print(f"{data_set.name}: {len(clips):,} clips of task {name} in the official split", flush=True)
