"""What every document says of one attempt at a phase or run: how it stands, and how long it took."""

from __future__ import annotations

from cybersec_mlops.audit.events import StoredEvent


def status_of(last: StoredEvent | None) -> str:
    """Return what a document says of a run or phase by its last event."""
    if last is None:
        return "failed"
    return {"reused": "completed", "started": "running", "interrupted": "failed"}.get(last.status, last.status)


def seconds_of(event: StoredEvent | None) -> float | None:
    """Return how long an attempt took; None while it goes on."""
    if event is None or event.ended_at is None:
        return None
    return round((event.ended_at - event.started_at).total_seconds(), 3)
