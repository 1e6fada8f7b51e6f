"""The transformation alone: counts in the audit, rows in an Iceberg table that others can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.platform import Platform

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


def test_a_mapping_is_an_input_like_any_other(prefect_api: str, platform: Platform, tmp_path: Path) -> None:
    table, mapping = tmp_path / "table.csv", tmp_path / "mapping.toml"
    table.write_text("src,dst,proto,dur,rtt\n" + "10.0.0.1,10.0.0.2,tcp,1500,2\n" * 5)
    text = 'name = "mine"\n[columns]\nsrc = "orig_h"\ndst = "resp_h"\nproto = "proto"\nrtt = {native = "rtt"}\n'
    mapping.write_text(text + 'dur = {to = "duration_s", unit = "ms"}\n')
    spec = RunSpec(sources=(str(table),), mapping=(str(mapping),), dataset="mine")
    raw = data_ingestion_flow(spec, "r1")
    mapping.unlink()  # from here on it comes from RAW
    data_transformation_flow(spec, raw, "r1")
    told = platform.audit.events(run_id="r1", phase="ingestion")[-1].outputs
    assert told["mappings"]["mine"]["uri"].startswith(platform.layers.raw.url)
    first = platform.audit.events(run_id="r1", phase="transformation")[-1]
    rows = platform.catalog.scan(first.outputs["table"], first.outputs["tag"]).collect()
    assert rows.select("format", "duration_s", "mine_rtt").row(0) == ("mine", 1.5, 2.0)

    mapping.write_text(text + 'dur = {to = "duration_s", unit = "s"}\n')
    data_transformation_flow(spec, data_ingestion_flow(spec, "r2"), "r2")
    second = platform.audit.events(run_id="r2", phase="transformation")[-1]
    assert (second.status, second.key != first.key) == ("completed", True)


def test_rows_and_refused_rows_are_tables(
    prefect_api: str, platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [*(line(number) for number in range(20)), line(20, resp_p="99999")]
    spec = RunSpec(sources=(str(write_log(tmp_path / "conn.log", lines)),), dataset="Day 1".lower().replace(" ", "-"))
    with caplog.at_level("INFO", "cybersec_mlops.progress"):
        data_transformation_flow(spec, data_ingestion_flow(spec, "r1"), "r1")
    assert "transformation: 1 rows were quarantined: bad_port 1" in caplog.text
    told = platform.audit.events(run_id="r1", phase="transformation")[-1].outputs
    assert (told["read"], told["rows"], told["quarantined"]) == (21, 20, 1)
    assert told["labels_original"] == {"Benign": 18, "Malicious": 2}

    rows = platform.catalog.scan(told["table"], told["tag"]).collect()
    assert rows.height == 20
    assert rows["orig_conns_600s"].null_count() == 0
    refused = platform.catalog.scan(told["quarantine_table"], told["tag"]).collect()
    assert refused.select("raw_line", "field").to_dicts() == [{"raw_line": 28, "field": "resp_p"}]
