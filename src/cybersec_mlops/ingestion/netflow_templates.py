"""Templates of NetFlow v9 and IPFIX: which fields a record has and where; and the fixed record of v5.

Source: RFC 3954 (v9), RFC 7011 (IPFIX), https://www.iana.org/assignments/ipfix (elements), RFC 5103 (reverse elements),
Cisco's layout of the v5 record. Only the fields that become something are kept; the others are passed over by length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

REVERSE: Final = 29305
"""Enterprise number that marks an element of the other direction (RFC 5103)."""
CERT: Final = 6871
"""Enterprise number of the CERT, whose YAF tells the flags of the first packet from those of the packets after it."""
VARIABLE: Final = 0xFFFF
MAX_FIELDS: Final = 1_024
"""A template with more fields is taken for damage."""

ELEMENTS: Final[dict[tuple[int, int], str]] = {
    (0, 1): "octets",
    (0, 2): "packets",
    (0, 85): "octets_total",
    (0, 86): "packets_total",
    (0, 23): "octets_out",
    (0, 24): "packets_out",
    (0, 231): "octets_initiator",
    (0, 232): "octets_responder",
    (0, 298): "packets_initiator",
    (0, 299): "packets_responder",
    (REVERSE, 1): "octets_responder",
    (REVERSE, 2): "packets_responder",
    (REVERSE, 85): "octets_responder",
    (REVERSE, 86): "packets_responder",
    (REVERSE, 6): "flags_responder",
    (CERT, 14): "flags_first",
    (CERT, 15): "flags_later",
    (CERT, 16398): "flags_first_responder",
    (CERT, 16399): "flags_later_responder",
    (0, 4): "protocol",
    (0, 5): "tos",
    (0, 6): "flags",
    (0, 7): "source_port",
    (0, 11): "destination_port",
    (0, 180): "source_port",
    (0, 181): "destination_port",
    (0, 182): "source_port",
    (0, 183): "destination_port",
    (0, 8): "source_v4",
    (0, 12): "destination_v4",
    (0, 27): "source_v6",
    (0, 28): "destination_v6",
    (0, 60): "ip_version",
    (0, 32): "icmp",
    (0, 139): "icmp",
    (0, 176): "icmp_type",
    (0, 177): "icmp_code",
    (0, 178): "icmp_type",
    (0, 179): "icmp_code",
    (0, 22): "start_uptime",
    (0, 21): "end_uptime",
    (0, 150): "start_s",
    (0, 151): "end_s",
    (0, 152): "start_ms",
    (0, 153): "end_ms",
    (0, 154): "start_ntp",
    (0, 155): "end_ntp",
    (0, 156): "start_ntp",
    (0, 157): "end_ntp",
    (0, 158): "start_before_us",
    (0, 159): "end_before_us",
    (0, 160): "init_ms",
    (0, 161): "duration_ms",
    (0, 162): "duration_us",
    (0, 322): "event_s",
    (0, 323): "event_ms",
    (0, 34): "sampling",
    (0, 50): "sampling",
    (0, 305): "sampling_packets",
    (0, 306): "sampling_space",
    (0, 61): "direction",
    (0, 136): "end_reason",
    (0, 148): "flow_id",
    (0, 233): "firewall_event",
    (0, 40005): "firewall_event",
}
"""(enterprise, element) to what it is here."""

ADDRESSES: Final = {"source_v4": 4, "destination_v4": 4, "source_v6": 16, "destination_v6": 16}
"""Fields that are no numbers, with their length."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field is in a record, or in the list of lengths of a record of variable length."""

    position: int
    """Its place among the fields."""
    offset: int
    """Bytes before it; meaningless in a record of variable length."""
    length: int


@dataclass(frozen=True, slots=True)
class Template:
    """What the records of a set look like."""

    fields: tuple[tuple[str, Field], ...]
    """What becomes something, by name."""
    lengths: tuple[int, ...]
    """Bytes of every field, `VARIABLE` for those that say their own."""
    options: bool = False

    @property
    def fixed(self) -> bool:
        """Whether every record has the same length."""
        return VARIABLE not in self.lengths

    @property
    def has_hosts(self) -> bool:
        """Whether a record says who sent to whom."""
        names = {name for name, _ in self.fields}
        return all(names & {f"{side}_v4", f"{side}_v6"} for side in ("source", "destination"))

    @property
    def record_bytes(self) -> int:
        """Bytes of a record, the least where it is of variable length."""
        return sum(1 if length == VARIABLE else length for length in self.lengths)


class DamagedTemplateError(ValueError):
    """A template that cannot be: says why."""


def template_of(specifiers: list[tuple[int, int, int]], *, options: bool = False) -> Template:
    """Return the template of a list of (enterprise, element, length).

    Raises
    ------
    DamagedTemplateError
        Records of no length, or too many fields.
    """
    found: dict[str, Field] = {}
    offset = 0
    for position, (enterprise, element, length) in enumerate(specifiers):
        name = ELEMENTS.get((enterprise, element))
        if name is not None and name not in found and _possible(name, length):
            found[name] = Field(position, offset, length)
        offset += 0 if length == VARIABLE else length
    template = Template(tuple(found.items()), tuple(length for _, _, length in specifiers), options)
    if not template.record_bytes:
        raise DamagedTemplateError("a template of records without length")
    return template


def _possible(name: str, length: int) -> bool:
    return length == ADDRESSES[name] if name in ADDRESSES else 0 < length <= 16


def read_templates(body: bytes, *, ipfix: bool, options: bool) -> list[tuple[int, Template | None]]:
    """Read the templates of a set; None is a withdrawal (RFC 7011, section 8.1).

    Raises
    ------
    DamagedTemplateError
        The set ends within a template, or a template cannot be.
    """
    found: list[tuple[int, Template | None]] = []
    position = 0
    while position + 4 <= len(body):
        number, count = struct.unpack_from(">HH", body, position)
        if number < 256:
            if found and not any(body[position:]):
                break  # padding
            raise DamagedTemplateError(f"a template with the number {number}, expected 256 or more")
        position += 4
        if options:
            scope = _unpack(body, position)
            position += 2
            count = count if ipfix else (count + scope) // 4
        elif not count:
            found.append((number, None))
            continue
        if count > MAX_FIELDS:
            raise DamagedTemplateError(f"a template of {count} fields, expected at most {MAX_FIELDS}")
        specifiers = []
        for _ in range(count):
            element, length = _unpack(body, position), _unpack(body, position + 2)
            position, enterprise = position + 4, 0
            if ipfix and element & 0x8000:
                enterprise = (_unpack(body, position) << 16) + _unpack(body, position + 2)
                position, element = position + 4, element & 0x7FFF
            specifiers.append((enterprise, element, length))
        if not specifiers and options:
            found.append((number, None))
        else:
            found.append((number, template_of(specifiers, options=options)))
    return found


def _unpack(body: bytes, position: int) -> int:
    if position + 2 > len(body):
        raise DamagedTemplateError("a set that ends within a template")
    return int.from_bytes(body[position : position + 2], "big")


V5: Final = template_of(
    [
        *((0, 8, 4), (0, 12, 4), (0, 15, 4), (0, 10, 2), (0, 14, 2), (0, 2, 4), (0, 1, 4), (0, 22, 4), (0, 21, 4)),
        *((0, 7, 2), (0, 11, 2), (0, 210, 1), (0, 6, 1), (0, 4, 1), (0, 5, 1), (0, 16, 2), (0, 17, 2), (0, 9, 1)),
        *((0, 13, 1), (0, 210, 2)),
    ]
)
"""The record of v5, 48 bytes."""
