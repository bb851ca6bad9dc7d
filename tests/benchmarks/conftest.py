"""Print what each benchmark notes beside its time: the rate, the bar, the ratio to the reference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

NOTES = pytest.StashKey[dict[str, dict[str, object]]]()


@pytest.fixture(autouse=True)
def note(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep ``benchmark.extra_info`` of the test that just ran."""
    wanted = "benchmark" in request.fixturenames
    info = request.getfixturevalue("benchmark").extra_info if wanted else {}
    yield
    if wanted:
        request.config.stash.setdefault(NOTES, {})[request.node.name] = dict(info)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a benchmark: its name, and its notes as ``key value``."""
    notes = {name: info for name, info in config.stash.get(NOTES, {}).items() if info}
    measured = config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")
    if notes and measured:
        terminalreporter.section("against the reference figures")
        for name, info in notes.items():
            said = "  ".join(f"{key} {shown(value)}" for key, value in info.items())
            terminalreporter.write_line(f"{name}: {said}")


def shown(value: object) -> str:
    """Numbers with four digits, the rest as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
