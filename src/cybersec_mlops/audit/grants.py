"""The rights of the role that the pipeline runs as on PostgreSQL: it may add to the audit and change nothing in it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from cybersec_mlops.audit.database import Database
from cybersec_mlops.audit.schema import VERSION_TABLE, audit_events, audit_head
from cybersec_mlops.errors import ConfigError

CATALOGUE_TABLES: Final = ("iceberg_tables", "iceberg_namespace_properties")
"""The SILVER catalogue's, made by pyiceberg in the same database; their rows do change."""


def grant(database: Database, role: str) -> None:
    """Give a role what the pipeline needs, and take away whatever would let it change audit rows.

    Run as the owner of the tables, after the migration. The role must exist.

    Raises
    ------
    ConfigError
        The database has no roles (SQLite), there is no such role, or it is one that no right can bind.
    PlatformError
        The database failed, or refused.
    """
    if database.is_sqlite:
        raise ConfigError("SQLite has no roles", hint="on SQLite the file's owner and mode protect the audit")
    with database.writing() as connection:
        _check(connection, role)
        name = connection.dialect.identifier_preparer.quote_identifier(role)
        schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
        for statement in _statements(connection, name, str(schema)):
            connection.exec_driver_sql(statement)


def _statements(connection: Connection, role: str, schema: str) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND pg_has_role(tableowner, 'MEMBER')"
    ours = set(connection.scalars(text(query)))  # a role that made its own tables has every right on them
    events, head = audit_events.name, audit_head.name
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON {events}, {head}, {VERSION_TABLE} FROM {role}, PUBLIC",
        f"GRANT SELECT, INSERT ON {events} TO {role}",
        f"GRANT SELECT ON {head}, {VERSION_TABLE} TO {role}",
        *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}" for table in CATALOGUE_TABLES if table in ours),
    ]


def _check(connection: Connection, role: str) -> None:
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = :role"
    is_superuser = connection.scalar(text(query), {"role": role})
    if is_superuser is None:
        raise ConfigError(f"there is no role {role!r}", hint=f"CREATE ROLE {role} LOGIN PASSWORD '...'")
    query = "SELECT pg_has_role(:role, tableowner, 'MEMBER') FROM pg_tables WHERE tablename = :table"
    owns = connection.scalar(text(query), {"role": role, "table": audit_events.name})
    if is_superuser or owns:
        raise ConfigError(
            f"the role {role!r} owns the audit or is a superuser, so that no right binds it",
            hint="let another role own the tables and run `audit migrate`, and the pipeline use this one",
        )
