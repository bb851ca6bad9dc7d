"""A published number that does not follow from its predictions is found, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_results import SMALL, write_results

from generators.drawer import BadData
from suite.rows import Row, add_rows, read_predictions, write_predictions
from suite.verify import verify

PLAN = replace(
    SMALL, sources={"audiopg": 0.7}, seeds=(0,), tasks=("esc50",), probes=("linear@1",), clips=20
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path, PLAN, controls=False)
    return tmp_path


def predictions_file(results: Path) -> Path:
    (path,) = results.glob("predictions/*/*.npz")
    return path


def change_predictions(results: Path, **changes: Any) -> None:
    path = predictions_file(results)
    write_predictions(path, replace(read_predictions(path), **changes))


def change_rows(results: Path, change: Callable[[Row], Row]) -> None:
    from suite.rows import read_rows

    (path,) = results.glob("rows/*.jsonl")
    rows = read_rows(path)
    path.unlink()
    add_rows(path, [change(rows[0]), *rows[1:]])


def test_untouched_results_are_verified(results: Path) -> None:
    found = verify(results)
    assert found.passed
    assert (found.rows, found.verified) == (5, 5)
    assert found.summary == "5 of 5 rows verified; findings: none"


def test_no_results_say_what_to_type(tmp_path: Path) -> None:
    found = verify(tmp_path)
    assert found.rows == 0
    assert "sourcebench compare" in found.summary


def test_a_score_changed_by_a_billionth_is_not_but_by_two_is_found(results: Path) -> None:
    change_rows(results, lambda row: replace(row, score=row.score + 5e-10))
    assert verify(results).passed
    change_rows(results, lambda row: replace(row, score=row.score + 2e-9))
    found = verify(results)
    assert [finding.kind for finding in found.findings] == ["score"]
    assert found.verified == 4
    assert "fold 1" in found.findings[0].message


def test_a_single_changed_answer_is_found(results: Path) -> None:
    predictions = read_predictions(predictions_file(results))
    scores = predictions.scores.copy()
    right = np.flatnonzero(scores.argmax(axis=1) == predictions.target)[0]
    scores[right, (predictions.target[right] + 1) % scores.shape[1]] = 100
    change_predictions(results, scores=scores)
    assert [finding.kind for finding in verify(results).findings] == ["score"]


def test_a_single_changed_target_is_found(results: Path) -> None:
    predictions = read_predictions(predictions_file(results))
    right = np.flatnonzero(predictions.scores.argmax(axis=1) == predictions.target)[0]
    target = predictions.target.copy()
    target[right] = (target[right] + 1) % 5
    change_predictions(results, target=target)
    assert [finding.kind for finding in verify(results).findings] == ["score"]


def test_a_wrong_number_of_clips_is_found(results: Path) -> None:
    change_rows(results, lambda row: replace(row, n_test=row.n_test + 1))
    assert [finding.kind for finding in verify(results).findings] == ["clips"]


def test_rows_without_predictions_are_found(results: Path) -> None:
    predictions_file(results).unlink()
    found = verify(results)
    assert [finding.kind for finding in found.findings] == ["no_predictions"] * 5
    assert found.verified == 0
    assert "no_predictions 5" in found.summary


def test_predictions_without_rows_are_found(results: Path) -> None:
    path = predictions_file(results)
    stray = path.with_name("esc50.linear@1.999.npz")
    stray.write_bytes(path.read_bytes())
    found = verify(results)
    assert [(finding.kind, finding.path) for finding in found.findings] == [("no_rows", stray)]
    assert found.verified == 5
    assert not found.passed


def test_a_fold_without_a_row_and_a_row_without_a_fold_are_found(results: Path) -> None:
    change_rows(results, lambda row: replace(row, fold="9"))
    found = verify(results)
    assert [finding.kind for finding in found.findings] == ["fold", "fold"]
    assert found.verified == 4


def test_an_unknown_metric_is_found(results: Path) -> None:
    change_rows(results, lambda row: replace(row, metric="acuracy"))
    (finding,) = verify(results).findings
    assert finding.kind == "metric"
    assert "accuracy" in finding.message


def test_targets_a_metric_cannot_use_are_found(results: Path) -> None:
    predictions = read_predictions(predictions_file(results))
    change_predictions(results, target=predictions.target + 1)
    assert "metric" in {finding.kind for finding in verify(results).findings}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file_is_found(results: Path, share: float) -> None:
    path = predictions_file(results)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    found = verify(results)
    assert [finding.kind for finding in found.findings] == ["unreadable"] * 5
    assert str(path) in found.findings[0].message


@pytest.mark.parametrize(
    "change",
    [
        {"group": np.array(["one"])},
        {"classes": np.array(["one"])},
        {"clip": np.full(100, "same")},
        {"scores": np.full((100, 5), np.nan, dtype=np.float16)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_together_are_found(results: Path, change: dict[str, Any]) -> None:
    change_predictions(results, **change)
    assert {finding.kind for finding in verify(results).findings} == {"unreadable"}


def test_damaged_rows_are_refused_with_their_file(results: Path) -> None:
    (path,) = results.glob("rows/*.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadData, match=path.name):
        verify(results)
