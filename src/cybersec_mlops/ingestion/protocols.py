"""IANA protocol numbers and their keywords in lower case, as Zeek and most sensors write them.

Source: https://www.iana.org/assignments/protocol-numbers (the assigned ones that are seen on networks).
"""

from __future__ import annotations

from typing import Final

PROTOCOLS: Final[dict[int, str]] = {
    1: "icmp",
    2: "igmp",
    3: "ggp",
    4: "ipv4",
    5: "st",
    6: "tcp",
    7: "cbt",
    8: "egp",
    9: "igp",
    17: "udp",
    27: "rdp",
    33: "dccp",
    41: "ipv6",
    43: "ipv6-route",
    44: "ipv6-frag",
    46: "rsvp",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "ipv6-icmp",
    59: "ipv6-nonxt",
    60: "ipv6-opts",
    88: "eigrp",
    89: "ospf",
    94: "ipip",
    97: "etherip",
    103: "pim",
    108: "ipcomp",
    112: "vrrp",
    115: "l2tp",
    132: "sctp",
    136: "udplite",
    137: "mpls-in-ip",
}
"""Number to keyword."""


def keyword(number: int) -> str:
    """Return the keyword of a protocol number, ``proto-N`` where it has none here.

    >>> keyword(6), keyword(253)
    ('tcp', 'proto-253')
    """
    return PROTOCOLS.get(number, f"proto-{number}")


WITH_PORTS: Final = ("tcp", "udp", "sctp", "dccp", "udplite")
"""Protocols whose connections have ports; the ports of others are null, whatever a sensor writes there."""

ICMP: Final = ("icmp", "ipv6-icmp")
"""Protocols whose messages have a type and a code, which sensors write where the ports are."""

SPELLINGS: Final[dict[str, str]] = {
    **{f"{number}": keyword(number) for number in range(256)},
    **{f"{number:03}": keyword(number) for number in range(100)},
    "icmp6": "ipv6-icmp",
    "icmpv6": "ipv6-icmp",
    "ipv6icmp": "ipv6-icmp",
    "ipip": "ipv4",
}
"""Other ways, in lower case, in which sensors write a protocol, to its keyword."""
