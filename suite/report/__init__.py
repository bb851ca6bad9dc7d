"""From rows and predictions to tables, figures and a page; needs neither torch nor audio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from generators.drawer import BadData, UsageError
from suite.rows import Row, read_rows, write_atomically
from suite.studies import read_studies

if TYPE_CHECKING:
    from suite.report.ablations import Ablation


@dataclass(frozen=True)
class Rendered:
    """What :func:`render` wrote: paths of tables and plots in a stable order, and the page."""

    tables: tuple[Path, ...]
    plots: tuple[Path, ...]
    page: Path
    rows: int
    studies: tuple[Ablation, ...] = ()


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

    The output is a function of the rows, the predictions and the studies below ``results/studies``,
    each with rows and predictions of its own. Tables and plots of earlier calls that nothing asks for
    any more are removed. Raises BadData for malformed rows and studies, UsageError where ``results``
    cannot be written.
    """
    from suite.report import ablation_figures, overviews, page, plots, protocols, summaries, tables
    from suite.report.ablations import ablation

    rows = read_results(results)
    studies = [ablation(found, at, read_results(at)) for found, at in read_studies(results)]
    summary = summaries.summarise(rows, lambda run_id: results / "predictions" / run_id)
    across, by_protocol = overviews.overviews(summary), protocols.protocols(summary)
    table_files = {
        results / "tables" / name: text.encode()
        for name, text in tables.files(summary, across, by_protocol, studies).items()
    }
    plot_files = {
        results / "plots" / f"{name}.{kind}": content
        for name, kinds in chain(
            plots.figures(summary, by_protocol, rows), ablation_figures.figures(studies)
        )
        for kind, content in kinds.items()
    }
    page_file = results / "leaderboard" / "index.html"
    page_content = page.render_page(summary, across, by_protocol, studies, rows).encode()
    try:
        for path, content in (table_files | plot_files | {page_file: page_content}).items():
            write_atomically(path, content)
        _remove_stale(results / "tables", set(table_files), ("*.md", "*.csv", "*.tex"))
        _remove_stale(results / "plots", set(plot_files), ("*.svg", "*.png"))
    except OSError as error:
        raise UsageError(
            f"{error.filename or results} cannot be written: {error.strerror}. Make {results} a folder "
            "you may write to, or choose another one: sourcebench report paths.results=FOLDER"
        ) from error
    return Rendered(tuple(table_files), tuple(plot_files), page_file, len(rows), tuple(studies))


def _remove_stale(folder: Path, current: set[Path], patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path not in current:
                path.unlink()
