"""The columns of Zeek's ``conn.log``, their rules, and how they become a canonical connection.

Source: Zeek's own definition of ``Conn::Info`` and its log types (https://docs.zeek.org/en/master/logs/conn.html,
https://docs.zeek.org/en/master/script-reference/types.html). What is common to its TSV and its JSON form is here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import polars as pl

from cybersec_mlops.connections import BACKGROUND, BENIGN, CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import LAST_SECOND, PLAIN_ISO, in_seconds, not_an_address, parse_times
from cybersec_mlops.ingestion.delimited import Column
from cybersec_mlops.ingestion.labels import common_name, one_spelling, with_labels
from cybersec_mlops.ingestion.protocols import keyword
from cybersec_mlops.ingestion.screening import Rule, below_zero, missing, outside

_PORT, _COUNT = ("bad_port", "a port 0-65535"), ("bad_count", "a count of 0 or more")
_NUMBER, _TEXT, _INTEGER = pl.Float64(), pl.String(), pl.Int64()

COLUMNS: Final[dict[str, Column]] = {
    "ts": Column("ts", _NUMBER, "bad_time", "seconds since 1970 or ISO 8601"),
    "uid": Column("uid", _TEXT),
    "id.orig_h": Column("orig_h", _TEXT),
    "id.orig_p": Column("orig_p", _INTEGER, *_PORT),
    "id.resp_h": Column("resp_h", _TEXT),
    "id.resp_p": Column("resp_p", _INTEGER, *_PORT),
    "proto": Column("proto", _TEXT),
    "service": Column("service", _TEXT),
    "duration": Column("duration_s", _NUMBER, "bad_duration", "seconds, 0 or more"),
    "orig_bytes": Column("orig_bytes", _INTEGER, *_COUNT),
    "resp_bytes": Column("resp_bytes", _INTEGER, *_COUNT),
    "conn_state": Column("conn_state", _TEXT),
    "local_orig": Column("local_orig", _TEXT, "bad_boolean", "T or F"),
    "local_resp": Column("local_resp", _TEXT, "bad_boolean", "T or F"),
    "missed_bytes": Column("missed_bytes", _INTEGER, *_COUNT),
    "history": Column("history", _TEXT),
    "orig_pkts": Column("orig_pkts", _INTEGER, *_COUNT),
    "orig_ip_bytes": Column("orig_ip_bytes", _INTEGER, *_COUNT),
    "resp_pkts": Column("resp_pkts", _INTEGER, *_COUNT),
    "resp_ip_bytes": Column("resp_ip_bytes", _INTEGER, *_COUNT),
    "ip_proto": Column("ip_proto", _TEXT),
    "label": Column("label_word", _TEXT),
    "detailedlabel": Column("label_detail", _TEXT),
}
"""Zeek's name to the column that it becomes. The types are those of the TSV form."""

ALIASES: Final = {
    "id_orig_h": "id.orig_h",
    "id_orig_p": "id.orig_p",
    "id_resp_h": "id.resp_h",
    "id_resp_p": "id.resp_p",
    "detailed-label": "detailedlabel",
    "detailed_label": "detailedlabel",
}
"""Other spellings of the same names: JSON exports without dots, IoT-23's labels."""

REQUIRED: Final = ("ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto")
"""Without these there is no connection."""

OTHER_LOGS: Final = ("conn_long", "dns", "http", "ssl")
"""Never connections, whatever their columns: what is joined to them, and what long ones were so far (the package
zeek-long-connections; each of them ends in conn.log as well). Any other name may be that of a filter for conn.log."""

TELLING: Final = ("conn_state", "orig_bytes", "resp_bytes", "duration", "history", "orig_pkts", "missed_bytes")
"""What a connection has and the other logs, which also have time, hosts and protocol, do not."""

UNNAMED: Final = "unknown_transport"
"""What Zeek calls protocols that it has no analyser for, since 7.1."""

_COUNTS: Final = (
    "orig_bytes",
    "resp_bytes",
    "missed_bytes",
    "orig_pkts",
    "orig_ip_bytes",
    "resp_pkts",
    "resp_ip_bytes",
)
_KEYWORDS: Final = {str(number): keyword(number) for number in range(256)}
_TRUTHS: Final = ("local_orig", "local_resp")


def seconds_of(texts: pl.Series, timezone: str) -> pl.Series:
    """Return seconds since 1970 of times that are such seconds or ISO 8601; null where a text is neither.

    Zeek writes ISO 8601 as JSON on request, and ``zeek-cut -d`` or ``-u`` in its tables.

    >>> seconds_of(pl.Series(["1406894400.5", "2014-08-01T12:00:00+0200", "2014-08-01T12:00:00"]), "UTC").to_list()
    [1406894400.5, 1406887200.0, 1406894400.0]

    Parameters
    ----------
    timezone : str
        IANA zone of those that do not say theirs.
    """
    texts = texts.str.strip_chars()
    numbers = texts.cast(pl.Float64, strict=False)
    written = parse_times(texts, PLAIN_ISO, timezone).dt.epoch("us")
    seconds = pl.select(in_seconds(pl.lit(written), 1e6)).to_series()
    return pl.select(pl.coalesce(numbers, seconds).alias(texts.name)).to_series()


