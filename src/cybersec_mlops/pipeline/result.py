"""The one JSON document that tells what a run did, made from its audit events and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cybersec_mlops.audit.events import COPY, StoredEvent
from cybersec_mlops.pipeline.attempts import seconds_of, status_of
from cybersec_mlops.pipeline.scoring_result import is_scoring, scoring_document

PHASES: Final[dict[str, tuple[str, ...]]] = {
    "ingestion": ("objects", "bytes", "uri"),
    "transformation": ("rows", "quarantined", "uri", "snapshot"),
    "training": ("uri", "sha256", "version"),
    "evaluation": ("uri", "report"),
}
"""Phase to what the document says of it, beside status, seconds and reused."""

METRICS: Final = (
    "rows",
    "attacks",
    "roc_auc",
    "average_precision",
    "detection_rate",
    "false_positive_rate",
    "nominal_false_positive_rate",
    "recall_by_attack",
    "unseen_attack_recall",
)

_SUMMED: Final = ("objects", "bytes", "rows", "quarantined")
_DONE: Final = ("completed", "reused")


def run_document(run_id: str, events: Sequence[StoredEvent]) -> dict[str, Any]:
    """Build the document of a run.

    Parameters
    ----------
    run_id : str
        Which run.
    events : sequence of StoredEvent
        All of its events, in order.

    Returns
    -------
    dict
        Values that do not apply, or that a failed run did not get to, are None. ``mlflow`` is there only where a copy
        was asked for, ``warnings`` only where there are any.
    """
    copied = [event for event in events if event.phase == COPY]
    own = [event for event in events if event.phase == "run"]
    last = next(reversed(own or [event for event in events if event.phase != COPY]), None)
    phases = {name: _phase(name, [event for event in events if event.phase == name]) for name in PHASES}
    measured = next((event.metrics for event in reversed(events) if event.phase == "evaluation" and event.metrics), {})
    warnings = _warnings(events)
    promoted = any(event.phase == "run" and event.outputs.get("promoted") for event in events)
    return {
        "run_id": run_id,
        "status": status_of(last),
        "seconds": seconds_of(last),
        "phases": phases,
        "metrics": {name: measured.get(name) for name in METRICS},
        "promoted": promoted,
        "error": None if last is None else last.error,
        **({"mlflow": _copied(copied[-1])} if copied else {}),
        **({"warnings": warnings} if warnings else {}),
    }


def _warnings(events: Sequence[StoredEvent]) -> list[str]:
    """Return what the training found that its user has to know."""
    reports = [event.outputs.get("report") or {} for event in events if event.phase == "training"]
    return [str(warning) for warning in (reports[-1].get("warnings", ()) if reports else ())]


def _copied(event: StoredEvent) -> dict[str, Any]:
    return {"status": event.status, **event.outputs, "error": event.error}


def _phase(name: str, events: list[StoredEvent]) -> dict[str, Any]:
    """Summarise the events of a phase: one per set (train, test), the newest attempt of each."""
    newest = {str(event.parameters.get("role")): event for event in events}
    ended = list(newest.values())
    empty = dict.fromkeys(("status", "seconds", "reused", *PHASES[name]))
    if not ended:
        return empty
    unfinished = [event.status for event in ended if event.status not in _DONE]
    seconds = [seconds_of(event) for event in ended]
    values = {field: [event.outputs.get(field) for event in ended] for field in PHASES[name]}
    return {
        **empty,
        "status": {"interrupted": "failed", "started": "running"}.get(unfinished[-1], unfinished[-1])
        if unfinished
        else "completed",
        "seconds": None if None in seconds else round(sum(filter(None, seconds)), 3),
        "reused": None if unfinished else all(_reused(event) for event in ended),
        **{field: _combine(field, found) for field, found in values.items()},
    }


def _reused(event: StoredEvent) -> bool:
    return event.status == "reused"


def _combine(field: str, found: list[Any]) -> Any:
    known = [value for value in found if value is not None]
    if field in _SUMMED:
        return sum(known) if known else None
    return known[0] if known else None


def places_of(events: Sequence[StoredEvent]) -> dict[str, Any]:
    """Return what a person wants to know of a run beside its document."""
    synthetic = any(event.outputs.get("synthetic") for event in events if event.phase in ("transformation", "scoring"))
    reasons: list[str] = next(
        (event.outputs["reasons"] for event in reversed(events) if event.outputs.get("reasons")), []
    )
    head = f"{events[-1].id}:{events[-1].hash}" if events else None
    return {"synthetic": synthetic, "reasons": reasons, "audit_head": head}


def describe_run(run_id: str, events: Sequence[StoredEvent]) -> dict[str, Any]:
    """Return the document of a run with its lineage: every step, what it took, what it gave."""
    lineage = [
        {
            "phase": event.phase,
            "role": event.parameters.get("role"),
            "attempt": event.attempt,
            "status": event.status,
            "started_at": event.started_at.isoformat(),
            "ended_at": event.ended_at.isoformat() if event.ended_at else None,
            "key": event.key,
            "inputs": event.inputs,
            "outputs": event.outputs,
            "code_version": event.code_version,
            "prefect_flow_run_id": event.prefect_flow_run_id,
            "error": event.error,
        }
        for event in events
    ]
    datasets = [event.dataset for event in events if event.dataset]
    describe = scoring_document if is_scoring(events) else run_document
    return {**describe(run_id, events), "dataset": datasets[0] if datasets else None, "lineage": lineage}
