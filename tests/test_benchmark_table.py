"""The table of speeds: rates, ratios, verdicts, and what the machine's factor does to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import benchmark_table
import pytest
from benchmark_table import PATTERNS, RECIPE, SOUNDS, note, render_table


def noted(source: str, section: str = PATTERNS, median: float = 0.5, **figures: Any) -> dict[str, Any]:
    """What a benchmark of 32 items a round notes."""
    stats = SimpleNamespace(stats=SimpleNamespace(median=median))
    benchmark = SimpleNamespace(stats=stats, extra_info={}, _timer=benchmark_table.time.process_time)
    note(benchmark, section, source, "picture", 32, **figures)
    return benchmark.extra_info


def row(table: str, source: str) -> list[str]:
    """The cells of the source's row."""
    line = next(line for line in table.splitlines() if line.startswith(f"| {source} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_rate_below_its_bar_is_a_no_and_may_be_a_yes_on_the_machine_of_the_reference() -> None:
    recipe = noted(RECIPE, SOUNDS, reference=128.0)  # 64 a second: a machine half as fast
    table = render_table([noted("leaves", reference=16.0, bar=100.0), recipe])
    assert "Machine factor: **0.50**" in table
    assert row(table, "leaves")[2:] == [
        *("CPU", "16", "100", "64", "4", "**no**"),
        *("128", "8", "yes"),
    ]


def test_without_the_recipe_nothing_is_divided() -> None:
    table = render_table([noted("leaves", bar=64.0)])
    assert "not measured in this run" in table
    assert row(table, "leaves")[2:] == ["CPU", "-", "64", "64", "-", "yes", "-", "-", "-"]


def test_a_reference_measured_here_is_compared_as_it_is() -> None:
    recipe = noted(RECIPE, SOUNDS, reference=128.0)
    table = render_table([noted("mixture", reference=128.0, scaled=False), recipe])
    assert row(table, "mixture")[6:] == ["0.5", "-", "-", "-", "-"]


def test_sections_come_in_one_order_whatever_ran_first() -> None:
    table = render_table([noted(RECIPE, SOUNDS, reference=127.0), noted("leaves")])
    assert table.index(f"## {PATTERNS}") < table.index(f"## {SOUNDS}")


def test_a_section_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="Paterns"):
        noted("leaves", "Paterns")
