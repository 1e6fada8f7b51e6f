"""The TSV form of conn.log: what its header says holds."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.ingestion.zeek_tsv import Header, read_comment, split_comments

SAMPLE = (Path(__file__).parent / "samples" / "zeek_conn.log").read_text()
ROW = "1718000000.5\tC1\t192.0.2.1\t1024\t198.51.100.1\t80\ttcp\tSF"
FIELDS = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state"


def read(*lines: str) -> Batch:
    data = "".join(line + "\n" for line in lines).encode()
    (batch,) = ZeekConn().read(io.BytesIO(data), source="conn.log")
    return batch


def test_the_sample_reads_to_what_it_says() -> None:
    (batch,) = ZeekConn().read(io.BytesIO(SAMPLE.encode()), source="conn.log")
    first = batch.rows.row(0, named=True)
    assert str(first.pop("ts")) == "2024-06-10 06:13:20.123456+00:00"
    assert first == {
        "uid": "CAaaaa1",
        "orig_h": "192.0.2.10",
        "orig_p": 50123,
        "resp_h": "198.51.100.7",
        "resp_p": 443,
        "proto": "tcp",
        "service": "ssl",
        "duration_s": 1.25,
        "orig_bytes": 1200,
        "resp_bytes": 45000,
        "conn_state": "SF",
        "local_orig": True,
        "local_resp": False,
        "missed_bytes": 0,
        "history": "ShADadFf",
        "orig_pkts": 20,
        "orig_ip_bytes": 2260,
        "resp_pkts": 40,
        "resp_ip_bytes": 47100,
        "label": None,
        "label_original": None,
        "is_attack": None,
        "raw_line": 9,
    }


def test_unset_is_null_and_zero_is_zero() -> None:
    (batch,) = ZeekConn().read(io.BytesIO(SAMPLE.encode()), source="conn.log")
    unset = batch.rows.row(1, named=True)
    assert [unset[name] for name in ("duration_s", "orig_bytes", "resp_bytes", "label")] == [None] * 4
    assert [unset[name] for name in ("missed_bytes", "resp_pkts", "resp_ip_bytes")] == [0] * 3
    assert batch.rows.row(2, named=True)["local_orig"] is None


@pytest.mark.parametrize(
    "times",
    [
        ("2024-06-10T06:13:20+0000", "2024-06-10T08:13:21.25+02:00"),  # zeek-cut -u, and another zone
        ("2024-06-10T06:13:20", "1718000001.25"),  # no zone, and then a number
        ("1718000000", "2024-06-10T06:13:21.250Z"),
    ],
)
def test_times_are_numbers_or_iso_as_zeek_cut_writes_them(times: tuple[str, str]) -> None:
    batch = read(FIELDS, *(ROW.replace("1718000000.5", time) for time in times))
    found = batch.rows["ts"].dt.epoch("us").to_list()
    assert found == [1_718_000_000_000_000, 1_718_000_001_250_000]
    assert batch.rejected.is_empty()


def test_a_time_that_is_neither_is_refused_alone() -> None:
    rows = [ROW.replace("1718000000.5", time) for time in ("2024-06-10T06:13:20Z", "10 June", "nan", "-")]
    batch = read(FIELDS, *rows)
    assert batch.rows["raw_line"].to_list() == [2]
    assert batch.rejected.select("raw_line", "reason").rows() == [
        (3, "bad_time"),
        (4, "bad_time"),
        (5, "missing_value"),
    ]
    assert '"10 June", expected seconds since 1970 or ISO 8601' in batch.rejected["detail"][0]


@pytest.mark.parametrize(("separator", "code"), [(",", "\\x2c"), ("|", "\\x7c"), (" ", "\\x20")])
def test_the_separator_is_that_of_the_header(separator: str, code: str) -> None:
    batch = read(f"#separator {code}", FIELDS.replace("\t", separator), ROW.replace("\t", separator))
    assert batch.rows.select("orig_p", "conn_state").rows() == [(1024, "SF")]


def test_the_marks_for_unset_and_empty_are_those_of_the_header() -> None:
    header = ("#separator \\x09", "#unset_field\tNULL", "#empty_field\tEMPTY", FIELDS + "\tservice\thistory")
    batch = read(*header, ROW + "\tNULL\t-", ROW + "\tEMPTY\tD")
    assert batch.rows.select("service", "history").rows() == [(None, "-"), (None, "D")]


@pytest.mark.parametrize("before", ["\t", " ", "  \t", "\ufeff", "\ufeff\t"])
def test_something_may_stand_before_the_header(before: str) -> None:
    text = before + SAMPLE
    assert isinstance(ZeekConn().recognise(Head(text.encode(), complete=True)), Recognition)
    assert read(*text.splitlines()).rows.height == 6


def test_columns_may_be_in_any_order_with_others_between() -> None:
    batch = read(
        "#fields\t_node_name\tproto\tid.resp_p\tid.resp_h\tjunk\tid.orig_p\tid.orig_h\tuid\tts\tconn_state\tip_proto",
        "worker-1\tudp\t53\t192.0.2.2\t?\t999\t192.0.2.1\tC9\t12.5\tS0\t17",
    )
    assert batch.rows.select("orig_h", "orig_p", "resp_h", "resp_p", "proto", "uid").rows() == [
        ("192.0.2.1", 999, "192.0.2.2", 53, "udp", "C9")
    ]


def test_columns_that_are_not_read_are_told() -> None:
    data = f"{FIELDS}\tvlan\tcommunity_id\n{ROW}\t6\tx\n".encode()
    answer = ZeekConn().recognise(Head(data, complete=True))
    assert isinstance(answer, Recognition)
    assert answer.ignored == ("vlan", "community_id")


def test_the_header_may_change_within_a_file() -> None:
    other = "#fields\tuid\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\tservice"
    row = "C2\t7.5\t192.0.2.7\t7\t192.0.2.8\t8\tudp\tS0\tDNS"
    batch = read("#path\tconn", FIELDS, ROW, "#close\tx", "#path\tconn", other, row, FIELDS, ROW)
    assert batch.rows.select("uid", "orig_p", "service", "raw_line").rows() == [
        ("C1", 1024, None, 3),
        ("C2", 7, "dns", 7),
        ("C1", 1024, None, 9),
    ]


def test_rows_of_another_log_in_the_same_file_are_counted() -> None:
    batch = read(FIELDS, ROW, "#path\tdns", "#fields\tts\tuid\tquery", "1\tC\tx", "2\tC\ty", "#path\tconn", FIELDS, ROW)
    assert batch.rows.height == 2
    assert batch.skipped == {"other_stream:dns": 2}


def test_what_long_connections_were_so_far_is_no_connection_of_its_own() -> None:
    answer = ZeekConn().recognise(Head(f"#path\tconn_long\n{FIELDS}\n{ROW}\n".encode(), complete=True))
    assert isinstance(answer, Refusal)
    assert "conn_long.log" in answer.message
    assert answer.passable
    batch = read("#path\tconn_long", FIELDS, ROW, "#path\tconn", FIELDS, ROW, "#path\tconn-inside", FIELDS, ROW)
    assert (batch.rows.height, batch.skipped) == (2, {"other_stream:conn_long": 1})


def test_rows_before_any_header_are_set_aside() -> None:
    batch = read("#separator \\x09", ROW, FIELDS, ROW)
    assert batch.rows.height == 1
    assert batch.rejected.select("raw_line", "reason").rows() == [(2, "no_header")]


def test_a_wrong_value_is_told_with_line_field_and_what_was_expected() -> None:
    batch = read(FIELDS, ROW, ROW.replace("\t1024\t", "\thttp\t"), ROW.replace("\t80\t", "\t99999\t"))
    assert batch.rows.height == 1
    assert batch.rejected.drop("text").rows() == [
        (3, "bad_port", "orig_p", 'is "http", expected a port 0-65535'),
        (4, "bad_port", "resp_p", 'is "99999", expected a port 0-65535'),
    ]


def test_labels_behind_three_blanks_are_read() -> None:
    data = (Path(__file__).parent / "samples" / "zeek_iot23.log").read_bytes()
    (batch,) = ZeekConn().read(io.BytesIO(data), source="x")
    assert batch.rows.select("label", "label_original", "is_attack").rows() == [
        ("BENIGN", "Benign", False),
        ("BENIGN", "benign", False),
        ("C&C", "Malicious/C&C", True),
        ("PartOfAHorizontalPortScan", "Malicious/PartOfAHorizontalPortScan", True),
        ("Malicious", "Malicious", True),
        (None, None, None),
    ]


def test_a_last_column_without_its_labels_is_set_aside() -> None:
    fields = f"{FIELDS}\ttunnel_parents   label   detailed-label"
    batch = read(fields, f"{ROW}\t-   Benign   -", f"{ROW}\t-", f"{ROW}\t-   Malicious   DDoS")
    assert batch.rows.select("raw_line", "label").rows() == [(2, "BENIGN"), (4, "DDoS")]
    assert batch.rejected.select("raw_line", "reason").rows() == [(3, "ragged_row")]


@pytest.mark.parametrize("separator", ["", "ab", "\\x0a", "é", '"'])
def test_a_separator_that_cannot_be_is_refused(separator: str) -> None:
    line = f"#separator {separator}".encode()
    if separator:
        with pytest.raises(DataError, match="expected one ASCII character"):
            read_comment(line, Header())
        assert isinstance(ZeekConn().recognise(Head(line + b"\n", complete=True)), Refusal)
    else:
        assert read_comment(line, Header()).separator == "\t"


def test_a_header_of_too_many_columns_is_refused() -> None:
    with pytest.raises(DataError, match="3,000 columns, expected at most 2,000"):
        read_comment(b"#fields" + b"\tx" * 3000, Header())


def test_many_comments_cost_no_split() -> None:
    lines = Lines(b"".join(b"#note\n%d\n" % number for number in range(50)), 1)
    ((_, rows),) = split_comments(lines, Header())
    assert rows.height == 50
    assert rows.numbers().to_list() == list(range(2, 101, 2))


def test_a_column_named_twice_is_read_once() -> None:
    batch = read(FIELDS + "\tuid", ROW + "\tC2")
    assert batch.rows["uid"].to_list() == ["C1"]


def test_rows_stay_in_the_order_of_the_file() -> None:
    rows = [ROW.replace("1718000000.5", str(number)) for number in (5, 3, 9)]
    assert read(FIELDS, *rows).rows["ts"].dt.epoch("s").to_list() == [5, 3, 9]
    assert read(FIELDS, *rows).rows["raw_line"].dtype == pl.Int64


def test_older_logs_lack_columns_which_are_null() -> None:
    batch = read(FIELDS, ROW)
    row = batch.rows.row(0, named=True)
    assert (row["uid"], row["conn_state"]) == ("C1", "SF")
    assert {row[name] for name in ("local_orig", "missed_bytes", "history", "orig_ip_bytes", "duration_s")} == {None}
