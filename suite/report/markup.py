"""The pieces of HTML that sections of the leaderboard page share, every text in them escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from suite.report.palette import colour


def table(
    caption: str, head: Iterable[str], body: Iterable[str], kind: str = "", *, sortable: bool = True
) -> str:
    """A table in a region that scrolls; ``body`` are complete rows, a press on ``head`` sorts them."""
    columns = []
    for name in head:
        text = f'<button type="button">{escape(name)}</button>' if sortable else escape(name)
        order = ' aria-sort="none"' if sortable else ""
        columns.append(f'<th scope="col"{order}>{text}</th>')
    rows = "\n".join(body)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="{kind}"><thead><tr>{"".join(columns)}</tr></thead>\n<tbody>\n{rows}\n</tbody>'
        "</table></div>\n"
    )


def source(family: str, label: str, *, control: bool) -> str:
    """The first cell of a line, with the dot of its source's colour."""
    dot = f'<span class="dot" style="background:{colour(family)}"></span>'
    name = f'<span class="control">{escape(label)} (control)</span>' if control else escape(label)
    return f'<th scope="row" data-value="{escape(label)}">{dot}{name}</th>'


def cell(content: str, value: float | None, kind: str = "") -> str:
    """A cell of HTML ``content`` that sorts by ``value``."""
    mark = f' class="{kind}"' if kind else ""
    return f'<td{mark} data-value="{"" if value is None else format(value, ".9g")}">{content}</td>'


def data(kind: str, **values: str) -> str:
    """The attributes by which the page's filters find a section."""
    pairs = {"kind": kind, **values}
    return " ".join(f'data-{name}="{escape(value)}"' for name, value in pairs.items())


def section(attributes: str, title: str, content: str) -> str:
    """A section of the page below its title; ``attributes`` are :func:`data`'s."""
    return f"<section {attributes}>\n<h3>{escape(title)}</h3>\n{content}</section>"


def notes(remarks: Sequence[str]) -> str:
    """Remarks below a table; nothing where there are none."""
    items = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    return f'<ul class="notes">{items}</ul>' if items else ""


def files(folder: str, name: str, kinds: Sequence[str]) -> str:
    """Links to the files of one name in a folder beside the page's."""
    return ", ".join(f'<a href="../{folder}/{quote(name)}.{kind}">{kind}</a>' for kind in kinds)


def anchor(run_id: str) -> str:
    """A run's name as an id that a link can hold."""
    return quote(run_id, safe="").replace("%", ".")


def number(value: float) -> float | None:
    """What a cell sorts by; None for NaN."""
    return None if math.isnan(value) else value
