"""Memory of renderers and trainers: what one picture or step frees, the next one uses."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
KEPT_BLOCK = 64 << 20  # bytes: larger blocks still go back to the kernel when they are freed
KEPT = 512 << 20  # bytes kept at the top of the heap


@cache
def keep_freed_memory() -> None:
    """Let the process keep the memory of freed tensors; once is enough.

    The GNU C library gives freed blocks of over 128 KiB back to the kernel, which clears them page by
    page when they are asked for again: half the time of some renderers, a tenth of a small network's
    step. Other C libraries have no such switch.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK)
        mallopt(M_TRIM_THRESHOLD, KEPT)
