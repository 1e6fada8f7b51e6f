"""Say what is waited for: nothing that is away may hold a run up without a word. That it ends is the waiter's job."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

LOG: Final = logging.getLogger("cybersec_mlops.waiting")
FIRST_S: Final = 5.0
"""Nobody is told of a shorter wait, seconds."""

_lock = threading.Lock()
_told: dict[str, float] = {}


@contextlib.contextmanager
def waiting_for(what: str, *, first_s: float = FIRST_S) -> Iterator[Wait]:
    """Log a line when a block takes longer than `first_s` seconds, and again after each further `first_s`.

    Of a block that gets on (`Wait.moving`) only the time counts since it last did.

    Parameters
    ----------
    what : str
        What the block waits for, without secrets: ``bucket 'mlops-raw' at http://s3.lan:9000``.
    first_s : float
        Seconds.
    """
    wait = Wait(what, first_s)
    _WATCH.add(wait)
    try:
        yield wait
    finally:
        _WATCH.remove(wait)


class Wait:
    """Something that is waited for."""

    __slots__ = ("began", "due", "every_s", "what")

    def __init__(self, what: str, every_s: float) -> None:
        self.what, self.every_s = what, every_s
        self._begin()

    def _begin(self) -> None:
        self.began = time.monotonic()
        self.due = self.began + self.every_s

    def moving(self, items: Iterable[T]) -> Iterator[T]:
        """Hand items on; with each that is asked for the wait begins anew."""
        for item in items:
            self._begin()
            yield item


class _Watch:
    """One thread that looks after all that is waited for: to start one for each costs more than most waits take."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = set[Wait]()
        self._wakes: float | None = None
        """When the thread looks again; None where there is no thread."""

    def add(self, wait: Wait) -> None:
        with self._changed:
            self._open.add(wait)
            if self._wakes is None:
                self._wakes = wait.due
                threading.Thread(target=self._run, daemon=True, name="waiting").start()
            elif wait.due < self._wakes:
                self._changed.notify()

    def remove(self, wait: Wait) -> None:
        with self._changed:
            self._open.discard(wait)

    def _run(self) -> None:
        while (late := self._late()) is not None:
            for wait, seconds in late:
                tell(wait.what, f"{seconds:.0f} s so far", every_s=wait.every_s)

    def _late(self) -> list[tuple[Wait, float]] | None:
        """Sleep until something has taken long; None where nothing was waited for all the while."""
        with self._changed:
            now = time.monotonic()
            self._wakes = min((wait.due for wait in self._open), default=now + FIRST_S)
            self._changed.wait(self._wakes - now)
            if not self._open and time.monotonic() >= self._wakes:
                self._wakes = None
                return None
            return [self._told(wait) for wait in self._open if wait.due <= time.monotonic()]

    def _told(self, wait: Wait) -> tuple[Wait, float]:
        now = time.monotonic()
        wait.due = now + wait.every_s
        return wait, now - wait.began


_WATCH: Final = _Watch()
os.register_at_fork(after_in_child=lambda: _Watch.__init__(_WATCH))  # its thread is not there


def tell(what: str, how: str, *, every_s: float = FIRST_S) -> None:
    """Log that something is waited for, unless that was said less than `every_s` seconds ago: many may wait at once."""
    now = time.monotonic()
    with _lock:
        if now - _told.get(what, -every_s) < every_s * 0.9:
            return
        _told[what] = now
    LOG.warning("waiting for %s: %s", what, how)
