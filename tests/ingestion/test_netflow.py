"""NetFlow v5, v9 and IPFIX."""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.ingestion.exports import (
    BASIC,
    BASIC_MS,
    IPFIX,
    NOON,
    UPTIME,
    V5,
    V9,
    V9_PARTS,
    basic,
    host,
    ipfix,
    number,
    pcap,
    pcapng,
    set_of,
    template,
    udp,
    v5,
    v5_record,
    v9,
)

from cybersec_mlops.ingestion.netflow import ROW_BYTES, NetFlow
from cybersec_mlops.ingestion.reader import REJECTED_ROWS, Head, Recognition, batch_schema

REVERSE = 29305
CERT = 6871
SAMPLES = {"v5": V5, "v9": V9, "ipfix": IPFIX}
CAPTURES = {
    "v9 in a capture": pcap(*map(udp, V9_PARTS)),
    "v5 in a capture": pcapng(udp(V5)),
}


class Read:
    """Everything that the reader gives for a file."""

    def __init__(self, data: bytes, batch_bytes: int = 1 << 20, shared: tuple[bytes, ...] = ()) -> None:
        reader = NetFlow(shared)
        self.batches = list(reader.read(io.BytesIO(data), source="sample", batch_bytes=batch_bytes))
        self.rows = pl.concat([pl.DataFrame(schema=batch_schema(reader)), *(b.rows for b in self.batches)])
        self.rejected = pl.concat([pl.DataFrame(schema=REJECTED_ROWS), *(b.rejected for b in self.batches)])
        self.skipped: Counter[str] = Counter()
        for batch in self.batches:
            assert batch.read > 0
            assert dict(batch.rows.schema) == batch_schema(reader)
            assert dict(batch.rejected.schema) == REJECTED_ROWS
            self.skipped.update(batch.skipped)
        self.count = sum(batch.read for batch in self.batches)

    @property
    def reasons(self) -> list[str]:
        return self.rejected["reason"].to_list()

    def row(self, index: int = 0) -> dict[str, Any]:
        return {name: value for name, value in self.rows.row(index, named=True).items() if value is not None}


def recognised(data: bytes, *, complete: bool = True) -> Recognition:
    answer = NetFlow().recognise(Head(data, complete=complete))
    assert isinstance(answer, Recognition)
    return answer


def one(fields: tuple[Any, ...], record: bytes, **header: int) -> Read:
    """Read one IPFIX record of a template of its own."""
    return Read(ipfix(set_of(2, template(400, fields)), set_of(400, record), **header))


@pytest.mark.parametrize("variant", SAMPLES)
def test_a_version_is_recognised(variant: str) -> None:
    assert recognised(SAMPLES[variant]).variant == variant
    assert recognised(SAMPLES[variant][:40], complete=False).variant == variant


def test_versions_may_be_mixed() -> None:
    assert recognised(V9 + V5 + IPFIX).variant == "v5+v9+ipfix"
    read = Read(V9 + V5 + IPFIX)
    assert read.rejected.is_empty()
    assert read.rows["meta_netflow_source"].len() == 8


@pytest.mark.parametrize("variant", CAPTURES)
def test_a_capture_of_datagrams_is_read_like_a_file_of_them(variant: str) -> None:
    data = CAPTURES[variant]
    assert recognised(data).variant == variant
    read, bare = Read(data), Read(SAMPLES[variant[: variant.index(" ")]])
    places = ["raw_line", "meta_netflow_source"]
    assert_frame_equal(read.rows.drop(places), bare.rows.drop(places))
    assert set(read.rows["meta_netflow_source"]) == {"198.51.100.1/0"}


def test_a_capture_of_other_traffic_is_none_of_its() -> None:
    assert NetFlow().recognise(Head(pcap(udp(b"hello"), udp(b"you"), udp(V5)), complete=True)) is None
    assert NetFlow().recognise(Head(pcap(), complete=True)) is None


def test_other_packets_of_a_capture_are_counted() -> None:
    read = Read(pcap(udp(V5), udp(b"hello"), *map(udp, V9_PARTS)))
    assert read.rows.height == 6
    assert read.skipped == {"other_packet": 1}


