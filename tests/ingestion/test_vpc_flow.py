"""AWS VPC flow logs."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.vpc_flow import VPCFlow

SAMPLES = Path(__file__).parent / "samples"
DEFAULT, CUSTOM, CLOUDWATCH = (
    (SAMPLES / name).read_bytes() for name in ("vpc_default.csv", "vpc_custom.csv", "vpc_cloudwatch.txt")
)
NO_TRAFFIC = (
    b"2 123456789010 eni-1235b8ca123456789 - - - - - - - 1772442000 1772442060 - NODATA\n"
    b"2 123456789010 eni-1235b8ca123456789 - - - - - - - 1772442000 1772442060 - SKIPDATA\n"
    b"2 123456789010 eni-1235b8ca123456789 - - - - - - - 1772442060 1772442120 - NODATA\n"
)


def read(data: bytes, batch_bytes: int = 1 << 20) -> Batch:
    batches = list(VPCFlow().read(io.BytesIO(data), source="vpc.log", batch_bytes=batch_bytes))
    skipped: dict[str, int] = {}
    for batch in batches:
        for reason, count in batch.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return Batch(pl.concat([b.rows for b in batches]), pl.concat([b.rejected for b in batches]), skipped)


def recognised(data: bytes) -> Recognition:
    answer = VPCFlow().recognise(Head(data, complete=True))
    assert isinstance(answer, Recognition)
    return answer


def test_a_record_becomes_a_connection_of_one_direction() -> None:
    row = read(DEFAULT).rows.row(0, named=True)
    assert {name: value for name, value in row.items() if value is not None} == {
        "ts": datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        "orig_h": "172.31.16.139",
        "orig_p": 20641,
        "resp_h": "172.31.16.21",
        "resp_p": 22,
        "proto": "tcp",
        "duration_s": 60.0,
        "orig_pkts": 20,
        "orig_ip_bytes": 4249,
        "raw_line": 2,
        "vpc_action": "ACCEPT",
        "meta_vpc_interface_id": "eni-1235b8ca123456789",
        "meta_vpc_srcaddr": "172.31.16.139",
        "meta_vpc_dstaddr": "172.31.16.21",
    }


def test_ports_are_those_of_protocols_that_have_some() -> None:
    assert read(DEFAULT).rows["resp_p"].to_list() == [22, 41002, None, 443, 161]
    assert read(CUSTOM).rows["proto"].to_list() == ["tcp", "tcp", "tcp", "tcp", "gre"]
    assert read(CUSTOM).rows["orig_p"].to_list()[4] is None


def test_the_true_ends_are_the_hosts_where_the_log_has_them() -> None:
    rows = read(CUSTOM).rows
    assert rows["orig_h"].to_list() == ["10.20.33.164", "52.213.180.42", "203.0.113.12", "203.0.113.12", "10.0.0.62"]
    assert rows["meta_vpc_srcaddr"].to_list()[:2] == ["10.0.0.62", "52.213.180.42"]
    assert rows["resp_h"].to_list()[1] == "10.20.33.164"


def test_what_is_unset_is_null() -> None:
    rows = read(CUSTOM).rows
    assert rows["vpc_traffic_path"].to_list() == ["8", None, None, None, "1"]
    assert rows["vpc_src_service"].to_list() == [None, "S3", None, None, None]


def test_flags_of_tcp_alone() -> None:
    assert read(CUSTOM).rows["vpc_tcp_flags"].to_list() == ["......S.", "...A..S.", "......S.", "...A..SF", None]


def test_a_rejected_attempt_is_one_without_answer() -> None:
    assert read(DEFAULT).rows["conn_state"].to_list() == [None, None, None, None, "S0"]
    assert read(CUSTOM).rows["conn_state"].to_list() == [None, None, "S0", None, None]


@pytest.mark.parametrize("batch_bytes", [50, 1 << 20])
def test_records_without_traffic_are_passed_over_and_counted(batch_bytes: int) -> None:
    found = read(DEFAULT + NO_TRAFFIC, batch_bytes)
    assert found.rows.height == 5
    assert found.rejected.is_empty()
    assert found.skipped == {"log_status:NODATA": 2, "log_status:SKIPDATA": 1}
    assert recognised(NO_TRAFFIC).variant == "default"


def test_without_a_header_the_fields_are_the_default_ones() -> None:
    with_header, without = read(DEFAULT).rows, read(CLOUDWATCH).rows
    assert without.drop("raw_line").equals(with_header.drop("raw_line"))


@pytest.mark.parametrize("batch_bytes", [61, 1 << 20])
def test_a_header_below_rows_is_one_again_whatever_the_batches(batch_bytes: int) -> None:
    bare = DEFAULT.partition(b"\n")[2]
    found = read(b"2 half a row\n" + bare + CUSTOM, batch_bytes)
    assert found.skipped["repeated_header"] == 1
    assert found.rejected["reason"].to_list() == ["no_header"]


def test_the_time_of_the_event_may_stand_in_front() -> None:
    data = b"".join(b"2026-03-02T09:10:00.000Z " + line for line in CLOUDWATCH.splitlines(keepends=True))
    assert recognised(data).ignored == ("event-time", "version", "account-id")
    assert read(data).rows.equals(read(CLOUDWATCH).rows)


def test_commas_and_underscores_of_athena() -> None:
    header, rows = DEFAULT.split(b"\n", 1)
    data = header.replace(b"-", b"_").replace(b" ", b",") + b"\n" + rows.replace(b" ", b",")
    assert recognised(data).variant == "default"
    assert read(data).rows.equals(read(DEFAULT).rows)


@pytest.mark.parametrize(
    ("old", "new", "reason", "field"),
    [
        (b" 20641 22 ", b" 99999 22 ", "bad_port", "orig_p"),
        (b" 22 6 ", b" 22 300 ", "bad_protocol", "proto"),
        (b" 22 6 ", b" 22 tcp ", "bad_protocol", "proto"),
        (b" 20 4249 ", b" -1 4249 ", "bad_count", "orig_pkts"),
        (b" 20 4249 ", b" 20 99999999999999999999 ", "bad_count", "orig_ip_bytes"),
        (b"1772442000 1772442060", b"1772442060 1772442000", "bad_duration", "duration_s"),
        (b"1772442000 1772442060", b"1772442000 253402300800", "bad_time", "end"),
        (b"1772442000 1772442060", b"- 1772442060", "missing_value", "ts"),
        (b" 172.31.16.139 172", b" <script> 172", "bad_address", "orig_h"),
        (b" ACCEPT OK", b" ACCEPT", "ragged_row", None),
    ],
)
def test_what_cannot_be_is_set_aside(old: bytes, new: bytes, reason: str, field: str | None) -> None:
    found = read(DEFAULT.replace(old, new, 1))
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(2, reason, field)]
    assert found.rows.height == 4


def test_a_log_without_times_is_refused() -> None:
    answer = VPCFlow().recognise(Head(DEFAULT.replace(b" start end ", b" begin stop ", 1), complete=True))
    assert isinstance(answer, Refusal)
    assert answer.message == "an AWS VPC flow log without start, end"


@pytest.mark.parametrize("data", [b"srcaddr dstaddr\n", b"2 3 4\n", b"a b c d e f\n", b"version,start,end\n"])
def test_other_tables_are_none(data: bytes) -> None:
    assert VPCFlow().recognise(Head(data, complete=True)) is None


@pytest.mark.parametrize(
    "row",
    [
        "3 eni-1235b8ca123456789 123456789010 vpc-abcdefab012345678 10.0.0.5 10.0.0.9 39812 80 6 3 IPv4 ACCEPT OK",
        "5 123456789010 - 10.0.0.5 10.0.0.9 50041 33004 17 52 1 1772442000 1772442060 REJECT OK - - - 1 IPv4 ingress",
    ],
)
def test_fields_of_ones_own_without_a_header_are_refused_with_the_way_out(row: str) -> None:
    answer = VPCFlow().recognise(Head(f"{row}\n".encode(), complete=True))
    assert isinstance(answer, Refusal)
    assert f"an AWS VPC flow log of {len(row.split())} fields without a header" in answer.message
    assert "version account-id interface-id srcaddr" in answer.hint
    assert not answer.passable


def test_a_table_with_names_that_many_have_is_no_flow_log() -> None:
    table = b"srcaddr,dstaddr,srcport,dstport,protocol,packets,bytes\n10.0.0.5,10.0.0.9,5,80,6,1,40\n"
    assert VPCFlow().recognise(Head(table, complete=True)) is None


@pytest.mark.parametrize("line", [b"OK then\n", b"eni-1 ACCEPT vpc-2\n"])
def test_a_line_of_text_is_no_flow_log(line: bytes) -> None:
    assert VPCFlow().recognise(Head(line, complete=True)) is None
