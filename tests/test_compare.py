"""A comparison prints its price, skips what is done, and goes on after a failure.

.venv/bin/python -m pytest tests/test_compare.py
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import tiny_runs

from suite import cli, comparison
from suite.configuration import configure
from suite.rows import Row, read_rows

Captured = pytest.CaptureFixture[str]
GRID = (
    "comparison=quick",
    "comparison.seeds=1",
    "comparison.tasks=[toy_count]",
    "comparison.probes=[knn]",
    "comparison.sources=['noise source.seconds=2.5 source.colour=pink']",
    "comparison.controls=[untrained,mel_statistics]",
    "curve=[]",
)


def words(place: Path, *more: str) -> list[str]:
    shared = [word for word in tiny_runs.words(place) if not word.startswith("source")]
    return ["compare", *GRID, *shared, *more]


def rows(place: Path) -> list[Row]:
    return [
        row for path in sorted((place / "results" / "rows").glob("*.jsonl")) for row in read_rows(path)
    ]


def files(place: Path) -> dict[Path, bytes]:
    kept = [place / "runs", place / "results" / "rows", place / "results" / "predictions"]
    return {path: path.read_bytes() for root in kept for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("compared")
    assert cli.main(words(place)) == 0
    return place


def test_a_dry_comparison_prints_its_price_and_spends_nothing(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(words(tmp_path, "dry=true")) == 0
    said = capsys.readouterr().out
    assert "3 runs, 0 of them finished; to do: 8 steps, 64 samples" in said
    assert "samples/s (measured)" in said
    assert not list(tmp_path.iterdir())


def test_every_cell_has_published_rows_and_predictions(compared: Path) -> None:
    found = rows(compared)
    assert sorted(row.source for row in found) == [
        "mel_statistics",
        "noise colour=pink seconds=2.5",
        "untrained",
    ]
    for row in found:
        assert (row.task, row.probe, row.n_test) == ("toy_count", "knn@1", 180)
        folder = compared / "results" / "predictions" / row.run_id
        assert [path.suffix for path in folder.iterdir()] == [".npz"]
    assert (compared / "results" / "leaderboard" / "index.html").stat().st_size > 1000


def test_what_was_published_verifies(compared: Path, capsys: Captured) -> None:
    assert cli.main(["verify", f"paths.results={compared}/results"]) == 0
    assert capsys.readouterr().out


def test_a_second_call_does_nothing(compared: Path, capsys: Captured) -> None:
    before = files(compared)
    assert cli.main(words(compared)) == 0
    assert "3 runs, 3 of them finished; to do: 0 steps" in capsys.readouterr().out
    assert files(compared) == before


def test_workers_give_the_same_rows(compared: Path, tmp_path: Path) -> None:
    assert cli.main(words(tmp_path, "workers=2")) == 0
    alone = {row.key(): row.score for row in rows(compared)}
    assert {row.key(): row.score for row in rows(tmp_path)} == alone


def test_a_failed_cell_does_not_stop_the_others(tmp_path: Path, capsys: Captured) -> None:
    sources = "comparison.sources=['recordings source.folder=nowhere','noise source.seconds=2.5']"
    assert cli.main(words(tmp_path, sources)) == 1
    said = capsys.readouterr()
    assert "failed: recordings-mae-nano-s0-" in said.err
    assert "no folder at nowhere" in said.err
    assert "again: sourcebench pretrain source=recordings" in said.err
    found = sorted(row.source for row in rows(tmp_path))
    assert found == ["mel_statistics", "noise seconds=2.5", "untrained"]


def test_when_every_cell_fails_the_list_is_still_printed(tmp_path: Path, capsys: Captured) -> None:
    only = ["comparison.sources=['recordings source.folder=nowhere']", "comparison.controls=[]"]
    assert cli.main(words(tmp_path, *only)) == 1
    assert "again: sourcebench pretrain source=recordings" in capsys.readouterr().err


def test_a_misspelt_probe_is_answered_before_anything_is_spent(
    tmp_path: Path, capsys: Captured
) -> None:
    assert cli.main(words(tmp_path, "comparison.probes=[linaer]")) == 2
    assert "'linear@1'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_objectives_and_masks_span_a_grid_whose_equal_runs_are_one_cell() -> None:
    typed = [
        "comparison=quick",
        "comparison.sources=[audiopg]",
        "comparison.objectives=[mae,'eat objective.clones=2']",
        "comparison.masks=[random,'inverse_block masking.size=2']",
        "comparison.controls=[untrained,mel_statistics]",
    ]
    grown = comparison.cells(comparison.read(configure(typed)), typed)
    recipes = [
        (cell.experiment.objective["name"], cell.experiment.masking["name"], cell.experiment.seed)
        for cell in grown
        if cell.experiment.control is None
    ]
    names = product([0, 1], ["mae", "eat"], ["random", "inverse_block"])
    assert recipes == [(objective, mask, seed) for seed, objective, mask in names]
    fixed = [cell.experiment for cell in grown if cell.experiment.control is not None]
    untrained = [(made.objective["name"], made.seed) for made in fixed if made.control == "untrained"]
    assert untrained == [("mae", 0), ("eat", 0), ("mae", 1), ("eat", 1)]  # the same for every mask
    assert [made.control for made in fixed].count("mel_statistics") == 1


def test_runs_of_one_source_and_seed_share_their_pool_in_the_price(
    tmp_path: Path, capsys: Captured
) -> None:
    """Two masks by two seeds are four runs of two pools."""
    grid = ["comparison.masks=[random,time]", "comparison.seeds=2"]
    assert cli.main(words(tmp_path, *grid, "comparison.controls=[]", "pool=64000", "dry=true")) == 0
    bands, frames, half = 80, 1024, 2
    pools = 2 * 64000 * bands * frames * half / 1e9
    assert "4 runs, 0 of them finished" in (told := capsys.readouterr().out)
    assert f"up to {pools:.1f} GB of pools" in told


def test_a_foreign_encoder_stands_beside_the_runs(tmp_path: Path, capsys: Captured) -> None:
    """In the same table; one that cannot be loaded is refused before anything is spent."""
    assert cli.main(words(tmp_path, "comparison.encoders=[no_such_ears]", "dry=true")) == 2
    assert "no module 'no_such_ears'" in capsys.readouterr().err
    asked = ["comparison.controls=[]", "comparison.encoders=[foreign_ears,foreign_ears:scenes]"]
    assert cli.main(words(tmp_path, *asked)) == 1
    said = capsys.readouterr()
    assert "but its model promises" in said.err
    assert "again: sourcebench evaluate encoder=foreign_ears:scenes" in said.err
    (table,) = (tmp_path / "results" / "tables").glob("toy_count*.md")
    lines = table.read_text().replace("\\_", "_").splitlines()
    for label in ("noise colour=pink seconds=2.5 (control)", "foreign_ears (control)"):
        assert any(label in line for line in lines)


def test_what_a_grid_varies_cannot_be_typed_beside_it(capsys: Captured) -> None:
    grid = ["compare", "comparison=quick", "comparison.masks=[random,time]", "dry=true"]
    assert cli.main([*grid, "masking=time"]) == 2
    assert "comparison.masks=[" in capsys.readouterr().err
