"""Optuna's journal file, safe against writers that die and disks that are full."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend


class Journal(JournalFileBackend):
    """A journal to which lines are added whole or not at all.

    A writer that was killed, or met a full disk, leaves the beginning of a line, to which the next one
    would add its own: the file could not be read any more.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._mutex = path, FileLock(f"{path}.mutex")
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add one line for each of ``logs``; OSError leaves the file as it was."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._mutex, self._path.open("r+b", buffering=0) as file:
            end = end_of_lines(self._path)
            file.seek(end)
            try:
                file.truncate()
                while lines:  # an unbuffered file takes what there is room for
                    lines = lines[file.write(lines) :]
                os.fsync(file.fileno())
            except OSError as error:
                os.truncate(self._path, end)
                error.filename = error.filename or str(self._path)
                raise


def end_of_lines(path: Path) -> int:
    """The position behind the last complete line of a file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(0, size - 4096)
            file.seek(start)
            found = file.read(size - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
    return 0
