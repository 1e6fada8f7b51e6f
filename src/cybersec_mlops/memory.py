"""How the process gives memory back: glibc keeps what is freed in arenas, up to eight for each core."""

from __future__ import annotations

import ctypes
import os
from typing import Final

ARENAS: Final = 2
"""More hold more of what was freed (docs/scale.md)."""
_M_ARENA_MAX: Final = -8


def share_arenas() -> bool:
    """Let all threads that start from now on share `ARENAS` arenas of malloc.

    Returns
    -------
    bool
        Whether it was done: not where MALLOC_ARENA_MAX says otherwise, nor on another C library than glibc.

    Notes
    -----
    mallopt(3), M_ARENA_MAX.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, ARENAS) == 1
