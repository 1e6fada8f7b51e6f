"""SIGTERM ends a command in order and in time: the audit says so, the exit code is 143, and no thread can hold it up.

Prefect catches the signal while a flow runs, marks the run as crashed and then hands it on to the handler from here.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from cybersec_mlops.pipeline.scratch import remove_mine

EXIT_CODE: Final = 128 + signal.SIGTERM
GRACE_S: Final = 45
"""A pod gets a minute from Kubernetes; after that it would be killed without a word."""


_MESSAGE: Final = "the run was ended by SIGTERM"
_asked = threading.Event()


class Terminated(BaseException):
    """The process was asked to end."""


@contextmanager
def ending_on_sigterm(grace_s: float = GRACE_S) -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, and end the process in any case `grace_s` seconds later.

    Outside of the main thread, where no signal can be caught, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.clear()
    before = signal.signal(signal.SIGTERM, _raise)
    reading, writing = socket.socketpair()
    for end in (reading, writing):
        end.setblocking(end is reading)
    woken = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, grace_s), daemon=True, name="sigterm-watch").start()
    try:
        yield
    finally:
        _asked.clear()
        signal.set_wakeup_fd(woken)
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:  # else the process is ending, and is to end in order
            signal.signal(signal.SIGTERM, before)
        writing.close()


def raise_if_asked() -> None:
    """Raise `Terminated` where SIGTERM came and nobody noticed.

    Python drops what a signal's handler raises inside a callback of its own (a finaliser, an import's weak reference),
    and the run would go on until it is killed. Called before each step.
    """
    if _asked.is_set():
        raise Terminated(_MESSAGE)


def _raise(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows cleans up
    _asked.set()
    raise Terminated(_MESSAGE)


def _watch(reading: socket.socket, grace_s: float) -> None:
    """Wait for the signal beside whatever handler is in place, then give the process its time."""
    while signal.SIGTERM not in (received := reading.recv(64)):
        if not received:  # the command ended by itself
            reading.close()
            return
    _asked.set()
    threading.Event().wait(grace_s)
    remove_mine()
    os._exit(EXIT_CODE)
