from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from cybersec_mlops.audit.events import Head, PhaseEvent
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.errors import DataError, PlatformError

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def event(**changes: Any) -> PhaseEvent:
    values: dict[str, Any] = {"run_id": "r1", "phase": "training", "attempt": 1, "status": "completed"}
    return PhaseEvent(**{**values, "started_at": NOON, "code_version": "1", **changes})


@pytest.fixture
def audit(database_url: str) -> AuditLog:
    return AuditLog.open(database_url)


FULL = event(
    ended_at=NOON + timedelta(seconds=5),
    key="a" * 64,
    dataset="ctu",
    rows=2**40,
    inputs=[{"uri": "s3://raw/x", "sha256": "b" * 64, "bytes": 5, "rows": None}],
    outputs={"bundle": {"uri": "s3://models/y", "sha256": "c" * 64, "bytes": 6, "rows": None}},
    parameters={"seed": 7, "ratio": 0.1, "names": ["é", "<script>"], "none": None, "yes": True},
    metrics={"roc_auc": 0.987654321012345, "tiny": 5e-324, "big": 1e308},
    prefect_flow_run_id="f-1",
    error={"kind": "data", "message": "x\x00y\nz", "hint": ""},
)


def test_what_is_appended_is_read_back(audit: AuditLog) -> None:
    stored = [audit.append(event()), audit.append(FULL)]
    assert audit.events() == stored
    for name in PhaseEvent.__dataclass_fields__:
        assert getattr(stored[1], name) == getattr(FULL, name)
    assert [each.id for each in stored] == [1, 2]
    assert stored[1].previous_hash == stored[0].hash
    assert audit.head() == Head(2, stored[1].hash)
    assert audit.verify() == []


