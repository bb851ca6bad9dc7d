"""What a download is made of: how long to wait, what is there already, and how it can end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.archives import Archive


class FetchFailed(Exception):
    """A data set could not be fetched; the message says why, and what to type."""

    exit_code = 1


class Unavailable(Exception):
    """This address does not give the file; another may."""


class Again(Exception):
    """The transfer broke off and may be taken up; ``after`` seconds where the server asked for them."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Stopped(Exception):
    """Somebody else failed or interrupted; what is there stays for the next time."""


def pause(stop: threading.Event, seconds: float) -> None:
    """Wait, but not for one who has gone."""
    stop.wait(seconds)


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, in seconds; tests wait less."""

    attempts: int = 8  # in a row that bring nothing new
    first: float = 1.0  # pause, doubled each time
    longest: float = 60.0
    most_asked: float = 900.0  # that a server may ask for
    timeout: float = 30.0  # without a byte
    wait: Callable[[threading.Event, float], None] = pause


@dataclass(frozen=True)
class Version:
    """Which version of a file the bytes of a ``.part`` are of."""

    url: str
    etag: str | None
    modified: str | None
    size: int | None

    @property
    def validator(self) -> str | None:
        """What If-Range accepts: a strong entity tag, or the date (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


@dataclass(frozen=True)
class Transfer:
    """One archive on its way from one address into one ``.part``."""

    archive: Archive
    url: str
    part: Path
    most: int  # bytes that are believed at most where no length is announced
    patience: Patience
    stop: threading.Event
    say: Callable[[str], None]
    reached: Callable[[int], None]  # bytes there so far

    @property
    def note(self) -> Path:
        """Beside the ``.part``: its version."""
        return self.part.with_name(f"{self.part.name}.json")

    def here(self) -> int:
        """Bytes in the ``.part``."""
        return self.part.stat().st_size if self.part.exists() else 0

    def version(self) -> Version | None:
        """Which version they are of; None where nothing readable says so: then it begins anew."""
        try:
            return Version(**json.loads(self.note.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def begin(self, version: Version) -> None:
        """An empty ``.part``, and only then its version: never old bytes under a new one's name."""
        self.part.write_bytes(b"")
        fresh = self.note.with_name(f"{self.note.name}.new")
        fresh.write_text(json.dumps(asdict(version)), encoding="utf-8")
        fresh.replace(self.note)

    def forget(self) -> None:
        """Begin anew."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
