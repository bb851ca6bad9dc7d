"""A table of cells as Markdown, CSV and LaTeX, and numbers as the words of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.report.significance import Interval

DASH = "\u2013"  # between two numbers, and where there is none
MINUS = "\u2212"

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    DASH: "--",
    MINUS: "$-$",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
}


@dataclass(frozen=True)
class Cell:
    """Text of one cell; ``bold`` marks the best and everything not significantly worse."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Block:
    """A titled rectangle of cells with remarks below it."""

    title: str
    head: tuple[str, ...]
    body: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def percent(value: float | None, *, signed: bool = False) -> str:
    """A fraction as a percentage with one decimal, without the sign %."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text.replace("-", MINUS) if float(text) else ("0.0")


def interval(value: Interval | None) -> str:
    """``12.3–45.6`` in percent."""
    return DASH if value is None else f"{percent(value.low)}{DASH}{percent(value.high)}"


def change(value: Interval | None) -> str:
    """``+1.2 to +3.4`` in percent: an interval of a difference, whose ends have signs."""
    if value is None:
        return DASH
    return f"{percent(value.low, signed=True)} to {percent(value.high, signed=True)}"


def p_value(value: float | None) -> str:
    """Three decimals, or ``<0.001``."""
    if value is None or math.isnan(value):
        return DASH
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def count(value: float) -> str:
    """A number of things with thousands separators, 0 as a dash."""
    return f"{round(value):,}" if value else DASH


def spelt(params: Mapping[str, object]) -> str:
    """What a trial takes on each axis: ``mask blocks, ratio 0.6``."""
    return ", ".join(f"{name} {value_words(value)}" for name, value in params.items())


def value_words(value: object) -> str:
    """A choice as it is, a number with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown(blocks: Sequence[Block]) -> str:
    """Blocks as Markdown tables below headings."""
    parts = []
    for block in blocks:
        lines = [f"## {_plain(block.title)}"]
        if block.body:
            lines.append("")
            lines.append("| " + " | ".join(_plain(name) for name in block.head) + " |")
            lines.append(
                "|" + "|".join(":--" if i == 0 else "--:" for i in range(len(block.head))) + "|"
            )
        for row in block.body:
            cells = (f"**{_plain(cell.text)}**" if cell.bold else _plain(cell.text) for cell in row)
            lines.append("| " + " | ".join(cells) + " |")
        if block.notes:
            lines += ["", *(f"- {_plain(note)}" for note in block.notes)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def comma_separated(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """Plain values for machines, full precision, empty where there is none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    for row in body:
        writer.writerow(["" if _missing(value) else value for value in row])
    return file.getvalue()


def latex(block: Block) -> str:
    """One block as a booktabs tabular with the title as caption; needs ``\\usepackage{booktabs}``."""
    columns = "l" + "r" * (len(block.head) - 1)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape_latex(block.title)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [" & ".join(escape_latex(name) for name in block.head) + r" \\", r"\midrule"]
    for row in block.body:
        cells = (
            rf"\textbf{{{escape_latex(cell.text)}}}" if cell.bold else escape_latex(cell.text)
            for cell in row
        )
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"% {note}" for note in block.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape_latex(text: str) -> str:
    """Text with every character special to LaTeX written so that it prints as itself."""
    return "".join(LATEX.get(character, character) for character in text)


def _plain(text: str) -> str:
    # A bar would end the cell; underscores, stars and backticks would style it; < would open a tag.
    for character in "\\|*_`<[":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
