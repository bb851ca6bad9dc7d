"""What to say, and with which exit code, about errors whose cure the user holds."""

from __future__ import annotations

import errno
from dataclasses import dataclass

FAILED, INTERRUPTED = 1, 130  # exit codes

REFUSALS = (  # a full disk, a forbidden place, a file where a folder has to be
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
)


@dataclass(frozen=True)
class Complaint:
    """What is told instead of a traceback."""

    text: str
    exit_code: int


def complaint(error: Exception) -> Complaint | None:
    """What to tell of an error that carries its exit code, or of a refusing disk; None of our bugs."""
    code = getattr(error, "exit_code", None)
    if code is not None:
        return Complaint(str(error), int(code))
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return Complaint(advice(error), FAILED)
    return None


def advice(error: OSError) -> str:
    """What to do about a full or forbidden place."""
    where = error.filename or "the disk"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left at {where}. Free some (cache/ may be deleted), then type it again."
    return (
        f"{where} cannot be written ({error.strerror}). "
        "Choose another place: paths.runs=... paths.cache=... paths.results=... paths.data=..."
    )
