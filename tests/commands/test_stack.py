"""`stack`: production's servers on one machine, private, staying, started again where they are missing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.services import Production
from typer.testing import Result

SERVICES = [pytest.mark.services, pytest.mark.xdist_group("services")]


def pids(production: Production) -> dict[str, int]:
    told = production.command("stack", "status", "--folder", str(production.folder), "--json")
    return {one["name"]: one["pid"] for one in json.loads(told.stdout)["servers"]}


def test_no_stack_is_said_with_what_to_do(call: Callable[..., Result], tmp_path: Path) -> None:
    done = call("stack", "status", "--folder", str(tmp_path / "none"))
    assert done.exit_code == 4
    assert f"stack up --folder {tmp_path}/none" in done.stderr
    down = call("stack", "down", "--folder", str(tmp_path / "none"))
    assert (down.exit_code, "nothing ran" in down.stdout) == (0, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_up_prints_what_to_export_and_changes_nothing_where_all_runs(production: Production) -> None:
    before = pids(production)
    again = production.command("stack", "up", "--folder", str(production.folder))
    assert again.returncode == 0
    assert pids(production) == before
    shell = production.run("/bin/sh", "-c", f"{again.stdout}\nexport -p")
    assert all(name in shell.stdout for name in production.environment)
    told = production.run(
        "/bin/sh", "-c", f"unset CYBERSEC_MLOPS_STORE_URL\n{again.stdout}\necho $CYBERSEC_MLOPS_STORE_URL"
    )
    assert told.stdout.strip() == "s3://mlops-{layer}"


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_passwords_are_in_one_private_file_and_on_no_command_line(production: Production) -> None:
    private = production.folder / "stack.json"
    assert private.stat().st_mode & 0o777 == 0o600
    value = json.loads(private.read_text())
    secrets = {value["s3_secret"], *value["passwords"].values()}
    assert len(secrets) == 5
    for pid in pids(production).values():
        line = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in line for secret in secrets)
    for log in production.folder.glob("*/*.log"):
        assert not any(secret in log.read_text(errors="replace") for secret in secrets), log


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_run_cannot_change_the_audit_nor_read_what_is_prefects(production: Production) -> None:
    url = production.environment["CYBERSEC_MLOPS_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in ("DELETE FROM audit_events", "DROP TABLE audit_events", "CREATE TABLE mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url.rpartition("/")[0] + "/prefect", connect_timeout=5)


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_server_that_was_killed_is_told_and_started_again_with_its_data(production: Production) -> None:
    before = pids(production)
    os.kill(before["postgres"], signal.SIGKILL)
    place = ("--folder", str(production.folder))
    told = production.command("stack", "status", *place)
    assert told.returncode == 4
    assert "postgres   is down" in told.stdout
    again = production.command("stack", "up", *place, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["environment"] == production.environment
    after = pids(production)
    assert after["postgres"] != before["postgres"]
    assert {**after, "postgres": 0} == {**before, "postgres": 0}
    assert production.command("audit", "verify").returncode == 0
