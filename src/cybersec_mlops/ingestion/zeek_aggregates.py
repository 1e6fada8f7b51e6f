"""What Zeek's dns, http and ssl logs say of a connection: aggregates in parts, added up in whatever order they come.

A block of a log becomes one *partial* row for each connection in it (sums, largest and smallest values, sets of
hashes), so that memory is bounded by the block. Names of hosts, queries and addresses are counted and measured and
never kept. Unset is null, never 0.

Source: https://docs.zeek.org/en/master/logs/dns.html, http.html, ssl.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

KEYS: Final = ("uid", "orig_h", "orig_p", "resp_h", "resp_p")
"""What a row and its connection have in common. The uid alone is unique only within one sensor."""

MIXED: Final = "mixed"
OTHER: Final = "other"
_TEXT, _NUMBER = pl.String(), pl.Float64()


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the logs."""

    fields: tuple[str, ...]
    """Zeek's names of the values that are read."""
    features: Mapping[str, pl.DataType]
    """What a connection gets: name to dtype."""


_DNS: Final = (
    *("queries", "names", "unanswered_share", "nxdomain_share", "failed_share", "answers"),
    *("query_bytes_max", "query_bytes_mean", "query_entropy_max"),
)
_HTTP: Final = (
    *("requests", "hosts", "uris", "user_agents", "unanswered_share", "error_share", "request_bytes"),
    *("response_bytes", "uri_bytes_max", "user_agent_bytes_max"),
)
_SSL: Final = ("handshakes", "certificates", "server_name_bytes")


def _features(
    kind: str, numbers: Sequence[str], texts: Sequence[str], truths: Sequence[str] = ()
) -> dict[str, pl.DataType]:
    types = {**dict.fromkeys(numbers, _NUMBER), **dict.fromkeys(texts, _TEXT), **dict.fromkeys(truths, pl.Boolean())}
    return {f"zeek_{kind}_{name}": dtype for name, dtype in types.items()}


KINDS: Final[dict[str, Kind]] = {
    "dns": Kind(("query", "qtype_name", "rcode", "answers"), _features("dns", _DNS, ("qtype",))),
    "http": Kind(
        ("method", "host", "uri", "user_agent", "request_body_len", "response_body_len", "status_code"),
        _features("http", _HTTP, ("method", "status")),
    ),
    "ssl": Kind(
        (
            *("version", "cipher", "server_name", "resumed", "established", "next_protocol", "validation_status"),
            *("cert_chain_fuids", "cert_chain_fps"),
        ),
        _features(
            "ssl",
            _SSL,
            ("version", "cipher", "next_protocol", "validation"),
            ("established", "resumed", "has_server_name"),
        ),
    ),
}
"""The logs that are joined."""


def _bytes(name: str) -> pl.Expr:
    r"""Return the length of a text in bytes; Zeek writes bytes that are no text as ``\xff`` in TSV and in JSON."""
    return _plain(name).str.len_bytes().cast(pl.Int64)


def _plain(name: str) -> pl.Expr:
    """Return a text whose every byte is one ASCII character, the same from TSV and from JSON."""
    text = pl.col(name).str.replace_all(r"\\x[0-9a-fA-F]{2}", "?")
    for characters, width in (("[\u0080-\u07ff]", 2), ("[\u0800-\uffff]", 3), ("[^\u0000-\uffff]", 4)):
        text = text.str.replace_all(characters, "?" * width)
    return text


def _category(name: str, known: Sequence[str]) -> pl.Expr:
    value = pl.col(name)
    return pl.when(value.is_in(list(known))).then(value).when(value.is_not_null()).then(pl.lit(OTHER))


def _span(name: str, values: pl.Expr) -> list[pl.Expr]:
    """Return the smallest and the largest: equal where there is one value only."""
    return [values.min().alias(f"min_{name}"), values.max().alias(f"max_{name}")]


def _count(name: str, condition: pl.Expr) -> pl.Expr:
    return condition.fill_null(value=False).sum().cast(pl.Int64).alias(f"sum_{name}")


def _sum(values: pl.Expr) -> pl.Expr:
    """Return the sum; null where there is nothing to add, never 0."""
    return pl.when(values.count() > 0).then(values.sum())


def _set(name: str, text: str) -> pl.Expr:
    return pl.col(text).drop_nulls().hash().unique().alias(f"set_{name}")


def _members(name: str) -> pl.Expr:
    """Return how many members a Zeek vector has: ``a,b`` in TSV, ``["a","b"]`` in JSON; commas inside are escaped."""
    text = pl.col(name)
    array = text.str.starts_with("[") & text.str.ends_with("]")
    listed = pl.when(array & (text != "[]")).then(text).str.json_decode(pl.List(pl.String)).list.len()
    plain = text.str.count_matches(",", literal=True) + 1
    return pl.when(array).then(listed).otherwise(plain).cast(pl.Int64)


