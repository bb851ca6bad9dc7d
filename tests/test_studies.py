"""Studies shared by workers that die, on disks that fill, in databases that go away.

.venv/bin/python -m pytest tests/test_studies.py
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import optuna
import pytest
from optuna.trial import TrialState
from trivial_studies import Arithmetic, Before, grid, search, worth

from generators.drawer import UsageError
from suite import study as studies
from suite.ablation import Ablation, Params
from suite.journal import Journal, end_of_lines
from suite.study import PARAMS, SEEDS, TRIES, Place, StudyLost, open_study
from suite.trials import REASON, make_trials

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def judge(tmp_path: Path) -> Arithmetic:
    return Arithmetic(tmp_path)


def made(place: Place, ablation: Ablation) -> list[optuna.trial.FrozenTrial]:
    return open_study(place, ablation).get_trials()


def test_a_grid_fills_every_cell_at_every_seed_seed_by_seed(tmp_path: Path, judge: Arithmetic) -> None:
    place = Place(tmp_path / "study")
    make_trials(grid(), place, judge)
    trials = made(place, grid())
    cells = list(grid().cells())
    assert [(t.user_attrs[PARAMS], t.user_attrs[SEEDS]) for t in trials] == [
        (cell, [seed]) for seed in range(2) for cell in cells
    ]
    assert all(t.state == TrialState.COMPLETE for t in trials)
    assert [t.values[0] for t in trials] == [worth(cell, seed) for seed in range(2) for cell in cells]


def test_typed_again_a_study_does_nothing_and_more_seeds_are_added(
    tmp_path: Path, judge: Arithmetic
) -> None:
    place = Place(tmp_path / "study")
    make_trials(grid(), place, judge)
    before = made(place, grid())
    make_trials(grid(), place, judge)
    assert made(place, grid()) == before
    make_trials(grid(seeds=3), place, judge)
    after = made(place, grid(seeds=3))
    assert after[: len(before)] == before
    assert {tuple(t.user_attrs[SEEDS]) for t in after[len(before) :]} == {(2,)}
    assert len(after) == len(before) * 3 // 2
    assert len(judge.calls()) == len(set(judge.calls())) == len(after)


def test_a_search_begins_with_the_default_and_finds_what_is_better(
    tmp_path: Path, judge: Arithmetic
) -> None:
    place = Place(tmp_path / "study")
    make_trials(search(trials=30), place, judge)
    trials = made(place, search())
    assert trials[0].params == search().default
    assert len(trials) == 30
    assert max(t.values[0] for t in trials) > trials[0].values[0] + 0.05
    make_trials(search(trials=32), place, judge)
    assert len(made(place, search())) == 32


def test_the_same_seeds_give_the_same_search(tmp_path: Path, judge: Arithmetic) -> None:
    drawn = []
    for name in ("one", "two"):
        make_trials(search(), Place(tmp_path / name), judge)
        drawn.append([t.params for t in made(Place(tmp_path / name), search())])
    assert drawn[0] == drawn[1]
    make_trials(search(sampler_seed=1), Place(tmp_path / "three"), judge)
    assert drawn[0] != [t.params for t in made(Place(tmp_path / "three"), search(sampler_seed=1))]


def test_four_workers_lose_no_trial_and_make_none_twice(tmp_path: Path, judge: Arithmetic) -> None:
    place = Place(tmp_path / "study")
    make_trials(search(trials=60, sampler="random"), place, judge, workers=4)
    trials = made(place, search(sampler="random"))
    assert [t.number for t in trials] == list(range(60))
    assert all(t.state == TrialState.COMPLETE for t in trials)
    assert len(judge.calls()) == len(set(judge.calls())) == 60
    assert len(list(tmp_path.glob("*.calls"))) > 1  # several did work


def test_the_trial_of_a_killed_worker_goes_on_under_its_number(tmp_path: Path) -> None:
    place = Place(tmp_path / "study")
    cell = list(grid().cells())[3]
    judge = Arithmetic(tmp_path, kill_at=f"{sorted(cell.items())} seed 0 share 1.0")
    make_trials(grid(), place, judge, workers=2)
    trials = made(place, grid())
    assert (tmp_path / "died").exists()
    assert trials[3].user_attrs[TRIES] == 2
    assert trials[3].params == cell
    assert all(t.state == TrialState.COMPLETE for t in trials)
    assert len(judge.calls()) == len(set(judge.calls())) == len(trials) == 2 * len(list(grid().cells()))


MOMENTS = {  # the function in whose how-manyeth call the process is killed
    "filling": ("optuna.study.Study", "enqueue_trial", 5),
    "taking": ("suite.study", "claim", 3),
    "scoring": ("trivial_studies", "worth", 4),
    "telling": ("optuna.study.Study", "tell", 6),
}
PROGRAM = """
import importlib, os, signal, sys
from pathlib import Path
from trivial_studies import Arithmetic, grid
from suite.study import Place
from suite.trials import make_trials

