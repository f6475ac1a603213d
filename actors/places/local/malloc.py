"""What the C library does with memory that is freed: keep it, for the next frame is as large as the last."""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>

LARGEST = 32 << 20
"""Bytes; glibc takes no larger threshold for blocks of their own."""


def keep_freed() -> None:
    """Have glibc keep what this process frees, up to four blocks of `LARGEST` bytes, and take no block by itself.

    A frame is a megabyte or two. By default each is a mapping of its own, given back when it is freed: then every page
    of every frame costs a page fault. Other C libraries are left as they are.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, 4 * LARGEST)


def give_back() -> None:
    """Have glibc give back what is free, after work that is seldom as large: `keep_freed` keeps it otherwise."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
