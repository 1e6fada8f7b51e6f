"""The training alone: one version for one bundle, and a clear no to data that cannot train."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import DataError
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.platform import Platform

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
