"""Memory of renderers: what one picture frees, the next one uses."""

from __future__ import annotations

from functools import cache

import torch

LARGEST = 31 << 20  # bytes; a C library need not learn from blocks over 32 MiB


@cache
def keep_freed_memory() -> None:
    """Let the process keep the memory of freed tensors of up to 31 MiB; once is enough.

    The GNU C library gives freed blocks of over 128 KiB back to the system, so that every tensor of a
    picture's size costs a page fault per 4 KiB: half the time of some renderers. It raises that limit
    to the largest block so freed, of at most 32 MiB: so this allocates one, untouched, and frees it.
    """
    torch.empty(LARGEST, dtype=torch.uint8)
