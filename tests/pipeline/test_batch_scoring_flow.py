"""Scoring under Prefect: audited, reused, delivered, and traced from the model and from the original."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cybersec_mlops.audit.lineage import trace
from cybersec_mlops.commands.lineage import Manifests
from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline.batch_scoring_flow import batch_scoring_flow, warnings_of
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.phase import new_run_id
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.result import describe_run
from cybersec_mlops.pipeline.scoring_result import scoring_document
from cybersec_mlops.simulate.simulate import simulate

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def new_logs(tmp_path: Path) -> Path:
    folder = tmp_path / "new"
    simulate(folder, connections=2000, hours=30.0, seed=8, attack_fraction=0.05)
    return folder


@pytest.fixture
def trained(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> dict[str, Any]:
    """Train without an evaluation, and let the model be the champion."""
    silver = data_transformation_flow(quick_spec, data_ingestion_flow(quick_spec))
    model = model_training_flow(quick_spec, silver)
    platform.registry.set_alias("day", "champion", 1, run_id="by-hand", reason="a test")
    return dict(model)


def score(platform: Platform, sources: Path, **scoring: Any) -> dict[str, Any]:
    run_id = new_run_id()
    batch_scoring_flow(RunSpec.parse({"sources": (str(sources),), "scoring": scoring}, where="the test"), run_id)
    return scoring_document(run_id, platform.audit.events(run_id=run_id))


def test_a_scoring_a_second_one_and_what_the_audit_knows(
    trained: dict[str, Any], platform: Platform, new_logs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "alerts.ndjson"
    first = score(platform, new_logs, per_day=20, out=str(out))
    assert first["status"] == "completed"
    assert first["error"] is None
    told = first["metrics"]
    assert (told["rows"], told["quarantined"]) == (2000, 0)
    assert told["model"] == {"dataset": "day", "version": 1, "sha256": trained["bundle"]["sha256"]}
    assert 0 < told["alerts"] <= 20 * len(told["days"])
    assert len(told["days"]) == 2
    assert first["alerts"]["out"] == str(out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == told["alerts"]
    assert hashlib.sha256(out.read_bytes()).hexdigest() == first["alerts"]["ndjson"]["sha256"]

    again = score(platform, new_logs, per_day=20, out=str(tmp_path / "again.parquet"))
    assert again["phases"]["scoring"]["reused"]
    assert again["metrics"] == told
    assert pl.read_parquet(tmp_path / "again.parquet").height == told["alerts"]
    other = score(platform, new_logs, per_day=5)
    assert not other["phases"]["scoring"]["reused"], "another limit, another result"
    assert other["alerts"]["out"] is None

    contents = Manifests(platform.layers)
    led_to = trace(platform.audit, "day@1", contents=contents).led_to
    scored = [event for event in led_to if event.phase == "scoring" and event.status == "completed"]
    assert [event.outputs["alerts"] for event in scored] == [told["alerts"], other["metrics"]["alerts"]]
    made = trace(platform.audit, first["alerts"]["ndjson"]["sha256"], contents=contents)
    assert lines[0]["cybersec_mlops"]["raw"]["sha256"] in {source["sha256"] for source in made.sources}
    assert [event.phase for event in made.made_by][-1] == "scoring"
    assert platform.audit.verify() == []


def test_alerts_that_were_damaged_are_made_again(trained: dict[str, Any], platform: Platform, new_logs: Path) -> None:
    first = score(platform, new_logs)
    store, uri = platform.layers.eval, first["alerts"]["uri"]
    store.put_bytes(store.key(uri), b"{}\n", overwrite=True)
    again = score(platform, new_logs)
    assert not again["phases"]["scoring"]["reused"]
    assert again["alerts"] == first["alerts"]
    assert store.get_bytes(store.key(uri), sha256=first["alerts"]["ndjson"]["sha256"])


def test_a_run_that_scored_is_shown_as_one(trained: dict[str, Any], platform: Platform, new_logs: Path) -> None:
    document = score(platform, new_logs)
    shown = describe_run(document["run_id"], platform.audit.events(run_id=document["run_id"]))
    assert {name: shown[name] for name in document} == document
    assert shown["dataset"] == "day"
    assert [step["phase"] for step in shown["lineage"]] == ["ingestion", "ingestion", "scoring", "scoring"]


def test_a_bundle_by_its_uri_and_by_its_file(
    trained: dict[str, Any], platform: Platform, new_logs: Path, tmp_path: Path
) -> None:
    uri = trained["bundle"]["uri"]
    by_name = score(platform, new_logs)
    assert score(platform, new_logs, model=uri)["phases"]["scoring"]["reused"]
    file = tmp_path / "carried.zip"
    platform.layers.models.fetch(platform.layers.models.key(uri), file)
    assert score(platform, new_logs, model=str(file))["alerts"]["uri"] == by_name["alerts"]["uri"]


def test_what_cannot_be_done_is_said_before_work_begins(
    prefect_api: str, platform: Platform, new_logs: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no model to score with"):
        score(platform, new_logs)
    for out, why in (("alerts.csv", "says no format"), (f"{tmp_path}/none/a.ndjson", "there is no folder")):
        with pytest.raises(ConfigError, match=why):
            score(platform, new_logs, out=out)
    assert platform.audit.events() == []


def test_what_the_model_lacks_is_warned_of() -> None:
    calibration = {"warnings": ["w"], "advice": "a"}
    outputs = {"missing_features": [f"f{n}" for n in range(12)], "features": 20, "calibration": calibration}
    lacking, *rest = warnings_of(outputs)
    assert "12 of the model's 20 features" in lacking
    assert "and 4 more" in lacking
    assert rest == ["w", "a"]
