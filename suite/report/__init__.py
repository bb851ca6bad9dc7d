"""From rows and predictions to tables, figures and a page; needs neither torch nor audio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from generators.drawer import BadData, UsageError
from suite.rows import Row, read_rows, write_atomically


@dataclass(frozen=True)
class Rendered:
    """What :func:`render` wrote: paths of tables and plots in a stable order, and the page."""

    tables: tuple[Path, ...]
    plots: tuple[Path, ...]
    page: Path
    rows: int


def read_results(results: Path) -> list[Row]:
    """Every published row below ``results/rows``; raises BadData naming the file of a malformed one."""
    rows = []
    for path in sorted((results / "rows").glob("*.jsonl")):
        try:
            found = read_rows(path)
        except UnicodeDecodeError as error:
            raise BadData(f"{path} is not UTF-8 text ({error}). Delete it, evaluate again.") from error
        for row in found:
            if not isinstance(row.score, (int, float)) or not math.isfinite(row.score):
                raise BadData(
                    f"{path}: the score of task {row.task!r}, fold {row.fold!r} is {row.score!r}, "
                    "not a finite number. Delete the file and evaluate again."
                )
        rows += found
    return rows


def render(results: Path) -> Rendered:
    """Write ``tables/``, ``plots/`` and ``leaderboard/index.html`` below ``results`` from its rows.

    The output is a function of the rows and predictions alone. Tables and plots of earlier calls that
    no row asks for any more are removed. Raises BadData for malformed rows, UsageError where
    ``results`` cannot be written.
    """
    from suite.report import formats, summaries, tables

    rows = read_results(results)
    summary = summaries.summarise(rows, lambda run_id: results / "predictions" / run_id)
    overviews = tables.overviews(summary)
    files: dict[Path, str] = {}
    folder = results / "tables"
    for table in summary:
        blocks = [block for block in (tables.measured(table), tables.reported(table)) if block]
        files[folder / f"{table.name}.md"] = formats.markdown(blocks)
        files[folder / f"{table.name}.csv"] = tables.comma_separated(table)
        files[folder / f"{table.name}.tex"] = formats.latex(blocks[0])
    for overview in overviews:
        block = tables.overview_block(overview)
        files[folder / f"{overview.name}.md"] = formats.markdown([block])
        files[folder / f"{overview.name}.csv"] = tables.overview_values(overview)
        files[folder / f"{overview.name}.tex"] = formats.latex(block)
    try:
        for path, text in files.items():
            write_atomically(path, text.encode())
    except OSError as error:
        raise UsageError(f"{error.filename or results} cannot be written: {error.strerror}.") from error
    return Rendered(tuple(files), (), results / "leaderboard" / "index.html", len(rows))
