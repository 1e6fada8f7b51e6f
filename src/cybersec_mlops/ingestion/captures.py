"""Packet captures, pcap and pcapng, as packets: only as far as a datagram inside is to be found.

Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/ and draft-ietf-opsawg-pcapng. The packets are not put
together into connections here: see `cybersec_mlops.ingestion.pcap_flows`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import BinaryIO, Final

PCAP_MAGIC: Final[dict[bytes, str]] = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">",
}
"""First bytes of a pcap, of microseconds or nanoseconds, to its byte order."""
PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
MAX_PACKET: Final = 1 << 18
"""A longer packet is taken for damage: 256 KiB, the largest that libpcap writes."""
_UDP: Final = 17
_ETHERNET: Final = 1
_LINK_HEADERS: Final = {113: (16, 14), 276: (20, 0)}  # Linux SLL, SLL2: length, place of the protocol
_RAW: Final = (12, 14, 101, 228, 229)
_LOOPBACK: Final = (0, 108)


class DamagedCaptureError(ValueError):
    """A capture that cannot be read on: says why, and from where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it was captured."""

    offset: int
    """Where its bytes begin in the file."""
    link: int
    """Link type (https://www.tcpdump.org/linktypes.html)."""
    data: bytes
    cut: bool
    """Whether fewer bytes were captured than the packet had."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What a UDP packet carries."""

    offset: int
    sender: str
    data: bytes
    cut: bool


def is_capture(data: bytes) -> bool:
    """Say whether a file begins like a capture."""
    return data[:4] in PCAP_MAGIC or data[:4] == PCAPNG_MAGIC


class _Source:
    """A stream that knows where it is."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.offset = stream, 0

    def take(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.offset += len(data)
        return data

    def exactly(self, size: int, what: str) -> bytes:
        start = self.offset
        if len(data := self.take(size)) < size:
            raise DamagedCaptureError(f"it ends within {what}", start)
        return data


def read_packets(stream: BinaryIO) -> Iterator[Packet]:
    """Give the packets of a capture.

    Raises
    ------
    DamagedCaptureError
        It ends within a packet, or a length in it cannot be; the packets before were given.
    """
    source = _Source(stream)
    magic = source.exactly(4, "its header")
    yield from _pcapng(source, magic) if magic == PCAPNG_MAGIC else _pcap(source, magic)


def _pcap(source: _Source, magic: bytes) -> Iterator[Packet]:
    order = PCAP_MAGIC.get(magic)
    if order is None:
        raise DamagedCaptureError("it does not begin like a capture", source.offset)
    link = struct.unpack(order + "I", source.exactly(20, "its header")[16:])[0] & 0xFFFF
    while header := source.take(16):
        if len(header) < 16:
            raise DamagedCaptureError("it ends within the header of a packet", source.offset)
        captured, length = struct.unpack_from(order + "II", header, 8)
        if captured > MAX_PACKET:
            raise DamagedCaptureError(f"a packet of {captured} bytes, expected at most {MAX_PACKET}", source.offset)
        offset = source.offset
        yield Packet(offset, link, source.exactly(captured, "a packet"), captured < length)


def _pcapng(source: _Source, magic: bytes) -> Iterator[Packet]:
    order, links, kind = "<", list[int](), magic
    while kind:
        if len(kind) < 4:
            raise DamagedCaptureError("it ends within the header of a block", source.offset)
        raw = source.exactly(4, "the header of a block")
        if kind == PCAPNG_MAGIC:
            order = "<" if (mark := source.exactly(4, "a section")) == b"\x4d\x3c\x2b\x1a" else ">"
            if mark not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise DamagedCaptureError("a section without a mark of its byte order", source.offset)
            links = []
        number, size = struct.unpack(order + "I", kind)[0], struct.unpack(order + "I", raw)[0]
        size -= 16 if kind == PCAPNG_MAGIC else 12
        if not 0 <= size <= 4 * MAX_PACKET:
            raise DamagedCaptureError(f"a block of {size} bytes, expected at most {4 * MAX_PACKET}", source.offset)
        offset = source.offset
        body = source.exactly(size, "a block")
        source.exactly(4, "a block")
        if number == 1 and size >= 8:
            links.append(struct.unpack_from(order + "H", body)[0])
        elif (packet := _packet_of(number, body, offset, order, links)) is not None:
            yield packet
        kind = source.take(4)


def _packet_of(number: int, body: bytes, offset: int, order: str, links: list[int]) -> Packet | None:
    """Return the packet of an enhanced, simple or obsolete packet block."""
    if number == 3 and len(body) >= 4 and links:
        length = struct.unpack_from(order + "I", body)[0]
        return Packet(offset + 4, links[0], body[4 : 4 + length], len(body) - 4 < length)
    if number not in (2, 6) or len(body) < 20:
        return None
    interface = struct.unpack_from(order + ("H" if number == 2 else "I"), body)[0]
    captured, length = struct.unpack_from(order + "II", body, 12)
    if captured > len(body) - 20 or interface >= len(links):
        raise DamagedCaptureError("a packet block that says more than it holds", offset)
    return Packet(offset + 20, links[interface], body[20 : 20 + captured], captured < length)


def udp_payload(packet: Packet) -> Payload | None:
    """Return what a packet carries as UDP over IPv4 or IPv6; None where it is something else, or a fragment."""
    start = _network_layer(packet)
    data = packet.data
    if start is None or start >= len(data):
        return None
    version = data[start] >> 4
    if version == 4 and len(data) >= start + 20:
        fragment = int.from_bytes(data[start + 6 : start + 8], "big") & 0x3FFF
        if data[start + 9] != _UDP or fragment:
            return None
        sender, transport = data[start + 12 : start + 16], start + 4 * (data[start] & 0x0F)
    elif version == 6 and len(data) >= start + 40:
        if data[start + 6] != _UDP:
            return None
        sender, transport = data[start + 8 : start + 24], start + 40
    else:
        return None
    length = int.from_bytes(data[transport + 4 : transport + 6], "big")
    body = data[transport + 8 : transport + max(length, 8)]
    if len(data) < transport + 8 or not body:
        return None
    return Payload(packet.offset + transport + 8, str(ip_address(sender)), body, len(body) < length - 8)


def _network_layer(packet: Packet) -> int | None:
    """Return where the IP header begins."""
    data, link = packet.data, packet.link
    if link in _RAW:
        return 0
    if link in _LOOPBACK:
        return 4
    if link in _LINK_HEADERS:
        start, place = _LINK_HEADERS[link]
    elif link == _ETHERNET:
        start, place = 14, 12
        while data[place : place + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
            start, place = start + 4, place + 4
    else:
        return None
    return start if data[place : place + 2] in (b"\x08\x00", b"\x86\xdd") else None
