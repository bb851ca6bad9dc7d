"""What to do about a disk that is full and a place that is forbidden."""

from __future__ import annotations

import errno

REFUSALS = (  # a full disk, a forbidden place, a file where a folder has to be
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
)


def advice(error: OSError) -> str:
    """What to do about a full or forbidden place."""
    where = error.filename or "the disk"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left at {where}. Free some (cache/ may be deleted), then type it again."
    return (
        f"{where} cannot be written ({error.strerror}). "
        "Choose another place: paths.runs=... paths.cache=... paths.results=... paths.data=..."
    )
