"""Killed at any moment, a fetch goes on to identical files; two at once wait for each other.

.venv/bin/python -m pytest tests/test_fetch_interrupted.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fetch_server as web
import pytest

from tasks import fetch as fetching
from tasks.obtaining import Wishes

ROOT = Path(__file__).resolve().parent.parent

# Fetches, and stands still at a moment that it announces until it is killed or a line comes in.
PROGRAM = """
import sys
from pathlib import Path
import fetch_server as web
from tasks import fetch as fetching
from tasks.obtaining import Wishes

moment, address, data = sys.argv[1:]

def stand_still():
    print("there", flush=True)
    sys.stdin.readline()

class Listener(web.Heard):
    def reached(self, doing, done, total):
        if doing.startswith(moment) and done >= 5000:
            stand_still()

def inspect(data_set, folder):
    if moment == "renaming":
        stand_still()

fetching.fetch([web.birds(address)], Path(data), Wishes(), Listener(), inspect)
"""


@pytest.fixture
def site() -> Iterator[web.Site]:
    with web.serving({"birds.zip": web.BIRDS}) as opened:
        yield opened


def standing(moment: str, site: web.Site, data: Path) -> subprocess.Popen[str]:
    """A process that stands still at ``moment``."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, moment, site.address, str(data)],
        env={**os.environ, "PYTHONPATH": path, "no_proxy": "127.0.0.1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


@pytest.mark.parametrize("moment", ["downloading", "unpacking", "renaming"])
def test_a_fetch_that_was_killed_goes_on_to_identical_files(
    moment: str, site: web.Site, tmp_path: Path
) -> None:
    process = standing(moment, site, tmp_path)
    process.kill()
    process.communicate()
    assert not (tmp_path / "birds").exists(), "a name says that a data set is complete"
    asked = len(site.requests)
    fetching.fetch([web.birds(site.address)], tmp_path, Wishes(), web.Heard())
    assert web.tree(tmp_path / "birds") == web.OFFICIAL
    assert not (tmp_path / ".fetch" / "birds").exists()
    if moment != "downloading":
        assert len(site.requests) == asked, "what was verified is not downloaded again"


def test_a_second_process_waits_and_finds_everything_done(site: web.Site, tmp_path: Path) -> None:
    first = standing("renaming", site, tmp_path)
    heard = web.Heard()
    arguments = ([web.birds(site.address)], tmp_path, Wishes(), heard)
    second = threading.Thread(target=fetching.fetch, args=arguments)
    second.start()
    deadline = time.monotonic() + 10
    while "another fetch is at work" not in heard.said and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "another fetch is at work" in heard.said
    assert second.is_alive()
    first.communicate("go on\n", timeout=10)
    second.join(timeout=10)
    assert first.returncode == 0
    assert "already there" in heard.said
    assert len(site.requests) == 1
    assert web.tree(tmp_path / "birds") == web.OFFICIAL


def test_an_interrupt_keeps_what_came(
    site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Impatient(web.Heard):
        def say(self, line: str) -> None:
            super().say(line)
            os.kill(os.getpid(), signal.SIGINT)

    site.tricks += [web.cut_after(700)]
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch([web.birds(site.address)], tmp_path, Wishes(), Impatient())
    part = tmp_path / ".fetch" / "birds" / "archives" / "birds.zip.part"
    assert part.stat().st_size == 700
    fetching.fetch([web.birds(site.address)], tmp_path, Wishes(), web.Heard())
    assert site.ranges() == [None, "bytes=700-"]
    assert web.tree(tmp_path / "birds") == web.OFFICIAL
