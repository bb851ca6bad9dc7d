"""The gallery's page: sources by family, their samples, players and factors; it fetches nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from suite import drawers
from suite.preview.sheet import caption, short

READING = (
    "Every image is what the encoder is shown, before it is cut to the length of an input: time runs "
    "to the right, low frequencies are below. Pictures are grey and in their own proportions; sounds "
    "are log-mel images, the loudest pixel of the source the brightest. Click an image to see its "
    "pixels, unfold a sample for the factors that were drawn."
)
HEADLINE = 60  # characters of factors beside a sample's number; the page cuts them to its width
SPEEDS = {
    "fast": "100 samples/s or more",
    "moderate": "10 to 100 samples/s",
    "slow": "under 10 samples/s",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The files of a source's preview, relative to the page."""

    sheet: str
    factors: str
    long: bool  # pictures so long that they need the width of two samples
    samples: Sequence[tuple[str | None, str | None, dict[str, Any]]]  # thumbnail, sound, factors


@dataclass(frozen=True, kw_only=True)
class Card:
    """One source: its preview, or what is missing for one, or how it failed."""

    name: str
    command: Sequence[str]
    shown: Shown | None
    missing: str = ""
    failure: str = ""


def render_page(cards: Sequence[Card]) -> str:
    """The page as text, a function of its arguments alone; cards of one family stand together."""
    here = Path(__file__).parent
    style = (here / "page.css").read_text(encoding="utf-8")
    script = (here / "page.js").read_text(encoding="utf-8")
    families = [(name, list(group)) for name, group in groupby(cards, key=family)]
    links = "".join(
        f'<a href="#{anchor(name)}">{escape(name)} <small>{len(group)}</small></a>'
        for name, group in families
    )
    failed = [card for card in cards if card.failure]
    names = ", ".join(f'<a href="#{escape(c.name)}">{escape(c.name)}</a>' for c in failed)
    warning = f'<p class="failed">{len(failed)} failed: {names}</p>' if failed else ""
    sections = "\n".join(
        f'<section id="{anchor(name)}"><h2>{escape(name)}</h2>\n'
        + "\n".join(article(card) for card in group)
        + "</section>"
        for name, group in families
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>sourcebench sources</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>What the encoders learn from: {len(cards)} sources</h1>"
        f'<p class="soft">{READING}</p>{warning}</header>\n'
        f'<nav aria-label="Families">{links}<label>find <input type="search" id="find" '
        'placeholder="name, family, citation"></label></nav>\n'
        '<p id="none" role="status" hidden>No source fits.</p>\n'
        f"<main>\n{sections}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def family(card: Card) -> str:
    """The family of a card's source."""
    return drawers.facts(card.name)["family"]


def anchor(name: str) -> str:
    """A family's name as the anchor of its section."""
    return f"family-{quote(name.replace(' ', '-'))}"


def article(card: Card) -> str:
    """One source: what it is, how to see it alone, and its samples."""
    facts, name = drawers.facts(card.name), escape(card.name)
    summary = drawers.sources.entries()[card.name].summary.replace("``", "")
    badges = [facts["kind"], facts["speed"]]
    badges += [] if facts["needs"] == "nothing" else [f"needs {facts['needs']}"]
    marks = "".join(
        f'<span class="badge" title="{SPEEDS.get(badge, "")}">{escape(badge)}</span>'
        for badge in badges
    )
    words = escape(" ".join([card.name, *facts.values(), summary]).lower(), quote=True)
    if card.shown is not None:
        grid = "\n".join(figure(card.shown, number) for number in range(len(card.shown.samples)))
        look = "picture long" if card.shown.long else facts["kind"]
        sheet, factors = quote(card.shown.sheet), quote(card.shown.factors)
        body = (
            f'<div class="samples {look}">\n{grid}\n</div><p class="links">'
            f'<a href="{sheet}">contact sheet, as the encoder sees it</a>'
            f'<a href="{factors}">all factors (JSON)</a></p>'
        )
    elif card.failure:
        body = f'<p class="failed">{escape(card.failure)}</p>'
    else:
        body = f"<p>Not shown, for it needs {escape(facts['needs'])}: {escape(card.missing)}</p>"
    return (
        f'<article id="{name}" data-words="{words}"><h3><a href="#{name}">{name}</a>{marks}</h3>\n'
        f'<p>{escape(summary)}</p><p class="soft">{escape(facts["citation"])}</p>\n'
        f"{body}\n<pre>{escape(shlex.join(card.command))}</pre></article>"
    )


def figure(shown: Shown, number: int) -> str:
    """One sample: its image, its sound, and its factors folded."""
    thumbnail, sound, factors = shown.samples[number]
    drawn = {key: value for key, value in factors.items() if key != "sample"}
    rows = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(short(value))}</dd>"
        for key, value in drawn.items()
    )
    name = f"sample {number}"
    image = f'<img loading="lazy" src="{quote(thumbnail)}" alt="{name}">' if thumbnail else ""
    image = f'<a href="{quote(thumbnail)}">{image}</a>' if thumbnail else ""
    player = f'<audio controls preload="metadata" src="{quote(sound)}"></audio>' if sound else ""
    return (
        f"<figure>{image}{player}<details><summary><b>{name}</b> "
        f"{escape(caption(drawn, HEADLINE))}</summary><dl>{rows}</dl></details></figure>"
    )
