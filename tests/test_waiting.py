"""Whoever waits long is told for what; whoever does not is not, and many who wait for one thing are told once."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator

import pytest

from cybersec_mlops import waiting


class Told(logging.Handler):
    """Keeps what was logged, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.lines.append(record.getMessage())
            self._changed.notify_all()

    def until(self, number: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.lines) >= number, timeout=30)


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    waiting.LOG.addHandler(handler)
    yield handler
    waiting.LOG.removeHandler(handler)


def test_a_long_wait_is_told_again_and_again(told: Told) -> None:
    with waiting.waiting_for("the store", first_s=0.01):
        assert told.until(2)
    assert all(line.startswith("waiting for the store: ") for line in told.lines)


def test_a_short_wait_is_not_told(told: Told) -> None:
    name = uuid.uuid4().hex
    with waiting.waiting_for(name, first_s=0.2):
        pass
    with waiting.waiting_for("another", first_s=0.3):
        assert told.until(1)
    assert not [line for line in told.lines if name in line]


def test_what_gets_on_is_not_waited_for_since_it_began() -> None:
    with waiting.waiting_for("a long upload", first_s=60) as wait:
        dues = [wait.due for _ in wait.moving(range(3))]
    assert dues == sorted(set(dues))


def test_many_who_wait_for_one_thing_are_told_once(told: Told) -> None:
    name = uuid.uuid4().hex
    for _ in range(5):
        waiting.tell(name, "attempt")
    assert told.lines == [f"waiting for {name}: attempt"]


def test_what_fails_while_it_is_waited_for_fails_as_ever() -> None:
    with pytest.raises(ZeroDivisionError), waiting.waiting_for("nothing"):
        raise ZeroDivisionError


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "waiting"]


def test_many_waits_have_one_thread_which_ends_when_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_S", 0.01)
    monkeypatch.setattr(waiting, "_WATCH", waiting._Watch())
    before = set(watchers())
    with waiting.waiting_for("one", first_s=60), waiting.waiting_for("two", first_s=60):
        pass
    for _ in range(50):
        with waiting.waiting_for("a store", first_s=0.01):
            pass
    (watcher,) = set(watchers()) - before or {threading.current_thread()}
    if watcher is not threading.current_thread():  # not over already
        watcher.join(30)
        assert not watcher.is_alive()


def test_a_shorter_wait_is_told_while_a_longer_one_goes_on(told: Told) -> None:
    with waiting.waiting_for("the longer", first_s=3600), waiting.waiting_for("the shorter", first_s=0.01):
        assert told.until(1)
    assert {line.split(":")[0] for line in told.lines} == {"waiting for the shorter"}


FORKED = """
import logging, os, sys, threading
from cybersec_mlops import waiting
told = threading.Event()
class Told(logging.Handler):
    def emit(self, record):
        told.set()
waiting.LOG.addHandler(Told())
with waiting.waiting_for("before"):
    child = os.fork()
    if not child:
        with waiting.waiting_for("after", first_s=0.01):
            os._exit(0 if told.wait(30) else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_was_forked_tells_its_own_waits() -> None:
    assert subprocess.run([sys.executable, "-c", FORKED], check=False, timeout=60).returncode == 0