_QTYPES: Final = (
    *("A", "AAAA", "PTR", "TXT", "MX", "NS", "SRV", "SOA", "CNAME", "NULL", "HTTPS", "SVCB", "NB", "NBSTAT"),
    *("ANY", "*", "DS", "DNSKEY", "NAPTR"),
)
_METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "PROPFIND", "TRACE")
_VERSIONS: Final = ("SSLv2", "SSLv3", "TLSv10", "TLSv11", "TLSv12", "TLSv13", "DTLSv10", "DTLSv12", "DTLSv13")
_PROTOCOLS: Final = ("h2", "http/1.1", "http/1.0", "spdy/3.1", "dot", "h3")
_FAULTS: Final = {"self": "self-signed", "expired": "expired", "issuer": "unknown issuer"}
_MICROBITS: Final = 1_000_000


def _partial_dns(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.with_columns(
        _bytes("query").alias("bytes"), entropy=_entropies(rows.select(_plain("query")).to_series())
    )
    return rows.group_by(KEYS).agg(
        pl.len().cast(pl.Int64).alias("sum_rows"),
        _count("answered", pl.col("rcode").is_not_null()),
        _count("nxdomain", pl.col("rcode") == 3),
        _count("failed", pl.col("rcode") != 0),
        _sum(_members("answers")).alias("sum_answers"),
        _count("queries", pl.col("query").is_not_null()),
        _sum(pl.col("bytes")).alias("sum_bytes"),
        pl.col("bytes").max().alias("max_bytes"),
        pl.col("entropy").max().alias("max_entropy"),
        _set("names", "query"),
        *_span("qtype", _category("qtype_name", _QTYPES)),
    )


def _entropies(texts: pl.Series) -> pl.Series:
    """Return the Shannon entropy of each text's characters, in millionths of a bit; equal texts are looked at once."""
    distinct = texts.drop_nulls().unique()
    found: list[np.ndarray] = []
    for start in range(0, len(distinct), 16_384):
        some = distinct.slice(start, 16_384)
        lengths = some.str.len_bytes().to_numpy().astype(np.int64)
        codes = np.frombuffer("".join(some.to_list()).encode("ascii", "replace"), np.uint8)
        counts = np.bincount(np.repeat(np.arange(len(some)), lengths) * 256 + codes, minlength=len(some) * 256)
        shares = counts.reshape(len(some), 256) / np.maximum(lengths, 1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            bits = -np.where(shares > 0, shares * np.log2(shares), 0.0).sum(axis=1)
        found.append(np.round(bits * _MICROBITS).astype(np.int64))
    values = pl.Series(np.concatenate(found) if found else [], dtype=pl.Int64)
    return texts.replace_strict(distinct, values, default=None, return_dtype=pl.Int64)


def _partial_http(rows: pl.DataFrame) -> pl.DataFrame:
    status = (pl.col("status_code") // 100).cast(pl.Int64)
    known = pl.when(status.is_between(1, 5)).then(pl.format("{}xx", status))
    classes = known.when(status.is_not_null()).then(pl.lit(OTHER))
    return rows.group_by(KEYS).agg(
        pl.len().cast(pl.Int64).alias("sum_rows"),
        _count("answered", pl.col("status_code").is_not_null()),
        _count("errors", pl.col("status_code") >= 400),
        _sum(pl.col("request_body_len").cast(pl.Int64)).alias("sum_request_bytes"),
        _sum(pl.col("response_body_len").cast(pl.Int64)).alias("sum_response_bytes"),
        _bytes("uri").max().alias("max_uri_bytes"),
        _bytes("user_agent").max().alias("max_user_agent_bytes"),
        *(_set(f"{name}s", name) for name in ("host", "uri", "user_agent")),
        *_span("method", _category("method", _METHODS)),
        *_span("status", classes),
    )


def _partial_ssl(rows: pl.DataFrame) -> pl.DataFrame:
    cipher = pl.col("cipher")
    family = (
        pl.when(cipher.str.starts_with("TLS_AES") | cipher.str.starts_with("TLS_CHACHA20"))
        .then(pl.lit("TLS13"))
        .otherwise(cipher.str.extract(r"^(?:TLS|SSL)_(ECDHE|ECDH|DHE|DH|RSA|PSK|SRP)_"))
    )
    family = pl.coalesce(family, pl.when(cipher.is_not_null()).then(pl.lit(OTHER)))
    status = pl.col("validation_status").str.to_lowercase()
    validation = pl.coalesce(
        pl.when(status == "ok").then(pl.lit("ok")),
        *(pl.when(status.str.contains(word, literal=True)).then(pl.lit(name)) for word, name in _FAULTS.items()),
        pl.when(status.is_not_null()).then(pl.lit(OTHER)),
    )
    certificates = pl.coalesce(_members("cert_chain_fuids"), _members("cert_chain_fps"))
    return rows.group_by(KEYS).agg(
        pl.len().cast(pl.Int64).alias("sum_rows"),
        certificates.max().alias("max_certificates"),
        _bytes("server_name").max().alias("max_server_name_bytes"),
        pl.col("server_name").is_not_null().max().alias("max_has_server_name"),
        pl.col("established").max().alias("max_established"),
        pl.col("resumed").max().alias("max_resumed"),
        *_span("version", _category("version", _VERSIONS)),
        *_span("cipher", family),
        *_span("next_protocol", _category("next_protocol", _PROTOCOLS)),
        *_span("validation", validation),
    )


_PARTIAL: Final = {"dns": _partial_dns, "http": _partial_http, "ssl": _partial_ssl}


def partial_of(kind: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the partial aggregates of some rows of a log.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    rows : DataFrame
        `KEYS` and the kind's fields, typed.

    Returns
    -------
    DataFrame
        `KEYS` and aggregates, one row a connection.
    """
    return _PARTIAL[kind](rows)


def _distinct(values: pl.Expr) -> pl.Expr:
    return pl.when(values.len() > 0).then(values.n_unique())


def combine(kind: str, partial: pl.DataFrame) -> pl.DataFrame:
    """Add partial aggregates up.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    partial : DataFrame
        Rows of `partial_of`, any number for a connection, in any order.

    Returns
    -------
    DataFrame
        `KEYS` and the kind's features, one row a connection.
    """
    merge = {
        "sum": lambda name: _sum(pl.col(name)),
        "max": lambda name: pl.col(name).max(),
        "min": lambda name: pl.col(name).min(),
        "set": lambda name: _distinct(pl.col(name).explode(empty_as_null=True).drop_nulls()),
    }
    names = [name for name in partial.columns if name not in KEYS]
    frame = partial.group_by(KEYS).agg(merge[name[:3]](name).alias(name) for name in names)
    wanted = {f"zeek_{kind}_{name}": made for name, made in _FINAL[kind].items()}
    return frame.select(*KEYS, *(made.cast(KINDS[kind].features[name]).alias(name) for name, made in wanted.items()))


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(f"sum_{whole}") > 0).then(pl.col(f"sum_{part}") / pl.col(f"sum_{whole}"))


def _one_or_mixed(name: str) -> pl.Expr:
    low, high = pl.col(f"min_{name}"), pl.col(f"max_{name}")
    return pl.when(low == high).then(low).when(low.is_not_null()).then(pl.lit(MIXED))


_FINAL: Final[dict[str, dict[str, pl.Expr]]] = {
    "dns": {
        "queries": pl.col("sum_rows"),
        "names": pl.col("set_names"),
        "unanswered_share": 1 - pl.col("sum_answered") / pl.col("sum_rows"),
        "nxdomain_share": _share("nxdomain", "answered"),
        "failed_share": _share("failed", "answered"),
        "answers": pl.col("sum_answers"),
        "query_bytes_max": pl.col("max_bytes"),
        "query_bytes_mean": _share("bytes", "queries"),
        "query_entropy_max": (pl.col("max_entropy") / _MICROBITS).round(6),  # as in connection_rules.in_seconds
        "qtype": _one_or_mixed("qtype"),
    },
    "http": {
        "requests": pl.col("sum_rows"),
        "hosts": pl.col("set_hosts"),
        "uris": pl.col("set_uris"),
        "user_agents": pl.col("set_user_agents"),
        "unanswered_share": 1 - pl.col("sum_answered") / pl.col("sum_rows"),
        "error_share": _share("errors", "answered"),
        "request_bytes": pl.col("sum_request_bytes"),
        "response_bytes": pl.col("sum_response_bytes"),
        "uri_bytes_max": pl.col("max_uri_bytes"),
        "user_agent_bytes_max": pl.col("max_user_agent_bytes"),
        "method": _one_or_mixed("method"),
        "status": _one_or_mixed("status"),
    },
    "ssl": {
        "handshakes": pl.col("sum_rows"),
        "certificates": pl.col("max_certificates"),
        "server_name_bytes": pl.col("max_server_name_bytes"),
        "version": _one_or_mixed("version"),
        "cipher": _one_or_mixed("cipher"),
        "next_protocol": _one_or_mixed("next_protocol"),
        "validation": _one_or_mixed("validation"),
        "established": pl.col("max_established"),
        "resumed": pl.col("max_resumed"),
        "has_server_name": pl.col("max_has_server_name"),
    },
}
