"""The training alone: one version for one bundle, and a clear no to data that cannot train."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import DataError
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.model_evaluation_flow import model_evaluation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.training.bundle import read_bundle

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


def test_one_class_is_told(prefect_api: str, platform: Platform, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(number, label="Benign") for number in range(300)])
    spec = RunSpec(sources=(str(log),), dataset="d")
    silver = data_transformation_flow(spec, data_ingestion_flow(spec, "r1"), "r1")
    with pytest.raises(DataError, match="one class"):
        model_training_flow(spec, silver, "r1")
    last = platform.audit.events(run_id="r1")[-1]
    assert (last.phase, last.status) == ("training", "failed")
    assert list(platform.layers.models.list()) == []


def test_another_seed_is_another_version(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    silver = data_transformation_flow(quick_spec, data_ingestion_flow(quick_spec, "r1"), "r1")
    first = model_training_flow(quick_spec, silver, "r1")
    again = model_training_flow(quick_spec, silver, "r2")
    training = quick_spec.training.model_copy(update={"seed": 1})
    other = model_training_flow(quick_spec.model_copy(update={"training": training}), silver, "r3")
    assert [one["version"] for one in (first, again, other)] == [1, 1, 2]
    assert first["bundle"] == again["bundle"]
    assert first["bundle"]["sha256"] != other["bundle"]["sha256"]


def test_a_model_carried_over_names_its_parent(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    silver = data_transformation_flow(quick_spec, data_ingestion_flow(quick_spec, "r1"), "r1")
    parent = model_training_flow(quick_spec, silver, "r1")
    there = quick_spec.model_copy(update={"dataset": "there", "recalibrate": "day@1"})
    carried = model_training_flow(there, silver, "r2")
    again = model_training_flow(there, silver, "r3")
    assert carried["bundle"] == again["bundle"]
    assert carried["bundle"]["sha256"] != parent["bundle"]["sha256"]
    event = platform.audit.events(run_id="r2")[-1]
    assert [one["sha256"] for one in event.inputs] == [silver["train"]["sha256"], parent["bundle"]["sha256"]]
    evaluated = model_evaluation_flow(there, carried, silver, "r2")
    models, store = platform.layers.models, platform.layers.eval
    _, manifest = read_bundle(models.get_bytes(models.key(carried["bundle"]["uri"])))
    assert manifest["provenance"]["parent"]["sha256"] == parent["bundle"]["sha256"]
    assert b"was carried over" in store.get_bytes(store.key(evaluated["report"]))
    metrics = json.loads(store.get_bytes(store.key(evaluated["metrics_object"]["uri"])))["metrics"]
    assert {one["label"]: one["in_training"] for one in metrics["recall_by_attack"]}
    assert metrics["unseen_attacks"] is not None


@pytest.mark.parametrize("named", ["nowhere", "day@7", "file:///nowhere/bundle.zip"])
def test_a_parent_that_is_not_there_is_told(
    prefect_api: str, platform: Platform, quick_spec: RunSpec, named: str
) -> None:
    spec = quick_spec.model_copy(update={"recalibrate": named})
    with pytest.raises(DataError):
        model_training_flow(spec, {"train": {"uri": "x", "sha256": "0" * 64, "bytes": 1, "rows": 1}}, "r1")
