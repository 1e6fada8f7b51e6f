from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from cybersec_mlops.audit.database import Database
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.audit.migrate import check, migrate, version
from cybersec_mlops.audit.schema import SCHEMA_VERSION, VERSION_TABLE
from cybersec_mlops.errors import PlatformError


def test_a_new_database_gets_the_newest_schema_and_keeps_it(database_url: str) -> None:
    database = Database(database_url)
    database.prepare_file()
    with database.reading() as connection:
        assert version(connection) is None
    migrate(database)
    migrate(database)
    check(database)
    with database.reading() as connection:
        assert version(connection) == SCHEMA_VERSION


@pytest.mark.services
def test_postgresql_is_not_migrated_unasked(postgres_url: str) -> None:
    with pytest.raises(PlatformError, match="no audit schema, expected") as caught:
        AuditLog.open(postgres_url, migrate=False)
    assert "cybersec-mlops audit migrate" in caught.value.hint
    AuditLog.open(postgres_url, migrate=True)
    AuditLog.open(postgres_url, migrate=False)


def test_a_sqlite_file_is_migrated_always(tmp_path: Path) -> None:
    assert AuditLog.open(f"sqlite:///{tmp_path}/audit.db", migrate=False).events() == []


def test_a_newer_schema_is_left_alone(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    with database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(PlatformError, match="schema 9999, newer than") as caught:
        AuditLog.open(database_url)
    assert "upgrade" in caught.value.hint
