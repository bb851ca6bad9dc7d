"""Interrupted equals uninterrupted, two ranks equal one, and failures name their cure.

.venv/bin/python -m pytest tests/test_pretrain.py
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import tiny_runs
import torch
from torch import Tensor

import generators
from generators.drawer import BadData, UsageError
from suite import checkpoint, cli, drawers
from suite.frontend import FrontEnd
from suite.pretrain import forget_after

ROOT = Path(__file__).resolve().parent.parent
STEPS = 240
TAUGHT_STEPS = 48  # of a run with a teacher
LONG = (f"scale.samples_seen={8 * STEPS}", "checkpoint_seconds=0", "log_every=1", "curve=[0.5]")


def weights(run: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(run / checkpoint.WEIGHTS)


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / checkpoint.METRICS).read_text().splitlines()]


def only_run(place: Path) -> Path:
    (run,) = (place / "runs").iterdir()
    return run


def start(place: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "suite", "pretrain", *tiny_runs.words(place), *LONG, *more]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(process: subprocess.Popen[str], place: Path, wanted: int) -> None:
    """Until metrics.jsonl has reached step ``wanted``, or the process has ended."""
    began = time.monotonic()
    while process.poll() is None:
        assert time.monotonic() - began < 120
        for path in (place / "runs").glob(f"*/{checkpoint.METRICS}"):
            if path.read_text().count("\n") >= wanted:
                return
        time.sleep(0.002)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the interrupted ones must equal, made in one sitting."""
    place = tmp_path_factory.mktemp("uninterrupted")
    assert cli.main(["pretrain", *tiny_runs.words(place), *LONG]) == 0
    return only_run(place)


def kill(place: Path, latest: int, *more: str) -> Path:
    """Start the run or go on with it, kill it 2 to ``latest`` steps further, and return its folder."""
    moments = random.Random()
    reached = sum(len(metrics(run)) for run in (place / "runs").glob("*"))
    wanted = reached + moments.randint(2, latest)
    process = start(place, *more)
    wait_for_step(process, place, wanted)
    time.sleep(moments.uniform(0.0, 0.02))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"finished before step {wanted}"
    run = only_run(place)
    assert not (run / checkpoint.DONE).exists()
    return run