@pytest.mark.parametrize(
    "data", [b"\x00\x05", b"\x00\x09" + bytes(30), b"\x00\x0a" + b"\xff" * 30, b"#separator \\x09\n"]
)
def test_other_bytes_are_none(data: bytes) -> None:
    assert NetFlow().recognise(Head(data, complete=True)) is None


def test_a_record_of_v5() -> None:
    assert Read(V5).row() == {
        "ts": datetime(2026, 3, 2, 11, 59, 55, tzinfo=UTC),
        "orig_h": "10.1.0.1",
        "orig_p": 41_000,
        "resp_h": "192.0.2.8",
        "resp_p": 443,
        "proto": "tcp",
        "duration_s": 4.0,
        "orig_pkts": 5,
        "orig_ip_bytes": 600,
        "raw_line": 25,
        "netflow_tcp_flags": "...AP.SF",
        "netflow_tos": 0.0,
        "meta_netflow_source": "0",
    }


def test_the_same_flow_in_three_versions() -> None:
    same = ["orig_h", "orig_p", "resp_h", "resp_p", "proto", "orig_pkts", "orig_ip_bytes", "netflow_tcp_flags"]
    rows = [Read(data).rows.select(same).head(1) for data in SAMPLES.values()]
    assert rows[0].equals(rows[1])
    assert rows[0].equals(rows[2])


def test_the_place_of_a_record_is_its_first_byte() -> None:
    for data in SAMPLES.values():
        for place, source in Read(data).rows.select("raw_line", "orig_h").iter_rows():
            assert data[place - 1 :].startswith(host(source))


def test_ports_are_those_of_protocols_that_have_some() -> None:
    row = Read(V5).row(2)
    assert "orig_p" not in row
    assert "resp_p" not in row
    assert (row["proto"], row["netflow_icmp_type"], row["netflow_icmp_code"]) == ("icmp", 8.0, 0.0)
    assert "netflow_tcp_flags" not in Read(V5).row(1)


def test_type_and_code_of_icmp_have_elements_of_their_own() -> None:
    fields = ((8, 4), (12, 4), (4, 1), (176, 1), (177, 1), (152, 8))
    row = one(fields, host("10.1.0.1") + host("10.1.0.2") + bytes([1, 3, 1]) + number(NOON * 1000, 8)).row()
    assert (row["netflow_icmp_type"], row["netflow_icmp_code"]) == (3.0, 1.0)


# Times


@pytest.mark.parametrize(
    ("first", "uptime", "seconds_before"),
    [
        (UPTIME - 5_000, UPTIME, 5.0),
        ((1 << 32) - 2_000, 3_000, 5.0),  # the counter wrapped between the flow and its export
        (3_000, (1 << 32) - 1_000, -4.0),  # it wraps within the clock's inaccuracy
        (UPTIME + 500, UPTIME, -0.5),
    ],
)
def test_times_count_from_the_exporters_start(first: int, uptime: int, seconds_before: float) -> None:
    rows = Read(v5(v5_record(first=first, last=first), uptime=uptime)).rows
    assert (datetime(2026, 3, 2, 12, tzinfo=UTC) - rows["ts"][0]).total_seconds() == seconds_before


def test_a_flow_that_spans_the_wrap_has_its_duration() -> None:
    rows = Read(v5(v5_record(first=(1 << 32) - 2_000, last=1_500), uptime=3_000)).rows
    assert rows["duration_s"].to_list() == [3.5]


