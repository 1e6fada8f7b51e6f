"""An alert as a document of the Elastic Common Schema, version 8.11, for a SIEM (https://www.elastic.co/docs/reference/ecs).

Only fields whose value is known are there, of the type that ECS gives them: an address that is no IP address is in
`source.address` and not in `source.ip`. What ECS has no field for is below ``cybersec_mlops``, under the names of
SILVER. Nothing in a document depends on when or where it was written, so the same alerts are the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import orjson
import polars as pl

ECS_VERSION: Final = "8.11.0"

CONNECTION: Final = (
    *("uid", "conn_state", "history", "service", "duration_s", "local_orig", "local_resp", "missed_bytes"),
    *("orig_bytes", "resp_bytes", "orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes"),
)
"""Canonical columns that are told as they are."""

_PROTOCOLS: Final = {"tcp": "6", "udp": "17", "icmp": "1", "icmp6": "58", "ipv6-icmp": "58", "sctp": "132", "gre": "47"}
_PORTS: Final = ("tcp", "udp", "sctp")
_LARGEST_LONG: Final = 2**63 - 1
_LONGEST_S: Final = 9.2e9
"""Nanoseconds beyond it are no ``long`` any more."""


@dataclass(frozen=True)
class AlertSource:
    """What all alerts of a scoring have in common."""

    dataset: str
    """Whose model; ``event.dataset`` and ``rule.ruleset``."""
    model_sha256: str
    model_version: int | None
    synthetic: bool
    missing_features: tuple[str, ...]
    """What the model looks at and these logs do not have."""

    @cached_property
    def model_name(self) -> str:
        """The model as a person calls it.

        >>> AlertSource("campus", "ab" * 32, 3, False, ()).model_name
        'campus@3'
        """
        return f"{self.dataset}@{self.model_sha256[:12] if self.model_version is None else self.model_version}"

    @cached_property
    def rule(self) -> dict[str, Any]:
        """What raised the alerts, as ECS tells it."""
        known = {} if self.model_version is None else {"version": str(self.model_version)}
        name = f"cybersec-mlops {self.model_name}"
        return {
            "id": self.model_sha256,
            "name": name,
            "ruleset": self.dataset,
            "category": "anomaly detection",
            **known,
        }

    @cached_property
    def model(self) -> dict[str, Any]:
        """What raised the alerts, in our own words."""
        known: dict[str, Any] = {} if self.model_version is None else {"version": self.model_version}
        if self.missing_features:
            known["missing_features"] = list(self.missing_features)
        return {"name": self.model_name, "dataset": self.dataset, "sha256": self.model_sha256, **known}


def document(alert: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]], source: AlertSource) -> dict[str, Any]:
    """Map one alert.

    Parameters
    ----------
    alert : mapping
        A row of the alerts: connection, provenance and scores; ``ts`` as `iso_time` makes it.
    reasons : sequence of mapping
        ``feature``, ``value`` (absent where missing), ``usual`` and ``contribution``, the weightiest first.
    source : AlertSource
        What scored it.

    Returns
    -------
    dict
        JSON: no field is null, no list is empty.
    """
    start = alert["ts"]
    made: dict[str, Any] = {} if start is None else {"@timestamp": start}
    made["ecs"] = {"version": ECS_VERSION}
    made["message"] = _message(alert, reasons)
    made["event"] = _event(alert, source, start)
    ends = _end(alert, "orig"), _end(alert, "resp")
    made.update({name: end for name, end in zip(("source", "destination"), ends, strict=True) if end})
    if network := _network(alert, *ends):
        made["network"] = network
    if addresses := sorted({end["ip"] for end in ends if "ip" in end}):
        made["related"] = {"ip": addresses}
    made["rule"] = source.rule
    if source.synthetic:
        made["tags"] = ["synthetic"]
    made["cybersec_mlops"] = _own(alert, reasons, source)
    return made


def iso_time(column: str) -> pl.Expr:
    """Return times as ECS writes them: ISO 8601 in UTC, microseconds."""
    return pl.col(column).dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")


def to_line(made: Mapping[str, Any]) -> bytes:
    r"""Return a document as one line of printable ASCII: whatever a log has put into it, a terminal shows it as text.

    >>> to_line({"message": "a\x1b[2J\u202eb\n"})
    b'{"message":"a\\u001b[2J\\u202eb\\n"}\n'
    """
    line = orjson.dumps(made, option=orjson.OPT_APPEND_NEWLINE)
    if line.isascii() and b"\x7f" not in line:
        return line
    return json.dumps(made, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _event(alert: Mapping[str, Any], source: AlertSource, start: str | None) -> dict[str, Any]:
    made = {
        "kind": "alert",
        "category": ["network"],
        "type": ["connection"],
        "module": "cybersec_mlops",
        "dataset": f"cybersec_mlops.{source.dataset}",
        "id": f"{alert['raw_sha256'][:16]}-{alert['raw_line']}-{source.model_sha256[:16]}",
        "risk_score": alert["score"],
        "risk_score_norm": round(100 * (1 - alert["p_value"]), 6),
    }
    if start is not None:
        made["start"] = start
    seconds = alert["duration_s"]
    if seconds is not None and 0 <= seconds < _LONGEST_S:
        made["duration"] = round(seconds * 1e9)
    return made


def _end(alert: Mapping[str, Any], side: str) -> dict[str, Any]:
    host, size = alert[f"{side}_h"], alert[f"{side}_ip_bytes"]
    ip = _ip(host)
    found = {
        "address": host,
        "ip": None if ip is None else str(ip),
        "port": alert[f"{side}_p"],
        "bytes": alert[f"{side}_bytes"] if size is None else size,
        "packets": alert[f"{side}_pkts"],
    }
    return {name: value for name, value in found.items() if value is not None}


@lru_cache(maxsize=65_536)
def _ip(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    return None if getattr(found, "scope_id", None) else found


def _network(alert: Mapping[str, Any], source: Mapping[str, Any], destination: Mapping[str, Any]) -> dict[str, Any]:
    ip = _ip(alert["orig_h"]) or _ip(alert["resp_h"])
    proto = None if alert["proto"] is None else alert["proto"].lower()
    found = {
        "type": None if ip is None else f"ipv{ip.version}",
        "transport": proto,
        "iana_number": _PROTOCOLS.get(proto or ""),
        "protocol": None if alert["service"] is None else alert["service"].lower(),
        "community_id": community_id(alert["orig_h"], alert["orig_p"], alert["resp_h"], alert["resp_p"], proto),
    }
    for name in ("bytes", "packets"):
        if name in source and name in destination and source[name] + destination[name] <= _LARGEST_LONG:
            found[name] = source[name] + destination[name]
    return {name: value for name, value in found.items() if value is not None}


def community_id(
    orig_h: str | None, orig_p: int | None, resp_h: str | None, resp_p: int | None, proto: str | None
) -> str | None:
    """Return the Community ID, version 1, seed 0, of a TCP, UDP or SCTP connection; None for any other.

    References
    ----------
    https://github.com/corelight/community-id-spec (the example is from its baseline)

    >>> community_id("128.232.110.120", 34855, "66.35.250.204", 80, "tcp")
    '1:LQU9qZlK+B5F3KDmev6m5PMibrg='
    >>> community_id("66.35.250.204", 80, "128.232.110.120", 34855, "tcp")
    '1:LQU9qZlK+B5F3KDmev6m5PMibrg='
    """
    first, second = _ip(orig_h), _ip(resp_h)
    if proto not in _PORTS or first is None or second is None or orig_p is None or resp_p is None:
        return None
    if first.version != second.version:
        return None
    one, two = sorted([(first.packed, orig_p), (second.packed, resp_p)])
    told = b"\0\0" + one[0] + two[0] + bytes([int(_PROTOCOLS[proto]), 0]) + one[1].to_bytes(2) + two[1].to_bytes(2)
    return "1:" + base64.b64encode(hashlib.sha1(told, usedforsecurity=False).digest()).decode()


def _own(alert: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]], source: AlertSource) -> dict[str, Any]:
    found = {
        "rank": alert["rank"],
        "score": alert["score"],
        "p_value": alert["p_value"],
        "threshold": {"score": alert["threshold_score"], "nominal_rate": alert["nominal_rate"]},
        "supervised_score": alert["supervised_score"],
        "novelty_score": alert["novelty_score"],
        "explanation": reasons or None,
        "model": source.model,
        "raw": {"sha256": alert["raw_sha256"], "line": alert["raw_line"], "format": alert["format"]},
        "connection": {name: alert[name] for name in CONNECTION if alert[name] is not None} or None,
        "label": alert["label"],
    }
    return {name: value for name, value in found.items() if value is not None}


def _message(alert: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]]) -> str:
    ends = [_place(alert[f"{side}_h"], alert[f"{side}_p"]) for side in ("orig", "resp")]
    what = " ".join(str(alert[name]) for name in ("proto", "service") if alert[name])
    why = "; ".join(f"{one['feature']} {one.get('value', 'missing')} (usual {one['usual']})" for one in reasons[:3])
    return f"{' -> '.join(ends)} {what}: score {alert['score']:.2f}, p {alert['p_value']:.2g}" + (
        f": {why}" if why else ""
    )


def _place(host: str | None, port: int | None) -> str:
    return f"{host or '-'}:{'-' if port is None else port}"
