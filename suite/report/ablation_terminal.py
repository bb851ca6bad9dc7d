"""An ablation study on a terminal: what was asked, the verdict, and the effects on its score."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.table import Table as RichTable
from rich.text import Text

from suite.report.ablation_tables import confirmation_block, effects_block, facts, trials_block
from suite.report.ablations import Ablation
from suite.report.formats import DASH, Block

MOST_AXES = 5  # that stand side by side
WORDED = ("test clips",)  # columns that wrap, beside the first
OF_CONFIRMED = (0, 2, 4, 5, 6, 7, 8, 9)  # the verdict says what the winner is
OF_EFFECTS = (0, 1, 2, 3, 4, 5, 6, 7)  # columns that fit 100 characters: axis to p over clips


def terminal(found: Ablation) -> Iterator[RichTable | str]:
    """The facts as lines, then the tables that are about the study's score and its confirmation."""
    yield from facts(found).notes
    if found.study.confirmation is not None:
        yield drawn(confirmation_block(found), OF_CONFIRMED)
    if found.study.design == "search":
        block = trials_block(found)
        narrow = len(found.study.axes) <= MOST_AXES
        yield drawn(block, tuple(range(len(block.head)))) if narrow else in_words(found)
    for asked in found.shown:
        if asked.effects:
            yield drawn(effects_block(found, asked), OF_EFFECTS)


def drawn(block: Block, columns: tuple[int, ...]) -> RichTable:
    """Some columns of a block; what is bold has a star."""
    table = RichTable(
        title=block.title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for place, column in enumerate(columns):
        name = block.head[column].replace("Δ 95 % over", "95 %")
        worded = place == 0 or name in WORDED
        table.add_column(
            name, justify="left" if worded else "right", no_wrap=not worded, overflow="fold"
        )
    for row in block.body:
        cells = [row[column] for column in columns]
        table.add_row(
            *(Text(f"{c.text} *" if c.bold else c.text, style="bold" * c.bold) for c in cells)
        )
    return table


def in_words(found: Ablation) -> RichTable:
    """The best trials of a search with many axes: what each took in one column, which wraps."""
    block, width = trials_block(found), len(found.study.axes)
    axes = slice(len(block.head) - 1 - width, len(block.head) - 1)
    table = RichTable(title=block.title, title_justify="left", box=SIMPLE, pad_edge=False)
    for name in block.head[: axes.start]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("choices")
    for row in block.body:
        taken = zip(block.head[axes], row[axes], strict=True)
        words = ", ".join(f"{name} {cell.text}" for name, cell in taken if cell.text != DASH)
        table.add_row(*(cell.text for cell in row[: axes.start]), words)
    return table
