"""The file formats that libsndfile reads here, as file-name suffixes."""

from __future__ import annotations

from functools import cache

import soundfile

# Suffixes in use for libsndfile's formats; a format that is not named here has its own name for one.
SUFFIXES_OF = {
    "AIFF": (".aiff", ".aif", ".aifc"),
    "AU": (".au", ".snd"),
    "IRCAM": (".sf",),
    "MAT4": (".mat",),
    "MAT5": (".mat",),
    "MP3": (".mp3", ".mp2"),
    "MPC2K": (".mpc",),
    "NIST": (".nist", ".sph"),
    "OGG": (".ogg", ".oga", ".opus"),
    "RAW": (),  # without a header nothing says what the bytes are
    "SVX": (".svx", ".8svx", ".iff"),
    "WAVEX": (".wav",),
}


@cache
def suffixes() -> tuple[str, ...]:
    """Lower-case suffixes of sound files, sorted: ``(".8svx", ".aif", ...)``."""
    found = {
        suffix
        for name in soundfile.available_formats()
        for suffix in SUFFIXES_OF.get(name, (f".{name.lower()}",))
    }
    return tuple(sorted(found))
