"""The document of a scoring: every key is always there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.pipeline.scoring_result import is_scoring, scoring_document

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(number: int, phase: str, status: str, **fields: Any) -> StoredEvent:
    begun = START + timedelta(seconds=number)
    ended = None if status == "started" else begun + timedelta(seconds=1)
    told: dict[str, Any] = {"recorded_at": START, "previous_hash": "", "hash": "", "run_id": "r1", "attempt": 1}
    return StoredEvent(id=number, phase=phase, status=status, started_at=begun, ended_at=ended, **told, **fields)


@pytest.mark.parametrize("status", ["started", "failed", "interrupted"])
def test_what_was_not_reached_is_null(status: str) -> None:
    ingestion = event(1, "ingestion", "completed", parameters={"role": "score"}, outputs={"objects": 1, "bytes": 3})
    for events in ([], [ingestion], [ingestion, event(2, "scoring", status, error={"kind": "data"})]):
        document = scoring_document("r1", events)
        assert tuple(document) == ("run_id", "status", "seconds", "phases", "metrics", "alerts", "error")
        assert set(document["metrics"].values()) == set(document["alerts"].values()) == {None}
        assert document["phases"]["scoring"]["rows"] is None
    assert document["status"] == ("running" if status == "started" else "failed")
    assert document["phases"]["ingestion"]["objects"] == 1


def test_the_newest_counts() -> None:
    events = [
        event(1, "scoring", "failed"),
        event(2, "scoring", "reused", outputs={"rows": 4, "alerts": 2, "uri": "u"}),
        event(3, "delivery", "completed", outputs={"to": "a.ndjson"}),
    ]
    document = scoring_document("r1", events)
    assert document["status"] == "completed"
    assert document["phases"]["scoring"]["reused"]
    assert document["metrics"]["alerts"] == 2
    assert document["alerts"]["out"] == "a.ndjson"
    assert document["seconds"] == 3.0


def test_a_run_that_only_ingested_for_a_scoring_is_one() -> None:
    assert is_scoring([event(1, "ingestion", "failed", parameters={"role": "score"})])
    assert not is_scoring([event(1, "ingestion", "completed", parameters={"role": "train"})])
