"""The UNSW-NB15 partition."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cybersec_mlops.connections import is_feature
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.unsw_nb15 import UNSWNB15, label_name

SAMPLE = (Path(__file__).parent / "samples" / "unsw_nb15.csv").read_bytes()
TEXT = SAMPLE.decode("utf-8-sig").replace("\r\n", "\n")


def read(text: str | bytes) -> Batch:
    (batch,) = UNSWNB15().read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), source="unsw.csv")
    return batch


def changed(column: str, value: str) -> Batch:
    lines = TEXT.splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = value
    return read("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")


def without(*columns: str) -> str:
    lines = [line.split(",") for line in TEXT.splitlines()]
    keep = [position for position, name in enumerate(lines[0]) if name not in columns]
    return "".join(",".join(line[position] for position in keep) + "\n" for line in lines)


def recognise(text: str) -> Recognition | Refusal | None:
    return UNSWNB15().recognise(Head(text.encode(), complete=True))


def test_the_sample_reads_to_what_it_says() -> None:
    row = read(SAMPLE).rows.row(1, named=True)
    expected = {
        "duration_s": 0.649902,
        "proto": "tcp",
        "service": "http",
        "orig_pkts": 10,
        "resp_pkts": 8,
        "orig_ip_bytes": 854,
        "resp_ip_bytes": 1268,
        "orig_bytes": None,
        "conn_state": None,
        "ts": None,
        "label": "Exploits",
        "is_attack": True,
        "unsw_state": "FIN",
        "unsw_sttl": 254.0,
        "unsw_dttl": 252.0,
        "unsw_tcprtt_s": 0.1,
        "unsw_response_body_bytes": 512.0,
        "unsw_is_sm_ips_ports": False,
        "meta_unsw_id": 2,
        "meta_unsw_stcpb": 3512345678.0,
        "raw_line": 3,
    }
    assert {name: row[name] for name in expected} == expected


def test_no_service_is_null_and_labels_are_clean() -> None:
    rows = read(SAMPLE).rows
    assert rows["service"].to_list() == [None, "http", None, "ftp", None]
    assert rows["label"].to_list() == ["BENIGN", "Exploits", "BENIGN", "Fuzzers", "Backdoor"]
    assert rows["label_original"].to_list()[3:] == [" Fuzzers ", "Backdoors"]
    assert rows["unsw_is_ftp_login"].to_list()[3] == 4.0
    assert rows["unsw_is_sm_ips_ports"].to_list()[2] is True


def test_row_ids_and_random_numbers_are_no_features() -> None:
    assert not any(is_feature(name) for name in ("meta_unsw_id", "meta_unsw_stcpb", "meta_unsw_dtcpb"))


@pytest.mark.parametrize(
    ("column", "value", "reason", "field"),
    [
        ("label", "0", "label_conflict", "label_bit"),
        ("label", "2", "bad_boolean", "label_bit"),
        ("attack_cat", "Normal", "label_conflict", "label_bit"),
        ("attack_cat", "", "label_conflict", "label_bit"),
        ("dur", "-0.5", "bad_duration", "duration_s"),
        ("dur", "inf", "bad_duration", "duration_s"),
        ("spkts", "-1", "bad_count", "orig_pkts"),
        ("spkts", "1.5", "bad_count", "orig_pkts"),
        ("sttl", "x", "bad_number", "unsw_sttl"),
        ("sload", "nan", "bad_number", "unsw_sload_bits_per_s"),
        ("is_sm_ips_ports", "3", "bad_boolean", "unsw_is_sm_ips_ports"),
        ("proto", "", "missing_value", "proto"),
    ],
)
def test_a_row_that_cannot_be_is_rejected(column: str, value: str, reason: str, field: str) -> None:
    batch = changed(column, value)
    assert batch.rows.height == 4
    assert batch.rejected.select("raw_line", "reason", "field").rows() == [(3, reason, field)]


def test_a_row_without_a_category_is_benign_where_the_bit_says_so() -> None:
    text = TEXT.replace(",Normal,0", ",,0")
    assert read(text).rows["label"].to_list()[0] == "BENIGN"


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (("attack_cat",), ["BENIGN", "Attack", "BENIGN", "Attack", "Attack"]),
        (("label",), ["BENIGN", "Exploits", "BENIGN", "Fuzzers", "Backdoor"]),
        (("attack_cat", "label"), [None] * 5),
    ],
)
def test_labels_may_be_partly_there(columns: tuple[str, ...], labels: list[str | None]) -> None:
    text = without(*columns)
    assert isinstance(recognise(text), Recognition)
    assert read(text).rows["label"].to_list() == labels


def test_a_table_that_is_nearly_one_says_what_is_missing() -> None:
    answer = recognise(TEXT.replace(",sttl,", ",ttl,"))
    assert isinstance(answer, Refusal)
    assert "missing sttl; not known: ttl" in answer.message


def test_the_raw_form_is_told_apart() -> None:
    names = "srcip,sport,dstip,dsport,proto,state,dur,sbytes,dbytes,sttl,dttl,stime,ltime,attack_cat,label"
    answer = recognise(f"{names}\n")
    assert isinstance(answer, Refusal)
    assert "49 columns" in answer.message


@pytest.mark.parametrize(("text", "label"), [("Normal", "BENIGN"), ("Backdoors", "Backdoor"), (" DoS ", "DoS")])
def test_categories_have_one_spelling(text: str, label: str) -> None:
    assert label_name(text) == label


def test_ftp_logins_are_counted_and_no_truth() -> None:
    batch = changed("is_ftp_login", "4")
    assert batch.rejected.is_empty()
    assert batch.rows["unsw_is_ftp_login"][1] == 4


def test_names_may_have_blanks_inside_the_cells_of_the_header() -> None:
    header, _, rest = TEXT.partition("\n")
    spaced = header.replace(",", ", ").replace("dur", " dur ").replace("ct_src_ltm", "ct_src_ ltm")
    assert isinstance(recognise(f"{spaced}\n{rest}"), Recognition)
    assert read(f"{spaced}\n{rest}").rows.equals(read(TEXT).rows)