owner, name, call = sys.argv[2:]
try:
    owner = importlib.import_module(owner)
except ImportError:
    module, _, kind = owner.rpartition(".")
    owner = getattr(importlib.import_module(module), kind)
whole, calls = getattr(owner, name), []

def fatal(*arguments, **keywords):
    calls.append(name)
    if len(calls) == int(call):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments, **keywords)

setattr(owner, name, fatal)
folder = Path(sys.argv[1])
make_trials(grid(), Place(folder / "study"), Arithmetic(folder))
"""


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_killed_at_any_moment_a_study_ends_with_the_same_numbers(tmp_path: Path, moment: str) -> None:
    owner, name, call = MOMENTS[moment]
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), owner, name, str(call)]
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    killed = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    place = Place(tmp_path / "study")
    make_trials(grid(), place, Arithmetic(tmp_path))
    trials = made(place, grid())
    assert [t.user_attrs[PARAMS] for t in trials] == [*grid().cells()] * 2
    assert all(t.state == TrialState.COMPLETE for t in trials)
    assert [t.values[0] for t in trials] == [
        worth(t.user_attrs[PARAMS], t.user_attrs[SEEDS][0]) for t in trials
    ]


def test_a_worker_that_dies_again_and_again_takes_its_trial_with_it(
    tmp_path: Path, judge: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "study")
    study = open_study(place, grid())
    studies.fill(study, grid(), place)
    for tries in range(1, studies.MOST_TRIES + 1):
        trial = studies.take(study, grid(), place)
        assert trial is not None
        assert (trial.number, trial.user_attrs[TRIES]) == (0, tries)
    make_trials(grid(), place, judge)
    trials = made(place, grid())
    assert trials[0].state == TrialState.FAIL
    assert "died 3 times" in trials[0].user_attrs[REASON]
    assert all(t.state == TrialState.COMPLETE for t in trials[1:])


def test_a_silent_host_is_dead_after_two_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "study")
    study = open_study(place, grid())
    studies.fill(study, grid(), place)
    trial = studies.take(study, grid(), place)
    assert trial is not None
    _, _, seen = trial.user_attrs[studies.WORKER]
    trial.set_user_attr(studies.WORKER, ["elsewhere", 1, seen])
    frozen = study.get_trials()[trial.number]
    assert not studies.is_dead(frozen, place)
    monkeypatch.setattr(studies.time, "time", lambda: seen + studies.STALE + 1.0)
    assert studies.is_dead(frozen, place)


def test_another_space_under_the_same_name_is_refused(tmp_path: Path, judge: Arithmetic) -> None:
    place = Place(tmp_path / "study")
    make_trials(grid(), place, judge)
    with pytest.raises(UsageError, match=r"asks something else.*axes: .*ablation\.name=trivial-2"):
        make_trials(search(), place, judge)
    with pytest.raises(UsageError, match="base:"):
        make_trials(grid(base=("scale=tiny",)), place, judge)


def test_a_trial_that_fails_is_told_and_asked_again(tmp_path: Path, judge: Arithmetic) -> None:
    place = Place(tmp_path / "study")

    def fuss(params: Params, seed: int) -> None:
        if params.get("edge") == "2" and not (tmp_path / "mended").exists():
            raise UsageError("an edge of 2 is too long. Type edge=1.")

    fussy = Before(judge, fuss)
    make_trials(grid(), place, fussy)
    trials = made(place, grid())
    failed = [t for t in trials if t.state == TrialState.FAIL]
    assert len(failed) == 4
    assert "too long" in failed[0].user_attrs[REASON]
    assert len(judge.calls("forgotten")) == len(trials) - 4  # what failed is asked again
    (tmp_path / "mended").touch()
    make_trials(grid(), place, fussy)
    again = made(place, grid())
    assert again[: len(trials)] == trials
    assert [t.user_attrs[PARAMS] for t in again[len(trials) :]] == [
        t.user_attrs[PARAMS] for t in failed
    ]


def test_the_pruner_compares_like_with_like(tmp_path: Path, judge: Arithmetic) -> None:
    asked = search(trials=25, seeds=2, pruner="median", rungs=(0.25,), sampler="random")
    make_trials(asked, Place(tmp_path / "study"), judge)
    trials = made(Place(tmp_path / "study"), asked)
    pruned = [t for t in trials if t.state == TrialState.PRUNED]
    assert pruned
    assert all(set(t.intermediate_values) <= {1, 2} for t in trials)
    for trial in pruned:
        last = max(trial.intermediate_values)
        others = [
            t.intermediate_values[last]
            for t in trials
            if t.number < trial.number and t.state == TrialState.COMPLETE
        ]
        assert trial.intermediate_values[last] < statistics.median(others)
    assert len(judge.calls()) < 25 * 3  # which was the point
    shares = {line.rpartition(" ")[2] for line in judge.calls()}
    assert shares == {"0.25", "1.0"}


def test_score_and_cost_have_a_front(tmp_path: Path, judge: Arithmetic) -> None:
    asked = search(trials=20, cost="flops")
    make_trials(asked, Place(tmp_path / "study"), judge)
    study = open_study(Place(tmp_path / "study"), asked)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(t.values[1] == t.params["depth"] for t in study.get_trials())
    assert study.best_trials


# --------------------------------------------------------------------------------------------------
# Disks and databases.


def test_a_full_disk_leaves_a_journal_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    journal = Journal(path)
    journal.append_logs([{"line": 1}])
    with path.open("ab") as file:
        file.write(b'{"line": 2, "torn')  # by a writer that was killed
    assert end_of_lines(path) == len('{"line":1}\n')
    journal.append_logs([{"line": 3}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"line": 1}, {"line": 3}]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount")
def test_on_a_full_disk_a_study_stops_and_goes_on_when_there_is_room(
    tmp_path: Path, judge: Arithmetic
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)])
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        place = Place(small / "study")
        make_trials(grid(seeds=1), place, judge)
        with (small / "ballast").open("wb", buffering=0) as ballast:
            while shutil.disk_usage(small).free:
                ballast.write(b"0" * 1024)
        with pytest.raises(OSError, match="No space left") as full:
            make_trials(grid(seeds=40), place, judge)
        assert full.value.errno == errno.ENOSPC
        assert str(full.value.filename) == str(place.journal)
        (small / "ballast").unlink()
        make_trials(grid(), place, judge)
        trials = made(place, grid())
        done = [t for t in trials if t.state == TrialState.COMPLETE]
        assert {(json.dumps(t.user_attrs[PARAMS]), t.user_attrs[SEEDS][0]) for t in done} >= {
            (json.dumps(cell), seed) for cell in grid().cells() for seed in range(2)
        }
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.fixture
def server() -> Iterator[Path]:
    """A PostgreSQL server's folder, with its socket in it; the server is stopped at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        pytest.skip("needs PostgreSQL's server (postgres, initdb, pg_ctl)")
    binaries = found[-1].parent if found else Path(str(on_path)).resolve().parent
    place = Path(tempfile.mkdtemp(prefix="pg"))  # short: the address of a socket has 107 characters
    (place / "binaries").symlink_to(binaries)
    if os.geteuid() == 0:
        shutil.chown(place, user_of_server())
    words = [*as_user(), str(binaries / "initdb"), "-D", str(place / "data"), "-A", "trust"]
    subprocess.run([*words, "-U", "suite"], check=True, capture_output=True)
    control(place, "start")
    yield place
    control(place, "stop")
    shutil.rmtree(place)


