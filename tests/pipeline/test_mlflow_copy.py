"""A run on a real MLflow tracking server: what is there afterwards, and that its absence costs a warning only."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cybersec_mlops.audit.events import PhaseEvent
from cybersec_mlops.audit.registry import CHAMPION
from cybersec_mlops.cli import app
from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline import mlflow_copy
from cybersec_mlops.pipeline.full_mlops_flow import full_mlops_flow
from cybersec_mlops.pipeline.phase import new_run_id
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.result import run_document
from cybersec_mlops.stack.processes import LOOPBACK, Server, answers, free_ports

SECRET = "t0p-s3cr3t-t0k3n"
pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a running tracking server, with its registry in SQLite and its artifacts behind it."""
    folder = tmp_path_factory.mktemp("mlflow")
    [port] = free_ports(1)
    place = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/artifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }  # what `mlflow server` hands to the application, which is started here without its helpers
    flask = [sys.executable, "-m", "flask", "--app", "mlflow.server:app", "run", "--host", LOOPBACK, "--port", port]
    server = Server(
        "MLflow", [str(part) for part in flask], log=folder / "log", env={**os.environ, **mlflow_copy.CLIENT, **place}
    )
    try:
        server.wait_until(lambda: answers(f"http://{LOOPBACK}:{port}/health"), timeout_s=180)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.stop(timeout_s=10)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in mlflow_copy.CLIENT.items():
        monkeypatch.setenv(name, value)


def run(spec: RunSpec, platform: Platform) -> dict[str, Any]:
    run_id = new_run_id()
    full_mlops_flow(spec, run_id)
    return run_document(run_id, platform.audit.events(run_id=run_id))


@pytest.mark.filterwarnings("default")  # MLflow's own
def test_runs_models_and_aliases_are_there_too(
    prefect_api: str, mlflow_url: str, platform: Platform, quick_spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(quick_spec, platform)
    assert "mlflow" not in before, "nothing names a server yet"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    other = quick_spec.model_copy(update={"training": quick_spec.training.model_copy(update={"trees": 30})})
    second = run(other, platform)
    assert second["mlflow"]["status"] == "completed", second["mlflow"]["error"]

    from mlflow.tracking import MlflowClient

    client, name = MlflowClient(), "cybersec-mlops-day"
    logged = client.get_run(second["mlflow"]["mlflow_run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["training.trees"] == "30"
    metrics = logged.data.metrics
    assert metrics["roc_auc"] == pytest.approx(second["metrics"]["roc_auc"])
    assert metrics["roc_auc.low"] <= metrics["roc_auc"] <= metrics["roc_auc.high"]
    bundle = second["phases"]["training"]
    assert logged.data.tags["cybersec_mlops.run_id"] == second["run_id"]
    assert logged.data.tags["cybersec_mlops.bundle_sha256"] == bundle["sha256"]
    assert logged.data.tags["cybersec_mlops.prefect_flow_run_id"]
    folders = {one.path for one in client.list_artifacts(logged.info.run_id)}
    assert folders == {"bundle", "report", "model_card", "metrics"}
    [stored] = client.list_artifacts(logged.info.run_id, "bundle")
    assert stored.path == f"bundle/{bundle['sha256']}.zip"
    _check_aliases(client, name, platform)

    mlflow_copy.copy_run(platform, second["run_id"], None)
    again = run_document(second["run_id"], platform.audit.events(run_id=second["run_id"]))
    assert again["mlflow"] == second["mlflow"], "the same run and the same bundle are there once"
    _promote(platform, 2 if platform.registry.champion("day").version == 1 else 1)  # type: ignore[union-attr]
    _check_aliases(client, name, platform)
    assert len(client.search_model_versions(f"name = '{name}'")) == 2
    assert platform.audit.verify() == []


def _promote(platform: Platform, version: int) -> None:
    done = CliRunner().invoke(app, ["models", "promote", "day", str(version), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["version"] == version, "MLflow prints nothing in between"


def _check_aliases(client: Any, name: str, platform: Platform) -> None:
    champion = platform.registry.champion("day")
    assert champion is not None
    there = client.get_model_version_by_alias(name, CHAMPION)
    assert there.tags["cybersec_mlops.bundle_sha256"] == champion.sha256
    assert there.tags["cybersec_mlops.version"] == str(champion.version)


@pytest.mark.filterwarnings("default")
def test_a_server_that_is_away_costs_a_warning(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, closed_port: int
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:{closed_port}")
    now, bundle = datetime.now(UTC), {"uri": "s3://models/b", "sha256": "ab", "bytes": 1, "rows": None}
    done = {"run_id": "r1", "attempt": 1, "status": "completed", "started_at": now, "ended_at": now, "dataset": "day"}
    platform.audit.append(PhaseEvent(phase="training", outputs={"bundle": bundle}, **done))  # type: ignore[arg-type]
    mlflow_copy.copy_run(platform, "r1", None)
    document = run_document("r1", platform.audit.events(run_id="r1"))
    assert document["status"] == platform.audit.runs(1)[0].status == "completed"
    assert document["mlflow"]["status"] == "failed"
    assert "unset MLFLOW_TRACKING_URI" in document["mlflow"]["error"]["hint"]
    told = [record.getMessage() for record in caplog.records if record.name == "cybersec_mlops.mlflow"]
    assert len(told) == 1
    assert SECRET not in caplog.text + json.dumps(document) + json.dumps(platform.audit.events()[-1].error)


def test_a_server_that_never_answers_holds_nobody_up(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mlflow_copy, "LIMIT_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        made, error = mlflow_copy._bounded(lambda deadline: _ask_forever(silent), "run r1")
    assert made is None
    assert error is not None
    assert "not done after 0 s" in error["message"]
    assert "run r1 is not in MLflow" in caplog.text


def _ask_forever(silent: socket.socket) -> dict[str, Any]:
    with socket.create_connection(silent.getsockname()) as asking:
        asking.recv(1)
    return {}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    made, error = mlflow_copy._bounded(lambda deadline: {"client": mlflow_copy._client()}, "run r1")
    assert (made, error and error["kind"]) == (None, "config")
    assert "pip install 'cybersec-mlops-pipeline[mlflow]'" in caplog.text


def test_without_the_variable_nothing_is_imported(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow_copy, "_client", None)  # would be an error if it were called
    mlflow_copy.copy_aliases("day")
    assert not mlflow_copy.is_wanted()


def test_nothing_but_the_pipeline_knows_mlflow() -> None:
    package = Path(mlflow_copy.__file__).parents[1]
    knowing = [
        path.name
        for path in package.rglob("*.py")
        if "import mlflow" in (text := path.read_text()) or "from mlflow" in text
    ]
    assert knowing == ["mlflow_copy.py"]