def ntp(seconds: float) -> bytes:
    whole = int(seconds // 1)
    return struct.pack(">II", (whole + 2_208_988_800) & 0xFFFFFFFF, int((seconds - whole) * (1 << 32)))


@pytest.mark.parametrize(
    ("elements", "start", "end"),
    [
        (((150, 4), (151, 4)), number(NOON, 4), number(NOON + 2, 4)),
        (((152, 8), (153, 8)), number(NOON * 1000, 8), number(NOON * 1000 + 2000, 8)),
        (((154, 8), (155, 8)), ntp(NOON), ntp(NOON + 2)),
        (((156, 8), (157, 8)), ntp(NOON), ntp(NOON + 2)),
        (((158, 4), (159, 4)), number(10_000_000, 4), number(8_000_000, 4)),
        (((152, 8), (161, 4)), number(NOON * 1000, 8), number(2000, 4)),
        (((152, 8), (162, 4)), number(NOON * 1000, 8), number(2_000_000, 4)),
        (((150, 4), (153, 8)), number(NOON, 4), number(NOON * 1000 + 2000, 8)),
    ],
    ids=["s", "ms", "us", "ns", "before", "duration-ms", "duration-us", "mixed"],
)
def test_times_in_every_unit(elements: tuple[Any, ...], start: bytes, end: bytes) -> None:
    seconds = NOON + 10 if elements[0][0] == 158 else NOON
    row = one(
        ((8, 4), (12, 4), (4, 1), *elements),
        host("10.1.0.1") + host("10.1.0.2") + b"\x11" + start + end,
        seconds=seconds,
    )
    assert row.row()["ts"] == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert row.row()["duration_s"] == 2.0


def test_microseconds_are_kept() -> None:
    fields = ((8, 4), (12, 4), (4, 1), (154, 8), (155, 8))
    read = one(fields, host("10.1.0.1") + host("10.1.0.2") + b"\x11" + ntp(NOON + 0.25) + ntp(NOON + 0.75))
    assert read.row()["ts"] == datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
    assert read.row()["duration_s"] == 0.5


def test_in_ipfix_the_exporters_start_comes_with_its_options() -> None:
    options = struct.pack(">HHHHHHH", 256, 2, 1, 149, 4, 160, 8)
    data = ipfix(
        set_of(3, options),
        set_of(256, number(0, 4) + number(NOON * 1000 - 60_000, 8)),
        set_of(2, template(300, BASIC)),
        set_of(300, basic(first=55_000, last=58_000)),
    )
    read = Read(data)
    assert read.row()["ts"] == datetime(2026, 3, 2, 11, 59, 55, tzinfo=UTC)
    assert read.row()["duration_s"] == 3.0
    assert read.skipped == {"options_record": 1}


def test_without_it_a_flow_ended_when_it_was_sent() -> None:
    read = Read(ipfix(set_of(2, template(300, BASIC)), set_of(300, basic(first=55_000, last=58_000))))
    assert read.row()["ts"] == datetime(2026, 3, 2, 11, 59, 57, tzinfo=UTC)
    assert read.row()["duration_s"] == 3.0


def test_a_record_without_any_time_has_that_of_its_export() -> None:
    read = one(((8, 4), (12, 4), (4, 1)), host("10.1.0.1") + host("10.1.0.2") + b"\x11")
    assert read.row()["ts"] == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert "duration_s" not in read.row()


def test_an_exporter_without_a_clock_is_set_aside() -> None:
    read = Read(v5(v5_record(), seconds=600))
    assert read.reasons == ["no_clock"]
    assert read.rejected["field"].to_list() == ["ts"]


# Templates


def test_records_before_their_template_wait_for_it() -> None:
    late = v9(set_of(256, basic())) + v9(set_of(0, template(256, BASIC))) + v9(set_of(256, basic("10.1.0.2")))
    read = Read(late)
    assert read.rows["orig_h"].to_list() == ["10.1.0.1", "10.1.0.2"]
    assert read.rejected.is_empty()


@pytest.mark.parametrize("body", [b"", basic()], ids=["empty", "a record"])
@pytest.mark.parametrize("number", [4, 8, 257])
def test_whatever_is_set_aside_has_a_place_of_its_own(number: int, body: bytes) -> None:
    read = Read(ipfix(set_of(number, b""), set_of(number, b""), set_of(number, body)) + b"no datagram")
    places = read.rejected["raw_line"].to_list()
    assert len(places) == len(set(places)) == 4


def test_records_without_a_template_are_set_aside_and_said() -> None:
    read = Read(v9(set_of(256, basic()), set_of(257, basic())))
    assert read.reasons == ["no_template", "no_template"]
    assert read.rejected["raw_line"].to_list() == [21, 57]
    assert "no template 256 of source 0" in read.rejected["detail"][0]
    assert read.rejected["text"][0].startswith(host("10.1.0.1").hex())


def test_a_template_counts_for_its_source_alone() -> None:
    data = v9(set_of(0, template(256, BASIC)), source=1) + v9(set_of(256, basic()), source=2)
    assert Read(data).reasons == ["no_template"]
    other = udp(v9(set_of(256, basic())), sender="198.51.100.9")
    assert Read(pcap(udp(v9(set_of(0, template(256, BASIC)))), other)).reasons == ["no_template"]


def test_a_template_may_change() -> None:
    fewer = BASIC[:8]
    data = (
        v9(set_of(0, template(256, BASIC)), set_of(256, basic()))
        + v9(set_of(0, template(256, fewer)), set_of(256, basic("10.1.0.2", first=0, last=0)[:-8]))
    )  # fmt: skip
    read = Read(data)
    assert read.rows["duration_s"].to_list() == [4.0, None]
    assert read.rejected.is_empty()


def test_a_template_may_be_withdrawn() -> None:
    data = ipfix(set_of(2, template(300, BASIC)), set_of(2, template(300, ())), set_of(300, basic()))
    assert Read(data).reasons == ["no_template"]


def test_templates_of_another_file_are_used() -> None:
    templates = v9(set_of(0, template(256, BASIC)), seconds=NOON - 60)
    records = v9(set_of(256, basic()))
    told = recognised(templates)
    assert told.notes == ("holds templates only, no records",)
    assert "other files" in recognised(records).notes[0]
    read = Read(records, shared=told.shared)
    assert read.rows["orig_h"].to_list() == ["10.1.0.1"]
    assert read.rejected.is_empty()


def test_of_several_templates_of_other_files_the_one_that_fits_is_used() -> None:
    shared = recognised(v9(set_of(0, template(256, BASIC[:7]))) + v9(set_of(0, template(256, BASIC)))).shared
    assert len(shared) == 2
    assert Read(v9(set_of(256, basic())), shared=shared).rows.height == 1
    swapped = recognised(v9(set_of(0, template(256, (BASIC[1], BASIC[0], *BASIC[2:]))))).shared
    read = Read(v9(set_of(256, basic())), shared=(*shared, *swapped))
    assert read.reasons == ["no_template"]
    assert "2 different ones of other files fit" in read.rejected["detail"][0]


def test_the_own_template_comes_first() -> None:
    shared = recognised(v9(set_of(0, template(256, (BASIC[1], BASIC[0], *BASIC[2:]))))).shared
    assert Read(V9, shared=shared).rows["orig_h"].to_list() == ["10.1.0.1", "10.1.0.2", "10.1.0.3"]


def test_the_same_templates_sent_again_are_shared_once() -> None:
    again = V9 + v9(set_of(0, template(256, BASIC)), seconds=NOON + 60, uptime=UPTIME + 60_000)
    assert recognised(again).shared == recognised(V9).shared


def test_options_are_passed_over_and_tell_the_sampling() -> None:
    options = struct.pack(">HHHHHHH", 257, 4, 8, 1, 4, 34, 4) + struct.pack(">HH", 35, 1)
    data = v9(set_of(1, options), set_of(257, number(0, 4) + number(100, 4) + b"\x02"), set_of(0, template(256, BASIC)))
    read = Read(data + v9(set_of(256, basic())))
    assert read.skipped == {"options_record": 1}
    assert read.row()["netflow_sampling_interval"] == 100.0
    assert read.row()["orig_pkts"] == 5  # as it was sent


def test_the_sampling_of_v5_is_in_its_header() -> None:
    assert Read(v5(v5_record(), sampling=0x4000 | 64)).row()["netflow_sampling_interval"] == 64.0


# Fields


def test_numbers_may_be_shorter_than_their_element() -> None:
    fields = ((8, 4), (12, 4), (4, 1), (1, 3), (2, 1), (152, 8))
    read = one(
        fields, host("10.1.0.1") + host("10.1.0.2") + b"\x11" + number(70_000, 3) + b"\x05" + number(NOON * 1000, 8)
    )
    assert (read.row()["orig_ip_bytes"], read.row()["orig_pkts"]) == (70_000, 5)


@pytest.mark.parametrize(("length", "value"), [(8, (1 << 63) - 1), (16, 12)])
def test_numbers_may_be_long(length: int, value: int) -> None:
    fields = ((8, 4), (12, 4), (4, 1), (1, length))
    assert (
        one(fields, host("10.1.0.1") + host("10.1.0.2") + b"\x11" + number(value, length)).row()["orig_ip_bytes"]
        == value
    )


@pytest.mark.parametrize(("length", "value"), [(8, 1 << 63), (16, 1 << 64)])
def test_numbers_beyond_63_bits_are_set_aside(length: int, value: int) -> None:
    fields = ((8, 4), (12, 4), (4, 1), (1, length))
    read = one(fields, host("10.1.0.1") + host("10.1.0.2") + b"\x11" + number(value, length))
    assert read.rejected.select("reason", "field").rows() == [("bad_count", "orig_ip_bytes")]


def test_fields_of_variable_length_and_of_enterprises_are_walked_over() -> None:
    fields = ((8, 4), (96, 0xFFFF), (12, 4), (1, 4, 9), (4, 1), (82, 0xFFFF), (1, 4), (152, 8))
    rest = number(77, 4) + b"\x06" + b"\xff" + number(300, 2) + bytes(300) + number(600, 4) + number(NOON * 1000, 8)
    records = [host(f"10.1.0.{n}") + bytes([n]) + b"x" * n + host("10.1.0.9") + rest for n in (1, 2, 3)]
    read = one(fields, b"".join(records))
    assert read.rows["orig_h"].to_list() == ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
    assert read.rows["orig_ip_bytes"].to_list() == [600, 600, 600]
    assert read.rejected.is_empty()


def test_addresses_of_ipv6_and_both_in_one_template() -> None:
    fields = ((8, 4), (12, 4), (27, 16), (28, 16), (4, 1), (152, 8))
    time = b"\x11" + number(NOON * 1000, 8)
    six = bytes(8) + host("2001:db8::1") + host("2001:db8::2") + time
    four = host("10.1.0.1") + host("10.1.0.2") + bytes(32) + time
    assert one(fields, six + four).rows.select("orig_h", "resp_h").rows() == [
        ("2001:db8::1", "2001:db8::2"),
        ("10.1.0.1", "10.1.0.2"),
    ]


def test_records_without_hosts_are_passed_over_and_counted() -> None:
    record = b"\x11" + number(5, 4) + number(NOON * 1000, 8)
    assert one(((4, 1), (1, 4), (152, 8)), record * 2).skipped == {"no_hosts": 2}
    assert one(((8, 4), (96, 0xFFFF)), host("10.1.0.1") + b"\x00").skipped == {"no_hosts": 1}


def test_many_small_records_are_several_batches() -> None:
    fields = ((8, 4), (12, 4), (4, 1))
    records = (host("10.1.0.1") + host("10.1.0.2") + b"\x11") * 7_000
    data = ipfix(set_of(2, template(400, fields))) + ipfix(set_of(400, records)) * 3
    read = Read(data, batch_bytes=7_000 * ROW_BYTES)
    assert [batch.rows.height for batch in read.batches] == [7_000] * 3


@pytest.mark.parametrize(
    ("orig", "resp", "packets", "state"),
    [
        (0x02, 0x00, 0, "S0"),
        (0x02, 0x14, 1, "REJ"),
        (0x1B, 0x1B, 9, "SF"),
        (0x1E, 0x1A, 9, "RSTO"),
        (0x1A, 0x1E, 9, "RSTR"),
        (0x1B, 0x1A, 9, "S2"),
        (0x1A, 0x1B, 9, "S3"),
        (0x1A, 0x1A, 9, "S1"),
        (0x03, 0x00, 0, "SH"),
        (0x06, 0x00, 0, "RSTOS0"),
        (0x10, 0x10, 9, "OTH"),
        (0x10, 0x12, 9, "OTH"),
        (0x00, 0x13, 9, "SHR"),
        (0x00, 0x16, 9, "RSTRH"),
    ],
)
def test_both_directions_tell_the_state(orig: int, resp: int, packets: int, state: str) -> None:
    back = ((6, 1, REVERSE), (2, 4, REVERSE), (1, 4, REVERSE))
    fields = (*BASIC[:8], *back, (152, 8))
    record = host("10.1.0.1") + host("10.1.0.2") + struct.pack(">HHBBII", 5, 6, 6, orig, 3, 180)
    record += struct.pack(">BII", resp, packets, packets * 60) + number(NOON * 1000, 8)
    row = one(fields, record).row()
    assert row["conn_state"] == state
    assert (row["resp_pkts"], row["resp_ip_bytes"]) == (packets, packets * 60)
    assert row["netflow_tcp_flags_resp"][3] == ("A" if resp & 0x10 else ".")


def test_yaf_tells_the_flags_of_the_first_packet_apart() -> None:
    flags = ((14, 1, CERT), (15, 1, CERT), (16398, 1, CERT), (16399, 1, CERT))
    fields = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), *flags, (85, 4), (85, 4, REVERSE), (152, 8))
    record = host("10.1.0.1") + host("10.1.0.2") + struct.pack(">HHB4BII", 5, 443, 6, 0x02, 0x19, 0x12, 0x19, 180, 240)
    row = one(fields, record + number(NOON * 1000, 8)).row()
    assert (row["netflow_tcp_flags"], row["netflow_tcp_flags_resp"], row["conn_state"]) == (
        "...AP.SF",
        "...AP.SF",
        "SF",
    )


