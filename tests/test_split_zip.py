"""Split zips are read across their cuts, and a segment that is missing is named.

.venv/bin/python -m pytest tests/test_split_zip.py
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import fetch_server as web
import pytest

from tasks import BadData
from tasks.split_zip import FULL32, Joined, ended, join, segments_of
from tasks.unpacking import Limits, unpack

SIGNATURE = b"PK\x07\x08"  # opens the first segment (APPNOTE.TXT 8.5.3)
CONTENTS = {f"audio/{number}.wav": random.Random(number).randbytes(900) for number in range(9)}


def split(whole: bytes, folder: Path, size: int, *, zip64: bool = False) -> list[Path]:
    """Cut a zip into segments of ``size`` bytes as APPNOTE.TXT describes: what `zip -s` writes.

    Data are cut anywhere; entries of the directory count from their segment's beginning.
    """
    with zipfile.ZipFile(web.io.BytesIO(whole)) as archive:
        at = archive.start_dir
    end = struct.unpack("<4s4H2LH", whole[-22:])
    count = end[4]
    stream = SIGNATURE + whole[:at]
    directory, position = b"", at
    for _ in range(count):
        fields = list(struct.unpack_from("<4s6H3L5H2L", whole, position))
        tail = whole[position + 46 : position + 46 + sum(fields[10:13])]
        position += 46 + sum(fields[10:13])
        segment, offset = divmod(fields[16] + len(SIGNATURE), size)
        fields[13], fields[16] = segment, offset
        if zip64:  # everything in the long field, as a writer of large archives may do
            name, rest = tail[: fields[10]], tail[fields[10] :]
            long_field = struct.pack("<3QL", fields[9], fields[8], offset, segment)
            fields[8] = fields[9] = fields[16] = FULL32
            fields[13] = 0xFFFF
            fields[11] += 4 + len(long_field)
            tail = name + struct.pack("<2H", 1, len(long_field)) + long_field + rest
        directory += struct.pack("<4s6H3L5H2L", *fields) + tail
    starts, offset = divmod(len(stream), size)
    stream += directory
    last = len(stream) // size if not zip64 else (len(stream) + 76) // size
    if zip64:
        record = (b"PK\x06\x06", 44, 45, 45, last, starts, count, count, len(directory), offset)
        where = divmod(len(stream), size)
        stream += struct.pack("<4sQ2H2L4Q", *record)
        stream += struct.pack("<4sLQL", b"PK\x06\x07", where[0], where[1], last + 1)
        few = (0xFFFF, 0xFFFF, FULL32, FULL32)
        stream += struct.pack("<4s4H2LH", b"PK\x05\x06", 0xFFFF, 0xFFFF, *few, 0)
    else:
        record_ = (b"PK\x05\x06", last, starts, count, count, len(directory), offset, 0)
        stream += struct.pack("<4s4H2LH", *record_)
    pieces = [stream[begin : begin + size] for begin in range(0, last * size, size)]
    pieces.append(stream[last * size :])  # the end records are never cut
    names = [f"sound.z{number + 1:02}" for number in range(last)] + ["sound.zip"]
    paths = [folder / name for name in names]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    return paths


@pytest.mark.parametrize("zip64", [False, True], ids=["short fields", "zip64 fields"])
@pytest.mark.parametrize("size", [400, 1000, 2500, 7000], ids=lambda size: f"segments of {size}")
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_split_zip_is_read_whole(packing: int, size: int, zip64: bool, tmp_path: Path) -> None:
    segments = split(web.zipped(CONTENTS, packing), tmp_path, size, zip64=zip64)
    assert len(segments) > 1
    with join(segments) as joined, zipfile.ZipFile(joined) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
    unpack(segments, tmp_path / "out", Limits(size=10**6), lambda _: None)
    assert web.tree(tmp_path / "out") == CONTENTS


@pytest.mark.skipif(shutil.which("zip") is None, reason="zip is not installed")
def test_what_zip_itself_splits_is_read_whole(tmp_path: Path) -> None:
    inside = {f"sound/{number}.wav": random.Random(number).randbytes(70_000) for number in range(3)}
    for name, content in inside.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    command = ["zip", "-q", "-s", "64k", "-r", "sound.zip", "sound"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (grouped,) = segments_of(path.name for path in tmp_path.glob("sound.z*")).values()
    assert len(grouped) == 4
    unpack([tmp_path / name for name in grouped], tmp_path / "out", Limits(size=10**6), lambda _: None)
    assert web.tree(tmp_path / "out") == inside


def test_offsets_beyond_4_gib_are_written_as_zip64(tmp_path: Path) -> None:
    """What joining FSD50K needs: segments stay below the limit, the whole does not."""
    (segment,) = paths = [tmp_path / "hole.zip"]
    with segment.open("wb") as file:  # a hole takes no disk
        file.truncate(5 * 2**30)
    with Joined(paths) as joined:
        joined.tail_at = 5 * 2**30
        joined.tail = ended(b"", 0, joined.tail_at)
        assert b"PK\x06\x06" in joined.tail
        with zipfile.ZipFile(joined) as archive:
            assert archive.namelist() == []
            assert archive.start_dir == 5 * 2**30


def test_a_missing_segment_is_counted(tmp_path: Path) -> None:
    segments = split(web.zipped(CONTENTS), tmp_path, 2500)
    with pytest.raises(BadData, match="4 segments belong together, 3 are here"):
        join(segments[1:])
    segments[-1].write_bytes(segments[-1].read_bytes()[:-30])
    with pytest.raises(BadData, match="truncated"):
        join(segments)


def test_segments_find_each_other_by_their_names() -> None:
    names = ["a.zip", "a.z02", "a.z01", "b.zip", "c.tar.gz"]
    assert segments_of(names) == {
        "a.zip": ["a.z01", "a.z02", "a.zip"],
        "b.zip": ["b.zip"],
        "c.tar.gz": ["c.tar.gz"],
    }
    with pytest.raises(BadData, match=r"d.z01 is one segment"):
        segments_of(["d.z01"])
