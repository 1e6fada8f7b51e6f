"""What is written: Zeek's header, Zeek's JSON, CICFlowMeter's table, each with its mark."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from cybersec_mlops.simulate.mark import is_synthetic_head
from cybersec_mlops.simulate.traffic import Plan, simulate_traffic
from cybersec_mlops.simulate.writers import FORMATS

BEGINS, ENDS = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.concat(simulate_traffic(Plan(connections=2_000)))


def written(format: str, rows: pl.DataFrame, labelled: bool = True) -> bytes:  # noqa: A002
    form = FORMATS[format]
    return form.header(labelled, "seed=7", BEGINS) + form.rows(rows, labelled, 0) + form.footer(ENDS)


@pytest.mark.parametrize("labelled", [False, True])
def test_the_zeek_header_is_zeeks(rows: pl.DataFrame, labelled: bool) -> None:
    lines = written("zeek-tsv", rows, labelled).decode().splitlines()
    assert lines[:2] == ["#separator \\x09", "#synthetic\tseed=7"]
    header = {line.split("\t")[0]: line.split("\t")[1:] for line in lines if line.startswith("#")}
    assert header["#path"] == ["conn"]
    assert header["#open"] == ["2026-03-02-00-00-00"]
    assert header["#close"] == ["2026-03-03-00-00-00"]
    width = 23 if labelled else 21
    assert header["#fields"][20:] == ["tunnel_parents", "label", "detailedlabel"][: width - 20]
    assert len(header["#types"]) == width
    assert {len(line.split("\t")) for line in lines if not line.startswith("#")} == {width}


def test_times_are_written_to_the_microsecond(rows: pl.DataFrame) -> None:
    first = written("zeek-tsv", rows).decode().splitlines()[9].split("\t")
    record = json.loads(written("zeek-json", rows).splitlines()[0])
    micros = rows["ts"].dt.epoch("us")[0]
    assert first[0] == f"{micros // 1_000_000}.{micros % 1_000_000:06d}"
    assert record["ts"] == float(first[0])


def test_json_leaves_out_what_is_unset(rows: pl.DataFrame) -> None:
    records = [json.loads(line) for line in written("zeek-json", rows).splitlines()]
    assert len(records) == rows.height
    assert all(record["_synthetic"] is True and None not in record.values() for record in records)
    single = [record for record in records if record["orig_pkts"] + record["resp_pkts"] == 1]
    assert single
    assert not any({"duration", "orig_bytes", "resp_bytes"} & record.keys() for record in single)
    for record, service, duration in zip(records, rows["service"], rows["duration_s"], strict=True):
        assert record.get("service") == service
        assert record.get("duration") == duration


def test_labels_are_zeeks_two_columns(rows: pl.DataFrame) -> None:
    records = [json.loads(line) for line in written("zeek-json", rows).splitlines()]
    for record, attack in zip(records, rows["attack"], strict=True):
        assert record["label"] == ("Malicious" if attack else "Benign")
        assert record.get("detailedlabel") == attack
    assert "label" not in json.loads(written("zeek-json", rows, labelled=False).splitlines()[0])


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_every_file_is_marked(rows: pl.DataFrame, format: str, labelled: bool) -> None:  # noqa: A002
    assert is_synthetic_head(written(format, rows.head(1), labelled))
    assert is_synthetic_head(written(format, rows, labelled)[:4096])
