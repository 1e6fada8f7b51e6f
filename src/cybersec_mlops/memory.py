"""How the process gives memory back: glibc keeps what is freed in arenas, up to eight for each core."""

from __future__ import annotations

import ctypes
import os
from typing import Final

MIB: Final = 1 << 20
ARENAS: Final = 2
"""More hold more of what was freed (docs/scale.md)."""
KEPT_BYTES: Final = 64 * MIB
"""What is kept at the end of an arena for the next block: memory that the kernel takes back it must clear again."""
HEAP_BYTES: Final = 32 * MIB
"""Pieces up to this size come from an arena, blocks of a file among them; a mapping of its own is never kept."""
_OPTIONS: Final = (
    (-8, ARENAS, "MALLOC_ARENA_MAX"),  # M_ARENA_MAX
    (-3, HEAP_BYTES, "MALLOC_MMAP_THRESHOLD_"),  # M_MMAP_THRESHOLD
    (-1, KEPT_BYTES, "MALLOC_TRIM_THRESHOLD_"),  # M_TRIM_THRESHOLD
)


def tune_malloc() -> bool:
    """Let all threads that start from now on share `ARENAS` arenas of malloc, which keep room for a few blocks.

    Returns
    -------
    bool
        Whether it was done: not on another C library than glibc. An option that the environment names is left alone.

    Notes
    -----
    mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    ours = [(option, value) for option, value, name in _OPTIONS if name not in os.environ]
    refused = [option for option, value in ours if mallopt(option, value) != 1]
    return not refused
