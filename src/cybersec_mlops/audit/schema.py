"""The audit's tables, one schema for both databases. The migrations make them; a test holds the two equal."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, String, Table, Text

from cybersec_mlops.audit.types import UtcDateTime, WideInteger

SCHEMA_VERSION: Final = "0001"
"""The migration that this code needs."""
VERSION_TABLE: Final = "audit_version"

STATUSES: Final = ("started", "completed", "reused", "failed", "rejected", "interrupted")

metadata = MetaData()

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", WideInteger, primary_key=True, autoincrement=False),  # 1, 2, 3, ... without a gap
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("phase", String(50), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("key", String(200)),  # hash of the phase's inputs, spec and code
    Column("dataset", Text),
    Column("rows", WideInteger),
    Column("code_version", Text, nullable=False),
    Column("prefect_flow_run_id", String(100)),
    Column("inputs", Text, nullable=False),  # canonical JSON from here on, as text: the hash is over these bytes
    Column("outputs", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("error", Text),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    CheckConstraint(f"status IN ({', '.join(repr(status) for status in STATUSES)})", name="audit_events_status"),
    Index("audit_events_by_run", "run_id", "phase"),
    Index("audit_events_by_key", "phase", "key"),
    Index("audit_events_by_dataset", "dataset", "phase"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("count", WideInteger, nullable=False),  # rows in audit_events
    Column("hash", String(64), nullable=False),  # of the last one
    CheckConstraint("id = 1", name="audit_head_single"),
)
"""How long the chain is and where it ends: kept by triggers, so that a cut tail is seen."""
