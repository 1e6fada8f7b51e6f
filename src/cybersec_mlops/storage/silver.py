"""The SILVER tables: Apache Iceberg over Parquet parts that are already in the store.

The catalogue is in the audit's database, so a table changes by one database transaction and needs nothing of the store
but plain writes. Each published snapshot has a tag that the caller derives from its inputs; publishing the same tag
again returns what is there. Spark, Trino, DuckDB and Polars read these tables.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

import polars as pl
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, PlatformError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.waiting import FIRST_S, waiting_for

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.types import PrimitiveType

T = TypeVar("T")

CATALOG: Final = "cybersec_mlops"
ATTEMPTS: Final = 15
"""How often a change is tried while others change the same table."""
LONGEST_WAIT_S: Final = 2.0
"""Between two attempts; all waits together stay under half a minute."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of a table, for ever."""

    table: str
    """namespace.name"""
    snapshot_id: int
    tag: str
    rows: int
    uri: str
    """Where the table is."""


class SilverCatalog:
    """The tables of the namespaces ``silver`` and ``quarantine``."""

    def __init__(self, catalog: SqlCatalog, silver: ObjectStore) -> None:
        self._catalog, self._silver = catalog, silver

    @classmethod
    def open(cls, database_url: str, silver: ObjectStore) -> Self:
        """Open the catalogue, making its two tables in the database when they are missing.

        Parameters
        ----------
        database_url : str
            The audit's.
        silver : ObjectStore
            Where the Parquet parts are, and Iceberg's metadata will be.

        Raises
        ------
        ConfigError
            The URL is not one of SQLite or PostgreSQL.
        PlatformError
            The database is away, or refuses.
        """
        url = _driver_url(database_url)
        return cls(_retried(lambda: _connect(url, silver), url), silver)

    def publish(
        self, table: str, parts: Sequence[Reference], *, tag: str, schema: Mapping[str, pl.DataType]
    ) -> Snapshot:
        """Make Parquet parts that are in the store the table's whole content, as one tagged snapshot.

        Parameters
        ----------
        table : str
            ``namespace.name``.
        parts : sequence of Reference
            Parquet objects of the silver store; none for an empty table.
        tag : str
            Name of the snapshot, derived from what it was made of. Where it exists it is returned and nothing is done.
        schema : mapping of str to pl.DataType
            The columns; those that the table lacks are added to it, none is ever removed.

        Raises
        ------
        DataError
            A column has another type in this table, or a part does not have the rows of its reference.
        PlatformError
            The store or the database failed, or others changed the table without end.
        """
        if len({part.uri for part in parts}) != len(parts):
            raise DataError(f"{table} was given the same part twice: its rows would count double")
        return self._retried(lambda: self._publish(table, parts, tag, schema))

    def _publish(self, table: str, parts: Sequence[Reference], tag: str, schema: Mapping[str, pl.DataType]) -> Snapshot:
        if (done := self._find(table, tag)) is not None:
            return done
        stored = self._table(table, schema)
        if (done := _tagged(stored, table, tag)) is not None:
            return done  # others published it since; the commit below is refused only for what comes after this state
        with stored.transaction() as transaction:
            _add_columns(table, transaction, schema)
            _replace_content(stored, transaction, parts, tag)
        published = self._find(table, tag)
        if published is None:
            raise PlatformError(f"{table} was published, but its snapshot {tag!r} cannot be found")
        return published

    def snapshot(self, table: str, tag: str) -> Snapshot | None:
        """Return the tagged snapshot of a table, None where either is missing.

        Raises
        ------
        PlatformError
            The store or the database failed.
        """
        return self._retried(lambda: self._find(table, tag))

    def _find(self, table: str, tag: str) -> Snapshot | None:
        from pyiceberg.exceptions import NoSuchTableError

        try:
            stored = self._catalog.load_table(table)
        except NoSuchTableError:
            return None
        return _tagged(stored, table, tag)

    def scan(self, table: str, tag: str) -> pl.LazyFrame:
        """Read a tagged snapshot, for people and tests; its parts are not verified against their hashes.

        Columns that came to the table later are not in it; those that a part lacks are null.

        Raises
        ------
        DataError
            There is no such table or tag.
        PlatformError
            The store or the database failed.
        """
        found = self.snapshot(table, tag)
        if found is None:
            raise DataError(f"the table {table} has no snapshot {tag!r}")
        return self._retried(lambda: self._scan(found))

    def _scan(self, snapshot: Snapshot) -> pl.LazyFrame:
        scan = self._catalog.load_table(snapshot.table).scan(snapshot_id=snapshot.snapshot_id)
        dtypes = {iceberg: dtype for dtype, iceberg in _types().items()}
        schema = {field.name: dtypes[field.field_type] for field in scan.projection().fields}  # type: ignore[index]
        files = [self._readable(task.file.file_path) for task in scan.plan_files()]
        if not files:
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(
            files,
            schema=schema,
            missing_columns="insert",
            glob=False,
            storage_options=None if self._silver.s3 is None else self._silver.s3.for_polars(),
        )

    def _readable(self, uri: str) -> str:
        folder = self._silver.folder
        return uri if folder is None else str(folder / self._silver.key(uri))

    def _table(self, table: str, schema: Mapping[str, pl.DataType]) -> Table:
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self._catalog.load_table(table)
        except NoSuchTableError:
            self._catalog.create_namespace_if_not_exists(table.split(".")[0])
            return self._catalog.create_table(
                table,
                _iceberg_schema(schema),
                location=f"{self._silver.url}/iceberg/{table.replace('.', '/')}",
                properties={"commit.retry.num-retries": "0", "format-version": "2"},  # a retry must look for the tag
            )

    def _retried(self, action: Callable[[], T]) -> T:
        return _retried(action, self._catalog.engine.url)


