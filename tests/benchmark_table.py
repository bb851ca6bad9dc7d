"""The table of speeds: what each benchmark notes, and how the notes of a run become Markdown."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

PATTERNS, SOUNDS, BLENDS = "Patterns", "Sounds", "Blends, beside their parts alone"
RECORDINGS, TRAINER, PROBES, DOOR = "Recordings", "Trainer", "Probes and toy tasks", "Door"
TASKS, STUDIES = "Tasks", "Studies"
SECTIONS = (PATTERNS, SOUNDS, BLENDS, RECORDINGS, TRAINER, TASKS, PROBES, STUDIES, DOOR)
RECIPE = "audiopg, the reference's recipe"  # it measures the machine
HEADINGS = (
    *("source", "item", "clock", "reference/s", "bar/s", "ours/s", "ratio", "reached"),
    *("ours/s ÷ machine", "ratio ÷ machine", "reached ÷ machine"),
)


def note(
    benchmark: Any,
    section: str,
    source: str,
    item: str,
    items: int,
    *,
    reference: float | None = None,
    bar: float | None = None,
    scaled: bool = True,
) -> None:
    """Keep what one round of ``items`` items took, for the table; nothing where benchmarks are off.

    ``reference`` and ``bar`` are items per second: what the reference does, and what is asked of ours.
    ``scaled`` is false where the reference was measured here too: no machine factor applies.
    """
    if section not in SECTIONS:
        raise ValueError(f"no section {section!r} in the table: expected one of {', '.join(SECTIONS)}")
    if benchmark.stats is None:
        return
    benchmark.extra_info.update(
        section=section,
        source=source,
        item=item,
        clock="CPU" if benchmark._timer is time.process_time else "wall",
        per_second=items / benchmark.stats.stats.median,
        reference=reference,
        bar=bar,
        scaled=scaled,
    )


def machine_factor(notes: Iterable[Mapping[str, Any]]) -> float | None:
    """How fast this machine runs the reference's recipe, relative to the reference's machine."""
    for line in notes:
        if line["source"] == RECIPE:
            return float(line["per_second"] / line["reference"])
    return None


def render_table(notes: list[Mapping[str, Any]]) -> str:
    """The notes of a run as Markdown: a table a section, under what was measured where."""
    factor = machine_factor(notes)
    lines = ["# Speed", "", *described(factor)]
    for section in SECTIONS:
        rows = [cells(line, factor) for line in notes if line["section"] == section]
        if not rows:
            continue
        rule = "|---|---|---|" + "---:|" * 4 + "---|---:|---:|---|"
        lines += ["", f"## {section}", "", "| " + " | ".join(HEADINGS) + " |", rule]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def described(factor: float | None) -> list[str]:
    """The machine, the day, and how to read the columns."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    speed = "not measured in this run" if factor is None else f"{factor:.2f}"
    today = datetime.datetime.now(datetime.UTC).date()
    return [
        "Written by `make bench`, not by hand. Rates are items per second, from medians of rounds.",
        "",
        f"- Machine: {processor_name()}, {os.cpu_count()} cores; torch {torch.__version__}, "
        f"Python {platform.python_version()}; {today}.",
        f"- Load average over 1, 5 and 15 minutes, at the end: {load}. What exceeds 1 is other work, "
        "which slows what is timed here.",
        f"- Machine factor: **{speed}**. It is the rate of AudioPG's published recipe as section 1.2 "
        "of the specification describes it (numpy, one clip at a time), timed in this run, over the "
        "127 clips/s of the machine that all reference rates are from (section 8.1).",
        "- Clock: CPU is the processor's time of one thread; wall is the time that passed, all cores.",
        "- Ratio: ours over the reference. Bar: what is asked of ours. Reached: as measured here, and "
        "(last column) after division by the machine factor.",
    ]


def cells(line: Mapping[str, Any], factor: float | None) -> list[str]:
    """One row, as :data:`HEADINGS` says."""
    ours, reference, bar = line["per_second"], line["reference"], line["bar"]
    scaled = None if factor is None or not line["scaled"] else ours / factor
    return [
        *(line["source"], line["item"], line["clock"]),
        *(shown(value) for value in (reference, bar, ours)),
        *(shown(ratio(ours, reference)), verdict(ours, bar)),
        *(shown(scaled), shown(ratio(scaled, reference)), verdict(scaled, bar)),
    ]


def ratio(ours: float | None, reference: float | None) -> float | None:
    """Ours over the reference's, where there are both."""
    return None if ours is None or reference is None else ours / reference


def verdict(ours: float | None, bar: float | None) -> str:
    """Whether ours is the bar or more."""
    if ours is None or bar is None:
        return "-"
    return "yes" if ours >= bar else "**no**"


def shown(value: float | None) -> str:
    """Three digits, or all before the point."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def processor_name() -> str:
    """The processor's own name, where the system tells it."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
