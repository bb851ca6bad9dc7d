"""What all recordings share: clips drawn from a list of files, from a cache or decoded ahead."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import BadData, UsageError
from .decoding import FULL_SCALE, Crop, Short, content_hash_of, header, resampled_length
from .reading import Files, Reading, tested_message
from .sound_cache import Decoded, decode_once

DECODED_VERSION = 1  # raise when the same files give other samples


@dataclass(kw_only=True)
class Crops(Source):
    """The fields of sources of recordings, and how a clip is drawn and read."""

    seconds: float = 10.24
    sample_rate: int = 16000
    cache: Path = Path("cache")
    weighting: Literal["file", "duration"] = "file"
    short: Short = "tile"
    on_error: Literal["refuse", "skip"] = "refuse"
    decode: Literal["once", "ahead"] = "once"
    workers: int | None = None

    @property
    @abstractmethod
    def files(self) -> Files:
        """The list of files."""

    def check_fields(self) -> None:
        """Raise :class:`UsageError` for fields that no recording can have."""
        if round(self.seconds * self.sample_rate) < 1:
            raise UsageError(f"source.seconds={self.seconds} is no clip. Set it to 10.24, for example.")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers={self.workers}: expected at least 1, or None for all cores.")

    @cached_property
    def decoded(self) -> Decoded:
        """The cache of ``decode="once"``, built at first use."""
        files, cache = self.files, Path(self.cache)
        names = files.names()
        return decode_once(files.base, names, self.sample_rate, cache, self.on_error, self.workers)

    @cached_property
    def reading(self) -> Reading:
        """What decodes files for ``decode="ahead"``."""
        return Reading(self.files, self.on_error, self.workers)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Samples of each file at ``sample_rate``, int64 ``(files,)``: 0 where it cannot be used.

        With ``decode="ahead"`` they are what the files' headers or the list say.
        """
        return self.decoded.lengths if self.decode == "once" else self.files.lengths(self.sample_rate)

    @cached_property
    def _ends(self) -> Tensor:
        return torch.from_numpy(self.lengths).cumsum(0)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Number of the file, int64, and place in it, float64 in [0, 1): ``(B,)`` each."""
        draws = Draws(self.seed, indices)
        if self.weighting == "file":
            chosen = draws.integers("file", 0, len(self.files) - 1)
        else:
            at = (draws.uniform("file") * int(self._ends[-1])).long()
            chosen = torch.searchsorted(self._ends, at, right=True)
        return {"file": chosen, "place": draws.uniform("offset")}

    def wanted(self, parameters: dict[str, Tensor]) -> Iterator[tuple[int, Crop]]:
        """File and crop of each sample."""
        clip = round(self.seconds * self.sample_rate)
        pairs = zip(parameters["file"].tolist(), parameters["place"].tolist(), strict=True)
        for number, place in pairs:
            yield number, Crop(self.sample_rate, clip, place, self.short)

    def expect(self, indices: Tensor | list[int]) -> None:
        """Start to decode samples ``indices`` in other processes, where they are decoded ahead."""
        if self.decode == "ahead":
            self.reading.expect(self.wanted(self.parameters(self.distinct(indices))))

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Clips ``(B, samples)`` in [-1, 1], float32 on ``device``."""
        sounds = self.decoded if self.decode == "once" else self.reading
        clips = (sounds.clip(number, crop) for number, crop in self.wanted(parameters))
        shape = len(parameters["file"]), round(self.seconds * self.sample_rate)
        if device.type == "cpu":
            out = np.empty(shape, dtype=np.float32)
            for row, clip in zip(out, clips, strict=True):
                np.divide(clip, FULL_SCALE, out=row, dtype=np.float32)
            return torch.from_numpy(out)
        whole = np.empty(shape, dtype=np.int16)  # half the bytes to pass to the device
        for number, clip in enumerate(clips):
            whole[number] = clip
        return torch.from_numpy(whole).to(device).float().div_(float(FULL_SCALE))

    def place(self, index: int) -> tuple[int, float]:
        """The file of sample ``index``, and where its clip starts there in seconds.

        For a file shorter than the clip, its phase when it is tiled and minus its place in the clip
        when it is padded. With ``on_error="skip"`` the file is the one that stands in.
        """
        ((number, crop),) = self.wanted(self.parameters(self.distinct([index])))
        if self.decode == "once":
            number = int(self.decoded.stand_in[number])
            return number, crop.start(int(self.lengths[number])) / self.sample_rate
        self.reading.clip(number, crop)
        while self.files.name(number) in self.reading.faults:
            number = (number + 1) % len(self.files)
        frames, own_rate = header(self.files.base / self.files.name(number))
        length = resampled_length(frames, own_rate, self.sample_rate)
        return number, crop.start(length) / self.sample_rate

    # ------------------------------------------------------------------------------------------------
    # What is in the files.

    def facts(self) -> dict[str, Any]:
        """What a run should remember: how many files there are, and what was wrong with which."""
        faults = self.decoded.faults if self.decode == "once" else self.reading.faults
        return {"source": self.name, "files": len(self.files), "unusable": dict(faults)}

    @property
    def content_hashes(self) -> list[tuple[str, str]]:
        """(file, SHA-256 of its decoded sound) of every file that can be used; decodes them all."""
        pairs = zip(self.decoded.files, self.decoded.hashes, strict=True)
        return [(name, digest) for name, digest in pairs if digest]

    def without_places(self, *places: str) -> dict[str, Any]:
        """The identity with a hash of the sounds, or of their list where they are decoded ahead.

        It takes the place of the fields ``places`` and of those that say how files are read.
        """
        values = super().identity()
        for key in (*places, "cache", "on_error", "decode", "workers"):
            values.pop(key)
        if self.decode == "once":
            content = hashlib.sha256("\n".join(self.decoded.hashes).encode()).hexdigest()
        else:
            content = self.files.fingerprint()
        return {**values, "content": content, "cache_version": DECODED_VERSION}

    def refuse_tested(self, tested: Mapping[str, str], lengths: tuple[int, ...], samples: int) -> int:
        """Refuse sounds that a task tests, by content hash; returns how many files were compared now.

        ``tested`` says what each hash is, ``lengths`` how long those sounds are in samples at their own
        rate. With ``decode="once"`` all files are compared now. With ``ahead`` those of the first
        ``samples`` samples are, and the others when they are decoded: only files that are as long as a
        tested sound need hashing, so it costs next to nothing. Raises :class:`BadData`.
        """
        if self.decode == "once":
            pairs = self.content_hashes
        else:
            self.reading.tested, self.reading.tested_lengths = tested, lengths
            drawn = self.parameters(self.distinct(torch.arange(samples)))["file"]
            names = [self.files.name(number) for number in drawn.unique().tolist()]
            pairs = [(name, content_hash_of(self.files.base / name, lengths)) for name in names]
        found = [(name, tested[digest]) for name, digest in pairs if digest in tested]
        if found:
            raise BadData(tested_message(found, self.files.base))
        return len(pairs)
