"""Fixtures that start a real SeaweedFS and a real PostgreSQL on loopback, once per worker and only when asked for.

`store` and `database_url` run a test over every implementation; those on real servers carry the mark ``services``.
Servers are ended by their id, and by the kernel when the test process is killed.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cybersec_mlops.stack.postgres import FAST_AND_LOSE, Postgres
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
    folder = Path(tempfile.mkdtemp(prefix="cybersec-mlops-postgres-"))  # as root, pytest's own folder is out of reach
    server = Postgres.start(folder, settings=FAST_AND_LOSE)
    yield server
    server.stop()
    shutil.rmtree(folder)


@dataclass(frozen=True)
class S3:
    """The S3 server as the environment now shows it, and buckets of this test's own."""

    server: SeaweedFS
    prefix: str

    def url(self, name: str) -> str:
        """Return the address of a bucket that nobody else uses; it does not exist yet."""
        return f"s3://{self.prefix}-{name}"


@pytest.fixture
def s3(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The environment of a running S3 server."""
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    return S3(seaweedfs, f"t{uuid.uuid4().hex[:12]}")


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
