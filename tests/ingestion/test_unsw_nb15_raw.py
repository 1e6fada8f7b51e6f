"""The raw files of UNSW-NB15."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.sniff import recognise
from cybersec_mlops.ingestion.unsw_nb15 import UNSWNB15
from cybersec_mlops.ingestion.unsw_nb15_raw import UNSWNB15Raw

SAMPLES = Path(__file__).parent / "samples"
PLAIN = (SAMPLES / "unsw_nb15_raw.data").read_bytes()
WITH_HEADER = (SAMPLES / "unsw_nb15_raw.csv").read_bytes()
ROWS = PLAIN.decode().splitlines()


def read(data: bytes) -> Batch:
    (batch,) = UNSWNB15Raw().read(io.BytesIO(data), source="x.csv")
    return batch


def test_a_row_becomes_a_connection() -> None:
    row = read(PLAIN).rows.row(1, named=True)
    assert row["ts"] == datetime(2015, 1, 22, 11, 50, 16, tzinfo=UTC)
    assert (row["orig_h"], row["orig_p"], row["resp_h"], row["resp_p"]) == ("10.1.0.2", 41002, "192.0.2.8", 21)
    assert (row["proto"], row["service"], row["duration_s"], row["unsw_state"]) == ("tcp", "ftp", 0.45, "FIN")
    assert (row["orig_ip_bytes"], row["resp_ip_bytes"], row["orig_pkts"], row["resp_pkts"]) == (1202, 902, 4, 3)
    assert (row["orig_bytes"], row["conn_state"]) == (None, None)
    assert (row["unsw_is_ftp_login"], row["unsw_smean_bytes"], row["unsw_ct_src_ltm"]) == (4, 66, 3)
    assert (row["unsw_is_sm_ips_ports"], row["meta_unsw_stcpb"]) == (False, 100_002)


def test_a_header_changes_nothing() -> None:
    assert read(WITH_HEADER).rows.drop("raw_line").equals(read(PLAIN).rows.drop("raw_line"))


def test_unset_is_null_and_ports_that_are_none_are_counted() -> None:
    found = read(PLAIN)
    assert found.rows["orig_p"].to_list() == [41001, 41002, None, 41004, 41005]
    assert found.rows["resp_p"].to_list() == [53, 21, None, 80, None]
    assert found.nulled == {"orig_p": 1, "resp_p": 2}
    assert found.rows["service"].to_list() == ["dns", "ftp", None, "http", None]
    assert found.rows["unsw_state"].to_list()[-1] is None
    assert found.rows["unsw_ct_ftp_cmd"].to_list() == [0, 4, 0, None, 0]
    assert found.rows["unsw_ct_flw_http_mthd"].to_list() == [0, 0, None, 0, 0]


def test_labels_have_one_spelling() -> None:
    rows = read(PLAIN).rows
    assert rows["label"].to_list() == ["BENIGN", "BENIGN", "Reconnaissance", "Backdoor", "Fuzzers"]
    assert rows["label_original"].to_list() == ["Normal", "Normal", " Reconnaissance ", "Backdoors", " Fuzzers"]
    assert rows["is_attack"].to_list() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("old", "new", "reason", "field"),
    [
        (",41001,", ",70000,", "bad_port", "orig_p"),
        (",41001,", ",http,", "bad_port", "orig_p"),
        ("10.1.0.1,", "<b>,", "bad_address", "orig_h"),
        (",0.001055,", ",-1,", "bad_duration", "duration_s"),
        (",1201,", ",-1,", "bad_count", "orig_ip_bytes"),
        (",1421927415,", ",99999999999,", "bad_time", "ts"),
        (",50473.62,", ",inf,", "bad_number", "unsw_sload_bits_per_s"),
        (",,0", ",,2", "bad_boolean", "label_bit"),
        (",,0", ",Worms,0", "label_conflict", "label_bit"),
        (",,0", ",Normal,1", "label_conflict", "label_bit"),
        (",,0", ",,", "missing_value", "label_bit"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(old: str, new: str, reason: str, field: str) -> None:
    assert old in ROWS[0]
    found = read("\n".join([ROWS[1], ROWS[0].replace(old, new, 1), ROWS[2], ""]).encode())
    assert found.rows["raw_line"].to_list() == [1, 3]
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(2, reason, field)]


def test_an_attack_without_a_category_is_an_attack() -> None:
    rows = read((ROWS[0][:-1] + "1\n").encode()).rows
    assert rows.select("label", "is_attack").rows() == [("Attack", True)]


def test_it_is_told_from_the_partition_and_its_columns_are_the_same() -> None:
    for data in (PLAIN, WITH_HEADER):
        answer = recognise(Head(data, complete=True))
        assert isinstance(answer, Recognition)
        assert answer.format == "unsw_nb15_raw"
    partition = dict(UNSWNB15().native_columns)
    assert {**partition, "unsw_state": pl.String()}.items() >= UNSWNB15Raw().native_columns.items()
    assert UNSWNB15Raw().shortcut_columns == UNSWNB15().shortcut_columns


def test_a_table_that_lacks_columns_is_refused_with_their_names() -> None:
    answer = recognise(Head(WITH_HEADER.replace(b"smeansz", b"colour"), complete=True))
    assert isinstance(answer, Refusal)
    assert "missing smeansz" in answer.message
