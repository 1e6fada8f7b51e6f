from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from cybersec_mlops.stack.postgres import Postgres


@pytest.mark.services
def test_only_a_password_opens_it(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url(secret="wrong"), connect_timeout=5)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://mlops@127.0.0.1:{postgres.port}/postgres", connect_timeout=5)
    assert postgres.secret not in Path(f"/proc/{postgres.server.pid}/cmdline").read_text()
    assert not (postgres.folder / "owner.password").exists()


@pytest.mark.services
def test_databases_and_roles(postgres: Postgres) -> None:
    url = postgres.create_database('with "quotes"')
    secret = postgres.create_role("o'role")
    with psycopg.connect(postgres.url("postgres", user="o'role", secret=secret)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("o'role",)
    assert url.startswith("postgresql://mlops:")
    postgres.drop_database('with "quotes"')
    postgres.drop_database('with "quotes"')


@pytest.mark.services
def test_data_stay_when_it_is_killed_and_started_again() -> None:
    folder = Path(tempfile.mkdtemp(prefix="cybersec-mlops-postgres-"))
    first = Postgres.start(folder)
    with psycopg.connect(first.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    first.stop(graceful=False)
    second = Postgres.start(folder, secret=first.secret)
    with psycopg.connect(second.url()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    second.stop()
    shutil.rmtree(folder)
