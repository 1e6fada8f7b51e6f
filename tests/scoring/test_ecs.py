"""Documents of the Elastic Common Schema: the right fields of the right types, nothing null, nothing hostile."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.scoring.alert_files import ALERT_SCHEMA
from cybersec_mlops.scoring.ecs import ECS_VERSION, AlertSource, community_id, document, iso_time, to_line

SOURCE = AlertSource("campus", "ab" * 32, 3, False, ("conn_state",))
LONG = range(-(2**63), 2**63)


def _ip(value: object) -> bool:
    return isinstance(value, str) and bool(ipaddress.ip_address(value))


def _date(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is UTC


TYPES: dict[str, Any] = {
    "keyword": lambda value: isinstance(value, str),
    "match_only_text": lambda value: isinstance(value, str),
    "long": lambda value: isinstance(value, int) and not isinstance(value, bool) and value in LONG,
    "float": lambda value: isinstance(value, float),
    "ip": _ip,
    "date": _date,
}
FIELDS = {
    "@timestamp": "date",
    "message": "match_only_text",
    "tags": "keyword",
    "ecs.version": "keyword",
    **dict.fromkeys(("event.kind", "event.category", "event.type", "event.module", "event.dataset"), "keyword"),
    "event.id": "keyword",
    "event.start": "date",
    "event.duration": "long",
    "event.risk_score": "float",
    "event.risk_score_norm": "float",
    **{f"{end}.address": "keyword" for end in ("source", "destination")},
    **{f"{end}.ip": "ip" for end in ("source", "destination")},
    **{f"{end}.{name}": "long" for end in ("source", "destination") for name in ("port", "bytes", "packets")},
    **{f"network.{name}": "keyword" for name in ("type", "transport", "iana_number", "protocol", "community_id")},
    "network.bytes": "long",
    "network.packets": "long",
    "related.ip": "ip",
    **{f"rule.{name}": "keyword" for name in ("id", "name", "ruleset", "version", "category")},
}
"""Field to type, from the reference of ECS 8.11; what is not here must be below ``cybersec_mlops``."""
ALLOWED = {
    "event.kind": {"alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"},
    "event.category": {"network", "intrusion_detection", "threat"},
    "event.type": {"access", "allowed", "connection", "denied", "end", "info", "protocol", "start"},
    "network.type": {"ipv4", "ipv6"},
}
"""Values that ECS expects; the types are those of the category network."""


def alert_of(**values: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "rank": 1,
        "score": 9.5,
        "p_value": 0.0004,
        "nominal_rate": 0.001,
        "threshold_score": 8.0,
        "supervised_score": 2.0,
        "novelty_score": 4.0,
        "raw_sha256": "cd" * 32,
        "raw_line": 7,
        "format": "zeek_conn",
    }
    return {**dict.fromkeys(ALERT_SCHEMA), **known, **values}


FULL = alert_of(
    ts=datetime(2026, 3, 2, 8, 0, 1, 250, tzinfo=UTC),
    uid="C1",
    orig_h="128.232.110.120",
    orig_p=34855,
    resp_h="66.35.250.204",
    resp_p=80,
    proto="tcp",
    service="http",
    duration_s=1.5,
    orig_bytes=100,
    resp_bytes=50,
    orig_pkts=5,
    resp_pkts=4,
    orig_ip_bytes=300,
    resp_ip_bytes=210,
)
REASON = {"feature": "orig_bytes", "value": "100", "usual": "0 to 12", "contribution": 3.0}


def told(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an alert with its time as the documents want it."""
    times = pl.DataFrame({"ts": [alert["ts"]]}, schema={"ts": pl.Datetime("us", "UTC")})
    return {**alert, "ts": times.select(iso_time("ts")).item()}


def leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and (above or name != "cybersec_mlops"):
            yield from leaves(inner, f"{above}{name}.")
        elif name != "cybersec_mlops":
            yield from ((f"{above}{name}", one) for one in (inner if isinstance(inner, list) else [inner]))