def test_a_run_killed_three_times_has_the_bits_of_an_uninterrupted_one(
    uninterrupted: Path, tmp_path: Path
) -> None:
    for _ in range(3):
        run = kill(tmp_path, 60)
    assert cli.main(["pretrain", *tiny_runs.words(tmp_path), *LONG]) == 0
    for name in (checkpoint.WEIGHTS, checkpoint.FRONTEND, f"curve/{4 * STEPS}/weights.safetensors"):
        assert (run / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    assert [line["step"] for line in metrics(run)] == list(range(1, STEPS + 1))
    assert [line["loss"] for line in metrics(run)] == [line["loss"] for line in metrics(uninterrupted)]
    assert not (run / checkpoint.STATE).exists()


@pytest.mark.parametrize("objective", [name for name in drawers.objectives.names() if name != "mae"])
def test_a_killed_run_of_any_objective_has_the_bits_of_an_uninterrupted_one(
    objective: str, tmp_path: Path
) -> None:
    """With its teacher, and with what it learns from a frozen encoder; the runs above are mae's."""
    words = (f"objective={objective}", f"scale.samples_seen={8 * TAUGHT_STEPS}")
    run = kill(tmp_path / "killed", TAUGHT_STEPS // 4, *words)
    state = checkpoint.load_state(run)
    assert state is not None
    assert 0 < state["step"] < TAUGHT_STEPS
    whole = tmp_path / "whole"
    for place in (tmp_path / "killed", whole):
        typed = [*tiny_runs.words(place), *LONG, *words, "checkpoint_seconds=3600"]
        assert cli.main(["pretrain", *typed]) == 0
    expected = only_run(whole) / checkpoint.WEIGHTS
    assert (run / checkpoint.WEIGHTS).read_bytes() == expected.read_bytes()
    teacher = [name for name in state["objective"] if name.startswith("teacher.")]
    learnt = weights(run)
    assert any(not torch.equal(learnt[name], state["objective"][name]) for name in teacher)


def test_an_interrupt_saves_and_says_how_to_go_on(uninterrupted: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "checkpoint_seconds=3600")
    wait_for_step(process, tmp_path, 20)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    run = only_run(tmp_path)
    state = checkpoint.load_state(run)
    assert state is not None
    assert f"saved at step {state['step']}" in said
    assert "\n  sourcebench pretrain source=noise" in said
    assert "Traceback" not in said
    assert state["step"] == len(metrics(run)) >= 20
    assert cli.main(["pretrain", *tiny_runs.words(tmp_path), *LONG]) == 0
    assert (run / checkpoint.WEIGHTS).read_bytes() == (uninterrupted / checkpoint.WEIGHTS).read_bytes()


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    one = tiny_runs.run(tmp_path / "one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command = [
        *torchrun,
        "--master-port",
        str(20_000 + os.getpid() % 20_000),
        "-m",
        "suite",
        "pretrain",
    ]
    done = subprocess.run(
        [*command, *tiny_runs.words(tmp_path / "two")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    two = only_run(tmp_path / "two")
    assert two.name == one.name
    assert done.stdout.count("done: ") == 1  # rank 0 alone speaks
    alone, shared = weights(one), weights(two)
    assert alone.keys() == shared.keys()
    for name, values in alone.items():
        difference = (values - shared[name]).abs()
        if name.endswith("qkv.bias"):
            # A key's bias cancels in the softmax: its gradient is rounding, which AdamW scales up.
            difference = difference.unflatten(0, (3, -1))[[0, 2]]
        assert difference.max() < 1e-5, name


def test_ranks_stop_together_when_one_is_interrupted(tmp_path: Path) -> None:
    """SIGINT reaches the last rank alone; rank 0 saves the step both have finished."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    port = str(20_000 + (os.getpid() + 7_919) % 20_000)
    words = [*tiny_runs.words(tmp_path), *LONG, f"scale.samples_seen={8 * 20_000}"]
    process = subprocess.Popen(
        [*torchrun, "--master-port", port, "-m", "suite", "pretrain", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_step(process, tmp_path, 10)
    ranks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    last = int(ranks.read_text().split()[-1])
    os.kill(last, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    run = only_run(tmp_path)
    state = checkpoint.load_state(run)
    assert state is not None
    assert said.count(f"saved at step {state['step']};") == 2, said
    assert state["step"] == len(metrics(run)) >= 10


def test_re_typing_a_finished_run_does_nothing_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", *tiny_runs.words(tmp_path)]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("done: ")
    changed = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("already done: ")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == changed


def test_a_run_folder_is_complete(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path)
    assert (run / checkpoint.EXPERIMENT).read_text().startswith("# sourcebench pretrain")
    assert json.loads((run / checkpoint.ENVIRONMENT).read_text())["torch"] == torch.__version__
    cost = checkpoint.read_cost(run)
    assert (cost.steps, cost.samples_seen) == (8, 64)
    assert cost.parameters == 256 * 16 + 16 + 16 + (12 * 16 * 16 + 13 * 16) + 2 * 16
    assert cost.flops > 0
    assert cost.seconds > 0
    assert cost.peak_memory > 1e6
    assert all(math.isfinite(line["loss"]) for line in metrics(run))
    assert not list(run.rglob("*.part"))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    runs = [
        tiny_runs.run(tmp_path / place, f"seed={seed}")
        for place, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    files = [(run / checkpoint.WEIGHTS).read_bytes() for run in runs]
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_training_learns(tmp_path: Path) -> None:
    """Pictures have structure: their loss must fall."""
    run = tiny_runs.run(
        tmp_path,
        "source=dead_leaves",
        "objective.normalise_pixels=false",
        "scale.samples_seen=1600",
        "scale.learning_rate=3.0e-3",
    )
    losses = [line["loss"] for line in metrics(run)]
    assert sum(losses[-20:]) < 0.95 * sum(losses[:20])


@pytest.mark.parametrize("saved", [True, False])
def test_a_loss_that_is_no_number_names_the_cure(tmp_path: Path, saved: bool) -> None:
    more = ["scale.learning_rate=1.0e+30", "training.clip_norm=null", "training.warmup=0"]
    with pytest.raises(
        BadData, match=r"(?s)became .*scale\.learning_rate.*Last good checkpoint"
    ) as caught:
        tiny_runs.run(tmp_path, *more, checkpoint_seconds=0.0 if saved else 60.0)
    assert ("none yet" in str(caught.value)) is not saved
    assert not (only_run(tmp_path) / checkpoint.DONE).exists()


def test_a_broken_state_is_named(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path)
    (run / checkpoint.DONE).unlink()
    (run / checkpoint.STATE).write_bytes(b"PK not a checkpoint")
    with pytest.raises(BadData, match=r"state\.pt"):
        tiny_runs.run(tmp_path)


def test_fixed_statistics_stay_fixed_for_evaluation_behind_pictures(tmp_path: Path) -> None:
    """Pictures train by their own mean and deviation; sounds are judged by the front-end's."""
    fixed = ("frontend.statistics=fixed", "frontend.mean=-4.26", "frontend.std=4.56")
    for place, source in (("a", "dead_leaves"), ("b", "noise")):
        run = tiny_runs.run(tmp_path / place, f"source={source}", *fixed)
        frontend = FrontEnd(**checkpoint.read_json(run / checkpoint.FRONTEND))
        assert (frontend.mean, frontend.std) == (-4.26, 4.56)


def test_controls_are_made_in_a_moment(tmp_path: Path) -> None:
    untrained = tiny_runs.run(tmp_path, "control=untrained")
    assert checkpoint.read_cost(untrained).samples_seen == 0
    assert (untrained / checkpoint.WEIGHTS).exists()
    mel = tiny_runs.run(tmp_path, "control=mel_statistics")
    assert (mel / checkpoint.DONE).exists()
    assert not (mel / checkpoint.WEIGHTS).exists()


def test_an_untrained_encoder_is_the_trained_one_s_start(tmp_path: Path) -> None:
    untrained = weights(tiny_runs.run(tmp_path, "control=untrained"))
    trained = weights(tiny_runs.run(tmp_path, "scale.learning_rate=1.0e-12", "training.weight_decay=0"))
    for name, values in untrained.items():
        assert torch.allclose(values, trained[name], atol=1e-8), name


def test_a_source_renders_live_without_a_pool(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "pool=null")
    assert len(metrics(run)) == 8
    assert not (tmp_path / "cache" / "pools").exists()


def test_ranks_that_do_not_divide_the_batch_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from suite.pretrain import pretrain

    three = replace(tiny_runs.machine(), world=3)
    with pytest.raises(UsageError, match=r"scale\.batch=8 does not divide into 3"):
        pretrain(tiny_runs.experiment(), tiny_runs.places(tmp_path), three, command="x")


# ---------------------------------------------------------------------------------------------------
# Metrics, sources


def test_metrics_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    forget_after(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    forget_after(tmp_path / "none.jsonl", 2)


def test_sources_of_every_family_can_be_pretrained_on(tmp_path: Path) -> None:
    chosen = {
        entry.facts["family"]: name
        for name, entry in generators.catalogue.entries().items()
        if entry.facts["needs"] == "nothing" and entry.facts["speed"] == "fast"
    }
    assert len(chosen) >= 8
    for name in chosen.values():
        tiny_runs.run(tmp_path, f"source={name}", "scale.samples_seen=8", "pool=2")
