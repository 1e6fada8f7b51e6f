"""The declared tables are those that the migrations make."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from cybersec_mlops.audit.database import Database
from cybersec_mlops.audit.migrate import alembic_config, migrate
from cybersec_mlops.audit.schema import SCHEMA_VERSION, VERSION_TABLE, metadata


def test_the_migrations_make_what_the_code_declares(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_code_needs_the_last_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == SCHEMA_VERSION
