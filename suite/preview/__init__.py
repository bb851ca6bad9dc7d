"""See and hear a source before training on it: a contact sheet with masks, sounds, drawn factors."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from matplotlib import image as picture_files

from generators.base import Source
from generators.drawer import UsageError
from suite.frontend import FrontEnd
from suite.masking.base import Masking
from suite.preview.sheet import draw, look
from suite.rows import write_atomically

SHEET = "contact-sheet.png"
FACTORS = "factors.json"


@dataclass(frozen=True)
class Preview:
    """What :func:`preview` wrote: the contact sheet, the factors, sounds and thumbnails in order."""

    paths: tuple[Path, ...]


def preview(
    source: Source,
    frontend: FrontEnd,
    masking: Masking | None,
    grid_patch: tuple[int, int],
    out: Path,
    count: int = 8,
    *,
    thumbnails: bool = False,
) -> Preview:
    """Write samples 0 to ``count - 1`` of ``source`` below ``out``, as the encoder will get them.

    ``contact-sheet.png`` has two panels a sample: the whole log-mel image or picture, and the part of
    ``frontend.frames`` frames that is one input of the encoder, its hidden patches hatched; without
    ``masking`` none is. ``grid_patch`` is the encoder's patch (bands, frames). ``factors.json`` holds
    what ``source.describe`` says of each sample; sounds are written as ``sample-000.wav``, 16-bit, and
    ``thumbnails``, one pixel of a picture file for each of an image, as ``sample-000.png``.

    Raises :class:`UsageError` where ``count`` is under 1, the input does not divide into patches, or
    ``out`` cannot be written. A source with fewer distinct samples shows those it has.
    """
    if count < 1:
        raise UsageError(f"count={count}: there is nothing to show. Type for example count=8.")
    bands, frames = grid_patch
    if frontend.bands % bands or frontend.frames % frames:
        raise UsageError(
            f"inputs of {frontend.bands} bands x {frontend.frames} frames do not divide into patches "
            f"of {bands} x {frames}. Choose multiples for frontend.bands and frontend.frames."
        )
    count = min(count, source.size or count)
    indices = list(range(count))
    factors = [source.describe(index) for index in indices]
    images = frontend.pad_frames(source.images(indices, frontend), frontend.frames)
    figure = draw(source, frontend, masking, grid_patch, images, factors)

    sheet = io.BytesIO()
    figure.savefig(sheet, format="png", dpi=150)
    listed = [{"sample": index, **drawn} for index, drawn in enumerate(factors)]
    identity = {key: plain(value) for key, value in source.identity().items()}
    text = json.dumps({"source": identity, "samples": listed}, indent=1, default=plain)
    written = {out / SHEET: sheet.getvalue(), out / FACTORS: text.encode()}
    for index, heard in enumerate(source.sounds(indices)):
        if heard is not None:
            written[out / f"sample-{index:03d}.wav"] = sound(heard[0].numpy(), heard[1])
    if thumbnails:
        colours, low, high = look(source, images)
        for index, pixels in enumerate(images.numpy()):
            written[out / f"sample-{index:03d}.png"] = thumbnail(pixels, colours, low, high)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for stale in set(out.glob("sample-*")) - set(written):  # of an earlier, longer preview
            stale.unlink()
        for path, content in written.items():
            write_atomically(path, content)
    except OSError as error:
        raise UsageError(
            f"{error.filename or out} cannot be written: {error.strerror}. Choose another folder."
        ) from error
    return Preview(tuple(written))


def sound(waveform: np.ndarray, rate: int) -> bytes:
    """A 16-bit WAV file of float32 ``(samples,)`` in [-1, 1]."""
    encoded = io.BytesIO()
    levels = np.rint(waveform * 32767.0).astype(np.int16)  # the library would round down: an offset
    soundfile.write(encoded, levels, rate, format="WAV", subtype="PCM_16")
    return encoded.getvalue()


def thumbnail(pixels: np.ndarray, colours: str, low: float, high: float) -> bytes:
    """A PNG file of ``(F, T)``, low frequencies below."""
    encoded = io.BytesIO()
    picture_files.imsave(
        encoded, pixels, vmin=low, vmax=high, cmap=colours, format="png", origin="lower"
    )
    return encoded.getvalue()


def plain(value: Any) -> Any:
    """What JSON can hold of a field: paths and other objects as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else str(value)
