"""Imports of large libraries in a fraction of the time: nothing that they make is garbage, so nobody looks for any.

A quarter of the processor time of importing Prefect, its server and the learners went into that search.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

NEEDED_LATER: Final = ("fastapi.encoders", "alembic", "pyiceberg.catalog.sql", "xgboost", "matplotlib.figure")
"""What takes long to import and is needed by a run that reuses nothing; the first by every run."""


@contextmanager
def loading() -> Iterator[None]:
    """Collect no garbage inside of the block, and never look at what it left again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def import_until(ready: Future[None]) -> None:
    """Import what the phases will need, one by one, for as long as something starts; raise what it raised."""
    for name in NEEDED_LATER:
        if ready.done():
            break
        importlib.import_module(name)
    ready.result()
