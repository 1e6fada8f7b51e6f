"""Datagrams one after the other."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingestion.exports import IPFIX, NOON, UPTIME, V5, V9, V9_PARTS, basic, ipfix, set_of, v5, v5_record, v9

from cybersec_mlops.ingestion.netflow_datagrams import (
    NO_SET,
    Datagram,
    looks_like_one,
    read_datagrams,
    read_header,
    sets_of,
)


def cut(data: bytes) -> list[Datagram]:
    return list(read_datagrams(io.BytesIO(data)))


def test_datagrams_of_all_versions_are_cut_where_they_end() -> None:
    found = cut(V9 + V5 + IPFIX + V9)
    assert [read.data[1] for read in found] == [9, 9, 5, 10, 10, 9, 9]
    assert b"".join(read.data for read in found) == V9 + V5 + IPFIX + V9
    assert [read.offset for read in found][:3] == [0, len(V9_PARTS[0]), len(V9)]


def test_more_than_is_read_at_once() -> None:
    data = V9 * 20_000
    found = cut(data)
    assert len(found) == 40_000
    assert found[-1].offset + len(found[-1].data) == len(data)


def test_bytes_between_are_handed_over_as_damage() -> None:
    found = cut(V5 + b"\xff" * 30 + V9)
    assert [bool(read.damage) for read in found] == [False, True, False, False]
    assert found[1] == Datagram(len(V5), b"\xff" * 30, damage=found[1].damage)


def test_what_follows_damage_is_of_about_the_same_time() -> None:
    found = cut(V5 + b"\xff" * 30 + v5(v5_record(), seconds=NOON + 90 * 86_400))
    assert [bool(read.damage) for read in found] == [False, True]


def test_a_header_says_time_and_source() -> None:
    header = read_header(v9(set_of(256, basic()), source=7))
    assert header is not None
    assert (header.version, header.export_us, header.uptime_ms, header.source) == (9, NOON * 1_000_000, UPTIME, 7)
    header = read_header(ipfix(set_of(256, basic()), domain=8))
    assert header is not None
    assert (header.uptime_ms, header.source, header.end) == (-1, 8, 52)


@pytest.mark.parametrize("data", [b"", b"\0\x09", b"\0\x07" + bytes(30), V9[:19]])
def test_other_headers_are_none(data: bytes) -> None:
    assert read_header(data) is None
    assert not looks_like_one(data)


def test_a_set_that_cannot_be_ends_the_datagram() -> None:
    data = ipfix(set_of(300, bytes(8)), b"\x01\x2c\x00\x01" + bytes(4))
    header = read_header(data)
    assert header is not None
    found = list(sets_of(data, header))
    assert [number for number, *_ in found] == [300, NO_SET]
    assert "1 bytes, expected 4 or more" in found[1][3]


@settings(deadline=None)
@given(st.lists(st.sampled_from([V5, IPFIX, *V9_PARTS, b"\x00", b"\x00\x09", b"text", b"\xff" * 40]), max_size=8))
def test_no_byte_is_lost(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert b"".join(read.data for read in cut(data)) == data
