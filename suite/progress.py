"""One honest progress line per long job, rewritten in place on a terminal; and one line a warning."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from typing import TextIO

_plain = False  # several processes share the terminal: no line may be rewritten


def plainly() -> None:
    """Begin a worker process: plain lines, as several of them share a terminal, and plain warnings."""
    global _plain
    _plain = True
    warnings.showwarning = show_warning


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning for who typed the command: what it says, yellow on a terminal, and no code.

    It takes the place of ``warnings.showwarning``. Those of other sorts are for who writes code, and
    keep their place in it.
    """
    out = sys.stderr if file is None else file
    if not issubclass(category, UserWarning):
        print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=out)
    elif out.isatty():
        print(f"\r\x1b[2K\x1b[33mwarning: {message}\x1b[0m", file=out, flush=True)
    else:
        print(f"warning: {message}", file=out, flush=True)


class Progress:
    """Prints step, share, loss, learning rate, samples per second, wait for data and time left."""

    def __init__(self, title: str, steps: int, first: int, batch: int, *, show: bool = True) -> None:
        self.title, self.steps, self.first, self.batch = title, steps, first, batch
        self.show = show
        self.terminal = sys.stderr.isatty() and not _plain
        self.began = time.perf_counter()
        self.printed = self.began
        self.every = 0.5 if self.terminal else 15.0
        self.line = ""

    def update(
        self,
        step: int,
        _total: int | None = None,
        *,
        loss: float | None = None,
        rate: float | None = None,
        waited: float = 0.0,
    ) -> None:
        """Print at most twice a second on a terminal, four times a minute into a file."""
        now = time.perf_counter()
        if not self.show or (now - self.printed < self.every and step < self.steps):
            return
        elapsed = max(now - self.began, 1e-9)
        speed = (step - self.first) * self.batch / elapsed
        left = (self.steps - step) * self.batch / max(speed, 1e-9)
        parts = [f"{self.title}: {step}/{self.steps} ({100 * step / self.steps:.0f} %)"]
        if loss is not None:
            parts.append(f"loss {loss:.4f}")
        if rate is not None:
            parts.append(f"lr {rate:.2e}")
        parts.append(f"{speed:.0f} samples/s")
        if loss is not None:
            parts.append(f"waiting for data {100 * waited / elapsed:.0f} %")
        parts.append(f"{left / 60:.1f} min left")
        self.printed = now
        self.line = ", ".join(parts)
        if self.terminal:
            print(f"\r\x1b[2K{self.line}", end="", file=sys.stderr, flush=True)
        else:
            print(self.line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self.show and self.terminal and self.line:
            print(file=sys.stderr, flush=True)


class Transferred:
    """Prints how many bytes of a long transfer are done; any thread may tell."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty() and not _plain
        self.every = 0.5 if self.terminal else 15.0
        self.lock = threading.Lock()
        self.doing = ""
        self.first = 0
        self.began = self.printed = time.perf_counter()
        self.open = False  # a line that is rewritten has no end yet

    def say(self, line: str) -> None:
        """A sentence on a line of its own."""
        with self.lock:
            self.end()
            print(line, file=sys.stderr, flush=True)

    def reached(self, doing: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` bytes: twice a second on a terminal, else four times a minute."""
        with self.lock:
            now = time.perf_counter()
            if doing != self.doing or done < self.first:
                self.end()
                self.doing, self.first, self.began, self.printed = doing, done, now, now
            if now - self.printed < self.every:
                return
            self.printed = now
            speed = (done - self.first) / max(now - self.began, 1e-9)
            line = f"{doing}: {done / 1e6:,.0f} MB, {speed / 1e6:.1f} MB/s"
            if total:
                line = (
                    f"{doing}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB ({100 * done / total:.0f} %)"
                )
                line += (
                    f", {speed / 1e6:.1f} MB/s, {(total - done) / max(speed, 1.0) / 60:.1f} min left"
                )
            if self.terminal:
                print(f"\r\x1b[2K{line}", end="", file=sys.stderr, flush=True)
                self.open = True
            else:
                print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """End a line that was rewritten."""
        if self.open:
            print(file=sys.stderr, flush=True)
            self.open = False
