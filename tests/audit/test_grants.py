from __future__ import annotations

import io
from datetime import UTC, datetime

import polars as pl
import pytest
from sqlalchemy import text

from cybersec_mlops.audit.database import Database
from cybersec_mlops.audit.events import PhaseEvent
from cybersec_mlops.audit.grants import grant
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.stack.postgres import OWNER, Postgres
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.silver import SilverCatalog


@pytest.fixture
def app_url(postgres: Postgres, postgres_url: str, tmp_path: object) -> str:
    """The same database as a role that may only add."""
    AuditLog.open(postgres_url)
    SilverCatalog.open(postgres_url, ObjectStore.from_url("memory://grants"))
    name = f"app {postgres_url[-8:]}"  # a name that has to be quoted
    secret = postgres.create_role(name)
    grant(Database(postgres_url), name)
    return postgres_url.replace(f"{OWNER}:{postgres.secret}", f"{name.replace(' ', '%20')}:{secret}")


EVENT = PhaseEvent(run_id="r", phase="run", attempt=1, status="started", started_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.services
def test_the_app_role_can_do_all_the_pipeline_does(app_url: str) -> None:
    audit = AuditLog.open(app_url, migrate=False)
    stored = audit.append(EVENT)
    assert audit.events() == [stored]
    assert audit.verify() == []
    store = ObjectStore.from_url("memory://grants")
    buffer = io.BytesIO()
    pl.DataFrame({"n": [1]}).write_parquet(buffer)
    part = store.put_bytes("part", buffer.getvalue())
    catalog = SilverCatalog.open(app_url, store)
    part = Reference(part.uri, part.sha256, part.bytes, 1)
    assert catalog.publish("silver.x", [part], tag="t", schema={"n": pl.Int64()}).rows == 1


@pytest.mark.services
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET rows = 1",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_head SET count = 0",
        "INSERT INTO audit_head VALUES (1, 0, '')",
        "DELETE FROM audit_head",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TABLE audit_events",
        "DROP TRIGGER audit_events_no_change ON audit_events",
        "SET session_replication_role = replica",
        "UPDATE audit_version SET version_num = '0'",
        "CREATE TRIGGER x BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    ],
)
def test_the_app_role_can_change_nothing_in_the_past(app_url: str, statement: str) -> None:
    audit = AuditLog.open(app_url, migrate=False)
    audit.append(EVENT)
    with pytest.raises(PlatformError, match=r"permission denied|must be owner"), audit.database.writing() as connection:
        connection.execute(text(statement))
    assert audit.verify() == []


@pytest.mark.services
def test_roles_that_no_right_binds_are_refused(postgres_url: str) -> None:
    AuditLog.open(postgres_url)
    with pytest.raises(ConfigError, match="owns the audit or is a superuser"):
        grant(Database(postgres_url), OWNER)
    with pytest.raises(ConfigError, match="there is no role"):
        grant(Database(postgres_url), "nobody")


def test_sqlite_has_no_roles(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="no roles"):
        grant(Database(f"sqlite:///{tmp_path}/audit.db"), "app")
