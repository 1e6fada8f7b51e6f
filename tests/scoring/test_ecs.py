"""Documents of the Elastic Common Schema: the right fields of the right types, nothing null, nothing hostile."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.scoring.alert_files import ALERT_SCHEMA
from cybersec_mlops.scoring.ecs import ECS_VERSION, AlertSource, lines_of
from cybersec_mlops.scoring.explanations import REASON, Explained

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
WHY = {"feature": "orig_bytes", "value": "100", "usual": "0 to 12", "contribution": 3.0}


def line_of(alert: dict[str, Any], reasons: list[dict[str, Any]], source: AlertSource = SOURCE) -> str:
    alerts = pl.DataFrame([alert], schema=ALERT_SCHEMA)
    line: str = lines_of(alerts, Explained(1, pl.DataFrame(reasons, schema=dict(REASON))), source).item()
    return line


def document(alert: dict[str, Any], reasons: list[dict[str, Any]], source: AlertSource = SOURCE) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(line_of(alert, reasons, source))
    return made


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
    assert not holds_null(made)


def holds_null(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(holds_null, value.values()))
    return any(map(holds_null, value)) if isinstance(value, list) else value is None


def test_a_full_alert() -> None:
    made = document(FULL, [WHY])
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
    assert made["cybersec_mlops"]["explanation"] == [WHY]
    assert made["cybersec_mlops"]["raw"] == {"sha256": "cd" * 32, "line": 7, "format": "zeek_conn"}
    assert made["cybersec_mlops"]["model"]["name"] == "campus@3"


def test_what_is_unset_is_not_there() -> None:
    made = document(alert_of(), [], AlertSource("campus", "ab" * 32, None, True, ()))
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
    line = line_of(alert, [{**WHY, "value": texts[0]}, WHY, WHY, WHY])
    assert line.isascii()
    assert line.isprintable()
    made = json.loads(line)
    check(made)
    own = made["cybersec_mlops"]
    first = {name: value for name, value in {**WHY, "value": texts[0]}.items() if value is not None}
    assert own["explanation"] == [first, WHY, WHY, WHY]
    told = {"uid": texts[0], **dict(zip(names, counts, strict=True)), "duration_s": duration}
    for name, value in told.items():
        assert own.get("connection", {}).get(name) == value
    assert own.get("label") == texts[3]
    for end, host, port in zip(("source", "destination"), hosts, ports, strict=True):
        assert (made.get(end, {}).get("address"), made.get(end, {}).get("port")) == (host, port)


def test_the_message_says_who_what_and_why() -> None:
    made = document(FULL, [WHY, {**WHY, "feature": "history", "value": None}, WHY, {**WHY, "feature": "fourth"}])
    assert made["message"] == (
        "128.232.110.120:34855 -> 66.35.250.204:80 tcp http: score 9.50, p 0.0004: orig_bytes 100 (usual 0 to 12);"
        " history missing (usual 0 to 12); orig_bytes 100 (usual 0 to 12)"
    )
    assert document(alert_of(), [])["message"] == "-:- -> -:- : score 9.50, p 0.0004"


def test_a_number_that_json_cannot_tell_is_not_there() -> None:
    made = document({**FULL, "duration_s": float("inf"), "supervised_score": float("nan")}, [])
    assert "duration" not in made["event"]
    assert "duration_s" not in made["cybersec_mlops"]["connection"]
    assert "supervised_score" not in made["cybersec_mlops"]


def test_many_alerts_are_the_lines_of_each() -> None:
    alerts = [FULL, alert_of(rank=2), {**FULL, "rank": 3, "orig_h": "2001:DB8::1", "label": "caf\u00e9"}]
    reasons = [[WHY, {**WHY, "value": None}], [WHY, WHY], [{**WHY, "value": '"'}, WHY]]
    table = pl.DataFrame([one for some in reasons for one in some], schema=dict(REASON))
    together = lines_of(pl.DataFrame(alerts, schema=ALERT_SCHEMA), Explained(3, table), SOURCE)
    assert together.to_list() == [line_of(*one) for one in zip(alerts, reasons, strict=True)]
