from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from cybersec_mlops.audit import database as module
from cybersec_mlops.audit.database import Database, normalised
from cybersec_mlops.audit.events import PhaseEvent, StoredEvent
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.errors import ConfigError, DataError, PlatformError
from cybersec_mlops.stack.postgres import Postgres


def event(run_id: str = "r") -> PhaseEvent:
    return PhaseEvent(run_id=run_id, phase="run", attempt=1, status="started", started_at=datetime.now(UTC))


def everything(error: BaseException) -> str:
    """All that a traceback could show."""
    parts = [str(error), repr(error), str(getattr(error, "hint", ""))]
    for other in (error.__cause__, None if error.__suppress_context__ else error.__context__):
        parts += [] if other is None else [everything(other)]
    return " ".join(parts)


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://me:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "postgresql://me:hunter2@h:port/d"],
)
def test_addresses_that_the_audit_cannot_live_at(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert "hunter2" not in everything(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"])
def test_every_spelling_of_postgresql(url: str) -> None:
    assert normalised(url).drivername == "postgresql+psycopg"
    assert Database(url).name == "postgresql+psycopg://u:***@h/d"
    assert not Database(url).is_sqlite


# -- SQLite -----------------------------------------------------------------------------------------------------------


def test_a_file_is_made_with_its_folder_and_is_durable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a/b/audit.db")
    database.prepare_file()
    with database.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
    assert (tmp_path / "a/b/audit.db").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PlatformError, match="cannot make the folder"):
        AuditLog.open(f"sqlite:///{tmp_path}/file/audit.db")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "audit.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(PlatformError, match="not a database") as caught:
        AuditLog.open(f"sqlite:///{tmp_path}/audit.db")
    assert "damaged" in caught.value.hint


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    audit = AuditLog.open(f"sqlite:///{tmp_path}/audit.db")
    with pytest.raises(DataError, match=r"cannot have 'run\\udcff': it is not UTF-8") as caught:
        audit.resolve_run(os.fsdecode(b"run\xff"))
    assert caught.value.hint


def test_waiting_for_another_writer_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.2)
    audit = AuditLog.open(f"sqlite:///{tmp_path}/audit.db")
    with audit.appending(), pytest.raises(PlatformError, match="locked") as caught:
        audit.append(event())
    assert "another run" in caught.value.hint


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    audit = AuditLog.open(f"sqlite:///{tmp_path}/audit.db")
    audit.append(event())
    with audit.appending() as writer:
        writer.append(event())
        assert len(audit.events()) == 1
    assert len(audit.events()) == 2


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that a test may stop, freeze and restart; it keeps what was committed."""
    folder = Path(tempfile.mkdtemp(prefix="cybersec-mlops-postgres-"))
    server = Postgres.start(folder)
    yield server
    server.stop(graceful=False)
    shutil.rmtree(folder)


@pytest.mark.services
@pytest.mark.parametrize("part", ["user", "password", "database"])
def test_wrong_credentials_are_said_and_never_shown(postgres: Postgres, part: str) -> None:
    names = {"user": "nobody", "secret": "hunter2hunter2"} if part == "user" else {}
    names = {"secret": "hunter2hunter2"} if part == "password" else names
    url = postgres.url("nothing" if part == "database" else "postgres", **names)
    with pytest.raises(PlatformError) as caught:
        AuditLog.open(url)
    shown = everything(caught.value)
    assert "hunter2" not in shown
    assert postgres.secret not in shown
    assert caught.value.hint


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setattr(module, "CONNECT_RETRY_S", 0.5)
    start = time.monotonic()
    with pytest.raises(PlatformError, match="refused") as caught:
        AuditLog.open(f"postgresql://me:hunter2@127.0.0.1:{closed_port}/d")
    assert "hunter2" not in everything(caught.value)
    assert time.monotonic() - start < 10


@pytest.mark.services
def test_a_restarting_server_is_waited_for_and_loses_nothing(own_server: Postgres) -> None:
    audit = AuditLog.open(own_server.url())
    first = audit.append(event("before"))
    own_server.stop(graceful=False)
    written: list[StoredEvent] = []
    appending = threading.Thread(target=lambda: written.append(audit.append(event("after"))))
    appending.start()
    again = Postgres.start(own_server.folder, port=own_server.port, secret=own_server.secret)
    appending.join()
    try:
        assert audit.events() == [first, *written]
        assert len(written) == 1
        assert audit.verify() == []
    finally:
        again.stop()


@pytest.mark.services
def test_a_connection_cut_in_mid_append_is_tried_again_once(postgres_url: str) -> None:
    audit = AuditLog.open(postgres_url)
    cut = iter([True, False])

    class Cutting(AuditLog):
        """Has its connection ended by the server before the first commit."""

        def _append(self, event: PhaseEvent, tried: list) -> object:  # type: ignore[override, type-arg]
            with self.appending() as writer:
                tried.append(writer.append(event))
                if next(cut):
                    connection = writer._connection
                    connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
            return tried[-1]

    stored = Cutting(audit.database).append(event())
    assert audit.events() == [stored]
    assert audit.verify() == []


@pytest.mark.services
def test_a_frozen_server_ends_in_a_message(own_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = AuditLog.open(own_server.url())
    monkeypatch.setattr(module, "TRANSACTION_TIMEOUT_S", 0.5)

    frozen: list[int] = []

    def freeze_and_read() -> None:
        with audit.database.reading() as connection:
            frozen.extend([own_server.server.pid, *children(own_server.server.pid)])
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            connection.execute(text("SELECT 1"))

    start = time.monotonic()
    try:
        with pytest.raises(PlatformError, match=r"no answer within 0.5 s"):
            freeze_and_read()
        with pytest.raises(PlatformError, match="timeout") as caught:
            audit.events()
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert own_server.secret not in everything(caught.value)
    assert time.monotonic() - start < 15


def children(pid: int) -> list[int]:
    """The processes that a server started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.services
def test_waiting_for_another_writer_of_a_server_has_an_end(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.2)
    audit = AuditLog.open(postgres_url)
    with audit.appending(), pytest.raises(PlatformError, match="lock timeout") as caught:
        audit.append(event())
    assert "another run" in caught.value.hint
