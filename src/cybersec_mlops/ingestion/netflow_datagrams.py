"""Export datagrams of NetFlow v5, v9 and IPFIX, one after the other in a file, or as UDP payload in a packet capture.

A file of datagrams has no frame around them: v5 says how many records of 48 bytes follow, IPFIX its length, and v9
ends where something begins that is no set (numbers 2 to 255 are reserved, so that the version of the next datagram is
never one). Where none of these fits, the next place that looks like a datagram of about the same time is looked for,
and what lies between is handed over as damage.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

MAX_DATAGRAM: Final = 65_535
VERSIONS: Final = {5: "v5", 9: "v9", 10: "ipfix"}
_HEADERS: Final = {5: 24, 9: 20, 10: 16}
_LAST_SECOND: Final = 4_102_444_800
_NEAR_S: Final = 30 * 86_400
_BEGINNING: Final = re.compile(rb"\x00[\x05\x09\x0a]")
_READ: Final = 1 << 20
NO_SET: Final = -1
"""A number that no set has (2 to 255 are reserved but for IPFIX's 2 and 3): bytes where a set should be."""

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram, or bytes that are none."""

    offset: int
    """Where it begins in the file."""
    data: bytes
    exporter: str = ""
    """Address of its sender, where the file says it."""
    damage: str = ""
    """What is wrong with it as a whole; its bytes are no datagram then."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a datagram says."""

    version: int
    export_us: int
    """Time of the export, microseconds since 1970."""
    uptime_ms: int
    """Time since the exporter started; -1 in IPFIX."""
    source: int
    """Source id, observation domain, or engine."""
    sampling: int
    """Packets of which one is looked at, 0 where it is not said."""
    bytes: int
    """Of the header itself."""
    end: int
    """Of the datagram, as far as it says it."""


def read_header(data: Buffer) -> Header | None:
    """Read the header of a datagram; None where it is of another version or cut off."""
    version = int.from_bytes(data[:2], "big")
    if len(data) < _HEADERS.get(version, 1 << 30):
        return None
    if version == 5:
        count, uptime, seconds, nanoseconds, _, engine, sampling = struct.unpack_from(">HIIIIHH", data, 2)
        end = 24 + 48 * count
        export_us = seconds * 1_000_000 + min(nanoseconds, 999_999_999) // 1_000
        return Header(5, export_us, uptime, engine, sampling & 0x3FFF, 24, end)
    if version == 9:
        _, uptime, seconds, _, source = struct.unpack_from(">HIIII", data, 2)
        return Header(9, seconds * 1_000_000, uptime, source, 0, 20, len(data))
    length, seconds, _, source = struct.unpack_from(">HIII", data, 2)
    return Header(10, seconds * 1_000_000, -1, source, 0, 16, length)


def looks_like_one(data: Buffer, near_us: int | None = None) -> bool:
    """Say whether bytes begin like a datagram, of a time near to another one where that is given."""
    header = read_header(data[:64])
    if header is None or not header.export_us < _LAST_SECOND * 1_000_000:
        return False
    if near_us is not None and abs(header.export_us - near_us) > _NEAR_S * 1_000_000:
        return False
    if header.version == 5:
        return 24 < header.end <= 24 + 48 * 64
    if len(data) < header.bytes + 4:
        return header.version == 10 and header.end == 16
    number, length = struct.unpack_from(">HH", data, header.bytes)
    if header.version == 9:
        return bool((number < 2 or number > 255) and length >= 4)
    return bool((number in (2, 3) or number > 255) and 4 <= length <= header.end - 16)


def sets_of(data: bytes, header: Header) -> Iterator[tuple[int, int, int, str]]:
    """Give (number, begin, end, damage) of each set of a datagram of v9 or IPFIX, without the four bytes before it."""
    position, end = header.bytes, min(header.end, len(data))
    while position + 4 <= end:
        number, length = struct.unpack_from(">HH", data, position)
        if length < 4:
            if any(data[position:end]):
                yield NO_SET, position, end, f"a set that says it has {length} bytes, expected 4 or more"
            return
        stop = position + length
        damage = "" if stop <= end else f"cut off: {end - position} of {length} bytes"
        yield number, position + 4, min(stop, end), damage
        position = stop
    if position < end and any(data[position:end]):
        yield NO_SET, position, end, f"{end - position} bytes after the last set"


def read_datagrams(stream: BinaryIO) -> Iterator[Datagram]:
    """Cut a file of datagrams."""
    data, base, ended, near = b"", 0, False, None
    while True:
        position = 0
        while position < len(data) or ended:
            rest = memoryview(data)[position : position + MAX_DATAGRAM + 64]
            if len(rest) < MAX_DATAGRAM + 64 and not ended:
                break
            if not rest:
                return
            length = _length(rest)
            if length:
                header = read_header(rest)
                near = header.export_us if header else near
                yield Datagram(base + position, bytes(rest[:length]))
            else:
                length = _lost(rest, near)
                yield Datagram(base + position, bytes(rest[:length]), damage="bytes that are no datagram")
            position += length
        base, data = base + position, data[position:]
        chunk = stream.read(_READ)
        ended = not chunk
        data += chunk


def _length(data: Buffer) -> int:
    """Return the bytes of the datagram at the beginning; 0 where there is none."""
    header = read_header(data)
    if header is None:
        return 0
    if header.version != 9:
        return min(header.end, len(data)) if header.end > header.bytes or header.version == 10 else 0
    position = header.bytes
    while position + 4 <= len(data):
        number, length = struct.unpack_from(">HH", data, position)
        if 1 < number < 256 or length < 4:
            break
        position += length
    if position > MAX_DATAGRAM or (position == header.bytes and len(data) > header.bytes):
        return 0
    return len(data) if position + 4 > len(data) else position


def _lost(data: Buffer, near_us: int | None) -> int:
    """Return how many bytes are before the next place that looks like a datagram."""
    for match in _BEGINNING.finditer(data, 1):
        if looks_like_one(data[match.start() : match.start() + 64], near_us):
            return match.start()
    return len(data)
