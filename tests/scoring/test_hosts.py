"""The Community IDs of the reference, and which addresses are IP addresses."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from cybersec_mlops.scoring.hosts import community_ids, ip_texts

SCHEMA = {"one": pl.String, "one_p": pl.Int64, "two": pl.String, "two_p": pl.Int64, "proto": pl.String}


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (("192.168.1.52", 54585, "8.8.8.8", 53, "udp"), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        (("10.0.0.1", 8, "10.0.0.2", 0, "icmp"), None),
        (("10.0.0.1", 1, "2001:db8::1", 2, "tcp"), None),
        (("host", 1, "10.0.0.2", 2, "tcp"), None),
        (("10.0.0.1", None, "10.0.0.2", 2, "tcp"), None),
        (("10.0.0.1", 1, None, 2, "tcp"), None),
        (("10.0.0.1", 1, "10.0.0.2", 2, None), None),
    ],
)
def test_community_ids_do_not_depend_on_who_began(ends: tuple[Any, ...], expected: str | None) -> None:
    one, one_p, two, two_p, proto = ends
    both = pl.DataFrame([ends, (two, two_p, one, one_p, proto)], schema=SCHEMA, orient="row")
    assert community_ids(both).to_list() == [expected, expected]


def test_ports_decide_between_equal_hosts() -> None:
    rows = [("10.0.0.1", 1, "10.0.0.1", 256, "tcp"), ("10.0.0.1", 256, "10.0.0.1", 1, "tcp")]
    one, two = community_ids(pl.DataFrame(rows, schema=SCHEMA, orient="row")).to_list()
    assert one == two


def test_ip_texts_are_canonical() -> None:
    hosts = ["10.0.0.1", "10.0.0.01", "2001:DB8::1", "", " 10.0.0.1", None, "10.0.0.1"]
    assert ip_texts(pl.Series(hosts)).to_list() == ["10.0.0.1", None, "2001:db8::1", None, None, None, "10.0.0.1"]
    assert ip_texts(pl.Series([], dtype=pl.String)).to_list() == []