@pytest.mark.parametrize(("back", "state"), [(71, "SF"), (0, "S0")])
def test_initiator_and_responder(back: int, state: str) -> None:
    fields = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (231, 4), (232, 4), (298, 4), (299, 4), (152, 8))
    record = host("10.1.0.1") + host("10.1.0.2") + struct.pack(">HHB", 5, 53, 17)
    row = one(fields, record + struct.pack(">IIII", 60, back, 1, int(back > 0)) + number(NOON * 1000, 8)).row()
    assert (row["orig_ip_bytes"], row["resp_ip_bytes"], row["conn_state"]) == (60, back, state)


def test_one_direction_tells_no_state() -> None:
    for data in SAMPLES.values():
        rows = Read(data).rows
        assert rows["conn_state"].null_count() == rows["resp_pkts"].null_count() == rows.height


def test_out_beside_in_is_the_other_direction_in_v9_alone() -> None:
    fields = ((8, 4), (12, 4), (4, 1), (1, 4), (2, 4), (23, 4), (24, 4))
    record = host("10.1.0.1") + host("10.1.0.2") + b"\x11" + struct.pack(">IIII", 60, 1, 126, 2)
    row = Read(v9(set_of(0, template(256, fields)), set_of(256, record))).row()
    assert (row["orig_ip_bytes"], row["resp_ip_bytes"], row["resp_pkts"]) == (60, 126, 2)
    assert "resp_ip_bytes" not in one(fields, record).row()
    alone = Read(v9(set_of(0, template(256, (*fields[:3], (23, 4)))), set_of(256, record[:9] + number(126, 4)))).row()
    assert alone["orig_ip_bytes"] == 126


