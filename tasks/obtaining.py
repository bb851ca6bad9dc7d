"""The archives of a data set, complete and verified: downloaded two at once, or taken from a folder."""

from __future__ import annotations

import hashlib
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tasks.archives import Archive, DataSet
from tasks.download import download
from tasks.drawer import BadData, DataMissing, UsageError
from tasks.transfer import FetchFailed, Patience, Stopped, Transfer, Unavailable

CONNECTIONS = 2  # at once; hosts ban who opens more (spec evaluation.md 6)
LENGTHS = {"md5": 32, "sha256": 64}  # digits of a checksum


class Listener(Protocol):
    """Who is told what happens."""

    def say(self, line: str) -> None:
        """A sentence."""

    def reached(self, doing: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` bytes; called often, and from several threads."""


@dataclass(frozen=True)
class Wishes:
    """How to fetch."""

    mirrors: tuple[str, ...] = ()  # addresses of folders that hold the archives; tried first
    offline: Path | None = None  # the archives are in this folder: no network
    checksums: tuple[str, ...] = ()  # for archives without a pinned one; each must have one of these
    keep: bool = False  # the archives, when they are unpacked
    patience: Patience = field(default_factory=Patience)


def check_wishes(data_sets: list[DataSet], wishes: Wishes) -> None:
    """Raises :class:`UsageError` for what cannot be meant."""
    for checksum in wishes.checksums:
        kind, _, digest = checksum.partition(":")
        if LENGTHS.get(kind) != len(digest) or set(digest) - set("0123456789abcdef"):
            raise UsageError(
                f"checksum={checksum!r} is not md5: and 32, or sha256: and 64 digits of 0-9 and a-f. "
                "For example checksum=[md5:7771e4b9d86d0945acce719c7a59305a]."
            )
    archives = [archive for data_set in data_sets for archive in data_set.archives]
    if wishes.checksums and not any(open_to_checksums(archive) for archive in archives):
        raise UsageError("checksum= is not needed: every archive asked for has a pinned checksum.")
    for mirror in wishes.mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise UsageError(
                f"mirror={mirror!r} does not begin with http:// or https://. Archives in a folder of "
                "this machine are taken by from=FOLDER."
            )
    if wishes.offline is not None and not wishes.offline.is_dir():
        raise DataMissing(
            f"from={wishes.offline}: there is no such folder. Say where the archives are."
        )


def found_in(folder: Path, archive: Archive) -> Path:
    """An archive in a folder, by its name here or by that of its address (master.zip)."""
    names = [archive.name, *(url.rpartition("/")[2] for url in archive.urls)]
    return next((folder / name for name in names if (folder / name).is_file()), folder / archive.name)


def open_to_checksums(archive: Archive) -> bool:
    """Whether a checksum that the user gives counts: none is pinned, or it is of a former packing."""
    return not archive.digests or archive.regenerated


# ---------------------------------------------------------------------------------------------------
# Verifying


def measure(path: Path, archive: Archive, wishes: Wishes) -> dict[str, str]:
    """The checksums of a file, by kind: those to compare, and sha256 where there are none."""
    kinds = {digest.partition(":")[0] for digest in archive.digests}
    if open_to_checksums(archive):
        kinds |= {checksum.partition(":")[0] for checksum in wishes.checksums}
    kinds = kinds or {"sha256"}
    hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in sorted(kinds)}
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            for running in hashes.values():
                running.update(chunk)
    return {kind: running.hexdigest() for kind, running in hashes.items()}


def wrong(archive: Archive, measured: dict[str, str], wishes: Wishes, listener: Listener) -> str:
    """What is wrong with a file of these checksums; "" where it may be unpacked.

    Without any checksum the measured one is told, so that it can be insisted on the next time.
    """
    has = {f"{kind}:{digest}" for kind, digest in measured.items()}
    if wishes.checksums and open_to_checksums(archive):
        right = has & set(wishes.checksums)
        return "" if right else f"it has {', '.join(sorted(has))}, expected one of checksum="
    missed = [digest for digest in archive.digests if digest not in has]
    if not archive.digests:
        listener.say(
            f"{archive.name}: no checksum of it is published here, so only its contents are checked. "
            f"It has {', '.join(sorted(has))}; type checksum=[...] with it to insist on it elsewhere."
        )
    elif missed and archive.regenerated:
        listener.say(
            f"{archive.name}: its host has packed it anew ({', '.join(sorted(has))}, once "
            f"{missed[0]}); its contents decide"
        )
    elif missed:
        return f"it has {', '.join(sorted(has))}, expected {', '.join(missed)}"
    return ""


# ---------------------------------------------------------------------------------------------------
# Obtaining


def obtain(
    data_set: DataSet, folder: Path, wishes: Wishes, listener: Listener
) -> dict[str, dict[str, str]]:
    """All archives below ``folder`` (or ``wishes.offline``); returns the checksums by archive.

    Raises the first failure; the others then stop at their next byte and keep what they have.
    """
    if wishes.offline is not None:
        return verified_offline(data_set, wishes.offline, wishes, listener)
    folder.mkdir(parents=True, exist_ok=True)
    waiting: queue.SimpleQueue[Archive] = queue.SimpleQueue()
    for archive in data_set.archives:
        waiting.put(archive)
    crew = Crew(data_set, folder, wishes, listener)
    # Daemons: an interrupt need not wait for a connection that is silent.
    threads = [
        threading.Thread(target=crew.work, args=(waiting,), daemon=True) for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # so that an interrupt is heard
    finally:
        crew.stop.set()
    if crew.failures:
        raise crew.failures[0]
    return {archive.name: crew.measured[archive.name] for archive in data_set.archives}


class Crew:
    """What the threads of one data set share."""

    def __init__(self, data_set: DataSet, folder: Path, wishes: Wishes, listener: Listener) -> None:
        self.data_set, self.folder, self.wishes, self.listener = data_set, folder, wishes, listener
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.failures: list[Exception] = []
        self.measured: dict[str, dict[str, str]] = {}
        self.bytes: dict[str, int] = {}

    def work(self, waiting: queue.SimpleQueue[Archive]) -> None:
        """Obtain archives until none waits or somebody failed."""
        try:
            while not self.stop.is_set():
                archive = waiting.get_nowait()
                self.measured[archive.name] = self.one(archive)
        except queue.Empty:
            return
        except Stopped:
            return
        except Exception as error:  # handed to the thread that waits for us
            self.failures.append(error)
            self.stop.set()

    def reached(self, archive: Archive, size: int) -> None:
        """Tell how far all archives are together."""
        with self.lock:
            self.bytes[archive.name] = size
            done = sum(self.bytes.values())
        total = self.data_set.download if self.data_set.exact else None
        self.listener.reached(f"downloading {self.data_set.name}", done, total)

    def one(self, archive: Archive) -> dict[str, str]:
        """One archive, from the first address that gives it; returns its checksums."""
        path = self.folder / archive.name
        if path.exists():  # of an earlier call; the disk may have changed it since
            measured = measure(path, archive, self.wishes)
            if not wrong(archive, measured, self.wishes, self.listener):
                self.reached(archive, path.stat().st_size)
                return measured
            path.unlink()
        mirrors = [f"{mirror.rstrip('/')}/{archive.name}" for mirror in self.wishes.mirrors]
        reasons = []
        for url in (*mirrors, *archive.urls):
            try:
                return self.from_address(archive, url, path)
            except (Unavailable, BadData) as error:
                self.listener.say(f"{archive.name}: not from {url}: {error}")
                reasons.append(f"{url}: {error}")
        raise FetchFailed(
            f"{archive.name} could not be fetched.\n  "
            + "\n  ".join(reasons)
            + "\nType it again later to go on; or name another place, mirror=https://HOST/FOLDER; or "
            f"download it by other means and type from=FOLDER. About it: {self.data_set.page}"
        )

    def from_address(self, archive: Archive, url: str, path: Path) -> dict[str, str]:
        """Download and verify; bytes that were taken up and came out wrong are fetched once anew."""
        part = path.with_name(f"{path.name}.part")
        most = archive.size or 2 * self.data_set.download + 10**8
        transfer = Transfer(
            archive=archive,
            url=url,
            part=part,
            most=most,
            patience=self.wishes.patience,
            stop=self.stop,
            say=self.listener.say,
            reached=lambda size: self.reached(archive, size),
        )
        for anew in (False, True):
            download(transfer)
            measured = measure(part, archive, self.wishes)
            problem = wrong(archive, measured, self.wishes, self.listener)
            if not problem:
                part.replace(path)
                transfer.forget()
                return measured
            transfer.forget()
            if not anew:
                self.listener.say(
                    f"{archive.name}: wrong checksum, {problem}; once more from the start"
                )
        raise BadData(f"wrong checksum: {problem}")


def verified_offline(
    data_set: DataSet, folder: Path, wishes: Wishes, listener: Listener
) -> dict[str, dict[str, str]]:
    """The archives of a folder of the user's, which are read only; returns their checksums."""
    paths = {archive: found_in(folder, archive) for archive in data_set.archives}
    missing = [archive for archive, path in paths.items() if not path.is_file()]
    if missing:
        raise DataMissing(
            f"from={folder}: {', '.join(archive.name for archive in missing)} not there "
            f"({len(missing)} of {len(paths)} archives of {data_set.name}). "
            f"Download from {missing[0].urls[0]} and type it again."
        )
    measured = {}
    for archive, path in paths.items():
        measured[archive.name] = measure(path, archive, wishes)
        problem = wrong(archive, measured[archive.name], wishes, listener)
        if problem:
            raise BadData(
                f"{path} is not the official archive: {problem}. It is incomplete or changed: download "
                f"it again from {archive.urls[0]}."
            )
    return measured
