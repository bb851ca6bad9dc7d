"""Archives that an enemy packed are refused, and nothing is written outside.

.venv/bin/python -m pytest tests/test_unpacking.py
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import fetch_server as web
import pytest

from tasks import BadData
from tasks.unpacking import Limits, unpack

LIMITS = Limits(size=10**9)


def tarred(*members: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return packed.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, link
    return member


def attempt(packed: bytes, name: str, folder: Path, limits: Limits = LIMITS) -> Path:
    """Unpack below ``folder/in/out``; returns that."""
    path = folder / name
    path.write_bytes(packed)
    unpack([path], folder / "in" / "out", limits, lambda _: None)
    return folder / "in" / "out"


OUTSIDE = ["../stolen", "/stolen", "a/../../stolen", "..\\stolen", "C:\\stolen", "\\stolen"]


@pytest.mark.parametrize("member", OUTSIDE)
def test_a_name_that_leads_outside_is_refused(member: str, tmp_path: Path) -> None:
    for packed, name in ((web.zipped({member: b"x"}), "a.zip"), (tarred(entry(member)), "a.tar.gz")):
        with pytest.raises(BadData, match="leads outside"):
            attempt(packed, name, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "stolen" in path.name]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_of_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    packed = tarred(entry("fine.wav"), entry("link", kind, link="/etc"), entry("link/passwd", size=4))
    with pytest.raises(BadData, match="'link' is a link or a device"):
        attempt(packed, "a.tar.gz", tmp_path)


def test_links_and_encrypted_members_of_a_zip_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("fine.wav", b"x")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    with pytest.raises(BadData, match="link or a device"):
        attempt(packed.getvalue(), "a.zip", tmp_path)
    assert not [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
    locked = bytearray(web.zipped({"secret.wav": b"x"}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadData, match="encrypted"):
        attempt(bytes(locked), "b.zip", tmp_path)


def test_bombs_are_refused_by_ratio_by_size_and_by_number(tmp_path: Path) -> None:
    bomb = web.zipped({"zeros.wav": bytes(70_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(BadData, match="more than 100 times its size"):
        attempt(bomb, "a.zip", tmp_path)
    with pytest.raises(BadData, match="more than 100 times its size"):
        attempt(tarred(entry("zeros.wav", size=70_000_000)), "a.tar.gz", tmp_path)
    with pytest.raises(BadData, match="larger than"):
        attempt(tarred(entry("zeros.wav", size=2000)), "b.tar.gz", tmp_path, Limits(size=1000))
    many = web.zipped({f"{number}.wav": b"" for number in range(6)})
    with pytest.raises(BadData, match="more than 5 files"):
        attempt(many, "c.zip", tmp_path, Limits(size=1000, members=5))
    assert not [path for path in (tmp_path / "in").rglob("*") if path.is_file()]


def test_a_member_that_is_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    lying = bytearray(web.zipped({"a.wav": bytes(100)}, zipfile.ZIP_DEFLATED))
    at = lying.index(b"PK\x01\x02") + 24  # the size in the directory
    lying[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(BadData, match=r"damaged|another length"):
        attempt(bytes(lying), "a.zip", tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="more than once"):
        attempt(tarred(entry("a.wav"), entry("./a.wav")), "a.tar.gz", tmp_path)
    with pytest.raises(BadData, match="more than once"):
        attempt(tarred(entry("b"), entry("b/c.wav")), "b.tar.gz", tmp_path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_a_truncated_or_foreign_archive_is_damaged(name: str, tmp_path: Path) -> None:
    mode = "w:gz" if name.endswith("gz") else "w"
    whole = web.zipped({"a.wav": bytes(50_000)})
    if not name.endswith("zip"):
        whole = tarred(entry("a.wav", size=50_000), mode=mode)
    for packed in (whole[: len(whole) // 3], b"<html>", b""):
        with pytest.raises(BadData, match="damaged"):
            attempt(packed, name, tmp_path)
        remains = tmp_path / "in"
        for path in [path for path in remains.rglob("*") if path.is_file()]:
            path.unlink()
    with pytest.raises(BadData, match=r"neither a .zip"):
        attempt(b"", "a.rar", tmp_path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_honest_archive_comes_out_as_it_was_without_its_permissions(
    name: str, tmp_path: Path
) -> None:
    packed = web.zipped({"./a/b.wav": bytes(3000), "a/c.txt": b""})
    if name != "a.zip":
        run = entry("./a/b.wav", size=3000)
        run.mode = 0o6777
        mode = "w:gz" if name.endswith("gz") else "w"
        folders = entry("./", tarfile.DIRTYPE), entry("a/empty", tarfile.DIRTYPE)
        packed = tarred(*folders, run, entry("a/c.txt"), mode=mode)
    out = attempt(packed, name, tmp_path)
    assert web.tree(out) == {"a/b.wav": bytes(3000), "a/c.txt": b""}
    assert (out / "a/b.wav").stat().st_mode & 0o6111 == 0
