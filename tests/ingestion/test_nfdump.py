"""What nfdump prints: text and CSV."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.nfdump import Nfdump
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.readers import reader_of

SAMPLES = Path(__file__).parent / "samples"
LONG, LABELLED, QUIET, CSV_16, CSV_17 = (
    (SAMPLES / name).read_bytes()
    for name in ("nfdump_long.txt", "nfdump_labelled.txt", "nfdump_quiet.txt", "nfdump_16.csv", "nfdump_17.csv")
)
FOOTER = b"""Summary: total flows: 5, total bytes: 11482, total packets: 151, avg bps: 10961, avg pps: 18, avg bpp: 76
Time window: 2026-03-02 09:00:00 - 2026-03-02 09:05:00
Total flows processed: 5, passed: 5, Blocks skipped: 0, Bytes read: 1976
Sys: 0.0016s User: 0.0000s Wall: 0.0005s flows/second: 5555.4 Runtime: 0.0005s
"""
CSV_FOOTER = b"Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n5,11482,151,10961,18,76\n"


def read(data: bytes, timezone: str = "UTC", batch_bytes: int = 1 << 20) -> Batch:
    batches = list(Nfdump(timezone).read(io.BytesIO(data), source="flows.txt", batch_bytes=batch_bytes))
    skipped: dict[str, int] = {}
    for batch in batches:
        for reason, count in batch.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return Batch(pl.concat([b.rows for b in batches]), pl.concat([b.rejected for b in batches]), skipped)


def said(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if value is not None}


def test_a_row_becomes_a_connection_of_one_direction() -> None:
    assert said(read(LONG).rows.row(0, named=True)) == {
        "ts": datetime(2026, 3, 2, 9, 0, 0, 125_000, tzinfo=UTC),
        "orig_h": "10.1.0.1",
        "orig_p": 55079,
        "resp_h": "192.0.2.43",
        "resp_p": 80,
        "proto": "tcp",
        "duration_s": 8.304,
        "orig_pkts": 45,
        "orig_ip_bytes": 3752,
        "raw_line": 2,
        "nfdump_flags": "...AP.SF",
        "nfdump_tos": 0.0,
        "nfdump_flows": 1.0,
    }


def test_both_directions_of_an_aggregated_row() -> None:
    rows = read(QUIET).rows
    assert rows["orig_pkts"].to_list() == [45, 1, 2, 3, 12]
    assert rows["resp_pkts"].to_list() == [88, 1, 2, 0, 1_500_000]
    assert rows["resp_ip_bytes"].to_list() == [86981, 126, 168, 0, 2_000_000_000]


def test_in_csv_two_zeros_are_no_other_direction() -> None:
    rows = read(CSV_16).rows
    assert rows["resp_pkts"].to_list() == [88, None, 2, None, None]
    assert rows["resp_ip_bytes"].to_list() == [86981, None, 168, None, None]


def test_durations_are_seconds_or_a_clock() -> None:
    assert read(QUIET).rows["duration_s"].to_list() == [8.304, 0.031, 1.002, 0.0, 3600.5]
    days = LONG.replace(b"    8.304 TCP", b"1d 02:00:00.500 TCP")
    assert read(days).rejected["reason"].to_list() == ["ragged_row"]  # nfdump itself parts its columns by blanks


def test_ports_are_those_of_protocols_that_have_some() -> None:
    rows = read(LONG).rows
    assert rows["resp_p"].to_list() == [80, 55079, 53, None, 443]
    assert rows["nfdump_icmp_type"].to_list() == [None, None, None, 8.0, None]
    packed = read(CSV_17).rows.row(3, named=True)
    assert (packed["nfdump_icmp_type"], packed["nfdump_icmp_code"], packed["orig_p"]) == (8.0, 0.0, None)
    assert read(LABELLED).rows.row(3, named=True)["resp_h"] == "224.0.0.22"


def test_protocols_have_one_spelling() -> None:
    assert read(CSV_17).rows["proto"].to_list() == ["tcp", "tcp", "udp", "icmp", "tcp"]
    assert read(CSV_16).rows["proto"].to_list() == ["tcp", "udp", "icmp", "tcp", "gre"]
    assert read(CSV_17.replace(b",6,2001", b",ICMP6,2001")).rows["proto"].to_list()[4] == "ipv6-icmp"


def test_csv_of_17_has_any_columns_in_any_order() -> None:
    turned = "".join(",".join(reversed(line.split(","))) + "\n" for line in CSV_17.decode().splitlines()).encode()
    answer = Nfdump().recognise(Head(turned, complete=True))
    assert isinstance(answer, Recognition)
    assert (answer.variant, answer.ignored) == ("csv-1.7", ())
    assert read(turned).rows.equals(read(CSV_17).rows)


def test_another_table_that_begins_with_ts_is_none() -> None:
    table = b"ts,src_ip,src_port,dst_ip,dst_port,proto,duration,label\n1772442000,10.0.0.5,5,10.0.0.9,80,tcp,0.5,0\n"
    assert Nfdump().recognise(Head(table, complete=True)) is None


def test_csv_fast_has_milliseconds_and_the_end() -> None:
    data = (
        b"cnt,af,firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,srcAS,dstAS,input,output,flags,srcTos,packets,"
        b"bytes\n"
        b"1,2,1772442000125,1772442008429,6,10.1.0.1,55079,192.0.2.43,80,0,0,1,2,...AP.SF,0,45,3752\n"
        b"2,10,1772442003000,1772442003000,17,2001:db8::1:7,42001,2001:db8::2:1,53,0,0,1,2,........,0,1,64\n"
        b"3,2,1772442003000,1772442002000,17,10.1.0.2,42001,192.0.2.53,53,0,0,1,2,........,0,1,64\n"
    )
    found = read(data)
    assert said(found.rows.row(0, named=True)) == {
        name: value for name, value in said(read(LONG).rows.row(0, named=True)).items() if name != "nfdump_flows"
    }
    assert found.rows["duration_s"].to_list() == [8.304, 0.0]
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(4, "bad_duration", "duration_s")]


def test_large_numbers_have_units() -> None:
    assert read(LONG).rows["orig_ip_bytes"].to_list() == [3752, 1_200_000, 64, 168, 216]
    answer = Nfdump().recognise(Head(LONG, complete=True))
    assert isinstance(answer, Recognition)
    assert any("rounded" in note for note in answer.notes)


def test_shortened_addresses_are_kept_and_said() -> None:
    data = LONG.replace(b"2001:db8::1:7.42001", b"2001:d..1:7.42001")
    assert read(data).rows["orig_h"].to_list()[4] == "2001:d..1:7"
    answer = Nfdump().recognise(Head(data, complete=True))
    assert isinstance(answer, Recognition)
    assert any("shortened" in note for note in answer.notes)


def test_labels_of_a_last_column() -> None:
    rows = read(LABELLED).rows
    assert rows["label"].to_list() == ["Malicious", "Malicious", "BACKGROUND", "BENIGN", "BACKGROUND"]
    assert rows["is_attack"].to_list() == [True, True, None, False, None]


@pytest.mark.parametrize(("data", "footer", "lines"), [(LONG, FOOTER, 4), (CSV_16, CSV_FOOTER, 3)], ids=["text", "csv"])
@pytest.mark.parametrize("batch_bytes", [40, 1 << 20])
def test_the_summary_is_passed_over_and_counted(data: bytes, footer: bytes, lines: int, batch_bytes: int) -> None:
    found = read(data + footer + data + footer, batch_bytes=batch_bytes)
    assert found.rows.height == 10
    assert found.rejected.is_empty()
    assert found.skipped == {"summary": 2 * lines, "repeated_header": 1}


def test_the_summary_of_later_versions_says_records() -> None:
    assert read(LONG + FOOTER.replace(b"Total flows", b"Total records")).skipped == {"summary": 4}


def test_the_layout_may_change_within_a_file() -> None:
    found = read(LONG + CSV_17 + LABELLED)
    assert found.rows.height == 15
    assert found.skipped == {"repeated_header": 2}
    assert found.rows["label"].null_count() == 10


def test_local_times_are_read_in_their_zone() -> None:
    reader = reader_of("nfdump", timezone="Europe/Prague")
    (batch,) = reader.read(io.BytesIO(CSV_17), source="x")
    assert batch.rows["ts"][0] == datetime(2026, 3, 2, 8, 0, 0, 125_000, tzinfo=UTC)
    with pytest.raises(ConfigError, match="unknown timezone"):
        Nfdump("Nowhere")


def test_times_may_be_seconds_since_1970() -> None:
    data = (
        b"firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes\n"
        b"1772442000.125,0.5,TCP,10.0.0.1,1,10.0.0.2,2,1,40\n"
    )
    assert read(data).rows["ts"].to_list() == [datetime(2026, 3, 2, 9, 0, 0, 125_000, tzinfo=UTC)]
    answer = Nfdump().recognise(Head(data, complete=True))
    assert isinstance(answer, Recognition)
    assert not [note for note in answer.notes if "zone" in note]


@pytest.mark.parametrize(
    ("old", "new", "reason", "field"),
    [
        (b"10.1.0.1:55079 ->", b"10.1.0.1:99999 ->", "bad_port", "orig_p"),
        (b"10.1.0.1:55079 ->", b"10.1.0.1:http ->", "bad_port", "orig_p"),
        (b"192.0.2.43:80 ", b"host.example:80 ", "missing_value", "resp_h"),
        (b"2026-03-02 09:00:00.125", b"2026-13-02 09:00:00.125", "bad_time", "ts"),
        (b"2026-03-02 09:00:00.125", b"9999-03-02 09:00:00.125", "bad_time", "ts"),
        (b"8.304 TCP", b"-1.0  TCP", "bad_duration", "duration_s"),
        (b"8.304 TCP", b"nan   TCP", "bad_duration", "duration_s"),
        (b" 45     3752", b" -5     3752", "bad_count", "orig_pkts"),
        (b" 3752 ", b" 99999999999999999999 ", "bad_count", "orig_ip_bytes"),
        (b".AP.SF   0       45", b".AP.SF 900       45", "bad_number", "nfdump_tos"),
        (b"     3752     1", b"     3752", "ragged_row", None),
    ],
)
def test_what_cannot_be_is_set_aside(old: bytes, new: bytes, reason: str, field: str | None) -> None:
    found = read(LONG.replace(old, new, 1))
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(2, reason, field)]
    assert found.rows.height == 4


def test_a_wrong_value_is_shown() -> None:
    rejected = read(LONG.replace(b"10.1.0.1:55079 ->", b"10.1.0.1:99999 ->", 1)).rejected
    assert rejected["detail"].to_list() == ['is "10.1.0.1:99999", expected a port 0-65535']


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Event time               Event  XEvent Proto      Src IP Addr:Port  Dst IP Addr:Port\n", "events, not its"),
        (LONG.replace(b"Flags", b"Wings"), "not known: Wings"),
        (LONG.replace(b"Tos  Packets", b"In Pkt  Packets"), "not known: orig_pkts"),
        (b"Date first seen  Duration Proto\n2026-03-02 09:00:00.125 8.304 TCP\n", "without what makes a connection"),
        (b"ts,te,td,pr,val,fl,flP\n", "nfdump's statistics, not its flows"),
        (b"Top 5 Dst IP Addr ordered by flows:\nDate first seen  Duration Proto  Dst IP Addr\n", "statistics, not"),
        (
            b"2|1772442000|125|1772442008|429|6|0|0|0|167837697|55079|0|0|0|3221226027|80|0|0|1|2|27|0|45|3752\n",
            "pipe layout",
        ),
        (b"\nFlow Record: \n  Flags        =  0x00 FLOW, Unsampled\n", "raw layout, not"),
        (b'[\n{\n\t"type" : "FLOW",\n\t"src4_addr" : "10.1.0.1"\n}\n]\n', "nfdump's JSON, not"),
        (b'{"type": "FLOW", "src4_addr": "10.1.0.1"}\n', "nfdump's JSON, not"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_way_out(data: bytes, message: str) -> None:
    answer = Nfdump().recognise(Head(data, complete=True))
    assert isinstance(answer, Refusal)
    assert message in answer.message
    assert "nfdump -o long" in answer.hint


def test_json_of_others_is_not_taken_for_that_of_nfdump() -> None:
    assert Nfdump().recognise(Head(b'{"type": "flow", "src": "10.1.0.1"}\n', complete=True)) is None


@pytest.mark.shared_data
def test_real_flows_with_and_without_label(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("nfdump-text")
    plain, labelled = (
        read((folder / name).read_bytes()) for name in ("nfcapd.sample1.txt", "nfcapd.sample1.labeled.txt")
    )
    assert plain.rows.height == labelled.rows.height == 35
    assert plain.rejected.is_empty()
    assert labelled.rejected.is_empty()
    columns = [name for name in plain.rows.columns if "label" not in name and name != "is_attack"]
    assert plain.rows.select(columns).equals(labelled.rows.select(columns))
    assert dict(labelled.rows["label"].value_counts().iter_rows()) == {"BACKGROUND": 31, "Test-Label": 4}
    assert plain.rows["ts"].min() == datetime(2013, 7, 9, 1, 0, 23, 40_000, tzinfo=UTC)