def test_events_of_a_firewall() -> None:
    fields = ((148, 4), (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (233, 1), (323, 8), (152, 8), (231, 4), (232, 4))

    def event(kind: int, sent: int, received: int) -> bytes:
        ends = number(8500, 4) + host("10.1.0.1") + host("10.1.0.2") + struct.pack(">HHBB", 5, 443, 6, kind)
        return ends + number(NOON * 1000 + 2000, 8) + number(NOON * 1000, 8) + struct.pack(">II", sent, received)

    events = event(1, 0, 0) + event(5, 600, 900) + event(2, 600, 900) + event(3, 0, 0)
    read = Read(v9(set_of(0, template(256, fields)), set_of(256, events)))
    assert read.skipped == {"firewall_event:created": 1, "firewall_event:update": 1}
    assert read.rows["netflow_firewall_event"].to_list() == ["deleted", "denied"]
    row = read.row()
    assert (row["uid"], row["duration_s"], row["orig_ip_bytes"], row["resp_ip_bytes"]) == ("8500", 2.0, 600, 900)


def test_updates_of_one_direction_are_parts_that_are_kept() -> None:
    fields = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (233, 1), (1, 4), (2, 4))
    ends = host("10.1.0.1") + host("10.1.0.2") + struct.pack(">HHB", 5, 443, 6)
    parts = b"".join(ends + struct.pack(">BII", kind, octets, 1) for kind, octets in ((5, 600), (2, 40)))
    read = Read(v9(set_of(0, template(256, fields)), set_of(256, parts)))
    assert read.rows["orig_ip_bytes"].to_list() == [600, 40]
    assert not read.skipped


