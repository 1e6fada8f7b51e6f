"""Packets and datagrams out of captures."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingestion.exports import pcap, pcapng, udp

from cybersec_mlops.ingestion.captures import DamagedCaptureError, Packet, is_capture, read_packets, udp_payload

FRAMES = (udp(b"first"), udp(b"second", sender="2001:db8::1", target="2001:db8::2"))


def payloads(data: bytes) -> list[tuple[str, bytes]]:
    found = [udp_payload(packet) for packet in read_packets(io.BytesIO(data))]
    return [(payload.sender, payload.data) for payload in found if payload]


@pytest.mark.parametrize(
    "data",
    [pcap(*FRAMES), pcap(*FRAMES, order=">"), pcapng(*FRAMES), pcapng(*FRAMES, order=">")],
    ids=["pcap", "pcap-big", "pcapng", "pcapng-big"],
)
def test_what_udp_carries_comes_out_of_every_form(data: bytes) -> None:
    assert is_capture(data)
    assert payloads(data) == [("198.51.100.1", b"first"), ("2001:db8::1", b"second")]
    for packet in read_packets(io.BytesIO(data)):
        assert data[packet.offset :].startswith(packet.data)


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        (101, b""),
        (0, b"\x02\x00\x00\x00"),
        (113, bytes(14) + b"\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
    ],
    ids=["vlan", "raw", "loopback", "sll", "sll2"],
)
def test_link_types(link: int, head: bytes) -> None:
    payload = udp_payload(Packet(0, link, head + udp(b"x")[14:], cut=False))
    assert payload is not None
    assert (payload.sender, payload.data) == ("198.51.100.1", b"x")


@pytest.mark.parametrize(
    "packet",
    [
        Packet(0, 1, bytes(12) + b"\x08\x06" + bytes(28), cut=False),
        Packet(0, 147, udp(b"x"), cut=False),
        Packet(0, 1, udp(b"x")[:20], cut=True),
        Packet(0, 1, udp(b""), cut=False),
        Packet(0, 1, udp(b"x")[:20] + b"\x20\x00" + udp(b"x")[22:], cut=False),
        Packet(0, 1, udp(b"x")[:23] + b"\x06" + udp(b"x")[24:], cut=False),
    ],
    ids=["arp", "unknown-link", "cut", "nothing", "fragment", "tcp"],
)
def test_other_packets_carry_none(packet: Packet) -> None:
    assert udp_payload(packet) is None


def test_a_cut_packet_says_so() -> None:
    (packet,) = read_packets(io.BytesIO(pcap(udp(b"0123456789"), snap=48)))
    payload = udp_payload(packet)
    assert payload is not None
    assert (payload.data, payload.cut, packet.cut) == (b"012345", True, True)


@pytest.mark.parametrize("data", [pcap(*FRAMES), pcapng(*FRAMES)], ids=["pcap", "pcapng"])
def test_what_comes_before_the_damage_is_given(data: bytes) -> None:
    whole = payloads(data)
    for end in range(len(data)):
        found, where = [], 0
        try:
            for packet in read_packets(io.BytesIO(data[:end])):
                found.append(udp_payload(packet))
        except DamagedCaptureError as error:
            where = error.offset
        assert where <= end
        assert [(one.sender, one.data) for one in found if one] == whole[: len(found)]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([pcap(*FRAMES), pcapng(*FRAMES)]), st.integers(0, 250), st.binary(max_size=8))
def test_damage_never_crashes(data: bytes, place: int, change: bytes) -> None:
    hurt, count = data[:place] + change + data[place + len(change) :], 0
    with suppress(DamagedCaptureError):
        for packet in read_packets(io.BytesIO(hurt)):
            udp_payload(packet)
            count += 1
    assert count <= len(hurt) // 12