def _tagged(stored: Table, table: str, tag: str) -> Snapshot | None:
    found = stored.snapshot_by_name(tag)
    if found is None or found.summary is None:
        return None
    return Snapshot(table, found.snapshot_id, tag, int(found.summary["total-records"] or 0), stored.location())


def _driver_url(database_url: str) -> URL:
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise ConfigError("CYBERSEC_MLOPS_DATABASE_URL is not a database URL") from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        limits = {"connect_timeout": "5", "tcp_user_timeout": "30000", "keepalives_idle": "15"}
        return url.set(drivername="postgresql+psycopg").update_query_dict(limits)
    if url.get_backend_name() != "sqlite":
        raise ConfigError(f"{url.drivername!r} is not a database that the catalogue can live in")
    return url.update_query_dict({"timeout": "30"})


def _connect(url: URL, silver: ObjectStore) -> SqlCatalog:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog(
        CATALOG,
        uri=url.render_as_string(hide_password=False),
        warehouse=silver.url,
        **{
            "py-io-impl": "cybersec_mlops.storage.iceberg_io.StoreFileIO",
            "cybersec-mlops.store-url": silver.url,
        },
    )
    catalog.engine.dispose()
    catalog.engine = create_engine(url, poolclass=NullPool)  # no connection is kept open between uses
    return catalog


def _add_columns(table: str, transaction: Transaction, schema: Mapping[str, pl.DataType]) -> None:
    from pyiceberg.exceptions import ValidationError
    from pyiceberg.table import TableProperties

    try:
        with transaction.update_schema() as update:
            update.union_by_name(_iceberg_schema(schema))
    except ValidationError as error:
        raise DataError(
            f"a column has another type than before in {table}: {error}",
            hint="give these logs a dataset name of their own (--dataset)",
        ) from None
    names = transaction.table_metadata.schema().name_mapping.model_dump_json()  # the parts carry names, not ids
    transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: names})


