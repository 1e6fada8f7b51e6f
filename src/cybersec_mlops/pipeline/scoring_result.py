"""The document of a scoring, made from its audit events and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.pipeline.attempts import seconds_of, status_of

ROLE: Final = "score"
PHASE: Final = "scoring"
DELIVERY: Final = "delivery"

_INGESTED: Final = ("objects", "bytes", "uri")
_SCORED: Final = ("rows", "quarantined", "alerts", "uri")
_FACTS: Final = (
    *("model", "formats", "synthetic", "read", "rows", "quarantined", "quarantine_reasons", "skipped"),
    *("alerting_rows", "alerts", "per_day", "days", "features", "missing_features", "calibration"),
)


def is_scoring(events: Sequence[StoredEvent]) -> bool:
    """Say whether a run scored new logs."""
    return any(event.phase == PHASE or event.parameters.get("role") == ROLE for event in events)


def scoring_document(run_id: str, events: Sequence[StoredEvent]) -> dict[str, Any]:
    """Build the document of a scoring.

    Parameters
    ----------
    run_id : str
        Which run.
    events : sequence of StoredEvent
        All of its events, in order.

    Returns
    -------
    dict
        Values that do not apply, or that a failed scoring did not get to, are None.
    """
    last = events[-1] if events else None
    ended = [event.ended_at for event in events if event.ended_at is not None]
    scored = _newest(events, PHASE)
    outputs = scored.outputs if scored is not None else {}
    delivered = _newest(events, DELIVERY)
    return {
        "run_id": run_id,
        "status": status_of(last),
        "seconds": round((max(ended) - events[0].started_at).total_seconds(), 3) if ended else None,
        "phases": {
            "ingestion": _phase(_newest(events, "ingestion"), _INGESTED),
            PHASE: _phase(scored, _SCORED),
        },
        "metrics": {name: outputs.get(name) for name in _FACTS},
        "alerts": {
            "uri": outputs.get("uri"),
            "ndjson": outputs.get("alerts_ndjson"),
            "parquet": outputs.get("alerts_parquet"),
            "summary": outputs.get("summary"),
            "out": None if delivered is None else delivered.outputs.get("to"),
        },
        "error": None if last is None else last.error,
    }


def _newest(events: Sequence[StoredEvent], phase: str) -> StoredEvent | None:
    return next((event for event in reversed(events) if event.phase == phase), None)


def _phase(event: StoredEvent | None, told: tuple[str, ...]) -> dict[str, Any]:
    if event is None:
        return dict.fromkeys(("status", "seconds", "reused", *told))
    done = event.status in ("completed", "reused")
    return {
        "status": status_of(event),
        "seconds": seconds_of(event),
        "reused": event.status == "reused" if done else None,
        **{name: event.outputs.get(name) for name in told},
    }
