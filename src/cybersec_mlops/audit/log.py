"""The audit log: append an event, find the one that can be reused, list runs, verify the chain."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Final, Self

from sqlalchemy import Connection, Select, func, insert, select

from cybersec_mlops.audit import chain, migrate
from cybersec_mlops.audit.database import ConnectionLostError, Database
from cybersec_mlops.audit.events import COPY, ChainFault, Head, PhaseEvent, RunSummary, StoredEvent
from cybersec_mlops.audit.schema import STATUSES, audit_events, audit_head
from cybersec_mlops.errors import DataError

JSON_COLUMNS: Final = ("inputs", "outputs", "parameters", "metrics", "error")
APPEND_ATTEMPTS: Final = 3
"""How often an append is tried when the server goes away in the middle of it."""


class AuditLog:
    """The append-only log in a SQLite file or a PostgreSQL database.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> audit = AuditLog.open(f"sqlite:///{tempfile.mkdtemp()}/audit.db")
    >>> stored = audit.append(PhaseEvent(run_id="r1", phase="training", attempt=1, status="completed", key="k",
    ...     started_at=datetime.now(UTC)))
    >>> stored.id, audit.completed("training", "k") == stored, audit.verify()
    (1, True, [])
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str, *, migrate: bool = True) -> Self:
        """Open the log.

        Parameters
        ----------
        url : str
            ``sqlite:////folder/file.db`` or ``postgresql://user:password@host/name``.
        migrate : bool
            Bring the schema up to date. A SQLite file always is; on PostgreSQL without it the schema is only checked.

        Raises
        ------
        ConfigError
            The URL is of no database that the audit can live in.
        PlatformError
            The database is away, or its schema is not the one that this code needs.
        """
        database = Database(url)
        if migrate or database.is_sqlite:
            _migrate(database)
        else:
            _check(database)
        return cls(database)

    def append(self, event: PhaseEvent) -> StoredEvent:
        """Write an event at the end of the chain.

        Raises
        ------
        DataError
            The event holds what the audit cannot (NaN, an unknown status).
        PlatformError
            The database failed, or another writer held it too long.
        """
        tried: list[StoredEvent] = []
        for _ in range(APPEND_ATTEMPTS - 1):
            with contextlib.suppress(ConnectionLostError):
                return self._append(event, tried)
            if tried and self._has(tried[-1]):  # it was committed, only the answer was lost
                return tried[-1]
        return self._append(event, tried)

    def _append(self, event: PhaseEvent, tried: list[StoredEvent]) -> StoredEvent:
        with self.appending() as writer:
            tried.append(writer.append(event))
        return tried[-1]

    def _has(self, stored: StoredEvent) -> bool:
        with self.reading() as reader:
            return next(reader.events(numbers=[stored.id]), None) == stored

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reader]:
        """Open a transaction that sees one state of the log throughout."""
        with self.database.reading() as connection:
            yield Reader(connection)

    @contextlib.contextmanager
    def appending(self) -> Iterator[Writer]:
        """Open a transaction in which to read and append while nobody else appends; it commits at the end."""
        with self.database.writing() as connection:
            yield Writer(connection)

    def completed(self, phase: str, key: str) -> StoredEvent | None:
        """Return the latest event that says that this phase is done for this key."""
        columns = audit_events.c
        query = select(audit_events).where(columns.phase == phase, columns.key == key, columns.status == "completed")
        with self.database.reading() as connection:
            return next(iter(_read(connection, query.order_by(columns.id.desc()).limit(1))), None)

    def events(
        self, *, run_id: str | None = None, phase: str | None = None, limit: int | None = None
    ) -> list[StoredEvent]:
        """Return events in the order they were written, the last `limit` of them."""
        with self.reading() as reader:
            return list(reader.events(run_id=run_id, phases=phase and (phase,), limit=limit))

    def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        columns = audit_events.c
        first = func.min(columns.id)
        query = select(columns.run_id).group_by(columns.run_id).order_by(first.desc()).limit(limit)
        with self.database.reading() as connection:
            names = list(connection.scalars(query))
            found: dict[str, list[StoredEvent]] = {name: [] for name in names}
            for event in _read(connection, select(audit_events).where(columns.run_id.in_(names)).order_by(columns.id)):
                found[event.run_id].append(event)
        return [_summary(events) for events in found.values()]

    def resolve_run(self, prefix: str) -> str:
        """Return the one run whose id begins with `prefix`.

        Raises
        ------
        DataError
            No run does, or several do.
        """
        column = audit_events.c.run_id
        with self.database.reading() as connection:
            query = select(column).where(column.startswith(prefix, autoescape=True)).distinct().order_by(column)
            names = list(connection.scalars(query.limit(5)))
        if prefix in names or len(names) == 1:
            return prefix if prefix in names else names[0]
        if not names:
            raise DataError(f"there is no run {prefix!r}", hint="`cybersec-mlops runs` lists them")
        raise DataError(f"{prefix!r} could be {', '.join(names)}", hint="give more of the run's id")

    def next_attempt(self, run_id: str, phase: str) -> int:
        """Return the number of the phase's next attempt in this run, from 1."""
        columns = audit_events.c
        with self.database.reading() as connection:
            query = select(func.max(columns.attempt)).where(columns.run_id == run_id, columns.phase == phase)
            return (connection.scalar(query) or 0) + 1

    def head(self) -> Head:
        """Return where the chain ends, to be noted outside the database."""
        with self.reading() as reader:
            return reader.head()

    def verify(self, *, expected: Sequence[Head] = ()) -> list[ChainFault]:
        """Walk the whole chain and return what is wrong: changed, missing, reordered, inserted or cut-off rows.

        Parameters
        ----------
        expected : sequence of Head
            Ends noted earlier outside the database; they must still be part of the chain.
        """
        query = select(audit_events).order_by(audit_events.c.id).execution_options(yield_per=1000)
        with self.database.reading() as connection:
            row = connection.execute(select(audit_head.c.count, audit_head.c.hash)).one_or_none()
            head = None if row is None else Head(*row)
            return list(chain.faults((dict(row._mapping) for row in connection.execute(query)), head, expected))