def _replace_content(stored: Table, transaction: Transaction, parts: Sequence[Reference], tag: str) -> None:
    from pyiceberg.io.pyarrow import parquet_file_to_data_file
    from pyiceberg.table.update.snapshot import ManageSnapshots

    with transaction.update_snapshot(snapshot_properties={"cybersec-mlops.tag": tag}).overwrite() as content:
        for task in stored.scan().plan_files():
            content.delete_data_file(task.file)
        for part in parts:
            file = parquet_file_to_data_file(stored.io, transaction.table_metadata, part.uri)
            if part.rows is not None and file.record_count != part.rows:
                raise DataError(f"has {file.record_count} rows, expected {part.rows}", source=part.uri)
            content.append_data_file(file)
    with ManageSnapshots(transaction) as references:
        references.create_tag(content.snapshot_id, tag)


def _types() -> dict[pl.DataType, PrimitiveType]:
    from pyiceberg import types

    return {
        pl.Boolean(): types.BooleanType(),
        pl.Int32(): types.IntegerType(),
        pl.Int64(): types.LongType(),
        pl.Float32(): types.FloatType(),
        pl.Float64(): types.DoubleType(),
        pl.String(): types.StringType(),
        pl.Date(): types.DateType(),
        pl.Datetime("us"): types.TimestampType(),
        pl.Datetime("us", "UTC"): types.TimestamptzType(),
    }


def _iceberg_schema(schema: Mapping[str, pl.DataType]) -> Schema:
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    known = _types()
    if unknown := [name for name, dtype in schema.items() if dtype not in known]:
        raise DataError(f"column {unknown[0]} is {schema[unknown[0]]}, which a SILVER table has no type for")
    return Schema(
        *(
            NestedField(number, name, known[dtype], required=False)
            for number, (name, dtype) in enumerate(schema.items(), start=1)
        )
    )


def _retried(action: Callable[[], T], url: URL) -> T:
    """Do it again while others change the same table; turn every failure into one of ours."""
    for attempt in range(ATTEMPTS):
        try:
            with waiting_for(f"the SILVER catalogue in {_name(url)}", first_s=2 * FIRST_S):  # its store tells first
                return action()
        except CybersecMlopsError:
            raise
        except Exception as error:  # pyiceberg's errors have no base of their own
            if not _is_theirs(error):
                raise
            if not _is_conflict(error):
                raise _explained(error, url) from None  # the cause may hold the URL
            reason = error
        time.sleep(random.uniform(0.5, 1) * min(0.05 * 2**attempt, LONGEST_WAIT_S))  # noqa: S311 - spreads the attempts
    raise _explained(reason, url)


def _is_theirs(error: Exception) -> bool:
    known = isinstance(error, (SQLAlchemyError, OSError, ValueError))
    return known or type(error).__module__.startswith("pyiceberg")


def _is_conflict(error: Exception) -> bool:
    from pyiceberg.exceptions import (
        CommitFailedException,
        NamespaceAlreadyExistsError,
        TableAlreadyExistsError,
        ValidationException,
    )

    kinds = (CommitFailedException, NamespaceAlreadyExistsError, TableAlreadyExistsError, ValidationException)
    return isinstance(error, kinds) or (
        isinstance(error, DBAPIError) and bool(re.search("locked|already exists|duplicate key|UNIQUE", str(error.orig)))
    )


def _explained(error: Exception, url: URL) -> CybersecMlopsError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, FileNotFoundError):
        return DataError(f"{cause} is not in the silver store", hint="run the transformation again")
    line = re.sub(r"[\x00-\x1f\x7f]", "?", (str(cause).strip().split("\n") or [""])[0][:300])
    if url.password:
        line = line.replace(str(url.password), "***")
    return PlatformError(
        f"the SILVER catalogue in {_name(url)} failed: {type(cause).__name__}: {line}",
        hint="run the same command again; if it persists, check the database and the store",
    )


def _name(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)