# Damage


def test_padding_is_no_record() -> None:
    body = basic() + basic("10.1.0.2")
    read = Read(v9(set_of(0, template(256, BASIC)), set_of(256, body + b"\x01\x02\x03\x04"[: -len(body) % 4])))
    assert read.rows.height == 2
    assert read.rejected.is_empty()


@pytest.mark.parametrize(
    ("data", "reason", "kept"),
    [
        (v5(v5_record(), count=2), "cut_off", 1),
        (V9 + v9(set_of(256, basic()))[:-10], "cut_off", 3),
        (IPFIX + ipfix(set_of(300, basic()))[:-20], "cut_off", 2),
        (ipfix(set_of(300, b""), set_of(2, template(300, BASIC)))[:-4], "bad_template", 0),
        (v9(set_of(0, struct.pack(">HH", 256, 0)), set_of(256, basic())), "no_template", 0),
        (v9(set_of(0, struct.pack(">HHHH", 256, 1, 1, 0)), set_of(256, basic())), "bad_template", 0),
        (v9(set_of(0, struct.pack(">HH", 5, 1) + bytes(4))), "bad_template", 0),
        (v9(set_of(0, struct.pack(">HH", 256, 60_000) + bytes(4))), "bad_template", 0),
        (IPFIX + ipfix(set_of(77, basic())), "bad_set", 2),
        (IPFIX + ipfix(struct.pack(">HH", 300, 1) + basic()), "bad_set", 2),
        (V5 + b"nothing that is known" + V5, "not_a_datagram", 6),
        (V5 + b"\x00" * 100 + V9, "not_a_datagram", 6),
        (pcap(udp(V5), *map(udp, V9_PARTS))[:-3], "damaged_capture", 5),
        (pcap(udp(V5), *map(udp, V9_PARTS)) + struct.pack("<IIII", 0, 0, 1 << 30, 1), "damaged_capture", 6),
    ],
)
def test_damage_is_set_aside_and_the_rest_is_read(data: bytes, reason: str, kept: int) -> None:
    read = Read(data)
    assert reason in read.reasons
    assert read.rows.height == kept
    assert read.count == kept + len(read.reasons) + read.skipped.total()


