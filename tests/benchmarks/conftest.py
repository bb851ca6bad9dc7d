"""Print the table of speeds after the benchmarks, and write it where ``BENCH_TABLE`` says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmark_table import render_table

from generators.memory import keep_freed_memory

NOTES = pytest.StashKey[list[Mapping[str, Any]]]()


@pytest.fixture(autouse=True)
def keep_note(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep what the test that just ran noted for the table."""
    wanted = "benchmark" in request.fixturenames
    info = request.getfixturevalue("benchmark").extra_info if wanted else {}
    yield
    if "section" in info:
        request.config.stash.setdefault(NOTES, []).append(dict(info))


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """A benchmark that sets torch's threads, as opening a machine does, sets them for itself alone."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Rates per core, with freed memory kept as in training."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    yield
    torch.set_num_threads(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of what ran; benchmarks that are disabled note nothing."""
    notes = config.stash.get(NOTES, [])
    if notes:
        table = render_table(notes)
        terminalreporter.section("against the reference figures")
        terminalreporter.write(table)
        if path := os.environ.get("BENCH_TABLE"):
            part = Path(f"{path}.part")
            part.write_text(table, encoding="utf-8")
            part.replace(path)
            terminalreporter.write_line(f"written to {path}")
