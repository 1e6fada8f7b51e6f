"""`stack up`, then `run` on real logs: everything is in S3, PostgreSQL and Prefect, and nothing on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.services import Production

from cybersec_mlops.config import LAYERS
from cybersec_mlops.storage.objects import ObjectStore

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("services"), pytest.mark.shared_data]

SMALL = "[training]\ntrees = 20\nepochs = 2\nprototypes = 32\n[evaluation]\nresamples = 50\nleakage_rows = 1000\n"
"""What is tested is the way, not the model."""


def test_a_run_on_real_logs_leaves_nothing_on_this_machine(
    production: Production, shared_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = shared_data("zeek-labeled-strato") / "008-zeek-mixed" / "data" / "conn.log.labeled"
    config = tmp_path / "run.toml"
    config.write_text(SMALL)
    before = set(production.local.rglob("*"))  # Prefect keeps the exceptions of runs that other tests made fail
    done = production.command("run", str(logs), "--dataset", "mixed", "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["phases"]["transformation"]["rows"] == 5663
    left = [path for path in production.local.rglob("*") if not path.is_dir() and path not in before]
    assert left == []

    for name, value in production.environment.items():
        monkeypatch.setenv(name, value)
    stored = {layer: list(ObjectStore.from_url(f"s3://mlops-{layer}").list()) for layer in LAYERS}
    assert all(stored.values())
    assert sum(size for key, size in stored["raw"] if key.startswith("objects/")) >= logs.stat().st_size
    with psycopg.connect(production.environment["CYBERSEC_MLOPS_DATABASE_URL"]) as connection:
        [(events,)] = connection.execute(
            "SELECT count(*) FROM audit_events WHERE run_id = %s", [document["run_id"]]
        ).fetchall()
        [(tables,)] = connection.execute("SELECT count(*) FROM iceberg_tables").fetchall()
    assert events >= 10
    assert tables >= 1

    verified = json.loads(production.command("audit", "verify", "--json").stdout)
    assert verified["intact"]
    shown = json.loads(production.command("show", document["run_id"], "--json").stdout)
    flow_run = next(step["prefect_flow_run_id"] for step in shown["lineage"] if step["phase"] == "run")
    traced = json.loads(production.command("audit", "trace", "mixed@1", "--json").stdout)
    assert [source["names"] for source in traced["sources"]] == [[str(logs)]]
    _check_prefect(flow_run, document["run_id"], monkeypatch)
    _check_secrets(production, f"{done.stdout}{done.stderr}{json.dumps(shown)}")


def _check_secrets(production: Production, told: str) -> None:
    """No password is in either database (parameters, logs, artifacts, audit rows), in any object, or printed."""
    kept = json.loads((production.folder / "stack.json").read_text())
    secrets = [kept["s3_secret"], *kept["passwords"].values()]
    assert len(secrets) >= 5
    server = f"postgresql://mlops:{kept['passwords']['mlops']}@127.0.0.1:{kept['postgres_port']}"
    places = {"terminal": told.encode()}
    for name in ("prefect", "audit"):
        with psycopg.connect(f"{server}/{name}") as connection:
            listed = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
            for (table,) in connection.execute(listed).fetchall():
                rows = connection.execute(f"SELECT t::text FROM {table} AS t").fetchall()
                places[f"{name}.{table}"] = "\n".join(row for (row,) in rows).encode()
    for layer in LAYERS:
        store = ObjectStore.from_url(f"s3://mlops-{layer}")
        places |= {store.uri(key): store.get_bytes(key) for key, _ in store.list()}
    assert places["prefect.flow_run"]
    assert places["audit.audit_events"]
    assert [where for where, text in places.items() for secret in secrets if secret.encode() in text] == []


def _check_prefect(flow_run_id: str, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from prefect.settings import PREFECT_API_URL, temporary_settings

    from cybersec_mlops.pipeline.compat import call_api

    with temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}):
        parent = call_api("GET", f"/flow_runs/{flow_run_id}", {})
        children = call_api("POST", "/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [flow_run_id]}}})
    assert {f"run:{run_id}", "dataset:mixed"} <= set(parent["tags"])
    assert sorted(child["name"].split()[0] for child in children) == ["evaluate", "ingest", "train", "transform"]
    assert {one["state_name"] for one in (parent, *children)} == {"Completed"}
