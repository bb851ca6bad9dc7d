"""Decoded sound on disk: many files as one flat array of 16-bit samples and an index, built once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from filelock import FileLock

from ..audio import content_hash, read_mono, resample
from ..drawer import BadData, DataMissing

CACHE_VERSION = 1  # raise when the same files decode to something else


@dataclass(frozen=True)
class Decoded:
    """A complete cache folder: every file's samples in one int16 array, one after the other."""

    folder: Path
    files: tuple[str, ...]
    hashes: tuple[str, ...]  # SHA-256 of the 16-bit PCM at the file's own rate (audio.content_hash)
    lengths: np.ndarray  # int64, samples at the cache's rate
    refused: tuple[str, ...]  # files that could not be used, with the reason

    @property
    def samples(self) -> np.ndarray:
        """int16 memory map of all samples; full scale is 32767."""
        return np.memmap(self.folder / "samples.int16", dtype="<i2", mode="r")


def decode_once(base: Path, names: list[str], rate: int, cache: Path, on_error: str) -> Decoded:
    """The decoded files from ``cache``, decoding them first where they are not there.

    The folder's name is a hash of the names, sizes and modification times, the rate and the version. It
    is written beside and renamed into place when complete; a lock lets one process write at a time.
    """
    key = hashlib.sha256(json.dumps([CACHE_VERSION, rate, str(base.resolve())]).encode())
    for name in names:
        path = base / name
        if not path.is_file():
            raise DataMissing(f"no sound file at {path}. Restore it, or take it off the list.")
        status = path.stat()
        key.update(json.dumps([name, status.st_size, status.st_mtime_ns]).encode())
    folder = cache / "recordings" / key.hexdigest()[:24]
    if not (folder / "index.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "index.json").is_file():
                decode(base, names, rate, folder)
    decoded = open_decoded(folder)
    judge(decoded, base, on_error)
    return decoded


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write in, renamed to ``folder`` at the end; the caller holds the lock."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    part.mkdir()
    yield part
    for path in part.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)  # damaged: it has no index
    part.replace(folder)


def decode(base: Path, names: list[str], rate: int, folder: Path) -> None:
    """Decode every file into ``folder``: ``samples.int16`` and ``index.json``."""
    entries: list[dict[str, Any]] = []
    refused: list[str] = []
    offset = 0
    with complete_folder(folder) as part:
        with (part / "samples.int16").open("wb") as out:
            for name in names:
                try:
                    sound, own_rate = read_mono(base / name)
                    refuse_truncated(base / name, len(sound))
                    digest = content_hash(sound)
                    sound = resample(sound, own_rate, rate)
                    if len(sound) == 0:
                        raise BadData(f"{base / name} is shorter than a sample at {rate} Hz.")
                except BadData as error:
                    refused.append(str(error))
                    continue
                pcm = np.round(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2")
                out.write(pcm.tobytes())
                status = (base / name).stat()
                entries.append(
                    {"file": name, "sha256": digest, "offset": offset, "length": len(pcm)}
                    | {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}
                )
                offset += len(pcm)
        index = {"version": CACHE_VERSION, "sample_rate": rate, "samples": offset}
        index_text = json.dumps({**index, "files": entries, "refused": refused}, indent=1)
        (part / "index.json").write_text(index_text, encoding="utf-8")


def refuse_truncated(path: Path, decoded: int) -> None:
    """Raise :class:`BadData` where a file ends before it says it does: libsndfile reads such files.

    ``decoded`` is the number of samples that were read. WAV and AIFF declare their size in bytes (0 or
    all ones where a stream's length was unknown), an Ogg stream flags its last page, the others
    declare their number of samples.
    """
    present = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(0, present - 65536))  # an Ogg page is shorter
        tail = file.read()
    if head[:4] in (b"RIFF", b"FORM"):
        declared = 8 + struct.unpack("<I" if head[:4] == b"RIFF" else ">I", head[4:])[0]
        # one byte may lack: some writers forget to pad an odd size
        truncated = 8 < declared < 0x7FFFFFFF and present < declared - 1
    elif head[:4] == b"OggS":
        page = tail.rfind(b"OggS")
        truncated = page < 0 or page + 5 >= len(tail) or not tail[page + 5] & 4
    else:
        # MP3 encoders pad by up to a few frames of 1152 samples
        truncated = decoded < soundfile.info(path).frames - 4 * 1152
    if truncated:
        raise BadData(f"{path} is truncated: it ends early. Fetch or convert the file again.")


def open_decoded(folder: Path) -> Decoded:
    """Read a cache folder's index; raises :class:`BadData` where samples are missing."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    size = (folder / "samples.int16").stat().st_size
    if size != 2 * index["samples"]:
        raise BadData(
            f"{folder} is damaged: {size} bytes of samples, expected {2 * index['samples']}. "
            f"Delete it and run again: rm -r {folder}"
        )
    entries = index["files"]
    return Decoded(
        folder=folder,
        files=tuple(entry["file"] for entry in entries),
        hashes=tuple(entry["sha256"] for entry in entries),
        lengths=np.array([entry["length"] for entry in entries], dtype=np.int64),
        refused=tuple(index["refused"]),
    )


def judge(decoded: Decoded, base: Path, on_error: str) -> None:
    """Refuse bad files, or warn once where they are to be skipped; names up to five, and the count."""
    bad = decoded.refused
    shown = "; ".join(bad[:5]) + ("; ..." if len(bad) > 5 else "")
    total = len(bad) + len(decoded.files)
    if bad and on_error == "refuse":
        raise BadData(
            f"{len(bad)} of {total} files below {base} cannot be used: {shown} "
            "Replace them, or leave them out with source.on_error=skip."
        )
    if not decoded.files:
        raise BadData(f"none of the {total} files below {base} can be used: {shown}")
    if bad:
        warnings.warn(f"{len(bad)} of {total} files below {base} are left out: {shown}", stacklevel=2)
