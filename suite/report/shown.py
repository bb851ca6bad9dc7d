"""Render results, and show on the terminal what they say and where everything lies."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from suite.report import read_results, render, summaries
from suite.report.ablation_terminal import terminal as of_study
from suite.report.tables import READING, terminal


def show(results: Path, study: str | None = None) -> None:
    """Render ``results`` and print its tables, or those of one study, and the paths."""
    rendered = render(results)
    console = Console(width=None if sys.stdout.isatty() else 100)
    if study is None:
        tables = summaries.summarise(read_results(results), lambda run: results / "predictions" / run)
        for table in terminal(tables):
            console.print(table)
        if tables:
            console.print(f"{READING} Bold is marked * here.", style="dim")
    for found in rendered.studies:
        if found.study.name == study:
            for part in of_study(found):
                console.print(part)
            print(f"study        {results / 'tables' / found.name}.md")
    print(f"tables       {results / 'tables'}")
    print(f"plots        {results / 'plots'}")
    print(f"leaderboard  {rendered.page.resolve().as_uri()}")
