"""One attempt: how it stands, and how long it took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.pipeline.attempts import seconds_of, status_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def attempt(status: str, seconds: float | None = 1.5) -> StoredEvent:
    ended = None if seconds is None else START + timedelta(seconds=seconds)
    return StoredEvent(
        id=1,
        recorded_at=START,
        previous_hash="",
        hash="",
        run_id="r1",
        phase="run",
        attempt=1,
        status=status,
        started_at=START,
        ended_at=ended,
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("completed", "completed"),
        ("reused", "completed"),
        ("started", "running"),
        ("interrupted", "failed"),
        ("rejected", "rejected"),
    ],
)
def test_the_status_is_what_a_person_asks_for(status: str, said: str) -> None:
    assert status_of(attempt(status)) == said


def test_what_never_began_failed() -> None:
    assert (status_of(None), seconds_of(None)) == ("failed", None)


def test_an_attempt_that_goes_on_has_no_duration() -> None:
    assert seconds_of(attempt("started", None)) is None
    assert seconds_of(attempt("completed")) == 1.5
