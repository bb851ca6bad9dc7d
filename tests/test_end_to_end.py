"""On real audio: pre-train on recordings, judge on ESC-10, report, and recompute every number.

SOURCEBENCH_DATA=/data/audio .venv/bin/python -m pytest tests/test_end_to_end.py
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import tiny_runs

from suite import cli
from suite.rows import read_rows

Captured = pytest.CaptureFixture[str]
DATA = os.environ.get("SOURCEBENCH_DATA")


@pytest.mark.skipif(DATA is None, reason="set SOURCEBENCH_DATA to the folder with ESC-50-master")
def test_from_recordings_to_a_verified_leaderboard(tmp_path: Path, capsys: Captured) -> None:
    shared = [word for word in tiny_runs.words(tmp_path) if not word.startswith("source")]
    shared.append(f"paths.data={DATA}")
    grid = [
        "comparison=esc50-nano",
        "comparison.seeds=1",
        "comparison.sources=['recordings source.folder=pretrain_real source.seconds=2.5']",
        "comparison.controls=[mel_statistics]",
        "comparison.tasks=[esc10]",
        "comparison.probes=[linear,knn]",
        "curve=[]",
    ]
    assert cli.main(["compare", *grid, *shared]) == 0
    results = tmp_path / "results"
    rows = [row for path in (results / "rows").glob("*.jsonl") for row in read_rows(path)]
    assert len(rows) == 2 * 2 * 5  # runs, probes, official folds
    assert {row.fold for row in rows} == set("12345")
    assert all(row.n_test == 80 for row in rows)
    by_source = {
        source: [row.score for row in rows if row.source.startswith(source) and row.probe == "linear@1"]
        for source in ("recordings", "mel_statistics")
    }
    for source, scores in by_source.items():
        assert sum(scores) / 5 > 0.3, source  # chance is 0.1
    capsys.readouterr()
    assert cli.main(["report", f"paths.results={results}"]) == 0
    assert "mel_statistics" in (results / "leaderboard" / "index.html").read_text()
    assert list((results / "tables").glob("*.csv"))
    assert cli.main(["verify", f"paths.results={results}"]) == 0

    path = next((results / "rows").glob("recordings*.jsonl"))
    spoiled = path.read_text().replace('"score": 0.', '"score": 0.9', 1)
    path.write_text(spoiled)
    assert cli.main(["verify", f"paths.results={results}"]) == 1  # a changed number does not pass


@pytest.mark.skipif(DATA is None, reason="set SOURCEBENCH_DATA to the folder with ESC-50-master")
def test_the_data_folder_has_the_official_metadata() -> None:
    with (Path(str(DATA)) / "ESC-50-master" / "meta" / "esc50.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2000
