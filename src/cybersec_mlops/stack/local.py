"""The production services on one machine: SeaweedFS, PostgreSQL and a Prefect server, on loopback, until told to end.

Ports and passwords are made once and kept in a private file, so that an environment stays valid over a restart.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.stack.postgres import Postgres
from cybersec_mlops.stack.prefect_server import PrefectServer
from cybersec_mlops.stack.processes import LOOPBACK, Daemon, answers, free_ports, password
from cybersec_mlops.stack.seaweedfs import SeaweedFS, environment_of, remove_sockets
from cybersec_mlops.storage.s3 import S3Options

STORE_URL: Final = "s3://mlops-{layer}"
AUDIT_ROLE: Final = "audit"
"""What a run connects as: it reads and appends, and cannot change an audit row."""
SERVERS: Final = ("prefect", "seaweedfs", "postgres")
"""In the order in which they are ended: who needs another first."""
_ASK: Final = {"postgres": signal.SIGINT}  # PostgreSQL's fast shutdown
_END_TIMEOUT_S: Final = 45
_VERSION: Final = 1


@dataclass(frozen=True)
class Access:
    """Ports and passwords: everything by which the servers are found, now and after a restart."""

    s3_ports: tuple[int, ...]
    s3_key: str
    s3_secret: str
    postgres_port: int
    prefect_port: int
    passwords: Mapping[str, str]
    """By database role: mlops (superuser), prefect, audit_owner, audit."""

    @classmethod
    def new(cls) -> Self:
        """Choose free ports and make passwords."""
        *s3, postgres, prefect = free_ports(10)
        roles = ("mlops", "prefect", "audit_owner", AUDIT_ROLE)
        return cls(tuple(s3), password()[:20], password(), postgres, prefect, {role: password() for role in roles})

    @property
    def s3(self) -> S3Options:
        """How the store is reached."""
        endpoint = f"http://{LOOPBACK}:{self.s3_ports[0]}"
        return S3Options(endpoint, access_key_id=self.s3_key, secret_access_key=self.s3_secret)

    def database_url(self, role: str, database: str, scheme: str = "postgresql") -> str:
        """Return the address of a database, password included."""
        return f"{scheme}://{role}:{self.passwords[role]}@{LOOPBACK}:{self.postgres_port}/{database}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which the pipeline runs on these servers, secrets included."""
        return {
            **environment_of(self.s3),
            "CYBERSEC_MLOPS_STORE_URL": STORE_URL,
            "CYBERSEC_MLOPS_DATABASE_URL": self.database_url(AUDIT_ROLE, "audit"),
            "PREFECT_API_URL": f"http://{LOOPBACK}:{self.prefect_port}/api",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        }


