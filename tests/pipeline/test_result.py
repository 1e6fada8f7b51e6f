"""The document: every key is always there, and what does not apply is null."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.pipeline.result import METRICS, PHASES, describe_run, places_of, run_document

START = datetime(2026, 1, 1, tzinfo=UTC)
REQUIRED = ("run_id", "status", "seconds", "phases", "metrics", "promoted", "error")


def event(number: int, phase: str, status: str, seconds: float = 1.0, **fields: Any) -> StoredEvent:
    return StoredEvent(
        id=number,
        recorded_at=START,
        previous_hash="",
        hash="",
        run_id="r1",
        phase=phase,
        attempt=1,
        status=status,
        started_at=START,
        ended_at=START + timedelta(seconds=seconds),
        **fields,
    )


@pytest.mark.parametrize("events", [[], [event(1, "run", "started")], [event(1, "run", "failed")]])
def test_every_key_is_there(events: list[StoredEvent]) -> None:
    document = run_document("r1", events)
    assert tuple(document) == REQUIRED
    assert {name: set(phase) for name, phase in document["phases"].items()} == {
        name: {"status", "seconds", "reused", *fields} for name, fields in PHASES.items()
    }
    assert set(document["metrics"]) == set(METRICS)
    assert set(document["metrics"].values()) == {None}


def test_train_and_test_are_told_together() -> None:
    parts = [
        event(
            1,
            "ingestion",
            "completed",
            1.0,
            parameters={"role": "train"},
            outputs={"objects": 2, "bytes": 5, "uri": "a"},
        ),
        event(
            2, "ingestion", "reused", 2.0, parameters={"role": "test"}, outputs={"objects": 1, "bytes": 3, "uri": "b"}
        ),
    ]
    told = run_document("r1", parts)["phases"]["ingestion"]
    assert told == {"status": "completed", "seconds": 3.0, "reused": False, "objects": 3, "bytes": 8, "uri": "a"}


def test_a_retry_replaces_the_attempt_that_failed() -> None:
    events = [event(1, "training", "failed"), event(2, "training", "completed", outputs={"version": 4})]
    told = run_document("r1", events)["phases"]["training"]
    assert (told["status"], told["version"], told["reused"]) == ("completed", 4, False)


def test_a_failed_run_says_why() -> None:
    error = {"kind": "data", "message": "m", "hint": None}
    document = run_document("r1", [event(1, "training", "failed", error=error), event(2, "run", "failed", error=error)])
    assert (document["status"], document["error"]) == ("failed", error)
    assert document["phases"]["training"]["status"] == "failed"


@pytest.mark.parametrize("status", ["completed", "reused"])
def test_what_the_training_warns_of_is_told(status: str) -> None:
    document = run_document("r1", [event(1, "training", status, outputs={"report": {"warnings": ["careful"]}})])
    assert document["warnings"] == ["careful"]


def test_a_refused_run_is_rejected() -> None:
    document = run_document("r1", [event(1, "run", "rejected", outputs={"promoted": False})])
    assert (document["status"], document["promoted"], document["error"]) == ("rejected", False, None)


def test_synthetic_data_and_reasons_are_found() -> None:
    events = [
        event(1, "transformation", "completed", outputs={"synthetic": True}),
        event(2, "run", "completed", outputs={"reasons": ["r"]}),
    ]
    assert places_of(events) == {"synthetic": True, "reasons": ["r"], "audit_head": "2:"}
    assert len(describe_run("r1", events)["lineage"]) == 2
