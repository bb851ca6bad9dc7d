"""Intervals drawn as small bars inside a table of the page."""

from __future__ import annotations

from suite.report.lines import Line, Table
from suite.report.palette import colour
from suite.report.significance import Interval


def span_of(table: Table) -> Interval:
    """What the bars of a table span: every score, interval and chance in it, as fractions."""
    values = [line.score for line in table.lines]
    for line in table.lines:
        for found in (line.over_seeds, line.over_clips):
            values += [] if found is None else [found.low, found.high]
    values += [] if table.chance is None else [table.chance]
    low, high = max(0.0, min(values, default=0.0)), min(1.0, max(values, default=1.0))
    return Interval(low, high if high > low else low + 0.01)


def bar(line: Line, span: Interval, chance: float | None) -> str:
    """Inline SVG. Thick: 95 % over seeds; thin with ends: over clips; dot: score; dashes: chance.

    Hidden from screen readers: the numbers stand in the columns beside it.
    """

    def x(value: float) -> str:
        inside = min(max(value, span.low), span.high)
        return f"{4 + 192 * (inside - span.low) / (span.high - span.low):.1f}"

    shade = "currentColor" if line.control else colour(line.family)
    parts = ['<line class="axis" x1="0" x2="200" y1="10" y2="10"/>']
    if chance is not None:
        parts.append(f'<line class="chance" x1="{x(chance)}" x2="{x(chance)}" y1="0" y2="20"/>')
    if line.over_seeds is not None:
        ends = f'x1="{x(line.over_seeds.low)}" x2="{x(line.over_seeds.high)}"'
        parts.append(
            f'<line {ends} y1="10" y2="10" stroke="{shade}" stroke-width="7" stroke-opacity=".45"/>'
        )
    if line.over_clips is not None:
        low, high = x(line.over_clips.low), x(line.over_clips.high)
        path = f"M{low} 6V14M{low} 10H{high}M{high} 6V14"
        parts.append(f'<path d="{path}" stroke="{shade}" stroke-width="1.5" fill="none"/>')
    parts.append(f'<circle cx="{x(line.score)}" cy="10" r="4" fill="{shade}"/>')
    return f'<svg class="bar" viewBox="0 0 200 20" aria-hidden="true">{"".join(parts)}</svg>'