class Reader:
    """The log inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def head(self) -> Head:
        """Return where the chain ends."""
        return Head(*self._connection.execute(select(audit_head.c.count, audit_head.c.hash)).one())

    def events(
        self,
        *,
        run_id: str | None = None,
        phases: Sequence[str] | None = None,
        dataset: str | None = None,
        numbers: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> Iterator[StoredEvent]:
        """Give events in the order they were written, the last `limit` of them."""
        columns = audit_events.c
        query = select(audit_events)
        if run_id is not None:
            query = query.where(columns.run_id == run_id)
        if phases:
            query = query.where(columns.phase.in_(phases))
        if dataset is not None:
            query = query.where(columns.dataset == dataset)
        if numbers is not None:
            query = query.where(columns.id.in_(numbers))
        if limit is None:
            return _read(self._connection, query.order_by(columns.id).execution_options(yield_per=1000))
        latest = list(_read(self._connection, query.order_by(columns.id.desc()).limit(limit)))
        return reversed(latest)


class Writer(Reader):
    """The log inside a transaction that nobody else appends beside: what is read stays true until it commits."""

    def append(self, event: PhaseEvent) -> StoredEvent:
        """Write an event at the end of the chain."""
        head = self.head()
        row = _row(event)
        row |= {"id": head.id + 1, "recorded_at": datetime.now(UTC), "previous_hash": head.hash}
        row["hash"] = chain.row_hash(row)
        self._connection.execute(insert(audit_events), row)
        return _event(row)


def _row(event: PhaseEvent) -> dict[str, Any]:
    if event.status not in STATUSES:
        raise DataError(f"{event.status!r} is not a status of the audit", hint=f"one of {', '.join(STATUSES)}")
    row = {name: _storable(value) for name, value in asdict(event).items() if name in _EVENT_FIELDS}
    for name in JSON_COLUMNS:
        row[name] = None if getattr(event, name) is None else chain.canonical_json(getattr(event, name))
    for name in ("started_at", "ended_at"):
        moment = row[name]
        if moment is not None and moment.tzinfo is None:
            raise DataError(f"{name} of the audit event has no zone", hint="times are UTC")
        row[name] = None if moment is None else moment.astimezone(UTC)
    return row


def _storable(value: Any) -> Any:
    """Escape what a text column cannot hold: NUL and the half characters of undecodable file names."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", r"\x00")


def _read(connection: Connection, query: Select[Any]) -> Iterator[StoredEvent]:
    for row in connection.execute(query):
        yield _event(row._asdict())


def _event(row: Mapping[str, Any]) -> StoredEvent:
    content = dict(row)
    for name in JSON_COLUMNS:
        content[name] = None if content[name] is None else json.loads(content[name])
    return StoredEvent(**content)


def _summary(events: Sequence[StoredEvent]) -> RunSummary:
    own = [event for event in events if event.phase == "run"]
    last = (own or [event for event in events if event.phase != COPY] or events)[-1]
    return RunSummary(
        run_id=last.run_id,
        dataset=next((event.dataset for event in reversed(events) if event.dataset is not None), None),
        status=last.status,
        started_at=min(event.started_at for event in events),
        ended_at=last.ended_at,
        phases={event.phase: event.status for event in events if event.phase != "run"},
        events=len(events),
    )


_EVENT_FIELDS: Final = frozenset(field.name for field in fields(PhaseEvent))
_migrate, _check = migrate.migrate, migrate.check
