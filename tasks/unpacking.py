"""Archives are unpacked as if an enemy had packed them: nothing outside, no links, no flood.

A member's name, kind, size and number are judged before a byte of it is written, and its permissions,
owner and times are not taken over.
"""

from __future__ import annotations

import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.drawer import BadData
from tasks.split_zip import join

CHUNK = 1 << 20
HARMLESS = 64_000_000  # bytes: so little may be packed as tightly as it likes


@dataclass(frozen=True)
class Limits:
    """What one archive may at most become."""

    size: int  # bytes
    members: int = 1_000_000
    ratio: float = 100.0  # unpacked bytes by packed bytes, above HARMLESS; sound reaches about 3


class Unpacker:
    """Writes the members of one archive below a folder, and refuses what does not belong there."""

    def __init__(
        self, name: str, packed: int, into: Path, limits: Limits, reached: Callable[[int], None]
    ) -> None:
        self.name, self.packed, self.into, self.limits = name, packed, into, limits
        self.reached = reached
        self.size = self.members = 0

    def announce(self, member: str, size: int) -> None:
        """Count a member before it is written; raises :class:`BadData` where it becomes too much."""
        self.size += size
        self.members += 1
        if self.members > self.limits.members:
            self.refuse(f"it holds more than {self.limits.members:,} files")
        if self.size > self.limits.size:
            self.refuse(f"it becomes larger than {self.limits.size / 1e9:.1f} GB, at {member!r}")
        if self.size > max(HARMLESS, self.limits.ratio * self.packed):
            self.refuse(
                f"it unpacks to more than {self.limits.ratio:.0f} times its size, at {member!r}"
            )

    def place(self, member: str) -> Path:
        """Where a member goes; raises :class:`BadData` for a name that leads outside."""
        parts = member.replace("\\", "/").split("/")
        absolute = parts[0] == "" or re.match(r"[A-Za-z]:", member)
        if absolute or ".." in parts or "\0" in member:
            self.refuse(f"its member {member!r} leads outside of the folder")
        return self.into.joinpath(*(part for part in parts if part not in ("", ".")))

    def folder(self, member: str) -> None:
        """Make a folder."""
        with self.clashes(member):
            self.place(member).mkdir(parents=True, exist_ok=True)

    def write(self, member: str, source: IO[bytes], size: int) -> None:
        """Write a file of ``size`` bytes."""
        path = self.place(member)
        with self.clashes(member):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        with file:
            left = size
            while left > 0 and (chunk := source.read(min(CHUNK, left))):
                file.write(chunk)
                left -= len(chunk)
            if left or source.read(1):
                self.refuse(f"its member {member!r} has another length than stated")
        self.reached(self.size)

    @contextmanager
    def clashes(self, member: str) -> Iterator[None]:
        """Two members of one name, or a file where a folder has to be, are refused."""
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            self.refuse(f"it holds {member!r} more than once")

    def refuse(self, reason: str) -> None:
        """Raise :class:`BadData`."""
        raise BadData(f"{self.name} is refused: {reason}. It is not the official archive.")


def unpack(
    segments: Sequence[Path], into: Path, limits: Limits, reached: Callable[[int], None]
) -> None:
    """Unpack one archive below ``into``; a split zip is given by its segments, in order, ``.zip`` last.

    ``reached`` is told the bytes written so far. Raises :class:`BadData` naming the member that is
    refused, or that the archive is damaged; what was written until then is the caller's to remove.
    """
    name = segments[-1].name
    packed = sum(path.stat().st_size for path in segments)
    unpacker = Unpacker(name, packed, into, limits, reached)
    into.mkdir(parents=True, exist_ok=True)
    damaged = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError)
    try:
        if name.endswith(".zip"):
            unpack_zip(segments, unpacker)
        elif name.endswith((".tar", ".tar.gz", ".tgz")):
            unpack_tar(segments[-1], unpacker)
        else:
            raise BadData(f"{name} is neither a .zip nor a .tar or .tar.gz.")
    except damaged as error:
        raise BadData(f"{name} is damaged ({error}).") from error


def unpack_zip(segments: Sequence[Path], unpacker: Unpacker) -> None:
    """The members of a zip, all of which are judged before the first is written."""
    with (
        join(segments) if len(segments) > 1 else segments[0].open("rb") as file,
        zipfile.ZipFile(file) as archive,
    ):
        members = archive.infolist()
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                unpacker.refuse(f"its member {member.filename!r} is a link or a device")
            if member.flag_bits & 1:
                unpacker.refuse(f"its member {member.filename!r} is encrypted")
            unpacker.place(member.filename)
            unpacker.announce(member.filename, member.file_size)
        unpacker.size = 0  # from here on: what is written
        for member in members:
            if member.is_dir():
                unpacker.folder(member.filename)
                continue
            unpacker.size += member.file_size
            with archive.open(member) as source:
                unpacker.write(member.filename, source, member.file_size)


def unpack_tar(path: Path, unpacker: Unpacker) -> None:
    """The members of a tar, compressed or not, each judged in its turn: a tar has no directory."""
    with tarfile.open(path, mode="r|*") as archive:
        for member in archive:
            unpacker.announce(member.name, member.size)
            if member.isdir():
                unpacker.folder(member.name)
                continue
            if not member.isreg() or member.issparse():
                unpacker.refuse(f"its member {member.name!r} is a link or a device")
            source = archive.extractfile(member)
            assert source is not None  # of a regular file
            with source:
                unpacker.write(member.name, source, member.size)


def remove(folder: Path) -> None:
    """Delete a folder where it is there."""
    if folder.exists():
        shutil.rmtree(folder)
