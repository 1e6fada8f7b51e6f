"""Fixtures that start a real SeaweedFS, PostgreSQL or Prefect server on loopback, once per worker, only when asked for.

`store` and `database_url` run a test over every implementation; those on real servers carry the mark ``services``.
Servers are ended by their id, and by the kernel when the test process is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cybersec_mlops.stack.postgres import FAST_AND_LOSE, Postgres
from cybersec_mlops.stack.processes import LOOPBACK, Daemon
from cybersec_mlops.stack.seaweedfs import SeaweedFS
from cybersec_mlops.storage.objects import ObjectStore

REAL = [pytest.mark.services, pytest.mark.xdist_group("services")]


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A running S3 server."""
    server = SeaweedFS.start(tmp_path_factory.mktemp("seaweedfs"))
    yield server
    server.stop(graceful=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    # As root, pytest's own folder is out of reach of the account that PostgreSQL then has.
    folder = Path(tempfile.mkdtemp(prefix="cybersec-mlops-postgres-", dir=_memory()))
    server = Postgres.start(folder, settings=FAST_AND_LOSE)
    yield server
    server.stop()
    shutil.rmtree(folder)


def _memory(place: Path = Path("/dev/shm")) -> Path | None:
    """Return where files are in memory: a backend waits for the disk when it starts, and others may keep that busy."""
    if not place.is_dir() or not os.access(place, os.W_OK) or os.statvfs(place).f_flag & os.ST_NOEXEC:
        return None
    return place if shutil.disk_usage(place).free > 2**31 else None


@pytest.fixture(scope="session")
def s3_environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables with which an S3 server is found: SeaweedFS, or the one that CYBERSEC_MLOPS_TEST_S3_URL names.

    Credentials of your own server are in the AWS_* variables as for a run; its key must be able to make buckets.
    """
    endpoint = os.environ.get("CYBERSEC_MLOPS_TEST_S3_URL")
    if endpoint is None:
        server: SeaweedFS = request.getfixturevalue("seaweedfs")
        return server.environment()
    given = ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE")
    return {"AWS_ENDPOINT_URL": endpoint} | {name: os.environ[name] for name in given if name in os.environ}


@dataclass(frozen=True)
class S3:
    """The S3 server as the environment now shows it, and buckets of this test's own."""

    prefix: str

    def url(self, name: str) -> str:
        """Return the address of a bucket that nobody else uses; it does not exist yet."""
        return f"s3://{self.prefix}-{name}"


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> S3:
    """The environment of a running S3 server."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return S3(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback that refuses connections: it is held, else a server of another test might get it."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a new, empty database."""
    name = f"t{uuid.uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=REAL)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store of each kind."""
    if request.param == "file":
        return f"file://{tmp_path}/store"
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    s3: S3 = request.getfixturevalue("s3")
    return s3.url("store")


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    """An empty store of each kind, ready to be used."""
    opened = ObjectStore.from_url(store_url)
    opened.ensure()
    return opened


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=REAL)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/database/audit.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a running Prefect API, used by everything in this process."""
    from cybersec_mlops.pipeline.compat import flush
    from cybersec_mlops.pipeline.embedded_server import embedded_server

    with embedded_server(tmp_path_factory.mktemp("prefect")) as server:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        server.wait()
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            yield server.api_url
            flush(10)


@pytest.fixture
def prefect_api(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    return prefect_server


@dataclass(frozen=True)
class Production:
    """The servers of `cybersec-mlops stack up`, and a machine that is to stay as empty as it was."""

    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user who exported nothing else would."""
        return self.run(Path(sysconfig.get_path("scripts")) / "cybersec-mlops", *arguments)

    def run(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        with self.start(*command, **more) as process:
            out, err = process.communicate(timeout=200)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def start(self, *command: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start a program with the exported environment, its own home, scratch and working folder."""
        for name in ("home", "scratch", "work"):
            (self.local / name).mkdir(parents=True, exist_ok=True)
        own = {"PATH": "/usr/bin:/bin", "HOME": f"{self.local}/home", "TMPDIR": f"{self.local}/scratch"}
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=self.local / "work",
            env={**own, **self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def local(self) -> Path:
        """Where everything lies that a run would leave on this machine."""
        return self.folder.with_name("machine")


@pytest.fixture(scope="session")
def production() -> Iterator[Production]:
    """Return a stack that `cybersec-mlops stack up` started; it is ended by `stack down`."""
    base = Path(tempfile.mkdtemp(prefix="cybersec-mlops-stack-"))
    base.chmod(0o755)  # as root, PostgreSQL is another account
    found = Production(base / "stack", {})
    place = ("--folder", str(found.folder))
    try:
        begun = found.command("stack", "up", *place, "--json")
        assert begun.returncode == 0, begun.stderr
        found.environment.update(json.loads(begun.stdout)["environment"])
        yield found
    finally:
        Daemon(found.folder / "seaweedfs" / "seaweedfs.pid").ask(signal.SIGKILL)  # an end in order takes half a minute
        ended = found.command("stack", "down", *place, "--json")
        assert ended.returncode == 0, ended.stderr
        shutil.rmtree(base)