def test_a_capture_cut_by_its_snap_length_says_so() -> None:
    read = Read(pcap(udp(V5), snap=42 + 24 + 48 + 10))
    assert read.rows.height == 1
    assert read.reasons == ["cut_off"]


@pytest.mark.parametrize("data", [*SAMPLES.values(), *CAPTURES.values()], ids=[*SAMPLES, *CAPTURES])
def test_a_file_cut_anywhere_keeps_what_came_before(data: bytes) -> None:
    whole = Read(data).rows
    for end in range(len(data)):
        read = Read(data[:end])
        assert_frame_equal(read.rows, whole.head(read.rows.height))
        assert read.count == read.rows.height + read.rejected.height + read.skipped.total()
        complete = sum(place - 1 + 48 <= end for place in whole["raw_line"])
        assert read.rows.height + read.rejected.height >= min(complete, 1)


@pytest.mark.parametrize("data", [*SAMPLES.values(), *CAPTURES.values()], ids=[*SAMPLES, *CAPTURES])
@pytest.mark.parametrize("batch_bytes", [1, 100, 1000])
def test_rows_do_not_depend_on_the_batches(data: bytes, batch_bytes: int) -> None:
    hurt = data + (b"" if data in CAPTURES.values() else v9(set_of(999, basic())) + b"\x01garbage" + data)
    one, many = Read(hurt), Read(hurt, batch_bytes)
    assert_frame_equal(one.rows, many.rows)
    assert_frame_equal(one.rejected, many.rejected)
    assert one.skipped == many.skipped