def check(made: Mapping[str, Any]) -> None:
    for name, value in leaves(made):
        assert TYPES[FIELDS[name]](value), (name, value)
        assert value in ALLOWED.get(name, {value})
    assert {"ecs", "event", "message", "rule", "cybersec_mlops"} <= set(made)
    assert "null" not in json.dumps(made).replace('"null"', "")


def test_a_full_alert() -> None:
    made = document(told(FULL), [REASON], SOURCE)
    check(made)
    assert made["@timestamp"] == "2026-03-02T08:00:01.000250Z"
    assert made["ecs"] == {"version": ECS_VERSION}
    assert made["event"]["kind"] == "alert"
    assert made["event"]["duration"] == 1_500_000_000
    assert made["source"] == {
        "address": "128.232.110.120",
        "ip": "128.232.110.120",
        "port": 34855,
        "bytes": 300,
        "packets": 5,
    }
    assert made["network"]["bytes"] == 510
    assert made["network"]["community_id"] == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    assert made["cybersec_mlops"]["explanation"] == [REASON]
    assert made["cybersec_mlops"]["raw"] == {"sha256": "cd" * 32, "line": 7, "format": "zeek_conn"}
    assert made["cybersec_mlops"]["model"]["name"] == "campus@3"


def test_what_is_unset_is_not_there() -> None:
    made = document(told(alert_of()), [], AlertSource("campus", "ab" * 32, None, True, ()))
    check(made)
    assert not {"@timestamp", "source", "destination", "network", "related"} & set(made)
    assert made["tags"] == ["synthetic"]
    assert made["cybersec_mlops"]["model"]["name"] == "campus@abababababab"


TEXT = st.one_of(
    st.none(), st.text(max_size=20), st.sampled_from(["10.0.0.1", "fe80::1%eth0", "::ffff:1.2.3.4", "2001:db8::1"])
)
COUNT = st.one_of(st.none(), st.integers(0, 2**63 - 1))
PORT = st.one_of(st.none(), st.integers(0, 65535))


@settings(max_examples=200, deadline=None)
@given(
    hosts=st.tuples(TEXT, TEXT),
    ports=st.tuples(PORT, PORT),
    texts=st.tuples(TEXT, TEXT, TEXT, TEXT),
    counts=st.lists(COUNT, min_size=6, max_size=6),
    duration=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    ts=st.one_of(st.none(), st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
)
def test_whatever_a_log_says_the_types_hold_and_a_line_is_ascii(
    hosts: tuple[str | None, ...],
    ports: tuple[int | None, ...],
    texts: tuple[str | None, ...],
    counts: list[int | None],
    duration: float | None,
    ts: datetime | None,
) -> None:
    names = ("orig_bytes", "resp_bytes", "orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes")
    alert = alert_of(
        orig_h=hosts[0],
        resp_h=hosts[1],
        orig_p=ports[0],
        resp_p=ports[1],
        **dict(zip(("uid", "proto", "service", "label"), texts, strict=True)),
        **dict(zip(names, counts, strict=True)),
        duration_s=duration,
        ts=ts,
    )
    made = document(told(alert), [{**REASON, **({} if texts[0] is None else {"value": texts[0]})}], SOURCE)
    check(made)
    line = to_line(made)
    assert line.endswith(b"\n")
    assert line[:-1].decode("ascii").isprintable()
    assert json.loads(line) == made


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (("192.168.1.52", 54585, "8.8.8.8", 53, "udp"), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        (("10.0.0.1", 8, "10.0.0.2", 0, "icmp"), None),
        (("10.0.0.1", 1, "2001:db8::1", 2, "tcp"), None),
        (("host", 1, "10.0.0.2", 2, "tcp"), None),
        (("10.0.0.1", None, "10.0.0.2", 2, "tcp"), None),
    ],
)
def test_community_id(ends: tuple[Any, ...], expected: str | None) -> None:
    orig_h, orig_p, resp_h, resp_p, proto = ends
    assert community_id(orig_h, orig_p, resp_h, resp_p, proto) == expected
    assert community_id(resp_h, resp_p, orig_h, orig_p, proto) == expected
