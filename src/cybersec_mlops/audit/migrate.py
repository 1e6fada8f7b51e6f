"""Bring a database to the schema that this code needs, or say which one it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from cybersec_mlops.audit.database import Database
from cybersec_mlops.audit.schema import SCHEMA_VERSION, VERSION_TABLE
from cybersec_mlops.errors import PlatformError


def version(connection: Connection) -> str | None:
    """Return the schema version of a database, None where there is no audit."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
    return None if found is None else str(found)


def check(database: Database) -> None:
    """Refuse a database whose schema is not the one that this code needs.

    Raises
    ------
    PlatformError
        It is older, newer or absent; the hint says what to run.
    """
    with database.reading() as connection:
        found = version(connection)
    if found == SCHEMA_VERSION:
        return
    if found is not None and found > SCHEMA_VERSION:
        raise PlatformError(
            f"{database.name} has audit schema {found}, newer than the {SCHEMA_VERSION} that this version knows",
            hint="upgrade cybersec-mlops-pipeline",
        )
    raise PlatformError(
        f"{database.name} has {'no audit schema' if found is None else f'audit schema {found}'}, "
        f"expected {SCHEMA_VERSION}",
        hint="run `cybersec-mlops audit migrate` as a role that may create tables",
    )


def migrate(database: Database) -> None:
    """Bring a database to the newest schema; safe from several processes at once.

    Raises
    ------
    PlatformError
        The database failed, or has a schema newer than this code.
    """
    database.prepare_file()
    with database.reading() as connection:
        if version(connection) == SCHEMA_VERSION:
            return
    with database.writing() as connection:
        found = version(connection)
        if found is None or found < SCHEMA_VERSION:
            _upgrade(connection)
    check(database)


def alembic_config() -> Any:
    """Return Alembic's configuration, for `migrate` and for developers who add a step."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA_VERSION)