@pytest.mark.parametrize("variant", SAMPLES)
def test_two_files_in_one_give_the_rows_of_both(variant: str) -> None:
    once, twice = Read(SAMPLES[variant]).rows.drop("raw_line"), Read(SAMPLES[variant] * 2).rows.drop("raw_line")
    assert_frame_equal(twice, pl.concat([once, once]))


def test_nothing_gives_no_batch() -> None:
    assert list(NetFlow().read(io.BytesIO(b""), source="x")) == []


EVERYTHING = V9 + V5 + IPFIX + v9(set_of(256, basic()), source=9) + v9(set_of(0, template(256, BASIC_MS)), source=9)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([EVERYTHING, pcap(udp(V9), udp(V5), udp(IPFIX)), pcapng(udp(V9), udp(IPFIX))]),
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4),
)
def test_damage_never_crashes_and_loses_nothing(data: bytes, changes: list[tuple[int, bytes, int]]) -> None:
    for place, new, dropped in changes:
        data = data[:place] + new + data[place + dropped :]
    NetFlow().recognise(Head(data, complete=True))
    read, parts = Read(data), Read(data, batch_bytes=50)
    assert read.count == parts.count
    assert_frame_equal(read.rows, parts.rows)
    assert read.rows["raw_line"].n_unique() == read.rows.height
    assert not set(read.rows["raw_line"]) & set(read.rejected["raw_line"])


@pytest.mark.shared_data
def test_real_datagrams_with_the_templates_of_their_folder(shared_data: Callable[[str], Path]) -> None:
    files = {path.name: path.read_bytes() for path in sorted(shared_data("netflow-datagrams").glob("*.dat"))}
    shared = tuple(sorted({piece for data in files.values() for piece in recognised(data).shared}))
    counts = {
        name: (Read(data, shared=shared).rows.height, Read(data, shared=shared).reasons) for name, data in files.items()
    }
    assert {name: count for name, (count, reasons) in counts.items() if count and not reasons} == {
        "ipfix.dat": 12,
        "ipfix_test_mikrotik_data258.dat": 28,
        "ipfix_test_mikrotik_data259.dat": 18,
        "ipfix_test_openbsd_pflow_data.dat": 26,
        "ipfix_test_vmware_vds_data264.dat": 1,
        "ipfix_test_vmware_vds_data266.dat": 2,
        "ipfix_test_vmware_vds_data266_267.dat": 2,
        "netflow5.dat": 30,
        "netflow5_test_microtik.dat": 30,
        "netflow9_test_cisco_asa_1_data.dat": 14,
        "netflow9_test_fortigate_fortios_521_data257.dat": 1,
        "netflow9_test_macaddr_data.dat": 29,
        "netflow9_test_nprobe_data.dat": 1,
        "netflow9_test_paloalto_panos_data.dat": 8,
        "netflow9_test_softflowd_tpl_data.dat": 7,
        "netflow9_test_ubnt_edgerouter_data1024.dat": 8,
        "netflow9_test_ubnt_edgerouter_data1025.dat": 8,
        "netflow9_test_valid01.dat": 7,
    }
    assert {name: reasons for name, (_, reasons) in counts.items() if reasons} == {
        "netflow9_test_nprobe_dpi.dat": ["no_clock", "cut_off"]
    }
