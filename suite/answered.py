"""Answers for a task's folds, kept until all are there: a killed probe goes on at its next fold."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from generators.drawer import BadData
from suite.embed import content_key
from suite.rows import write_atomically


@dataclass(frozen=True)
class Answer:
    """What a probe says of a fold's test clips, and what it chose: plain values."""

    scores: np.ndarray  # float16 (clips or frames, classes)
    selection: dict[str, Any]


@dataclass(frozen=True)
class KeptFolds:
    """Where answers of one probe for the ``folds`` of one task lie; where ``folder`` is None, nowhere.

    ``made_of`` holds the plain values that decide them: encoder, data, split, probe. The text of the
    probes' files counts too, so that no answer outlives the code that made it.
    """

    folder: Path | None = None
    folds: tuple[str, ...] = ()
    made_of: tuple[Any, ...] = ()

    def answer(self, fold: str, make: Callable[[], Answer]) -> Answer:
        """The answer that is there, or else the one that ``make`` gives, which is kept."""
        if self.folder is None:
            return make()
        path = self._path(fold)
        if (found := read(path)) is not None:
            return found
        made = make()
        selection, file = json.dumps(made.selection), io.BytesIO()
        np.savez(file, scores=made.scores, selection=selection)
        write_atomically(path, file.getvalue())
        return Answer(made.scores, json.loads(selection))  # as another sitting will read it

    @property
    def there(self) -> int:
        """How many of the folds are answered."""
        return sum(self._path(fold).exists() for fold in self.folds)

    def forget(self) -> None:
        """Remove the answers: the rows have them now."""
        for fold in self.folds:
            self._path(fold).unlink(missing_ok=True)

    def _path(self, fold: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{content_key([*self.made_of, code(), fold])}.npz"


NOWHERE = KeptFolds()


def read(path: Path) -> Answer | None:
    """A kept answer; None where there is none, or another process has just finished with it.

    Raises :class:`BadData` where it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Answer(arrays["scores"], json.loads(arrays["selection"].item()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise BadData(f"{path} cannot be read ({error}). Delete it and evaluate again.") from error


@lru_cache(maxsize=1)
def code() -> str:
    """A hash of the files that make answers."""
    here = Path(__file__).parent
    files = [*sorted((here / "probes").glob("*.py")), here / "clip_probe.py", here / "frame_probe.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
