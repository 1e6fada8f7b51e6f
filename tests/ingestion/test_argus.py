"""Argus's bidirectional flows."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.argus import Argus, label_name
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.readers import reader_of

SAMPLES = Path(__file__).parent / "samples"
COMMAS = (SAMPLES / "argus_commas.csv").read_bytes()
HEADER, *ROWS = COMMAS.decode().splitlines()


def read(data: bytes, timezone: str = "UTC") -> Batch:
    batches = list(Argus(timezone).read(io.BytesIO(data), source="x.binetflow"))
    nulled: Counter[str] = Counter()
    for batch in batches:
        nulled.update(batch.nulled)
    return Batch(pl.concat([b.rows for b in batches]), pl.concat([b.rejected for b in batches]), {}, dict(nulled))


def test_a_row_becomes_a_connection() -> None:
    row = read(COMMAS).rows.row(0, named=True)
    assert {name: value for name, value in row.items() if value is not None} == {
        "ts": datetime(2026, 3, 2, 9, 0, 1, 1, tzinfo=UTC),
        "orig_h": "10.1.0.1",
        "orig_p": 42001,
        "resp_h": "192.0.2.8",
        "resp_p": 445,
        "proto": "tcp",
        "duration_s": 0.25,
        "orig_pkts": 9,
        "resp_pkts": 7,
        "orig_ip_bytes": 1203,
        "resp_ip_bytes": 944,
        "label": "Botnet-TCP-CC",
        "label_original": "flow=From-Botnet-V1-TCP-CC",
        "is_attack": True,
        "raw_line": 2,
        "argus_dir": "->",
        "argus_state": "FSPA_FSPA",
        "argus_stos": 0.0,
        "argus_dtos": 0.0,
        "argus_packets": 16.0,
    }


@pytest.mark.parametrize(
    "time", ["2026-03-02T09:00:01.000001", "2026/03/02.09:00:01.000001", "2026-03-02 10:00:01.000001+0100"]
)
def test_times_in_the_forms_that_ra_is_set_to(time: str) -> None:
    assert read(COMMAS.replace(b"2026/03/02 09:00:01.000001", time.encode())).rows.equals(read(COMMAS).rows)


def test_seconds_since_1970_have_no_zone() -> None:
    data = COMMAS.replace(b"2026/03/02 09:00:01.000001", b"1772442001.000001")
    assert read(data, "Europe/Prague").rows["ts"][0] == datetime(2026, 3, 2, 9, 0, 1, 1, tzinfo=UTC)
    answer = Argus().recognise(Head(re.sub(rb"2026/03/02 [0-9:]+", b"1772442001", COMMAS), complete=True))
    assert isinstance(answer, Recognition)
    assert answer.notes == ("labelled",)


@pytest.mark.parametrize(
    ("written", "proto"), [("6", "tcp"), ("58", "ipv6-icmp"), ("icmp6", "ipv6-icmp"), ("arp", "arp")]
)
def test_protocols_have_one_spelling_also_by_their_number(written: str, proto: str) -> None:
    assert read(COMMAS.replace(b",tcp,", f",{written},".encode(), 1)).rows["proto"].to_list()[0] == proto


def test_commas_and_tabs_give_the_same_rows() -> None:
    assert read(COMMAS).rows.equals(read((SAMPLES / "argus_tabs.csv").read_bytes()).rows)


def test_without_the_packets_of_the_source_only_their_sum_is_known() -> None:
    rows = read((SAMPLES / "argus_ctu13.csv").read_bytes()).rows
    assert rows["orig_pkts"].null_count() == rows["resp_pkts"].null_count() == rows.height
    assert rows["argus_packets"].to_list() == [16, 2, 1, 3, 60]
    assert rows.drop("orig_pkts", "resp_pkts").equals(read(COMMAS).rows.drop("orig_pkts", "resp_pkts"))


def test_ports_that_are_none_are_null_and_counted() -> None:
    found = read(COMMAS)
    assert found.rows["orig_p"].to_list() == [42001, 42002, None, None, 42005]
    assert found.rows["resp_p"].to_list() == [445, 53, None, None, 443]
    assert found.nulled == {"orig_p": 1, "resp_p": 1}


def test_labels_have_three_kinds_and_keep_their_text() -> None:
    rows = read(COMMAS).rows
    assert rows["label"].to_list() == ["Botnet-TCP-CC", "BACKGROUND", "BENIGN", None, None]
    assert rows["is_attack"].to_list() == [True, None, False, None, None]
    assert rows["label_original"].to_list()[3:] == [None, "flow=TCP-Established-To-Somewhere"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("flow=From-Botnet-V42-UDP-DNS", "Botnet-UDP-DNS"),
        ("flow=To-Background-CVUT-Proxy", "BACKGROUND"),
        ("flow=Background", "BACKGROUND"),
        ("flow=From-Normal-V42-Stribrek", "BENIGN"),
        ("Normal", "BENIGN"),
        ("flow=Malware-TCP", "Malware-TCP"),
        ("flow=Abnormality", None),
        ("flow=", None),
    ],
)
def test_a_label_is_normalised(text: str, name: str | None) -> None:
    assert label_name(text) == name


def test_local_times_are_read_in_their_zone() -> None:
    assert read(COMMAS, "Europe/Prague").rows["ts"][0] == datetime(2026, 3, 2, 8, 0, 1, 1, tzinfo=UTC)
    assert reader_of("argus", timezone="Europe/Prague") == Argus("Europe/Prague")
    answer = Argus("Europe/Prague").recognise(Head(COMMAS, complete=True))
    assert isinstance(answer, Recognition)
    assert answer.notes == ("its times have no zone; they are read as Europe/Prague", "labelled")
    with pytest.raises(ConfigError, match="unknown timezone"):
        Argus("Mars/Olympus")


@pytest.mark.parametrize(
    ("old", "new", "reason", "field"),
    [
        ("2026/03/02 09:00:01.000001", "1960/01/01 01:00:00.000000", "bad_time", "ts"),
        ("2026/03/02 09:00:01.000001", "09:00:01", "bad_time", "ts"),
        ("2026/03/02 09:00:01.000001", "9999/03/02 09:00:01", "bad_time", "ts"),
        (",tcp,", ",man,", "management_record", "proto"),
        (",tcp,", ",,", "missing_value", "proto"),
        (",42001,", ",70000,", "bad_port", "orig_p"),
        (",42001,", ",-1,", "bad_port", "orig_p"),
        (",445,", ",microsoft-ds,", "bad_port", "resp_p"),
        (",0.250000,", ",-1,", "bad_duration", "duration_s"),
        (",0.250000,", ",nan,", "bad_duration", "duration_s"),
        (",0.250000,", ",long,", "bad_duration", "duration_s"),
        (",10.1.0.1,", ",<b>,", "bad_address", "orig_h"),
        (",2147,1203,", ",1202,1203,", "bad_count", "orig_ip_bytes"),
        (",16,2147,", ",8,2147,", "bad_count", "orig_pkts"),
        (",16,2147,", ",-16,2147,", "bad_count", "argus_packets"),
        (",FSPA_FSPA,0,", ",FSPA_FSPA,nan,", "bad_number", "argus_stos"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(old: str, new: str, reason: str, field: str) -> None:
    assert old in ROWS[0]
    found = read("\n".join([HEADER, ROWS[1], ROWS[0].replace(old, new), ROWS[2], ""]).encode())
    assert found.rows["raw_line"].to_list() == [2, 4]
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(3, reason, field)]


def test_a_table_that_lacks_columns_is_refused_with_their_names() -> None:
    answer = Argus().recognise(Head(COMMAS.replace(b"TotBytes", b"colour"), complete=True))
    assert isinstance(answer, Refusal)
    assert "missing totbytes; not known: colour" in answer.message
    assert not answer.passable


@pytest.mark.parametrize("content", [b"StartTime,Dur,Proto\n", b"\t\t\n", b"", b"SrcAddr\n"])
def test_something_else_is_not_recognised(content: bytes) -> None:
    assert Argus().recognise(Head(content, complete=True)) is None


@pytest.mark.shared_data
def test_real_flows_are_read_whole(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("argus-binetflow")
    scan, botnet = (
        read((folder / f"{name}.binetflow").read_bytes()) for name in ("test11-portscan", "test2-malicious")
    )
    assert (scan.rows.height, botnet.rows.height) == (66, 6751)
    assert scan.rejected.is_empty()
    assert botnet.rejected.is_empty()
    assert scan.nulled == {"orig_p": 46, "resp_p": 46}
    assert dict(botnet.rows["proto"].value_counts().iter_rows()) == {"tcp": 3925, "udp": 2754, "icmp": 65, "igmp": 7}
    assert botnet.rows["resp_ip_bytes"].min() == 0


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_connection_of_a_sensor_without_a_clock_is_kept_without_a_time(zone: str) -> None:
    found = read(COMMAS.replace(b"2026/03/02 09:00:01.000001", b"1970/01/01 01:00:00.000000"), zone)
    assert found.rows["ts"].is_null().to_list() == [True, False, False, False, False]
    assert found.rejected.is_empty()
    assert found.nulled["ts"] == 1


@pytest.mark.shared_data
def test_real_flows_of_a_sensor_without_a_clock_are_kept(shared_data: Callable[[str], Path]) -> None:
    data = (shared_data("argus-binetflow") / "test5.tabs.binetflow").read_bytes()
    found = read(data)
    assert found.rejected["reason"].to_list() == ["management_record"]
    assert found.rows["ts"].null_count() == found.nulled["ts"] == found.rows.height == 6724
    assert dict(found.rows.group_by("is_attack").agg(pl.len()).iter_rows()) == {True: 6277, None: 447}
    assert set(found.rows["label"]) == {"Malware-UDP-DNS", "Malware-TCP", "BACKGROUND", None}


def columns(*names: str) -> bytes:
    """Give the sample as `ra -s` prints it with other columns."""
    table = pl.read_csv(COMMAS, infer_schema=False).with_columns(
        LastTime=pl.Series([
            "2026/03/02 09:00:01.250001", "2026/03/02 09:00:02.001500", "2026/03/02 09:00:03.500000",
            "2026/03/02 09:00:06.000000", "2026/03/02 10:00:04.925537",
        ]),
        DstBytes=pl.Series(["944", "211", "0", "0", "48211"]),
        DstPkts=pl.Series(["7", "1", "0", "0", "29"]),
        SAppBytes=pl.Series(["500", "30", "0", "", "2000"]),
        Flgs=pl.lit(" e  "),
    )  # fmt: skip
    dropped = [name.removeprefix("-") for name in names if name.startswith("-")]
    added = [name for name in names if not name.startswith("-")]
    return table.select(*(name for name in HEADER.split(",") if name not in dropped), *added).write_csv().encode()


@pytest.mark.parametrize(
    "names",
    [
        ["-Dur", "LastTime"],
        ["LastTime", "Flgs"],
        ["-TotBytes", "DstBytes"],
        ["-SrcBytes", "DstBytes"],
        ["-TotPkts", "DstPkts"],
        ["-SrcPkts", "DstPkts"],
        ["-Dur", "-TotBytes", "-TotPkts", "LastTime", "DstPkts", "DstBytes"],
    ],
)
def test_what_ra_prints_in_other_columns_gives_the_same_rows(names: list[str]) -> None:
    data = columns(*names)
    assert isinstance(Argus().recognise(Head(data, complete=True)), Recognition)
    assert read(data).rows.equals(read(COMMAS).rows)


def test_bytes_of_the_payload_are_told_apart_from_those_of_packets() -> None:
    rows = read(columns("SAppBytes")).rows
    assert rows["orig_bytes"].to_list() == [500, 30, 0, None, 2000]
    assert rows["resp_bytes"].null_count() == rows.height
    assert rows["orig_ip_bytes"].equals(read(COMMAS).rows["orig_ip_bytes"])


@pytest.mark.parametrize(
    ("end", "reason"), [("2026/03/02 09:00:00", "bad_duration"), ("later", "bad_duration"), ("", "missing_value")]
)
def test_an_end_that_is_none_sets_its_row_aside(end: str, reason: str) -> None:
    found = read(columns("-Dur", "LastTime").replace(b"2026/03/02 09:00:01.250001", end.encode()))
    assert found.rows["raw_line"].to_list() == [3, 4, 5, 6]
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(2, reason, "duration_s")]


def test_a_sample_of_other_columns_has_the_same_connections() -> None:
    rows, same = read((SAMPLES / "argus_ra.csv").read_bytes()).rows, read(COMMAS).rows
    apart = ("label", "label_original", "is_attack", "orig_bytes", "resp_bytes", "argus_stos", "argus_dtos")
    assert rows.drop(apart).equals(same.drop(apart))
    assert rows["resp_bytes"].to_list() == [482, 169, 0, 0, 46297]


def test_bytes_of_one_side_alone_are_refused_with_what_is_missing() -> None:
    answer = Argus().recognise(Head(columns("-TotBytes"), complete=True))
    assert isinstance(answer, Refusal)
    assert "missing totbytes;" in answer.message