class LocalStack:
    """The servers below one folder.

    Parameters
    ----------
    folder : Path
        Holds their data, logs and the private file. As root it must be reachable by others: PostgreSQL then runs as
        another account.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def access(self) -> Access | None:
        """Return ports and passwords, None before the first `up`.

        Raises
        ------
        ConfigError
            The private file cannot be read, or is something else.
        """
        try:
            value = json.loads(self._private.read_text("ascii"))
            if value.pop("version") != _VERSION:
                raise ValueError("another version")
            return Access(**{**value, "s3_ports": tuple(value["s3_ports"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not what `stack up` writes"
            raise ConfigError(
                f"{self._private} cannot be used: {reason}", hint="name another --folder, or remove this one"
            ) from None

    def up(self) -> Access:
        """Start what does not run, and return when everything answers; ends what it started when something does not.

        Raises
        ------
        ConfigError
            A package is missing, or the folder cannot be used.
        PlatformError
            A server did not get ready.
        """
        with self._locked():
            access = self.access() or self._new_access()
            missing = [name for name in SERVERS if not self._daemon(name).alive]
            try:
                self._start(access, missing)
            except BaseException:
                self._end(missing)
                raise
            return access

    def _start(self, access: Access, missing: list[str]) -> None:
        if "postgres" in missing:
            Postgres.start(
                self.folder / "postgres", port=access.postgres_port, secret=access.passwords["mlops"], tied=False
            )
        has_trgm = _prepare_databases(access)
        url = access.database_url("prefect", "prefect", "postgresql+asyncpg")
        prefect = None
        if "prefect" in missing:
            prefect = PrefectServer(
                self.folder / "prefect", port=access.prefect_port, database_url=url, has_trgm=has_trgm, tied=False
            )
        if "seaweedfs" in missing:  # while the Prefect server, much the slowest, starts
            keys = (access.s3_key, access.s3_secret)
            SeaweedFS.start(self.folder / "seaweedfs", ports=access.s3_ports, keys=keys, tied=False)
        if prefect is not None:
            prefect.wait()

    def status(self) -> list[dict[str, Any]]:
        """Return for each server its name, address, process id (None when it does not run) and whether it answers."""
        access = self.access()
        return [] if access is None else [self._status(name, access) for name in reversed(SERVERS)]

    def _status(self, name: str, access: Access) -> dict[str, Any]:
        daemon = self._daemon(name)
        api = f"http://{LOOPBACK}:{access.prefect_port}"
        address = {
            "prefect": api,
            "seaweedfs": access.s3.endpoint,
            "postgres": f"postgresql://{LOOPBACK}:{access.postgres_port}",
        }
        probe = {
            "prefect": lambda: answers(f"{api}/api/ready"),
            "seaweedfs": lambda: answers(f"{access.s3.endpoint}/healthz"),
            "postgres": lambda: _connects(access.database_url("mlops", "postgres")),
        }
        alive = daemon.alive
        return {
            "name": name,
            "address": address[name],
            "pid": daemon.pid if alive else None,
            "answers": alive and probe[name](),
            "log": str(self._log(name)),
        }

    def down(self) -> list[str]:
        """End what runs, and return its names; data and passwords stay for the next `up`.

        Raises
        ------
        ConfigError
            The private file cannot be read.
        """
        if not self.folder.is_dir():
            return []
        with self._locked():
            return self._end(SERVERS)

    def _end(self, names: tuple[str, ...] | list[str]) -> list[str]:
        running = {name: daemon for name in SERVERS if name in names and (daemon := self._daemon(name)).alive}
        for name, daemon in running.items():
            daemon.ask(_ASK.get(name, signal.SIGTERM))
            if name == "prefect":
                daemon.wait_end(_END_TIMEOUT_S)
        for daemon in running.values():
            daemon.wait_end(_END_TIMEOUT_S)
        if "seaweedfs" in running and (access := self.access()) is not None:
            remove_sockets(access.s3_ports)
        return list(running)

    @property
    def _private(self) -> Path:
        return self.folder / "stack.json"

    def _log(self, name: str) -> Path:
        return self.folder / name / f"{name}.log"

    def _daemon(self, name: str) -> Daemon:
        return Daemon(self._log(name).with_suffix(".pid"))

    def _new_access(self) -> Access:
        access = Access.new()
        text = json.dumps({"version": _VERSION, **asdict(access)}, indent=1)
        part = self._private.with_suffix(".part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        part.write_text(text, "ascii")
        part.replace(self._private)
        return access

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's PostgreSQL is another account
            lock = (self.folder / "stack.lock").open("w")
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be used: {error.strerror}", hint="name another --folder") from None
        if os.geteuid() == 0 and not reachable(self.folder):
            lock.close()
            raise ConfigError(
                f"{self.folder} lies in a folder that only root may enter, and PostgreSQL does not run as root",
                hint="name another one, such as --folder /var/lib/cybersec-mlops/stack",
            )
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PlatformError(
                    f"another `stack` command is at work in {self.folder}", hint="wait until it has ended"
                ) from None
            yield


def reachable(folder: Path) -> bool:
    """Say whether any account may enter a folder, which need not exist yet."""
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents) if each.exists())


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _prepare_databases(access: Access) -> bool:
    """Make databases and roles as deploy/postgresql/initdb.sh does; say whether the server has pg_trgm."""
    with psycopg.connect(access.database_url("mlops", "postgres"), autocommit=True, connect_timeout=5) as connection:
        for role in ("prefect", "audit_owner", AUDIT_ROLE):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(make.format(sql.Identifier(role), sql.Literal(access.passwords[role])))
        for name, owner in (("prefect", "prefect"), ("audit", "audit_owner")):
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                make = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(make.format(sql.Identifier(name), sql.Identifier(owner)))
        connection.execute("REVOKE CONNECT ON DATABASE prefect, audit FROM PUBLIC")
        connection.execute("GRANT CONNECT ON DATABASE audit TO audit")
        found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone()
    with psycopg.connect(access.database_url("mlops", "audit"), autocommit=True, connect_timeout=5) as connection:
        connection.execute("ALTER SCHEMA public OWNER TO audit_owner")
    return found is not None