def user_of_server() -> str:
    """One who is not root, as whom PostgreSQL refuses to run."""
    known = subprocess.run(["id", "postgres"], capture_output=True).returncode == 0
    return "postgres" if known else "nobody"


def as_user() -> list[str]:
    """Words that run a command as that user, where this is root."""
    return ["setpriv", f"--reuid={user_of_server()}", "--clear-groups"] if os.geteuid() == 0 else []


def control(place: Path, what: Literal["start", "stop"]) -> None:
    """Start or stop the server."""
    how = {
        "start": ["-l", str(place / "log"), "-o", f"-k {place} -c listen_addresses= -c fsync=off"],
        "stop": ["-m", "fast"],
    }
    words = [str(place / "binaries" / "pg_ctl"), "-D", str(place / "data"), "-w", *how[what], what]
    subprocess.run([*as_user(), *words], check=True, capture_output=True)


def test_workers_share_a_study_in_postgresql_which_may_stop_and_start(
    tmp_path: Path, judge: Arithmetic, server: Path
) -> None:
    place = Place(tmp_path / "study", f"postgresql://suite@/postgres?host={server}")
    make_trials(grid(), place, judge, workers=2)
    before = made(place, grid())
    assert all(t.state == TrialState.COMPLETE for t in before)
    assert len(judge.calls()) == len(set(judge.calls())) == len(before)

    def stop_once(params: Params, seed: int) -> None:
        if seed == 3 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            control(server, "stop")

    interrupted = Before(judge, stop_once)
    with pytest.raises(StudyLost, match=r"does not answer.*type the same command to go on"):
        make_trials(grid(seeds=4), place, interrupted)
    with pytest.raises(StudyLost):
        make_trials(grid(seeds=4), place, judge)
    control(server, "start")
    make_trials(grid(seeds=4), place, interrupted)
    after = made(place, grid(seeds=4))
    assert after[: len(before)] == before
    assert [t.number for t in after] == list(range(2 * len(before)))
    assert all(t.state == TrialState.COMPLETE for t in after)


def test_an_address_that_is_none_is_refused(tmp_path: Path, judge: Arithmetic) -> None:
    with pytest.raises(UsageError, match="expected storage=postgresql://"):
        make_trials(grid(), Place(tmp_path, "sqlite:///study.db"), judge)


def test_a_password_is_not_told(tmp_path: Path) -> None:
    told = Place(tmp_path, "postgresql://suite:secret@host/database").spelt
    assert told == "postgresql://suite:***@host/database"


def test_ctrl_c_is_no_death_of_a_worker(tmp_path: Path, judge: Arithmetic) -> None:
    place = Place(tmp_path / "study")

    def interrupt(params: Params, seed: int) -> None:
        raise KeyboardInterrupt

    for _ in range(studies.MOST_TRIES + 2):
        with pytest.raises(KeyboardInterrupt):
            make_trials(grid(), place, Before(judge, interrupt))
    make_trials(grid(), place, judge)
    assert all(t.state == TrialState.COMPLETE for t in made(place, grid()))
