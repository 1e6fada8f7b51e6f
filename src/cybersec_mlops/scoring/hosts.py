"""What the two addresses of a connection are: IP or not, and the Community ID that other tools know it by."""

from __future__ import annotations

import hashlib
import ipaddress
from functools import lru_cache
from typing import Final

import polars as pl

PROTOCOLS: Final = {"tcp": "6", "udp": "17", "icmp": "1", "icmp6": "58", "ipv6-icmp": "58", "sctp": "132", "gre": "47"}
"""IANA's numbers, as ECS writes them."""

_PORTS: Final = {name: bytes([int(PROTOCOLS[name]), 0]) for name in ("tcp", "udp", "sctp")}


def ip_texts(hosts: pl.Series) -> pl.Series:
    """Return the addresses that are IP addresses in their canonical form, null for all else.

    >>> ip_texts(pl.Series(["2001:DB8::1", "printer", "fe80::1%eth0", None])).to_list()
    ['2001:db8::1', None, None, None]
    """
    names = hosts.drop_nulls().unique()
    texts = [None if (found := _ip(name)) is None else str(found) for name in names]
    return hosts.replace_strict(names, pl.Series(texts, dtype=pl.String), default=None, return_dtype=pl.String)


def community_ids(ends: pl.DataFrame) -> pl.Series:
    """Return the Community IDs, version 1, seed 0, of TCP, UDP and SCTP connections; null for any other.

    Parameters
    ----------
    ends : DataFrame
        One end's host and port, the other one's, and the protocol in lower case, in this order.

    References
    ----------
    https://github.com/corelight/community-id-spec (the example is from its baseline)

    >>> ends = ["128.232.110.120"], [34855], ["66.35.250.204"], [80], ["tcp"]
    >>> community_ids(pl.DataFrame(ends, schema=["orig_h", "orig_p", "resp_h", "resp_p", "proto"])).to_list()
    ['1:LQU9qZlK+B5F3KDmev6m5PMibrg=']
    """
    told = map(_told, *ends.to_dict(as_series=False).values())
    digests = [None if one is None else hashlib.sha1(one, usedforsecurity=False).digest() for one in told]
    return "1:" + pl.Series(digests, dtype=pl.Binary).bin.encode("base64")


def _told(
    orig_h: str | None, orig_p: int | None, resp_h: str | None, resp_p: int | None, proto: str | None
) -> bytes | None:
    first, second = _packed(orig_h), _packed(resp_h)
    if proto not in _PORTS or first is None or second is None or orig_p is None or resp_p is None:
        return None
    if len(first) != len(second):
        return None
    one, two = first + orig_p.to_bytes(2), second + resp_p.to_bytes(2)
    if two < one:
        one, two = two, one
    return b"\0\0" + one[:-2] + two[:-2] + _PORTS[proto] + one[-2:] + two[-2:]


@lru_cache(maxsize=65_536)
def _packed(host: str | None) -> bytes | None:
    return None if (found := _ip(host)) is None else found.packed


@lru_cache(maxsize=65_536)
def _ip(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    return None if getattr(found, "scope_id", None) else found