def test_times_of_any_zone_are_utc(audit: AuditLog) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=-7)))
    assert audit.append(event(started_at=there)).started_at == NOON
    found = audit.events()[0]
    assert found.started_at == NOON
    assert found.started_at.utcoffset() == timedelta(0)
    assert abs(found.recorded_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": {"auc": float("nan")}},
        {"parameters": {"x": float("inf")}},
        {"outputs": {"x": object()}},
        {"status": "done"},
        {"started_at": datetime(2026, 1, 1)},  # noqa: DTZ001
    ],
)
def test_what_the_audit_cannot_hold_is_refused_and_nothing_is_written(audit: AuditLog, wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        audit.append(event(**wrong))
    assert audit.events() == []
    assert audit.verify() == []


def test_file_names_that_are_not_text(audit: AuditLog) -> None:
    stored = audit.append(event(dataset="nul\x00half\udc80", error={"message": "half\udc80"}))
    assert audit.events() == [stored]
    assert stored.dataset == r"nul\x00half\udc80"
    assert stored.error == {"message": "half\udc80"}
    assert audit.verify() == []


def test_completed_gives_the_latest_of_its_key(audit: AuditLog) -> None:
    assert audit.completed("training", "k") is None
    audit.append(event(key="k", status="started"))
    audit.append(event(key="k", status="failed"))
    audit.append(event(key="k", phase="evaluation"))
    audit.append(event(key="other"))
    assert audit.completed("training", "k") is None
    audit.append(event(key="k", run_id="r1"))
    latest = audit.append(event(key="k", run_id="r2"))
    audit.append(event(key="k", run_id="r3", status="reused"))
    assert audit.completed("training", "k") == latest


def test_events_by_run_phase_and_number(audit: AuditLog) -> None:
    stored = [audit.append(event(run_id=f"r{n % 2}", phase=f"p{n % 3}")) for n in range(6)]
    assert audit.events(run_id="r1") == [stored[1], stored[3], stored[5]]
    assert audit.events(phase="p0") == [stored[0], stored[3]]
    assert audit.events(run_id="r1", phase="p0") == [stored[3]]
    assert audit.events(limit=2) == stored[4:]
    assert audit.events(run_id="r9") == []


def test_next_attempt(audit: AuditLog) -> None:
    assert audit.next_attempt("r1", "training") == 1
    audit.append(event(status="started"))
    audit.append(event(attempt=2, status="started"))
    assert audit.next_attempt("r1", "training") == 3
    assert audit.next_attempt("r1", "evaluation") == audit.next_attempt("r2", "training") == 1


def test_runs_are_listed_newest_first(audit: AuditLog) -> None:
    assert audit.runs() == []
    audit.append(event(run_id="whole", phase="run", status="started", dataset="ctu"))
    audit.append(event(run_id="alone", phase="ingestion", ended_at=NOON))
    audit.append(event(run_id="whole", phase="training", status="started", started_at=NOON + timedelta(seconds=1)))
    audit.append(event(run_id="whole", phase="training", status="failed", started_at=NOON + timedelta(seconds=1)))
    audit.append(event(run_id="whole", phase="run", status="failed", ended_at=NOON + timedelta(seconds=2)))
    alone, whole = audit.runs()
    assert (alone.run_id, alone.status, alone.phases) == ("alone", "completed", {"ingestion": "completed"})
    assert (whole.run_id, whole.status, whole.dataset) == ("whole", "failed", "ctu")
    assert whole.phases == {"training": "failed"}
    assert (whole.started_at, whole.ended_at, whole.events) == (NOON, NOON + timedelta(seconds=2), 4)
    assert [run.run_id for run in audit.runs(limit=1)] == ["alone"]


def test_a_run_is_found_by_the_beginning_of_its_id(audit: AuditLog) -> None:
    for name in ("ab1", "ab2", "ab", "c_d", "cxd"):
        audit.append(event(run_id=name))
    assert audit.resolve_run("ab1") == "ab1"
    assert audit.resolve_run("ab") == "ab"
    assert audit.resolve_run("c_") == "c_d"
    with pytest.raises(DataError, match="could be ab, ab1, ab2"):
        audit.resolve_run("a")
    with pytest.raises(DataError, match="there is no run 'zz'"):
        audit.resolve_run("zz")
    with pytest.raises(DataError, match="there is no run '%'"):
        audit.resolve_run("%")


def test_threads_append_one_after_the_other(audit: AuditLog) -> None:
    def write(name: str) -> None:
        for number in range(10):
            audit.append(event(run_id=name, attempt=number + 1))

    threads = [threading.Thread(target=write, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.id for each in audit.events()] == list(range(1, 41))
    assert audit.verify() == []


WRITER = """
import sys
from datetime import UTC, datetime
from cybersec_mlops.audit.events import PhaseEvent
from cybersec_mlops.audit.log import AuditLog
audit = AuditLog.open(sys.argv[1])
for number in range(10):
    audit.append(PhaseEvent(run_id=sys.argv[2], phase="run", attempt=1, status="started", started_at=datetime.now(UTC)))
"""


def test_processes_migrate_and_append_at_once(database_url: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, database_url, f"r{n}"], stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    said = [writer.communicate(timeout=120)[1].splitlines() for writer in writers]
    assert [line for lines in said for line in lines if not line.startswith("waiting for the database")] == []
    assert [writer.returncode for writer in writers] == [0] * 3
    audit = AuditLog.open(database_url)
    assert len(audit.events()) == 30
    assert audit.verify() == []


def test_a_failed_transaction_leaves_nothing(audit: AuditLog) -> None:
    class OursError(Exception): ...

    def failing() -> None:
        with audit.appending() as writer:
            writer.append(event())
            raise OursError

    with pytest.raises(OursError):
        failing()
    assert audit.events() == []
    with audit.appending() as writer:
        first, second = writer.append(event()), writer.append(event())
    assert second.previous_hash == first.hash
    assert audit.verify() == []


# -- tampering --------------------------------------------------------------------------------------------------------


def tamper(audit: AuditLog, *statements: str) -> None:
    """Do what a person with all rights can do: take the guards away, then change the rows."""
    with audit.database.engine.connect() as connection:
        if audit.database.is_sqlite:
            for name in list(connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))):
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()


