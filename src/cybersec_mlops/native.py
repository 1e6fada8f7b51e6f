"""How the native libraries are set before they are loaded: when they give memory back, and how their threads wait.

glibc keeps what is freed in arenas, up to eight for each core. Polars has an allocator of its own, jemalloc, which it
tells to give memory back after half a second (2.1.0), so that the kernel must clear it again for the next block.
"""

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


ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # the others wait by spinning, where ours have work
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:5000",  # Polars puts it behind its own
}


def tune_native() -> bool:
    """Set what the libraries read when they are loaded, and let all threads share `ARENAS` arenas of malloc.

    Returns
    -------
    bool
        Whether malloc was set: not on another C library than glibc. What the environment says already is left alone.

    Notes
    -----
    mallopt(3); https://jemalloc.net/jemalloc.3.html.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    ours = [(option, value) for option, value, name in _OPTIONS if name not in os.environ]
    refused = [option for option, value in ours if mallopt(option, value) != 1]
    return not refused
