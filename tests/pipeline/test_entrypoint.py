"""The container's command: one flow run for a key, exit codes, SIGTERM, and no wait without a limit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.services import Production

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.pipeline import entrypoint
from cybersec_mlops.pipeline.phase import run_id_of_key

MODULE = (sys.executable, "-m", "cybersec_mlops.pipeline.full_mlops_flow")
CONFIG = """
dataset = "job"
sources = ["{folder}"]
[training]
trees = {trees}
epochs = 2
prototypes = 32
[evaluation]
resamples = 50
leakage_rows = 1000
"""
ON_SERVERS = [pytest.mark.services, pytest.mark.xdist_group("services")]


@pytest.fixture
def job(synthetic_day: Path, tmp_path: Path) -> tuple[str, ...]:
    """Return a command whose training nobody has done before."""
    config = tmp_path / "run.toml"
    config.write_text(CONFIG.format(folder=synthetic_day, trees=10 + uuid.uuid4().int % 50))
    return (*MODULE, "--config", str(config))


def flow_runs(production: Production, key: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the flow runs of a key."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from cybersec_mlops.pipeline.compat import call_api

    with temporary_settings({PREFECT_API_URL: production.environment["PREFECT_API_URL"]}):
        wanted = {"flow_runs": {"idempotency_key": {"any_": [key]}}}
        return list(call_api("POST", "/flow_runs/filter", wanted))


def events(production: Production, key: str) -> list[StoredEvent]:
    audit = AuditLog.open(production.environment["CYBERSEC_MLOPS_DATABASE_URL"], migrate=False)
    assert audit.verify() == []
    return audit.events(run_id=run_id_of_key(key))


def begin(production: Production, job: tuple[str, ...], key: str, *, until: str) -> subprocess.Popen[str]:
    """Start the job and return when its log says something."""
    process = production.start(*job, CYBERSEC_MLOPS_IDEMPOTENCY_KEY=key)
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if until in line:
            return process
    raise AssertionError("".join(seen))


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_killed_job_goes_on_in_the_same_flow_run(
    production: Production, job: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid.uuid4().hex
    killed = begin(production, job, key, until="Beginning subflow run 'evaluate")
    killed.kill()
    killed.communicate()
    again = production.run(*job, CYBERSEC_MLOPS_IDEMPOTENCY_KEY=key)
    assert again.returncode in (0, 5), again.stderr[-3000:]
    document = json.loads(again.stdout.splitlines()[-1])
    assert document["run_id"] == run_id_of_key(key)
    assert [phase["reused"] for phase in document["phases"].values()] == [True, True, True, False]
    [flow_run] = flow_runs(production, key, monkeypatch)
    assert (flow_run["state_name"], flow_run["run_count"]) == ("Completed", 2)

    third = production.run(*job, CYBERSEC_MLOPS_IDEMPOTENCY_KEY=key)
    assert (third.returncode, third.stdout) == (again.returncode, again.stdout), "it is done: it is told, not run"
    assert "audit head " in third.stderr
    [flow_run] = flow_runs(production, key, monkeypatch)
    assert flow_run["run_count"] == 2


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_sigterm_is_audited_and_ends_with_143(
    production: Production, job: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid.uuid4().hex
    process = begin(production, job, key, until="Beginning subflow run 'train")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err[-3000:]
    assert "Traceback" not in err
    document = json.loads(out.splitlines()[-1])
    assert (document["status"], document["error"]["kind"]) == ("failed", "interrupted")
    assert [event.status for event in events(production, key) if event.phase == "run"] == ["started", "interrupted"]
    [flow_run] = flow_runs(production, key, monkeypatch)
    assert flow_run["state_name"] == "Crashed"
    assert production.run(*job, CYBERSEC_MLOPS_IDEMPOTENCY_KEY=key).returncode in (0, 5)


def test_a_container_without_a_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", raising=False)
    entrypoint.require_server()
    monkeypatch.setenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
    with pytest.raises(ConfigError, match="PREFECT_API_URL is not set"):
        entrypoint.require_server()


@pytest.mark.parametrize(
    ("line", "code"), [("colour = 1", 2), ('sources = ["/nowhere/at/all.log"]\ndataset = "nowhere"', 3)]
)
@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_an_error_is_its_exit_code_and_one_document(
    production: Production, tmp_path: Path, line: str, code: int
) -> None:
    (tmp_path / "run.toml").write_text(line)
    done = production.run(*MODULE, "--config", str(tmp_path / "run.toml"))
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["error"]["kind"] in ("config", "data")
