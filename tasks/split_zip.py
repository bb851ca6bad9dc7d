"""Split zips (.z01, .z02 ... .zip) as one archive that zipfile can read, without a joined copy.

A split zip is one zip cut at any byte; only its directory knows of the cuts: every entry is found by
the number of its segment and an offset there (APPNOTE.TXT 4.3-4.4, 8.5). So the segments are read one
after the other as they are, with the signature that opens the first, and the directory behind them is
replaced in memory by one whose offsets count from the beginning of the first segment: with zip64
fields, since a whole archive passes the 4 GiB that its segments stay below.
"""

from __future__ import annotations

import bisect
import io
import os
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.drawer import BadData

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ENTRY = struct.Struct("<4s6H3L5H2L")  # of the directory, before name, extra and comment
ENTRY_SIGNATURE = b"PK\x01\x02"
END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR = struct.Struct("<4sLQL")
LOCATOR_SIGNATURE = b"PK\x06\x07"
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF  # the value stands in a zip64 field
ZIP64 = 1  # the number of that extra field


def segments_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Archives by their last segment: ``a.zip`` -> ``a.z01, a.z02, a.zip``; others stand alone."""
    known = sorted(names)
    earlier = {name for name in known if re.search(r"\.z\d\d+$", name)}
    grouped = {}
    for name in known:
        if name in earlier:
            continue
        stem = name.removesuffix(".zip")
        mine = [part for part in earlier if re.fullmatch(re.escape(stem) + r"\.z\d+", part)]
        grouped[name] = [*sorted(mine, key=lambda part: int(part.rpartition(".z")[2])), name]
    lonely = earlier - {part for parts in grouped.values() for part in parts}
    if lonely:
        raise BadData(f"{min(lonely)} is one segment of a split zip whose .zip is not there.")
    return grouped


class Joined(io.RawIOBase):
    """Segments and a directory of its own behind them, as one readable and seekable file."""

    def __init__(self, segments: Sequence[Path]) -> None:
        self.files = [path.open("rb") for path in segments]
        self.starts = [0]
        for path in segments:
            self.starts.append(self.starts[-1] + path.stat().st_size)
        self.tail_at, self.tail = self.starts[-1], b""
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.tail_at + len(self.tail)}
        if base[whence] + offset < 0:
            raise OSError("a position before the beginning")
        self.position = base[whence] + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer across segments: zipfile takes a short answer for the end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (piece := self.piece(len(view) - filled)):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def piece(self, size: int) -> bytes:
        """At most ``size`` bytes from where we are, of one segment or of the directory."""
        if self.position >= self.tail_at:
            begin = self.position - self.tail_at
            found = self.tail[begin : begin + size]
        else:
            number = bisect.bisect_right(self.starts, self.position) - 1
            end = min(self.starts[number + 1], self.tail_at)
            self.files[number].seek(self.position - self.starts[number])
            found = self.files[number].read(min(size, end - self.position))
        self.position += len(found)
        return found

    def close(self) -> None:
        for file in self.files:
            file.close()
        super().close()

    def at(self, segment: int, offset: int, size: int) -> bytes:
        """``size`` bytes from an offset in a segment; they may run on into the next."""
        if segment >= len(self.files):
            raise BadData(f"segment {segment + 1} of {len(self.files)} is asked for")
        self.seek(self.starts[segment] + offset)
        return self.read(size) or b""


def join(segments: Sequence[Path]) -> Joined:
    """The segments, in order and the ``.zip`` last, as one file for ``zipfile.ZipFile``.

    Raises :class:`BadData` where a segment is missing or the directory cannot be read.
    """
    joined = Joined(segments)
    try:
        directory_at, tail = rebuilt_directory(joined, segments[-1].name)
    except (BadData, struct.error, IndexError) as error:
        joined.close()
        raise BadData(f"{segments[-1]}: not a split zip that can be joined ({error}).") from error
    joined.tail_at, joined.tail = directory_at, tail
    joined.seek(0)
    return joined


def rebuilt_directory(joined: Joined, name: str) -> tuple[int, bytes]:
    """Where the directory begins, counted from the first segment, and the directory without cuts."""
    last = len(joined.files) - 1
    size = joined.starts[-1] - joined.starts[-2]
    searched = min(size, END.size + FULL16)
    ending = joined.at(last, size - searched, searched)
    found = ending.rfind(END_SIGNATURE)
    if found < 0:
        raise BadData(f"{name} has no end-of-directory record: it is truncated")
    _, this, disk, _, count, length, offset, _ = END.unpack_from(ending, found)
    before = ending[max(0, found - LOCATOR.size) : found]
    if before[:4] == LOCATOR_SIGNATURE:
        _, where, at, disks = LOCATOR.unpack(before)
        record = END64.unpack(joined.at(where, at, END64.size))
        if record[0] != END64_SIGNATURE:
            raise BadData(f"{name} has no zip64 record where it should be")
        this, disk, count, length, offset = disks - 1, record[5], record[7], record[8], record[9]
    if this != last:
        raise BadData(f"{this + 1} segments belong together, {last + 1} are here")
    directory = joined.at(disk, offset, length)
    entries, position = [], 0
    for _ in range(count):
        entry, position = whole_entry(joined, directory, position)
        entries.append(entry)
    return joined.starts[disk] + offset, ended(b"".join(entries), count, joined.starts[disk] + offset)


def whole_entry(joined: Joined, directory: bytes, position: int) -> tuple[bytes, int]:
    """One entry of the directory with its offset counted from the first segment; where the next is."""
    fields = list(ENTRY.unpack_from(directory, position))
    if fields[0] != ENTRY_SIGNATURE:
        raise BadData("the directory is damaged")
    name_at = position + ENTRY.size
    extra_at = name_at + fields[10]
    comment_at = extra_at + fields[11]
    following = comment_at + fields[12]
    extra, long_fields = without_zip64(directory[extra_at:comment_at])
    packed, size, disk, offset = fields[8], fields[9], fields[13], fields[16]
    values = io.BytesIO(long_fields)  # in this order, only of what is full in the entry
    size = number(values, "<Q") if size == FULL32 else size
    packed = number(values, "<Q") if packed == FULL32 else packed
    offset = number(values, "<Q") if offset == FULL32 else offset
    disk = number(values, "<L") if disk == FULL16 else disk
    offset += joined.starts[disk]
    longer = b""
    for index, value in ((9, size), (8, packed), (16, offset)):
        fields[index] = min(value, FULL32)
        longer += struct.pack("<Q", value) if value >= FULL32 else b""
    fields[13] = 0
    if longer:
        extra = struct.pack("<2H", ZIP64, len(longer)) + longer + extra
    fields[11] = len(extra)
    rest = directory[name_at:extra_at], extra, directory[comment_at:following]
    return ENTRY.pack(*fields) + b"".join(rest), following


def number(values: io.BytesIO, layout: str) -> int:
    """The next value of a zip64 field."""
    (value,) = struct.unpack(layout, values.read(struct.calcsize(layout)))
    return int(value)


def without_zip64(extra: bytes) -> tuple[bytes, bytes]:
    """The extra fields of an entry but zip64's, and the contents of zip64's."""
    kept, long_fields, position = b"", b"", 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, position)
        field = extra[position : position + 4 + size]
        position += 4 + size
        if kind == ZIP64:
            long_fields = field[4:]
        else:
            kept += field
    return kept, long_fields


def ended(directory: bytes, count: int, at: int) -> bytes:
    """The directory with its end records, for one file without segments."""
    end = b""
    if count >= FULL16 or len(directory) >= FULL32 or at >= FULL32:
        record = (END64_SIGNATURE, END64.size - 12, 45, 45, 0, 0, count, count, len(directory), at)
        end += END64.pack(*record)
        end += LOCATOR.pack(LOCATOR_SIGNATURE, 0, at + len(directory), 1)
    few, short = min(count, FULL16), min(len(directory), FULL32)
    end += END.pack(END_SIGNATURE, 0, 0, few, few, short, min(at, FULL32), 0)
    return directory + end
