"""A pool on disk is complete or not there, whoever renders it, dies over it or removes it.

.venv/bin/python -m pytest tests/test_pools.py
"""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import generators
from generators.base import Source
from suite.frontend import FrontEnd
from suite.pools import open_pool, pool_path, remove_pool

ROOT = Path(__file__).resolve().parent.parent
FRONTEND = FrontEnd(frames=48)
NOISE = generators.create("noise", seconds=0.64)  # 65 frames


def test_a_reopened_pool_is_identical_and_not_rendered_again(tmp_path: Path) -> None:
    first = open_pool(tmp_path, NOISE, FRONTEND, 20)
    path = pool_path(tmp_path, NOISE, FRONTEND, 20)
    changed = path.stat().st_mtime_ns
    calls: list[tuple[int, int]] = []
    again = open_pool(tmp_path, NOISE, FRONTEND, 20, lambda done, size: calls.append((done, size)))
    assert np.array_equal(first.images, again.images)
    assert first.images.dtype == np.float16
    assert calls == []
    assert path.stat().st_mtime_ns == changed
    assert json.loads(path.with_suffix(".json").read_text())["source"] == "noise"


def test_a_pool_that_the_disk_cannot_hold_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"\.part'") as refused:
        open_pool(tmp_path, NOISE, FRONTEND, 20)
    assert refused.value.errno == errno.ENOSPC
    assert [path.suffix for path in (tmp_path / "pools").iterdir()] == [".lock"]


def test_a_pool_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    def name(source: Source, size: int = 8, frontend: FrontEnd = FRONTEND) -> str:
        return pool_path(tmp_path, source, frontend, size).name

    kaldi = FrontEnd(family="kaldi", bands=80, frames=48)
    names = {
        name(NOISE),
        name(NOISE, size=9),
        name(NOISE, frontend=kaldi),
        name(generators.create("noise", seconds=0.64, seed=1)),
        name(generators.create("noise", seconds=0.64, colour="pink")),
    }
    assert len(names) == 5
    assert name(NOISE, frontend=FrontEnd(frames=96, statistics="source")) == name(NOISE)


OPEN_A_POOL = """
import sys, time
from pathlib import Path
import generators
from suite.frontend import FrontEnd
from suite.pools import open_pool

def slowly(done, size):
    print(done, flush=True)
    time.sleep({pause})

source = generators.create("noise", seconds=0.64)
pool = open_pool(Path(sys.argv[1]), source, FrontEnd(frames=48), 64, slowly)
print("sum", float(pool.images.astype("float64").sum()), flush=True)
"""


def start(place: Path, pause: float) -> subprocess.Popen[str]:
    code = textwrap.dedent(OPEN_A_POOL.format(pause=pause))
    command = [sys.executable, "-c", code, str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_two_processes_open_one_pool_and_one_renders(tmp_path: Path) -> None:
    outputs = []
    for process in [start(tmp_path, 0.3), start(tmp_path, 0.3)]:
        outputs.append(process)
    said = [process.communicate(timeout=120)[0].split("\n") for process in outputs]
    assert [process.returncode for process in outputs] == [0, 0]
    rendered = [sum(line.isdigit() for line in lines) for lines in said]
    assert sorted(rendered) == [0, 4]
    sums = {line for lines in said for line in lines if line.startswith("sum")}
    assert len(sums) == 1


def test_a_killed_render_leaves_no_broken_pool(tmp_path: Path) -> None:
    process = start(tmp_path, 60.0)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "16"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not pool_path(tmp_path, NOISE, FRONTEND, 64).exists()
    began = time.monotonic()
    pool = open_pool(tmp_path, NOISE, FRONTEND, 64)
    assert time.monotonic() - began < 30  # the dead process holds no lock
    expected = FRONTEND.log_mel(NOISE.batch(torch.arange(64))).half().numpy()
    assert np.array_equal(pool.images, expected)
    assert [path.suffix for path in (tmp_path / "pools").glob("*.part")] == []


def test_a_removed_pool_is_read_to_its_end_and_rendered_anew_when_asked_for(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, NOISE, FRONTEND, 20)
    expected = np.array(pool.images)
    path = pool_path(tmp_path, NOISE, FRONTEND, 20)
    remove_pool(path)
    remove_pool(path)  # which another process was faster to do
    assert [left.suffix for left in (tmp_path / "pools").iterdir()] == [".lock"]
    assert np.array_equal(pool.images, expected)
    assert np.array_equal(open_pool(tmp_path, NOISE, FRONTEND, 20).images, expected)
