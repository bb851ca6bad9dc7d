"""A results folder of invented rows, and how tests read its tables and its page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from synthetic_results import SMALL

from suite.report import read_results, summaries
from suite.report.lines import Line, Table

PLAN = replace(SMALL, checkpoints=(5_000, 10_000))


def summary_of(results: Path) -> list[Table]:
    return summaries.summarise(read_results(results), lambda run_id: results / "predictions" / run_id)


def the_table(results: Path, task: str = "esc50", probe: str = "linear@1") -> Table:
    (found,) = [
        t
        for t in summary_of(results)
        if t.group.task == task and t.group.probe == probe and t.group.budget
    ]
    return found


def the_line(table: Table, source: str) -> Line:
    (found,) = [line for line in table.lines if line.source == source]
    return found


class Page(HTMLParser):
    """Collects ids, links and visible text, and refuses tags that do not close in order."""

    VOID = frozenset({"meta", "line", "path", "circle", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name == "href":
                self.links.append(str(value))
            if name == "src":
                self.loaded.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
