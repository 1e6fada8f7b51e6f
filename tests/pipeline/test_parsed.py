"""The folder for what is parsed while it is stored, and the flows that hand it on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.config import RunSpec
from cybersec_mlops.ingestion.originals import object_key
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.parsed import place_for_parsed
from cybersec_mlops.pipeline.platform import Platform


def test_it_is_gone_afterwards(platform: Platform) -> None:
    with place_for_parsed(RunSpec(sources=("x",))) as place:
        assert place is not None
        assert Path(place).is_dir()
    assert not Path(place).exists()


def test_a_cluster_has_none(platform: Platform) -> None:
    with place_for_parsed(RunSpec(sources=("x",), engine="dask://scheduler:8786")) as place:
        assert place is None


@pytest.mark.services
@pytest.mark.xdist_group("prefect")
def test_the_transformation_takes_what_the_ingestion_parsed(
    prefect_api: str, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cybersec_mlops.ingestion.ingest.ONE_PASS_BYTES", 0)
    spec = RunSpec(sources=(str(write_log(tmp_path / "conn.log", [line(number) for number in range(20)])),))
    with place_for_parsed(spec) as place:
        raw = data_ingestion_flow(spec, "r1", place)
        (sha256,) = platform.audit.events(run_id="r1", phase="ingestion")[-1].outputs["sources"].values()
        platform.layers.raw.delete(object_key(sha256))
        silver = data_transformation_flow(spec, raw, "r1", place)
    assert silver["train"]["rows"] == 20
