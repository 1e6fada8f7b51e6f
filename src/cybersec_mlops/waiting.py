"""Say what is waited for: nothing that is away may hold a run up without a word. That it ends is the waiter's job."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

LOG: Final = logging.getLogger("cybersec_mlops.waiting")
FIRST_S: Final = 5.0
"""Nobody is told of a shorter wait, seconds."""

_lock = threading.Lock()
_told: dict[str, float] = {}


@contextlib.contextmanager
def waiting_for(what: str, *, first_s: float = FIRST_S) -> Iterator[None]:
    """Log a line when a block takes longer than `first_s` seconds, and again after each further `first_s`.

    Parameters
    ----------
    what : str
        What the block waits for, without secrets: ``bucket 'mlops-raw' at http://s3.lan:9000``.
    first_s : float
        Seconds.
    """
    over = threading.Event()
    threading.Thread(target=_watch, args=(what, over, first_s), daemon=True, name="waiting").start()
    try:
        yield
    finally:
        over.set()


def _watch(what: str, over: threading.Event, first_s: float) -> None:
    began = time.monotonic()
    while not over.wait(first_s):
        tell(what, f"{time.monotonic() - began:.0f} s so far", every_s=first_s)


def tell(what: str, how: str, *, every_s: float = FIRST_S) -> None:
    """Log that something is waited for, unless that was said less than `every_s` seconds ago: many may wait at once."""
    now = time.monotonic()
    with _lock:
        if now - _told.get(what, -every_s) < every_s * 0.9:
            return
        _told[what] = now
    LOG.warning("waiting for %s: %s", what, how)
