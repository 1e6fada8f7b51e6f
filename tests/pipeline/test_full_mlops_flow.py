"""The whole pipeline under Prefect: a first run, a second one that does nothing, and what breaks in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import DataError
from cybersec_mlops.pipeline.compat import call_api
from cybersec_mlops.pipeline.full_mlops_flow import full_mlops_flow
from cybersec_mlops.pipeline.phase import new_run_id
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.result import PHASES, run_document
from cybersec_mlops.pipeline.version import code_version

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]

PHASES_AND_RUN = ("run", *PHASES)
SUBFLOWS = ("data_ingestion_flow", "data_transformation_flow", "model_training_flow", "model_evaluation_flow")


def run(spec: RunSpec, platform: Platform) -> dict[str, Any]:
    run_id = new_run_id()
    full_mlops_flow(spec, run_id)
    return run_document(run_id, platform.audit.events(run_id=run_id))


def reused(document: dict[str, Any]) -> list[bool]:
    return [phase["reused"] for phase in document["phases"].values()]


@pytest.mark.prefect2
def test_a_run_a_second_run_and_a_repair(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    first = run(quick_spec, platform)
    assert first["status"] in ("completed", "rejected")
    assert reused(first) == [False] * 4
    assert first["phases"]["transformation"]["rows"] == 6000
    assert first["metrics"]["rows"] == pytest.approx(1800, abs=20)
    assert first["metrics"]["attacks"] > 0
    assert first["metrics"]["nominal_false_positive_rate"] == 0.01

    again = run(quick_spec, platform)
    assert reused(again) == [True] * 4
    assert again["metrics"] == first["metrics"]
    assert (again["status"], again["promoted"]) == (first["status"], first["promoted"])

    models = platform.layers.models
    key = models.key(first["phases"]["training"]["uri"])
    damaged = models.get_bytes(key)[:-100]
    models.put_bytes(key, damaged, overwrite=True)
    repaired = run(quick_spec, platform)
    assert reused(repaired) == [True, True, False, True], "the same bundle again: its evaluation still holds"
    assert repaired["phases"]["training"]["sha256"] == first["phases"]["training"]["sha256"]
    assert models.get_bytes(key, sha256=first["phases"]["training"]["sha256"])
    assert platform.audit.verify() == []


@pytest.mark.prefect2
def test_prefect_and_the_audit_lead_to_each_other(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    document = run(quick_spec, platform)
    events = [event for event in platform.audit.events(run_id=document["run_id"]) if event.phase in PHASES_AND_RUN]
    runs = {event.phase: call_api("GET", f"/flow_runs/{event.prefect_flow_run_id}", {}) for event in events}
    flows = {name: call_api("GET", f"/flows/{run['flow_id']}", {})["name"] for name, run in runs.items()}
    assert flows["run"] == "full_mlops_flow"
    assert sorted(flows[name] for name in document["phases"]) == sorted(SUBFLOWS)
    for flow_run in runs.values():
        assert document["run_id"] in flow_run["name"]
        assert "day" in flow_run["name"]
        assert flow_run["state_type"] == "COMPLETED"
        assert {f"run:{document['run_id']}", "dataset:day", f"version:{code_version()}"} <= set(flow_run["tags"])


def test_a_failure_is_told_and_the_next_run_goes_on(
    prefect_api: str, platform: Platform, quick_spec: RunSpec, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("")
    broken = quick_spec.model_copy(update={"test": (str(empty),)})
    run_id = new_run_id()
    with pytest.raises(DataError, match="is empty"):
        full_mlops_flow(broken, run_id)
    document = run_document(run_id, platform.audit.events(run_id=run_id))
    assert document["status"] == "failed"
    assert document["error"]["kind"] == "data"
    assert document["phases"]["ingestion"]["status"] == "failed"
    assert document["phases"]["training"]["status"] is None
    assert run(quick_spec, platform)["phases"]["ingestion"]["reused"], "what was stored before the failure is used"


def test_predictions_lead_back_to_the_bytes(
    prefect_api: str, platform: Platform, quick_spec: RunSpec, synthetic_day: Path
) -> None:
    document = run(quick_spec, platform)
    events = platform.audit.events(run_id=document["run_id"], phase="evaluation")
    stored = events[-1].outputs["predictions"]
    layer = platform.layers.eval
    rows = pl.read_parquet(layer.get_bytes(layer.key(stored["uri"]), sha256=stored["sha256"]))
    assert rows.height == document["metrics"]["rows"]
    top = rows.sort("score", descending=True).row(0, named=True)
    raw = platform.layers.raw.get_bytes(
        f"objects/{top['raw_sha256'][:2]}/{top['raw_sha256']}", sha256=top["raw_sha256"]
    )
    assert top["uid"].encode() in raw.splitlines()[top["raw_line"] - 1]


def test_the_same_data_elsewhere_gives_the_same_bundle(
    prefect_api: str, platform: Platform, quick_spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cybersec_mlops.pipeline.platform import open_platform

    first = run(quick_spec, platform)
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path / "another-home"))
    second = run(quick_spec, open_platform())
    assert second["run_id"] != first["run_id"]
    assert reused(second) == [False] * 4
    assert second["phases"]["training"]["sha256"] == first["phases"]["training"]["sha256"]
    assert second["metrics"] == first["metrics"]


def test_it_holds_no_data_logic() -> None:
    source = Path(full_mlops_flow.fn.__code__.co_filename).read_text()
    for word in ("polars", "numpy", "xgboost", "obstore", "sqlalchemy", "ingestion.", "training.", "evaluation."):
        assert f"import {word}" not in source
        assert f"from cybersec_mlops.{word}" not in source
