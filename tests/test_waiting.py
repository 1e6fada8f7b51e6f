"""Whoever waits long is told for what; whoever does not is not, and many who wait for one thing are told once."""

from __future__ import annotations

import logging
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


def test_many_who_wait_for_one_thing_are_told_once(told: Told) -> None:
    name = uuid.uuid4().hex
    for _ in range(5):
        waiting.tell(name, "attempt")
    assert told.lines == [f"waiting for {name}: attempt"]


def test_what_fails_while_it_is_waited_for_fails_as_ever() -> None:
    with pytest.raises(ZeroDivisionError), waiting.waiting_for("nothing"):
        raise ZeroDivisionError
