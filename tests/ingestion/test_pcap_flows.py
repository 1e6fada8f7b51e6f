"""Captures of traffic through the meter."""

from __future__ import annotations

import io
import struct
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.ingestion.exports import CLIENT, NOON, SERVER, V5, other, pcap, pcapng, tcp, udp

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion import pcap_flows
from cybersec_mlops.ingestion.pcap_flows import PacketCapture
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.scratch import scratch_in

pytest.importorskip("nfstream", reason="the extra `pcap` is not installed")

ARP = bytes(12) + b"\x08\x06" + bytes(28)
FRAMES = (
    tcp(0x02), tcp(0x12, back=True), tcp(0x10), tcp(0x18, b"hello"), tcp(0x18, b"you too", back=True),
    tcp(0x11), tcp(0x11, back=True), ARP, tcp(0x02, port=41_001), tcp(0x14, back=True, port=41_001),
    udp(b"ping", sender="10.1.0.2", target="10.1.0.3"),
)  # fmt: skip


def read(data: bytes, batch_bytes: int = 1 << 20) -> Batch:
    batches = list(PacketCapture().read(io.BytesIO(data), source="x.pcap", batch_bytes=batch_bytes))
    skipped = {reason: count for batch in batches for reason, count in batch.skipped.items()}
    assert all(dict(batch.rows.schema) == batch_schema(PacketCapture()) for batch in batches)
    return Batch(pl.concat([b.rows for b in batches]), pl.concat([b.rejected for b in batches]), skipped)


def answer(data: bytes, *, complete: bool = True) -> Recognition | Refusal | None:
    return PacketCapture().recognise(Head(data, complete=complete))


@pytest.fixture(scope="module")
def metered() -> Batch:
    return read(pcapng(*FRAMES) if sys.byteorder == "big" else pcap(*FRAMES))


@pytest.mark.parametrize(("data", "variant"), [(pcap(*FRAMES), "pcap"), (pcapng(*FRAMES), "pcapng")])
def test_a_capture_is_recognised(data: bytes, variant: str) -> None:
    for found in (answer(data), answer(data[:100], complete=False)):
        assert isinstance(found, Recognition)
        assert found.variant == variant


def test_a_capture_of_export_datagrams_is_another_readers() -> None:
    assert answer(pcap(udp(V5))) is None
    assert answer(b"something else") is None


@pytest.mark.parametrize(
    ("data", "message", "passable"),
    [
        (pcap(), "without packets", True),
        (pcap(*FRAMES)[:10], "ends within its header", False),
        (pcap(*FRAMES, link=276), "link type 276", False),
    ],
)
def test_what_cannot_be_metered_is_refused(data: bytes, message: str, passable: bool) -> None:
    found = answer(data)
    assert isinstance(found, Refusal)
    assert message in found.message
    assert found.passable == passable
    assert found.hint


def test_without_the_meter_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap_flows, "installed", lambda: False)
    found = answer(pcap(*FRAMES))
    assert isinstance(found, Refusal)
    assert found.passable
    assert "pip install 'cybersec-mlops-pipeline[pcap]'" in found.hint
    assert "zeek -r" in found.hint
    with pytest.raises(ConfigError, match="need the flow meter NFStream"):
        read(pcap(*FRAMES))


def test_a_connection_has_both_directions(metered: Batch) -> None:
    row = metered.rows.filter(pl.col("orig_p") == 41_000).row(0, named=True)
    assert {name: row[name] for name in ("orig_h", "resp_h", "resp_p", "proto", "conn_state", "history")} == {
        "orig_h": CLIENT,
        "resp_h": SERVER,
        "resp_p": 8080,
        "proto": "tcp",
        "conn_state": "SF",
        "history": "ShADdFf",
    }
    assert row["ts"] == datetime.fromtimestamp(NOON, UTC)
    assert (row["orig_pkts"], row["resp_pkts"], row["orig_bytes"], row["resp_bytes"]) == (4, 3, 5, 7)
    assert (row["orig_ip_bytes"], row["resp_ip_bytes"]) == (165, 127)
    assert (row["pcap_orig_syn_packets"], row["pcap_resp_packet_max_bytes"]) == (1.0, 47.0)


def test_a_refused_and_an_unanswered_connection(metered: Batch) -> None:
    rows = metered.rows.sort("proto", "orig_p")
    assert rows["conn_state"].to_list() == ["SF", "REJ", "S0"]
    silent = rows.row(2, named=True)
    assert (silent["resp_pkts"], silent["resp_bytes"], silent["history"]) == (0, 0, "D")
    assert silent["pcap_resp_packet_mean_bytes"] is None
    assert silent["pcap_orig_gap_mean_ms"] is None
    assert silent["pcap_orig_syn_packets"] is None


def test_ports_and_payload_that_the_meter_does_not_read_are_null() -> None:
    sctp = struct.pack(">HHIIBBHII", 41_000, 2905, 1, 1, 0, 3, 20, 0, 0)
    rows = read(pcap(other(132, sctp), other(47, bytes(40)), other(1, b"\x08" + bytes(15)))).rows
    assert rows["proto"].to_list() == ["sctp", "gre", "icmp"]
    assert rows["orig_p"].null_count() == rows["resp_p"].null_count() == 3
    assert rows["orig_bytes"].to_list() == [None, None, 8]
    assert rows["resp_bytes"].to_list() == [None, None, 0]
    assert rows["orig_ip_bytes"].to_list() == [44, 60, 36]


def test_every_packet_is_accounted_for(metered: Batch) -> None:
    assert metered.rows.height == 3
    assert metered.rejected.is_empty()
    assert metered.skipped == {"packet_of_no_connection": 1}
    assert metered.rows["raw_line"].to_list() == [1, 2, 3]


def test_a_capture_that_is_cut_off_keeps_what_came_before() -> None:
    found = read(pcapng(*FRAMES)[:-20], batch_bytes=100)
    assert found.rows.height == 2
    assert found.rejected["reason"].to_list() == ["damaged_capture"]
    assert "ends within" in found.rejected["detail"][0]
    assert found.skipped == {"packet_of_no_connection": 1}


def test_the_capture_is_copied_to_the_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with scratch_in(tmp_path):
        assert read(pcap(*FRAMES)).rows.height == 3
    assert list(tmp_path.iterdir()) == []


def test_a_meter_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap_flows, "BASE_SECONDS", 0)
    with pytest.raises(DataError, match="had not read after 0 s") as caught:
        read(pcap(*FRAMES))
    assert "zeek -r" in caught.value.hint


def test_a_meter_that_fails_ends_in_an_error_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DataError, match="the meter cannot read: it says nothing"):
        read(pcap(*FRAMES))


@pytest.mark.shared_data
def test_a_real_capture(shared_data: Callable[[str], Path]) -> None:
    found = read((shared_data("pcap") / "ssh-bruteforce.pcap").read_bytes())
    assert found.rows.height == 67
    assert found.skipped == {}
    assert int(found.rows["orig_pkts"].sum()) + int(found.rows["resp_pkts"].sum()) == 1178
    assert dict(found.rows["service"].value_counts().iter_rows())["ssh"] == 48