TAMPERINGS: list[tuple[str, list[str], list[tuple[int, str]]]] = [
    ("one value", ["UPDATE audit_events SET rows = 5 WHERE id = 3"], [(3, "changed")]),
    ("metrics", ["UPDATE audit_events SET metrics = '{\"a\":1}' WHERE id = 3"], [(3, "changed")]),
    ("a null", ["UPDATE audit_events SET dataset = NULL WHERE id = 3"], [(3, "changed")]),
    ("who", ["UPDATE audit_events SET run_id = 'r2' WHERE id = 10"], [(10, "changed")]),
    ("one row", ["DELETE FROM audit_events WHERE id = 4"], [(4, "missing")]),
    ("the first row", ["DELETE FROM audit_events WHERE id = 1"], [(1, "missing")]),
    ("the last row", ["DELETE FROM audit_events WHERE id = 10"], [(10, "truncated")]),
    ("the tail", ["DELETE FROM audit_events WHERE id > 7"], [(8, "truncated")]),
    ("all rows", ["DELETE FROM audit_events"], [(1, "truncated")]),
    ("the head", ["DELETE FROM audit_head"], [(10, "head")]),
    (
        "tail and head's number",
        ["DELETE FROM audit_events WHERE id > 9", "UPDATE audit_head SET count = 9"],
        [(9, "head")],
    ),
    (
        "the order",
        [
            "UPDATE audit_events SET id = -1 WHERE id = 5",
            "UPDATE audit_events SET id = 5 WHERE id = 6",
            "UPDATE audit_events SET id = 6 WHERE id = -1",
        ],
        [(5, "reordered"), (6, "reordered"), (7, "inserted")],
    ),
    (
        "a row taken out and the rest closed up",
        ["DELETE FROM audit_events WHERE id = 9", "UPDATE audit_events SET id = 9 WHERE id = 10"],
        [(9, "reordered"), (10, "truncated")],
    ),
]


@pytest.mark.parametrize(("statements", "expected"), [pytest.param(s, e, id=name) for name, s, e in TAMPERINGS])
def test_tampering_is_found_and_named(audit: AuditLog, statements: list[str], expected: list[tuple[int, str]]) -> None:
    for number in range(10):
        audit.append(event(attempt=number + 1, dataset="ctu", rows=number))
    tamper(audit, *statements)
    faults = audit.verify()
    assert [(fault.id, fault.kind) for fault in faults] == expected
    assert all(str(fault.id) in fault.message or fault.kind in ("truncated", "head") for fault in faults)


def test_a_whole_forged_chain_is_found_by_a_head_noted_outside(audit: AuditLog) -> None:
    for number in range(5):
        audit.append(event(attempt=number + 1))
    noted = audit.head()
    tamper(audit, "DELETE FROM audit_events", f"UPDATE audit_head SET count = 0, hash = '{'0' * 64}'")
    assert audit.verify() == []
    assert [(fault.id, fault.kind) for fault in audit.verify(expected=[noted])] == [(5, "truncated")]


def test_a_noted_head_stays_part_of_a_growing_chain(audit: AuditLog) -> None:
    audit.append(event())
    noted = audit.head()
    audit.append(event())
    assert audit.verify(expected=[noted]) == []
    assert [fault.kind for fault in audit.verify(expected=[Head(1, "f" * 64)])] == ["changed"]


COPY_AS_SEVEN = """INSERT INTO audit_events SELECT 7, recorded_at, run_id, phase, attempt, status, started_at, ended_at,
    key, dataset, rows, code_version, prefect_flow_run_id, inputs, outputs, parameters, metrics, error, previous_hash,
    'new' FROM audit_events"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET rows = 1",
        "DELETE FROM audit_events",
        "UPDATE audit_head SET count = 5",
        "UPDATE audit_head SET hash = 'x'",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head VALUES (2, 0, 'x')",
        COPY_AS_SEVEN,
    ],
)
def test_the_database_itself_refuses_to_change_the_past(audit: AuditLog, statement: str) -> None:
    audit.append(event())
    with (
        pytest.raises(PlatformError, match=r"append|head|CHECK|check"),
        audit.database.writing() as connection,
    ):
        connection.execute(text(statement))
    assert audit.verify() == []


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.dictionaries(
        st.text(max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        max_size=4,
    ),
    dataset=st.text(max_size=10),
)
def test_any_content_is_read_back_and_verifies(audit: AuditLog, content: dict[str, Any], dataset: str) -> None:
    stored = audit.append(event(parameters=content, metrics=content, inputs=[content], dataset=dataset))
    assert audit.events(limit=1) == [stored]
    assert stored.parameters == content
    assert audit.verify() == []
