"""An alert as a document of the Elastic Common Schema, version 8.11, for a SIEM (https://www.elastic.co/docs/reference/ecs).

Only fields whose value is known are there, of the type that ECS gives them: an address that is no IP address is in
`source.address` and not in `source.ip`. What ECS has no field for is below ``cybersec_mlops``, under the names of
SILVER. Nothing in a document depends on when or where it was written, so the same alerts are the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

from cybersec_mlops.scoring.explanations import Explained
from cybersec_mlops.scoring.hosts import PROTOCOLS, community_ids, ip_texts
from cybersec_mlops.scoring.json_text import array, constant, json_values, record

ECS_VERSION: Final = "8.11.0"

CONNECTION: Final = (
    *("uid", "conn_state", "history", "service", "duration_s", "local_orig", "local_resp", "missed_bytes"),
    *("orig_bytes", "resp_bytes", "orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes"),
)
"""Canonical columns that are told as they are."""

SHORT_REASONS: Final = 3
"""Reasons that the message tells."""
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


def lines_of(alerts: pl.DataFrame, explained: Explained, source: AlertSource) -> pl.Series:
    """Map alerts to documents, each a line of printable ASCII.

    Parameters
    ----------
    alerts : DataFrame
        Connection, provenance and scores (`alert_files.ALERT_SCHEMA`).
    explained : Explained
        Why they are alerts.
    source : AlertSource
        What scored them.

    Returns
    -------
    Series of str
        JSON: no field is null, no list is empty.
    """
    known = _known(alerts, source).with_columns(_message(alerts, explained).alias("message"))
    told = json_values(known).with_columns(explained.json().alias("explanation"))
    return told.select(line=_document(source))["line"]


def _document(source: AlertSource) -> pl.Expr:
    start, own = pl.col("start"), f"cybersec_mlops.{source.dataset}"
    event = {
        **{name: constant(value) for name, value in (("kind", "alert"), ("category", ["network"]))},
        **{name: constant(value) for name, value in (("type", ["connection"]), ("module", "cybersec_mlops"))},
        "dataset": constant(own),
        "id": pl.col("id"),
        "risk_score": pl.col("score"),
        "risk_score_norm": pl.col("risk_score_norm"),
        "start": start,
        "duration": pl.col("duration"),
    }
    ips = pl.col("orig_ip"), pl.col("resp_ip")  # as JSON: quotes do not change which of two is the first
    second = pl.when(pl.max_horizontal(ips) != pl.min_horizontal(ips)).then(pl.max_horizontal(ips))
    members = {
        "@timestamp": start,
        "ecs": constant({"version": ECS_VERSION}),
        "message": pl.col("message"),
        "event": record(event, filled=True),
        "source": _end("orig"),
        "destination": _end("resp"),
        "network": record({name: pl.col(column) for name, column in _NETWORK.items()}),
        "related": record({"ip": array([pl.min_horizontal(ips), second])}),
        "rule": constant(source.rule),
        **({"tags": constant(["synthetic"])} if source.synthetic else {}),
        "cybersec_mlops": _own(source),
    }
    return record(members, filled=True)


_NETWORK: Final = {
    **{name: name for name in ("type", "transport", "iana_number", "protocol", "community_id")},
    **{name: f"network_{name}" for name in ("bytes", "packets")},
}


def _end(side: str) -> pl.Expr:
    columns = {"address": "h", "ip": "ip", "port": "p", "bytes": "size", "packets": "pkts"}
    return record({name: pl.col(f"{side}_{column}") for name, column in columns.items()})


def _own(source: AlertSource) -> pl.Expr:
    return record(
        {
            **{name: pl.col(name) for name in ("rank", "score", "p_value")},
            "threshold": record(
                {"score": pl.col("threshold_score"), "nominal_rate": pl.col("nominal_rate")}, filled=True
            ),
            **{name: pl.col(name) for name in ("supervised_score", "novelty_score", "explanation")},
            "model": constant(source.model),
            "raw": record(
                {"sha256": pl.col("raw_sha256"), "line": pl.col("raw_line"), "format": pl.col("format")}, filled=True
            ),
            "connection": record({name: pl.col(name) for name in CONNECTION}),
            "label": pl.col("label"),
        },
        filled=True,
    )


def _known(alerts: pl.DataFrame, source: AlertSource) -> pl.DataFrame:
    """Add what ECS asks for and SILVER does not have."""
    proto, seconds = pl.col("proto").str.to_lowercase(), pl.col("duration_s")
    sized = alerts.with_columns(
        *(pl.coalesce(f"{side}_ip_bytes", f"{side}_bytes").alias(f"{side}_size") for side in ("orig", "resp")),
        *(ip_texts(alerts[f"{side}_h"]).alias(f"{side}_ip") for side in ("orig", "resp")),
        transport=proto,
    )
    ends = sized.select("orig_h", "orig_p", "resp_h", "resp_p", "transport")
    ip = pl.coalesce("orig_ip", "resp_ip")
    return sized.with_columns(
        _sum("size").alias("network_bytes"),
        _sum("pkts").alias("network_packets"),
        community_ids(ends).alias("community_id"),
        start=pl.col("ts").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ"),
        id=pl.format(f"{{}}-{{}}-{source.model_sha256[:16]}", pl.col("raw_sha256").str.head(16), "raw_line"),
        risk_score_norm=(100 * (1 - pl.col("p_value"))).round(6),
        duration=pl.when(seconds.is_between(0, _LONGEST_S, closed="left")).then((seconds * 1e9).round()).cast(pl.Int64),
        type=pl.when(ip.str.contains(":", literal=True))
        .then(pl.lit("ipv6"))
        .when(ip.is_not_null())
        .then(pl.lit("ipv4")),
        iana_number=pl.col("transport").replace_strict(PROTOCOLS, default=None, return_dtype=pl.String),
        protocol=pl.col("service").str.to_lowercase(),
    ).drop("ts", "explanation")


def _sum(what: str) -> pl.Expr:
    one, two = pl.col(f"orig_{what}"), pl.col(f"resp_{what}")
    return pl.when(one <= _LARGEST_LONG - two).then(one + two)


def _message(alerts: pl.DataFrame, explained: Explained) -> pl.Series:
    score, p_value = alerts["score"].to_list(), alerts["p_value"].to_list()
    numbers = [f"score {one:.2f}, p {other:.2g}" for one, other in zip(score, p_value, strict=True)]
    known = [pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("proto", "service")]
    told = alerts.select(
        pl.concat_str(
            [
                _place("orig"),
                pl.lit(" -> "),
                _place("resp"),
                pl.lit(" "),
                pl.concat_str(known, separator=" ", ignore_nulls=True),
                pl.lit(": "),
                pl.Series(numbers, dtype=pl.String),
                explained.phrases(SHORT_REASONS),
            ]
        )
    )
    return told.to_series()


def _place(side: str) -> pl.Expr:
    host = pl.when(pl.col(f"{side}_h") != "").then(pl.col(f"{side}_h")).otherwise(pl.lit("-"))
    return pl.concat_str([host, pl.lit(":"), pl.col(f"{side}_p").cast(pl.String).fill_null("-")])