def column_of(name: str) -> Column | None:
    """Return the column that a name of a Zeek log becomes, None where it is not read.

    >>> column_of("id_orig_p").name, column_of("tunnel_parents")
    ('orig_p', None)
    """
    return COLUMNS.get(ALIASES.get(name, name))


def is_connection(names: Collection[str]) -> bool:
    """Say whether a log with these columns is a conn log.

    >>> is_connection(["ts", "uid", "query"])
    False
    """
    known = {ALIASES.get(name, name) for name in names}
    return known.issuperset(REQUIRED) and not known.isdisjoint({"conn_state", "orig_bytes", "orig_pkts"})


def missing_columns(names: Collection[str]) -> list[str]:
    """Return what a conn log must have and these names lack."""
    known = {ALIASES.get(name, name) for name in names}
    return [name for name in (*REQUIRED, "conn_state") if name not in known]


def rules(schema: Mapping[str, pl.DataType]) -> list[Rule]:
    """Return the rules for a frame of canonical columns with these types."""
    found = [missing(name) for name in ("ts", "orig_h", "resp_h", "proto")]
    found.append(outside("ts", 0, LAST_SECOND, reason="bad_time", expected="a time from 1970 to 2099"))
    found += [outside(name, 0, 65_535, reason=_PORT[0], expected=_PORT[1]) for name in ("orig_p", "resp_p")]
    found += [not_an_address("orig_h"), not_an_address("resp_h")]
    found.append(outside("duration_s", 0, 1e9, reason="bad_duration", expected="seconds, 0 or more"))
    found += [below_zero(name) for name in _COUNTS]
    found += [_not_a_truth(name) for name in _TRUTHS if schema.get(name) == pl.String()]
    return [rule for rule in found if rule.field in schema]


def _not_a_truth(name: str) -> Rule:
    return Rule(name, "bad_boolean", "T or F", ~pl.col(name).is_in(["T", "F", "true", "false"]))


def to_connections(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn screened columns into canonical ones and add the labels."""
    have = frame.schema
    frame = frame.with_columns(
        (pl.col("ts") * 1e6).round().cast(pl.Int64).cast(CONNECTION_SCHEMA["ts"]),
        *(
            pl.col(name).str.to_lowercase()
            for name in ("proto", "service")
            if name in have and _has_capitals(frame[name])
        ),
        *((pl.col(name) == "T") | (pl.col(name) == "true") for name in _TRUTHS if have.get(name) == pl.String()),
    )
    if "ip_proto" in have:
        frame = frame.with_columns(_without_name())
    if "label_word" not in have:
        return frame
    text = pl.col("label_word")
    if "label_detail" in have and frame["label_detail"].null_count() < frame.height:
        text = pl.concat_str("label_word", "label_detail", separator="/").fill_null(text)
    return with_labels(frame.with_columns(text.alias("label_text")), "label_text", label_name)


def _without_name() -> Iterator[pl.Expr]:
    """Name what Zeek has no name for (GRE, ESP, ...) by the number that it logs beside it.

    Its ports are 0, which they have not.
    """
    name = pl.col("ip_proto").replace_strict(_KEYWORDS, default=None, return_dtype=pl.String())
    unnamed = (pl.col("proto") == UNNAMED) & name.is_not_null()
    yield pl.when(unnamed).then(name).otherwise("proto").alias("proto")
    yield from (pl.when(~unnamed).then(pl.col(port)).alias(port) for port in ("orig_p", "resp_p"))


def _has_capitals(texts: pl.Series) -> bool:
    different = texts.unique()  # a handful, where a column of all rows would cost as much as parsing it
    return not different.equals(different.str.to_lowercase())


def label_name(text: str) -> str | None:
    """Return the label of what a labelled conn log says: its label, a slash and its detail.

    The detail names the attack where there is one.

    >>> label_name("Malicious/CC"), label_name("Malicious"), label_name("Benign/Google"), label_name("Background")
    ('CC', 'Malicious', 'BENIGN', 'BACKGROUND')
    >>> label_name("0"), label_name("Unknown")
    ('BENIGN', None)
    """
    word, _, detail = text.partition("/")
    name = common_name(word)
    if name in (BENIGN, BACKGROUND) or (name is None and word.strip()):
        return name
    return one_spelling(detail) or name
