"""Export datagrams written by hand, after RFC 3954 (v9), RFC 7011 (IPFIX) and Cisco's layout of v5; and captures."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import ip_address

CLIENT, SERVER = "10.1.0.1", "192.0.2.8"
NOON = 1_772_452_800  # 2026-03-02 12:00:00 UTC
UPTIME = 600_000  # the exporter started ten minutes before

Specifier = tuple[int, int] | tuple[int, int, int]
"""Element and length, or element, length and enterprise number."""


def number(value: int, length: int) -> bytes:
    return value.to_bytes(length, "big")


def host(text: str) -> bytes:
    return ip_address(text).packed


def v5_record(
    source: str = "10.1.0.1", *, target: str = "192.0.2.8", ports: tuple[int, int] = (41_000, 443), packets: int = 5,
    size: int = 600, first: int = UPTIME - 5_000, last: int = UPTIME - 1_000, flags: int = 0x1B, proto: int = 6,
    tos: int = 0,
) -> bytes:  # fmt: skip
    return (
        host(source) + host(target) + bytes(4) + struct.pack(">HHIIII", 1, 2, packets, size, first, last)
        + struct.pack(">HHBBBBHHBBH", *ports, 0, flags, proto, tos, 0, 0, 24, 24, 0)
    )  # fmt: skip


def v5(
    *records: bytes, seconds: int = NOON, uptime: int = UPTIME, sampling: int = 0, count: int | None = None
) -> bytes:
    header = struct.pack(
        ">HHIIIIBBH", 5, len(records) if count is None else count, uptime, seconds, 0, 7, 0, 0, sampling
    )
    return header + b"".join(records)


def set_of(identifier: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(">HH", identifier, len(body) + 4) + body


def v9(*sets: bytes, seconds: int = NOON, uptime: int = UPTIME, source: int = 0, count: int = 1) -> bytes:
    return struct.pack(">HHIIII", 9, count, uptime, seconds, 7, source) + b"".join(sets)


def ipfix(*sets: bytes, seconds: int = NOON, domain: int = 0) -> bytes:
    body = b"".join(sets)
    return struct.pack(">HHIII", 10, 16 + len(body), seconds, 7, domain) + body


def template(identifier: int, fields: Sequence[Specifier]) -> bytes:
    body = struct.pack(">HH", identifier, len(fields))
    for element, length, *enterprise in fields:
        body += struct.pack(">HH", element | (0x8000 if enterprise else 0), length)
        body += struct.pack(">I", *enterprise) if enterprise else b""
    return body


BASIC: tuple[Specifier, ...] = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4), (22, 4), (21, 4))
"""IPv4 hosts, ports, protocol, flags, packets, bytes, first and last by the exporter's clock: 30 bytes."""
BASIC_MS: tuple[Specifier, ...] = (*BASIC[:8], (152, 8), (153, 8))
"""The same with times in milliseconds: 38 bytes."""


def basic(
    source: str = "10.1.0.1", *, target: str = "192.0.2.8", ports: tuple[int, int] = (41_000, 443), packets: int = 5,
    size: int = 600, first: int = UPTIME - 5_000, last: int = UPTIME - 1_000, flags: int = 0x1B, proto: int = 6,
    time_bytes: int = 4,
) -> bytes:  # fmt: skip
    return (
        host(source) + host(target) + struct.pack(">HHBBII", *ports, proto, flags, packets, size)
        + number(first, time_bytes) + number(last, time_bytes)
    )  # fmt: skip


V5 = v5(
    v5_record(),
    v5_record("10.1.0.2", ports=(53_000, 53), proto=17, flags=0, packets=1, size=71),
    v5_record("10.1.0.3", ports=(0, 8 << 8), proto=1, flags=0, packets=2, size=168),
)
V9_PARTS = (
    v9(
        set_of(0, template(256, BASIC)),
        set_of(256, basic() + basic("10.1.0.2", ports=(53_000, 53), proto=17, flags=0, packets=1, size=71)),
    ),
    v9(set_of(256, basic("10.1.0.3")), seconds=NOON + 1, uptime=UPTIME + 1_000),
)
V9 = b"".join(V9_PARTS)
IPFIX = ipfix(
    set_of(2, template(300, BASIC_MS)),
    set_of(300, basic(first=NOON * 1000, last=NOON * 1000 + 250, time_bytes=8)),
) + ipfix(set_of(300, basic("10.1.0.2", first=NOON * 1000 + 1, last=NOON * 1000 + 9, time_bytes=8)))


def udp(payload: bytes, *, sender: str = "198.51.100.1", target: str = "198.51.100.2") -> bytes:
    """Return an Ethernet frame."""
    datagram = struct.pack(">HHHH", 50_000, 2055, 8 + len(payload), 0) + payload
    if ip_address(sender).version == 6:
        packet = struct.pack(">IHBB", 6 << 28, len(datagram), 17, 64) + host(sender) + host(target) + datagram
        return bytes(12) + b"\x86\xdd" + packet
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0)
    return bytes(12) + b"\x08\x00" + header + host(sender) + host(target) + datagram


def other(protocol: int, packet: bytes) -> bytes:
    """Return an Ethernet frame of another protocol than TCP and UDP."""
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(packet), 1, 0, 64, protocol, 0)
    return bytes(12) + b"\x08\x00" + header + host(CLIENT) + host(SERVER) + packet


def tcp(flags: int, payload: bytes = b"", *, back: bool = False, port: int = 41_000) -> bytes:
    """Return an Ethernet frame of a connection to port 8080."""
    ends = (host(CLIENT), host(SERVER), port, 8080)
    source, target, *ports = (ends[1], ends[0], ends[3], ends[2]) if back else ends
    segment = struct.pack(">HHIIBBHHH", *ports, 1, 1, 0x50, flags, 1024, 0, 0) + payload
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0)
    return bytes(12) + b"\x08\x00" + header + source + target + segment


def pcap(*frames: bytes, order: str = "<", link: int = 1, snap: int = 65_535) -> bytes:
    data = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap, link)
    for frame in frames:
        data += struct.pack(order + "IIII", NOON, 0, len(frame[:snap]), len(frame)) + frame[:snap]
    return data


def pcapng(*frames: bytes, order: str = "<", link: int = 1) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    data = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack(order + "HHI", link, 0, 0))
    for frame in frames:
        data += block(6, struct.pack(order + "IIIII", 0, 0, 0, len(frame), len(frame)) + frame)
    return data
