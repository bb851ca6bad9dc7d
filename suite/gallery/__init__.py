"""Gallery: a preview of every source, each below its family on one page to look at and listen to."""

from __future__ import annotations

import contextlib
import json
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, get_args

from generators.base import Family
from generators.drawer import DataMissing, UsageError
from suite import drawers
from suite.configuration import configure, experiment_of
from suite.gallery.page import Card, Shown, render_page
from suite.preview import FACTORS, SHEET, preview
from suite.rows import write_atomically

PAGE = "index.html"
SOUNDS = "pretrain_real"  # a folder of sounds below the data folder, shown where it is there


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """What :func:`gallery` made: the page, and the reason of every source that failed, by name."""

    page: Path
    failures: dict[str, str]


def gallery(
    words: list[str], out: Path, data: Path, tell: Callable[[str], None], names: list[str] | None = None
) -> Gallery:
    """Preview every source (or ``names``) below ``out``, and write ``index.html`` there.

    ``words`` are those of a preview, without the source. A source that needs data has a card that says
    what to type, unless its sounds lie below ``data``; one that is too slow for a look is shown in its
    brief form, which its command tells. A source that fails, or takes longer than
    ``patience`` seconds, is named on its card, and the others are shown all the same. The page is
    written after each source, so an interrupted gallery can be looked at; ``tell`` gets a line then.

    Raises :class:`UsageError` for words that are wrong whatever the source.
    """
    for word in words:
        if word.startswith("source."):
            raise UsageError(
                f"{word}: fields are those of one source. Type source=NAME {word}, or leave it out."
            )
    patience = float(configure(words)["patience"])
    experiment_of(configure(words))  # what is wrong with all of them is said once
    names = drawers.sources.names() if names is None else names
    cards: list[Card] = []
    failures: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (standing(name), name)):
        typed = [f"source={name}", *brought(name, data), *words]
        start = time.perf_counter()
        shown: Shown | None = None
        missing = failure = ""
        try:
            with time_limit(patience):
                shown = show(typed, out)
            said = f"{time.perf_counter() - start:.1f} s"
        except Exception as error:  # one source must not spoil the rest; all are named at the end
            if drawers.facts(name)["needs"] != "nothing" and isinstance(
                error, (UsageError, DataMissing)
            ):
                missing, said = str(error), f"needs {drawers.facts(name)['needs']}"
            else:
                failure = failures[name] = f"{type(error).__name__}: {error}"
                said = f"failed: {failure}"
        command = ("sourcebench", "preview", *typed)
        cards.append(Card(name=name, command=command, shown=shown, missing=missing, failure=failure))
        write_atomically(out / PAGE, render_page(cards).encode())
        tell(f"{len(cards):>3}/{len(names)}  {name:<24} {said}")
    return Gallery(page=out / PAGE, failures=failures)


def standing(name: str) -> int:
    """Where the family of a source stands in the order of families."""
    order, family = get_args(Family), drawers.facts(name)["family"]
    return order.index(family) if family in order else len(order)


def brought(name: str, data: Path) -> list[str]:
    """The sounds that a source needs, where the data folder has some; its brief form, if it has one."""
    needs, there = drawers.facts(name)["needs"], (data / SOUNDS).is_dir()
    words = [f"source.folder={SOUNDS}"] if needs == "a folder of sounds" and there else []
    brief = drawers.sources.entries()[name].facts.get("in_brief", "")
    return [*words, f"source.{brief}"] if brief else words


def show(words: list[str], out: Path) -> Shown:
    """Preview one source in its own folder below ``out``."""
    config = configure(words)
    experiment = experiment_of(config)
    source = experiment.build_source(Path(config.paths.data), Path(config.paths.cache))
    masking = experiment.build_masking() if config["masks"] else None
    folder = out / source.name
    written = preview(
        source,
        experiment.frontend,
        masking,
        experiment.scale.patch,
        folder,
        count=int(config["count"]),
        thumbnails=True,
    ).paths
    sizes = [size(path) for path in written if path.name == "sample-000.png"]
    samples = json.loads((folder / FACTORS).read_text(encoding="utf-8"))["samples"]
    return Shown(
        sheet=f"{folder.name}/{SHEET}",
        factors=f"{folder.name}/{FACTORS}",
        long=source.kind == "picture" and any(width > 4 * height for width, height in sizes),
        samples=[
            (files(written, sample, ".png"), files(written, sample, ".wav"), drawn)
            for sample, drawn in enumerate(samples)
        ],
    )


def files(written: tuple[Path, ...], sample: int, suffix: str) -> str | None:
    """The file of one sample, relative to the page."""
    found = [path for path in written if path.name == f"sample-{sample:03d}{suffix}"]
    return f"{found[0].parent.name}/{found[0].name}" if found else None


def size(png: Path) -> tuple[int, int]:
    """Width and height of a PNG file, from its header."""
    width, height = struct.unpack(">II", png.read_bytes()[16:24])
    return width, height


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the body after ``seconds``, where the system has such an alarm."""

    def ring(signum: int, frame: FrameType | None) -> Any:
        raise TimeoutError(f"took more than patience={seconds:g} seconds; type a larger patience=...")

    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
