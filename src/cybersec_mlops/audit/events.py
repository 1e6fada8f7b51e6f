"""What the audit says about a phase."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

COPY: Final = "mlflow"
"""Phase of the row that says whether a run was copied to MLflow. It is beside the run: it decides no status."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseEvent:
    """Something that a phase of a run did, was refused or failed to do.

    References inside `inputs` and `outputs` have the JSON form of `storage.reference.Reference`.
    """

    run_id: str
    phase: str
    """run, ingestion, transformation, training, evaluation, scoring, registration, promotion, ..."""
    attempt: int
    """From 1, per run and phase."""
    status: str
    """started, completed, reused, failed, rejected or interrupted."""
    started_at: datetime
    """With a zone."""
    ended_at: datetime | None = None
    key: str | None = None
    """Hash of the phase's inputs, spec and code: what its result may be reused for."""
    dataset: str | None = None
    rows: int | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    code_version: str = ""
    prefect_flow_run_id: str | None = None
    error: dict[str, Any] | None = None
    """kind, message, hint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent(PhaseEvent):
    """An event as the chain holds it."""

    id: int
    """Place in the chain, from 1 without a gap."""
    recorded_at: datetime
    previous_hash: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run in one line."""

    run_id: str
    dataset: str | None
    status: str
    """Of the run's own last event, or of its last phase where a phase ran alone."""
    started_at: datetime
    ended_at: datetime | None
    phases: dict[str, str]
    """Phase to its last status, in order."""
    events: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends; note it somewhere else to prove later that nothing was cut off."""

    id: int
    hash: str

    def __str__(self) -> str:
        return f"{self.id}:{self.hash}"


@dataclass(frozen=True, slots=True)
class ChainFault:
    """One row that is not as it was written."""

    id: int
    """Place in the chain."""
    kind: str
    """changed, missing, reordered, inserted, truncated, head or guard."""
    message: str
