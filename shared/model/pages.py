"""Memory that the system gives page by page as it is written, and takes back when it is no longer of use."""

from __future__ import annotations

import mmap
import sys


def zero_pages(size: int, *, huge: bool = False) -> mmap.mmap:
    """`size` zero bytes, which use memory only where they are written; `huge`: in huge pages where it can."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    # Private: shared memory gets no huge pages, and is not freed by give_back.
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def give_back(pages: mmap.mmap, start: int, stop: int) -> None:
    """Free the whole pages within bytes `start` to `stop`; they read as zeros again (on Linux, else kept)."""
    if not sys.platform.startswith("linux"):
        return  # elsewhere the advice may leave old bytes or do nothing
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    length = stop // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0:
        pages.madvise(mmap.MADV_DONTNEED, first, length)
