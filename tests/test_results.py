"""Published results: rendered again they give the committed tables and page, and every number holds."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from suite.report import read_results, render
from suite.verify import verify

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("published") / "results"
    for part in ("rows", "predictions", "studies"):
        shutil.copytree(RESULTS / part, copy / part)
    render(copy)
    return copy


def test_rendering_again_gives_the_committed_tables_and_page(rendered: Path) -> None:
    again = {path.relative_to(rendered) for path in rendered.glob("tables/*")}
    committed = {path.relative_to(RESULTS) for path in RESULTS.glob("tables/*")}
    assert again == committed
    for relative in [*sorted(again), Path("leaderboard/index.html")]:
        assert (rendered / relative).read_bytes() == (RESULTS / relative).read_bytes(), relative


def test_every_committed_figure_is_still_asked_for(rendered: Path) -> None:
    again = {path.name for path in rendered.glob("plots/*")}
    assert again == {path.name for path in RESULTS.glob("plots/*")}


def test_every_published_number_verifies() -> None:
    verification = verify(RESULTS)
    assert verification.rows > 0
    assert verification.passed, verification.findings


def test_no_published_row_came_from_uncommitted_code() -> None:
    for row in read_results(RESULTS):
        assert row.commit, row.run_id
        assert not row.dirty, row.run_id


def test_the_readme_shows_the_rendered_tables() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"<!-- table:(\S+) -->(.*?)<!-- /table -->", readme, flags=re.DOTALL)
    assert len(tables) >= 2
    for name, shown in tables:
        assert shown.strip()
        assert shown.strip() in (RESULTS / "tables" / f"{name}.md").read_text(encoding="utf-8"), name
