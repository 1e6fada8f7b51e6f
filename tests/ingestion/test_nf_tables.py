"""The NF-* tables."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cybersec_mlops.ingestion.nf_tables import NFTables, label_name
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal

SAMPLES = Path(__file__).parent / "samples"
V1, V2, V3 = ((SAMPLES / f"nf_v{version}.csv").read_bytes() for version in (1, 2, 3))
HEADER, *ROWS = V3.decode().splitlines()


def read(data: bytes) -> Batch:
    (batch,) = NFTables().read(io.BytesIO(data), source="x.csv")
    return batch


def test_a_row_becomes_a_connection() -> None:
    row = read(V3).rows.row(1, named=True)
    assert row["ts"] == datetime(2026, 3, 2, 9, 0, 2, tzinfo=UTC)
    assert (row["orig_h"], row["orig_p"], row["resp_h"], row["resp_p"]) == ("10.1.0.2", 41002, "192.0.2.8", 53)
    assert (row["proto"], row["duration_s"], row["label"], row["is_attack"]) == ("udp", 0.25, "BENIGN", False)
    assert (row["orig_ip_bytes"], row["resp_ip_bytes"], row["orig_pkts"], row["resp_pkts"]) == (1202, 902, 4, 3)
    assert (row["nf_l7_proto"], row["nf_dst_to_src_iat_avg"], row["meta_nf_dns_query_id"]) == (5.0, 8.0, 8.0)


def test_the_versions_differ_in_what_they_have() -> None:
    one, two, three = (read(data).rows for data in (V1, V2, V3))
    assert one["nf_min_ttl"].null_count() == one["ts"].null_count() == 5
    assert two["nf_min_ttl"].null_count() == 0
    assert two["nf_src_to_dst_iat_min"].null_count() == two["ts"].null_count() == 5
    assert three["nf_src_to_dst_iat_min"].null_count() == three["ts"].null_count() == 0
    same = [
        "orig_h",
        "resp_p",
        "proto",
        "orig_ip_bytes",
        "resp_pkts",
        "duration_s",
        "label",
        "nf_tcp_flags",
        "raw_line",
    ]
    assert one.select(same).equals(two.select(same))
    assert two.select(same).equals(three.select(same))


def test_each_version_says_whether_it_has_times() -> None:
    for data, variant in ((V1, "v1"), (V2, "v2"), (V3, "v3")):
        answer = NFTables().recognise(Head(data, complete=True))
        assert isinstance(answer, Recognition)
        assert (answer.variant, answer.has_time, answer.ignored) == (variant, variant == "v3", ())
        assert ("it has no times" in answer.notes) is not answer.has_time


def test_what_cannot_be_is_null_and_counted() -> None:
    found = read(V2)
    assert found.rows["nf_src_to_dst_second_bytes"].to_list() == [1201, 1202, None, None, 5.5]
    assert found.nulled == {"nf_src_to_dst_second_bytes": 2}


def test_labels_may_be_a_bit_alone() -> None:
    without = "\n".join(line.rpartition(",")[0] for line in [HEADER, *ROWS]).encode()
    rows = read(without + b"\n").rows
    assert rows["label"].to_list() == ["BENIGN", "BENIGN", "Attack", "Attack", "Attack"]
    assert rows["is_attack"].to_list() == [False, False, True, True, True]


def test_a_duration_that_went_below_zero_is_null_and_counted() -> None:
    lines = V1.decode().splitlines()
    place = lines[0].split(",").index("FLOW_DURATION_MILLISECONDS")
    for row, milliseconds in enumerate(("4294966", "4294952", "4294967", "4000000"), start=1):
        cells = lines[row].split(",")
        lines[row] = ",".join([*cells[:place], milliseconds, *cells[place + 1 :]])
    found = read("\n".join([*lines, ""]).encode())
    assert found.rows["duration_s"].to_list()[:4] == [None, None, None, 4000.0]
    assert found.nulled == {"duration_s": 3}
    assert found.rejected.is_empty()


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (("ddos", "DDoS"), "DDoS"),
        (("dos", "DoS"), "DoS"),
        (("backdoor", "Backdoor"), "Backdoor"),
        (("Infilteration",), "Infiltration"),
        (("DoS attacks-Hulk", "DoS_attacks-Hulk"), "DoS Hulk"),
        (("Brute Force -XSS", "Brute_Force_-XSS"), "Web Attack - XSS"),
        (("xss",), "xss"),
    ],
)
def test_the_sets_are_labelled_in_one_spelling(texts: tuple[str, ...], label: str) -> None:
    assert {label_name(text) for text in texts} == {label}


@pytest.mark.parametrize(
    ("old", "new", "reason", "field"),
    [
        (",41001,", ",70000,", "bad_port", "orig_p"),
        (",41001,", ",1.5,", "bad_port", "orig_p"),
        (",10.1.0.1,", ",<b>,", "bad_address", "orig_h"),
        (",1201,", ",-1,", "bad_count", "orig_ip_bytes"),
        (",443,6,", ",443,256,", "bad_protocol", "proto"),
        (",443,6,", ",443,tcp,", "bad_protocol", "proto"),
        ("1772442001000,", "253402300800000,", "bad_time", "ts"),
        (",0,Benign", ",1,Benign", "label_conflict", "label_bit"),
        (",0,Benign", ",7,Benign", "bad_boolean", "label_bit"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(old: str, new: str, reason: str, field: str) -> None:
    assert old in ROWS[0] or ROWS[0].startswith(old)
    found = read("\n".join([HEADER, ROWS[1], ROWS[0].replace(old, new, 1), ROWS[2], ""]).encode())
    assert found.rows["raw_line"].to_list() == [2, 4]
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(3, reason, field)]


def test_a_table_that_lacks_columns_is_refused_with_their_names() -> None:
    answer = NFTables().recognise(Head(V1.replace(b"OUT_PKTS", b"COLOUR"), complete=True))
    assert isinstance(answer, Refusal)
    assert "missing OUT_PKTS" in answer.message
