"""SQLite and PostgreSQL behind one way of opening a transaction: no wait without a limit, no secret in an error."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from cybersec_mlops.errors import ConfigError, DataError, PlatformError
from cybersec_mlops.waiting import waiting_for

CONNECT_TIMEOUT_S: Final = 5
LOCK_TIMEOUT_S: Final = 30
STATEMENT_TIMEOUT_S: Final = 60
CONNECT_RETRY_S: Final = 30
"""How long a server that is restarting is waited for."""
TRANSACTION_TIMEOUT_S: Final = 90
"""After this the connection is cut from our side: a frozen server answers no timeout of its own."""
APPEND_LOCK: Final = 0x6D6C6F7073
"""The advisory lock under which rows are appended and schemas migrated."""


RESTARTING: Final = re.compile("refused|starting up|shutting down|recovery|reset by peer|closed the connection")


class ConnectionLostError(PlatformError):
    """The connection broke in mid-transaction: whether it was committed must be looked up. For this package alone."""


class Database:
    """A database by its SQLAlchemy URL; opens a connection per transaction and keeps none.

    Parameters
    ----------
    url : str
        ``sqlite:////folder/file.db`` or ``postgresql://user:password@host/name``.

    Raises
    ------
    ConfigError
        The URL is neither.
    """

    def __init__(self, url: str) -> None:
        self.url = normalised(url)
        self.name = self.url.render_as_string(hide_password=True)
        self.engine = _engine(self.url)

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file on this machine."""
        return self.url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database throughout.

        Raises
        ------
        DataError
            A text is not UTF-8.
        PlatformError
            The database failed, or did not answer in time.
        """
        with self._transaction("REPEATABLE READ") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that no other writer of the audit runs beside; it commits at the end.

        Raises
        ------
        DataError
            A text is not UTF-8.
        PlatformError
            The database failed, did not answer in time, or another writer held the lock too long.
        """
        with self._transaction("READ COMMITTED", immediate=True) as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": APPEND_LOCK})
            yield connection

    @contextlib.contextmanager
    def _transaction(self, isolation: str, *, immediate: bool = False) -> Iterator[Connection]:
        overdue = threading.Event()
        try:
            with (
                waiting_for(f"the database {self.name}"),
                self._connect() as plain,
                _deadline(plain, TRANSACTION_TIMEOUT_S, overdue),
            ):
                options = {"immediate": immediate} if self.is_sqlite else {"isolation_level": isolation}
                connection = plain.execution_options(**options)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise self._explained(error, overdue=overdue.is_set()) from None  # the cause may hold the URL
        except UnicodeEncodeError as error:  # a name as the shell gave it, in another encoding
            raise DataError(
                f"the database {self.name} cannot have {error.object[:200]!a}: it is not UTF-8",
                hint="check the name; what has it cannot be in the audit",
            ) from None

    def _connect(self) -> Connection:
        until, pause = time.monotonic() + CONNECT_RETRY_S, 0.1
        while True:
            try:
                return self.engine.connect()
            except SQLAlchemyError as error:
                if self.is_sqlite or not RESTARTING.search(str(error)) or time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _explained(self, error: Exception, *, overdue: bool) -> PlatformError:
        reason = f"no answer within {TRANSACTION_TIMEOUT_S} s" if overdue else _first_line(error)
        if (password := self.url.password) and len(str(password)) > 2:
            reason = reason.replace(str(password), "***")
        hint = next(
            (hint for pattern, hint in HINTS if re.search(pattern, reason)), "check CYBERSEC_MLOPS_DATABASE_URL"
        )
        lost = not overdue and isinstance(error, DBAPIError) and error.connection_invalidated
        return (ConnectionLostError if lost else PlatformError)(f"the database {self.name} failed: {reason}", hint=hint)

    def prepare_file(self) -> None:
        """Make the folder of a SQLite file and let readers and a writer work at once (WAL).

        Raises
        ------
        PlatformError
            The folder cannot be made, or the file is not a database.
        """
        if not self.is_sqlite:
            return
        try:
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlatformError(
                f"cannot make the folder of {self.name}: {error.strerror}", hint="check its owner and mode"
            ) from None
        until = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                with contextlib.closing(self.engine.raw_connection()) as connection:
                    connection.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except (SQLAlchemyError, sqlite3.Error) as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise self._explained(error, overdue=False) from None
                time.sleep(0.02)  # the switch to WAL does not wait for others by itself


HINTS: Final = (
    ("locked|lock timeout", "another run is writing for too long; run the same command again"),
    ("password authentication|role .* does not exist", "check user and password in CYBERSEC_MLOPS_DATABASE_URL"),
    ("permission denied", "this role lacks a right; run `cybersec-mlops audit migrate` as the owner"),
    (
        "no answer|timeout|timed out|refused|closed|terminat|starting up|recovery",
        "the server is down or busy; try again",
    ),
    ("not a database|malformed", "the file is damaged or something else; restore it from a backup"),
    ("readonly|read-only|unable to open", "check the owner and mode of the database file and of its folder"),
    ("full|No space", "free some space and run the same command again"),
    ("no such table|does not exist", "run `cybersec-mlops audit migrate`"),
)


def normalised(url: str) -> URL:
    """Read a database URL and choose the driver.

    Raises
    ------
    ConfigError
        It is not a URL of SQLite or PostgreSQL; the message never repeats it, it may hold a password.

    Examples
    --------
    >>> normalised("postgres://me:secret@db/audit")
    postgresql+psycopg://me:***@db/audit
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("CYBERSEC_MLOPS_DATABASE_URL is not a database URL", hint=_FORMS) from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(f"{parsed.drivername!r} is not a database that the audit can live in", hint=_FORMS)
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError("the audit cannot live in memory: it would be gone with the process", hint=_FORMS)
    return parsed


_FORMS: Final = "write it as sqlite:////folder/audit.db or postgresql://user:password@host:5432/name"


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": LOCK_TIMEOUT_S})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    limits = {
        "statement_timeout": STATEMENT_TIMEOUT_S,
        "lock_timeout": LOCK_TIMEOUT_S,
        "idle_in_transaction_session_timeout": TRANSACTION_TIMEOUT_S,
    }
    keepalive = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "cybersec-mlops", **keepalive},
    )

    def set_up(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:  # not as start-up options: connection poolers refuse those
            for name, seconds in limits.items():
                cursor.execute(f"SET {name} = '{seconds}s'")
        connection.commit()

    event.listen(engine, "connect", set_up)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # a committed row survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextlib.contextmanager
def _deadline(connection: Connection, seconds: float, overdue: threading.Event) -> Iterator[None]:
    """Cut a PostgreSQL connection that is still busy after `seconds`; psycopg itself would wait without end."""
    if connection.dialect.name == "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    with socket.socket(fileno=os.dup(driver.pgconn.socket)) as line:

        def cut() -> None:
            overdue.set()
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    line = (str(cause).strip().split("\n") or [""])[0][:300]
    return re.sub(r"[\x00-\x1f\x7f]", "?", line) or type(cause).__name__
