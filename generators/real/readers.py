"""Processes that decode sound files for this one: they answer in their own time, nobody waits for them.

A reader is a plain child process that is told on its standard input what to decode, one line a request,
and answers on its standard output: a line, then the samples. It ends when its input ends, so none is
left behind by a process that was killed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..audio import BrokenSound
from ..drawer import DataMissing
from .decoding import Crop, Sound, decode, decode_crop

PACKAGE = Path(__file__).resolve().parent.parent  # of the library
CODE = f"from {__name__} import serve; serve()"


def cores() -> int:
    """Processor cores for this process: those it may use, shared among the ranks of one machine."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class Readers:
    """``workers`` child processes and a thread of this process for each, all started when needed."""

    def __init__(self, workers: int) -> None:
        self.requests: queue.SimpleQueue[tuple[Future[Sound], Path, dict[str, Any]] | None]
        self.requests = queue.SimpleQueue()
        self.workers = workers
        for _ in range(workers):
            # The thread knows the queue and not this object, so that this object can be forgotten.
            threading.Thread(target=attend, args=(self.requests,), daemon=True).start()

    def whole(self, path: Path, rate: int) -> Future[Sound]:
        """:func:`decode` in a child process."""
        return self.submit(path, {"path": str(path), "rate": rate})

    def crop(self, path: Path, crop: Crop, hashed: list[int]) -> Future[Sound]:
        """:func:`decode_crop` in a child process."""
        return self.submit(path, {"path": str(path), "crop": vars(crop), "hashed": hashed})

    def submit(self, path: Path, request: dict[str, Any]) -> Future[Sound]:
        """Queue a request; its future raises what decoding raises here."""
        answer: Future[Sound] = Future()
        self.requests.put((answer, path, request))
        return answer

    def close(self) -> None:
        """Let the children go as soon as they have answered; what still waits is cancelled."""
        while not self.requests.empty():
            try:
                waiting = self.requests.get_nowait()
            except queue.Empty:  # a thread was faster
                break
            if waiting is not None:
                waiting[0].cancel()
        for _ in range(self.workers):
            self.requests.put(None)


def attend(requests: queue.SimpleQueue[Any]) -> None:
    """One thread: pass requests to a child and its answers back, until None is asked for."""
    child: subprocess.Popen[bytes] | None = None
    while (request := requests.get()) is not None:
        answer, path, what = request
        if not answer.set_running_or_notify_cancel():
            continue
        try:
            if child is None or child.poll() is not None:
                child = start()
            answer.set_result(ask(child, path, what))
        except Exception as error:  # whatever it is belongs to who asked
            answer.set_exception(error)
    if child is not None and child.stdin is not None and child.stdout is not None:
        child.stdin.close()
        child.stdout.close()
        child.wait()


def start() -> subprocess.Popen[bytes]:
    """A new child; it imports the same library as this process, whatever the current folder holds."""
    library = str(PACKAGE.parent)
    places = [library, *(place for place in sys.path if place and place != library)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )


def ask(child: subprocess.Popen[bytes], path: Path, request: dict[str, Any]) -> Sound:
    """One request and its answer; raises what decoding raised there."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
        line = child.stdout.readline()
    except BrokenPipeError:
        line = b""
    if not line.endswith(b"\n"):
        child.wait()
        raise BrokenSound(path, f"ended the process that decoded it (exit status {child.returncode})")
    answer = json.loads(line)
    if "fault" in answer:
        raise BrokenSound(path, answer["fault"])
    if "missing" in answer:
        raise DataMissing(answer["missing"])
    pcm = np.empty(answer["samples"], dtype="<i2")
    view, done = memoryview(pcm.view(np.uint8)), 0  # type: ignore[arg-type]
    while done < len(view):
        # readinto may give less than asked for, and 0 where the child died
        count = child.stdout.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise BrokenSound(path, "ended the process that decoded it, in the middle of the answer")
        done += count
    return Sound(pcm, answer["digest"])


# ---------------------------------------------------------------------------------------------------
# In the child process.


def serve() -> None:
    """Answer requests until there are no more. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers: IO[bytes] = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a decoder that prints must not print into the answers
    for line in sys.stdin.buffer:
        try:
            head, samples = respond(json.loads(line))
            answers.write(json.dumps(head).encode() + b"\n")
            answers.write(samples)
            answers.flush()
        except BrokenPipeError:  # the parent is gone, and with it whoever asked
            os._exit(0)


def respond(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The line and the samples that answer a request."""
    path = Path(request["path"])
    try:
        if "crop" in request:
            sound = decode_crop(path, Crop(**request["crop"]), request["hashed"])
        else:
            sound = decode(path, request["rate"])
    except BrokenSound as error:
        return {"fault": error.fault}, b""
    except DataMissing as error:
        return {"missing": str(error)}, b""
    except Exception as error:  # no file may end the process that decodes the others
        return {"fault": f"cannot be decoded ({type(error).__name__}: {error})"}, b""
    return {"samples": len(sound.pcm), "digest": sound.digest}, sound.pcm.tobytes()
