"""A study through the door: priced, trained, published, gone on with, confirmed.

.venv/bin/python -m pytest tests/test_ablate.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_runs
import yaml

from suite import cli
from suite.rows import Row, read_rows
from suite.studies import Study, read_studies
from suite.verify import verify

Captured = pytest.CaptureFixture[str]

GRID = {
    "base": [*tiny_runs.SHORT_NOISE, *tiny_runs.TINY, *tiny_runs.HERE, "curve=[]"],
    "axes": {
        "ratio": {"word": "masking.ratio={}", "values": [0.75, 0.5]},
        "colour": {"word": "source.colour={}", "values": ["white", "pink"]},
    },
    "seeds": 2,
    "controls": ["untrained"],
    "tasks": ["toy_count"],
    "probes": ["knn"],
}
SEARCH = {
    **GRID,
    "design": "search",
    "trials": 3,
    "seeds": 1,
    "axes": {"ratio": {"word": "masking.ratio={}", "low": 0.3, "high": 0.8, "default": 0.75}},
    "tasks": ["toy_count-without-test"],
    "score": "toy_count-without-test knn",
    "confirm_tasks": ["toy_count"],
    "controls": [],
}


def words(place: Path, study: dict, *more: str) -> list[str]:
    """The command, its study a file below ``place``."""
    path = place / "mine.yaml"
    path.write_text(f"# Mine.\n{yaml.safe_dump(study)}")
    paths = [f"paths.{name}={place / name}" for name in ("runs", "results")]
    paths.append(f"paths.cache={place.parent / 'cache'}")  # decoded clips, for all tests of a session
    return ["ablate", f"ablation={path}", *paths, *more]


def outcome(place: Path) -> Study:
    (found,) = read_studies(place / "results")
    return found[0]


def rows(place: Path) -> list[Row]:
    folder = place / "results" / "studies" / "mine" / "rows"
    return [row for path in sorted(folder.glob("*.jsonl")) for row in read_rows(path)]


@pytest.fixture(scope="module")
def gridded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gridded")
    assert cli.main(words(place, GRID)) == cli.DONE
    return place


def test_a_dry_study_prints_its_price_and_spends_nothing(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(words(tmp_path, GRID, "dry=true")) == cli.DONE
    assert "8 runs, 0 of them finished; to do: 64 steps" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_trials_are_ordinary_runs_with_ordinary_rows(gridded: Path) -> None:
    study = outcome(gridded)
    by_run = {row.run_id: row for row in rows(gridded)}
    assert [trial.state for trial in study.trials] == ["complete"] * 8
    for trial in study.trials:
        row = by_run[trial.runs[0]]
        assert (row.seed, row.score) == (trial.seeds[0], trial.score)
        assert row.config["masking"]["ratio"] == float(trial.params["ratio"])
        assert row.config["source"]["colour"] == trial.params["colour"]
        assert (gridded / "runs" / row.run_id / "DONE").exists()
    assert study.default == {"ratio": "0.75", "colour": "white"}
    assert set(study.controls["untrained"]) <= set(by_run)
    assert len(study.controls["untrained"]) == 2
    assert verify(gridded / "results" / "studies" / "mine").passed


@pytest.mark.parametrize(
    "study", [GRID, SEARCH | {"trials": 2, "rungs": [0.5], "pruner": "median"}], ids=["grid", "search"]
)
def test_pools_that_a_trial_alone_needs_go_with_it(
    study: dict, tmp_path: Path, capsys: Captured
) -> None:
    """Of every colour's pools those of the default are kept, for other studies; and are told first."""
    colours = {"word": "source.colour={}", "values": ["white", "pink", "brown"]}
    place = tmp_path / "own"
    place.mkdir()
    assert cli.main(words(place, {**study, "axes": {"colour": colours}, "seeds": 2})) == cli.DONE
    left = [json.loads(path.read_text()) for path in (tmp_path / "cache" / "pools").glob("*.json")]
    assert sorted(described["seed"] for described in left) == ["0", "1"]
    assert {described["colour"] for described in left} == {"white"}
    assert len(list((tmp_path / "cache" / "pools").glob("*.npy"))) == 2
    assert "GB of pools" in capsys.readouterr().out


def test_typed_again_it_does_nothing(gridded: Path, capsys: Captured) -> None:
    before = (gridded / "results" / "studies" / "mine" / "study.json").read_bytes()
    assert cli.main(words(gridded, GRID)) == cli.DONE
    said = capsys.readouterr().out
    assert "8 runs, 8 of them finished" in said
    assert " over: " not in said
    assert (gridded / "results" / "studies" / "mine" / "study.json").read_bytes() == before


def test_workers_give_the_same_scores(gridded: Path, tmp_path: Path) -> None:
    assert cli.main(words(tmp_path, GRID, "workers=2")) == cli.DONE
    assert [(t.params, t.seeds, t.runs, t.score) for t in outcome(tmp_path).trials] == [
        (t.params, t.seeds, t.runs, t.score) for t in outcome(gridded).trials
    ]


def test_a_trial_that_cannot_be_trained_is_told_with_exit_code_1(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite import compare

    whole = compare.pretrain

    def fussy(experiment, *arguments, **keywords):  # type: ignore[no-untyped-def]
        if experiment.masking["ratio"] == 0.5:
            raise compare.BrokenProcessPool("out of memory")
        return whole(experiment, *arguments, **keywords)

    monkeypatch.setattr(compare, "pretrain", fussy)
    study = {**GRID, "seeds": 1, "controls": []}
    assert cli.main(words(tmp_path, study)) == cli.FAILED
    assert "out of memory" in capsys.readouterr().err
    assert [trial.state for trial in outcome(tmp_path).trials].count("fail") == 2
    monkeypatch.setattr(compare, "pretrain", whole)
    assert cli.main(words(tmp_path, study)) == cli.FAILED  # the failures stay in the study
    states = [trial.state for trial in outcome(tmp_path).trials]
    assert (states.count("fail"), states.count("complete")) == (2, 4)


def test_a_winner_is_trained_again_with_seeds_no_trial_had(tmp_path: Path) -> None:
    assert cli.main(words(tmp_path, SEARCH, "confirm=2")) == cli.DONE
    study = outcome(tmp_path)
    assert len(study.trials) == 3
    best = max(study.complete, key=lambda trial: trial.score or 0.0)
    confirmed = study.confirmation
    if best.params == study.default:
        assert confirmed is None
        return
    assert confirmed is not None
    assert (confirmed.trial, confirmed.params, confirmed.seeds) == (best.number, best.params, (1, 2))
    asked = [row for row in rows(tmp_path) if row.run_id in (*confirmed.winner, *confirmed.default)]
    assert {row.task for row in asked} == {"toy_count"}
    assert {row.fold for row in asked} == {"test"}
    assert {row.seed for row in asked} == {1, 2}
    assert not {row.task for row in rows(tmp_path) if row.seed == 0} - {"toy_count-without-test"}
    again = json.loads((tmp_path / "results/studies/mine/study.json").read_text())
    assert cli.main(words(tmp_path, SEARCH, "confirm=2")) == cli.DONE
    assert json.loads((tmp_path / "results/studies/mine/study.json").read_text()) == again
