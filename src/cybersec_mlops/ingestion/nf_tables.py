"""The reader of the NF-* tables of the University of Queensland: NetFlow views of public data sets, versions 1 to 3.

Source: Sarhan, Layeghy et al., "NetFlow Datasets for Machine Learning-based NIDS" (2020, version 1), "Towards a
Standard Feature Set for NIDS Datasets" (MNA 2022, version 2), and Luay et al. (2025, version 3, with times). The
fields are those of nProbe (https://www.ntop.org/guides/nprobe/). Bytes are counted with headers, so they are the
canonical ``*_ip_bytes``. What cannot be, such as an infinite rate, becomes null and is counted; the id of a DNS query
is a random number, kept as ``meta_``. Versions 1 and 2 have no times. Durations just below 2**32 microseconds (4294967
milliseconds, 71 minutes, where the exporter cuts flows after some minutes) are a difference that went below zero: null.
The four sets spell attacks in their own ways: "ddos" and "DDoS", "backdoor" and "Backdoor", "DoS_attacks-Hulk".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import (
    COUNT,
    DURATION,
    LAST_SECOND,
    PORT,
    in_seconds,
    not_a_port,
    not_an_address,
)
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.labels import ATTACKS, common_name, one_spelling, with_labels
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.protocols import keyword
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.screening import Rule, missing, not_whole, outside
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table

NAME: Final = "nf_tables"

_NUMBER, _TEXT = pl.Float64(), pl.String()
_CANONICAL: Final[dict[str, Column]] = {
    "IPV4_SRC_ADDR": Column("orig_h", _TEXT),
    "L4_SRC_PORT": Column("orig_p", _NUMBER, *PORT),
    "IPV4_DST_ADDR": Column("resp_h", _TEXT),
    "L4_DST_PORT": Column("resp_p", _NUMBER, *PORT),
    "PROTOCOL": Column("proto", _NUMBER, "bad_protocol", "an IP protocol number 0-255"),
    "IN_BYTES": Column("orig_ip_bytes", _NUMBER, *COUNT),
    "IN_PKTS": Column("orig_pkts", _NUMBER, *COUNT),
    "OUT_BYTES": Column("resp_ip_bytes", _NUMBER, *COUNT),
    "OUT_PKTS": Column("resp_pkts", _NUMBER, *COUNT),
    "FLOW_DURATION_MILLISECONDS": Column("duration_s", _NUMBER, "bad_duration", "milliseconds, 0 or more"),
}
_OPTIONAL: Final[dict[str, Column]] = {
    "FLOW_START_MILLISECONDS": Column("ts", _NUMBER, "bad_time", "milliseconds since 1970"),
    "LABEL": Column("label_bit", _NUMBER, "bad_boolean", "0 or 1"),
    "ATTACK": Column("label_text", _TEXT),
}
_NOT_READ: Final = "FLOW_END_MILLISECONDS"
"""The start and the duration say it."""
_V1: Final = ("L7_PROTO", "TCP_FLAGS")
_V2: Final = (
    *("CLIENT_TCP_FLAGS", "SERVER_TCP_FLAGS", "DURATION_IN", "DURATION_OUT", "MIN_TTL", "MAX_TTL"),
    *("LONGEST_FLOW_PKT", "SHORTEST_FLOW_PKT", "MIN_IP_PKT_LEN", "MAX_IP_PKT_LEN", "SRC_TO_DST_SECOND_BYTES"),
    *("DST_TO_SRC_SECOND_BYTES", "RETRANSMITTED_IN_BYTES", "RETRANSMITTED_IN_PKTS", "RETRANSMITTED_OUT_BYTES"),
    *("RETRANSMITTED_OUT_PKTS", "SRC_TO_DST_AVG_THROUGHPUT", "DST_TO_SRC_AVG_THROUGHPUT", "NUM_PKTS_UP_TO_128_BYTES"),
    *("NUM_PKTS_128_TO_256_BYTES", "NUM_PKTS_256_TO_512_BYTES", "NUM_PKTS_512_TO_1024_BYTES"),
    *("NUM_PKTS_1024_TO_1514_BYTES", "TCP_WIN_MAX_IN", "TCP_WIN_MAX_OUT", "ICMP_TYPE", "ICMP_IPV4_TYPE"),
    *("DNS_QUERY_ID", "DNS_QUERY_TYPE", "DNS_TTL_ANSWER", "FTP_COMMAND_RET_CODE"),
)
_V3: Final = tuple(
    f"{direction}_IAT_{measure}"
    for direction in ("SRC_TO_DST", "DST_TO_SRC")
    for measure in ("MIN", "MAX", "AVG", "STDDEV")
)
_MEASURES: Final = {
    name: "meta_nf_dns_query_id" if name == "DNS_QUERY_ID" else f"nf_{name.lower()}" for name in (*_V1, *_V2, *_V3)
}
_COLUMNS: Final = {
    **_CANONICAL,
    **_OPTIONAL,
    **{name: Column(column, _NUMBER) for name, column in _MEASURES.items()},
}
_COUNTS: Final = ("orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes")
_PORTS: Final = ("orig_p", "resp_p")
_SPELLINGS: Final = {"backdoor": "Backdoor", "backdoors": "Backdoor"}
_WRAP_MS: Final = 2**32 / 1e3
_BELOW_ZERO: Final = pl.col("duration_s").is_between(_WRAP_MS - 1e3, _WRAP_MS)
"""Milliseconds up to a second before 32 bits of microseconds are full: the end was taken to be before the start."""


class NFTables:
    """The NF-* tables."""

    name = NAME
    has_time = True

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """What nProbe measures beside the canonical columns; null where a version has it not."""
        return dict.fromkeys(_MEASURES.values(), _NUMBER)

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """Columns that carry the test bed rather than the attack."""
        why = "the time to live tells the attacker's machine of the test bed"
        return {"nf_min_ttl": why, "nf_max_ttl": why}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the header's names."""
        names = [name.upper() for name in names_of(head.data.removeprefix(BOM).partition(b"\n")[0])]
        if not {"IPV4_SRC_ADDR", "FLOW_DURATION_MILLISECONDS"} <= set(names):
            return None
        if lacking := [name for name in _CANONICAL if name not in names]:
            return Refusal(
                f"a table like the NF-* tables, whose columns are not theirs: missing {', '.join(lacking)}",
                hint="give the published table; the order of its columns and further ones do not matter",
                line=1,
            )
        if head.complete and len(head.data.strip().splitlines()) < 2:
            return Refusal(
                "an NF-* table with a header and no rows", hint="give a table with connections", passable=True
            )
        variant = "v3" if "FLOW_START_MILLISECONDS" in names else "v2" if "CLIENT_TCP_FLAGS" in names else "v1"
        ignored = tuple(name for name in names if name not in _COLUMNS and name != _NOT_READ)
        notes = (*(() if variant == "v3" else ("it has no times",)), *(("labelled",) * ("LABEL" in names)))
        return Recognition(NAME, variant, has_time=variant == "v3", ignored=ignored, notes=notes)

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table; see `Reader.read`."""
        del source  # the format has no error of its own
        table = Table(_form, encoding="cp1252", expected="the NF-* tables' header with IPV4_SRC_ADDR, ...")
        return read_table(self, table, stream, batch_bytes=batch_bytes)


def _form(names: list[str]) -> Form | None:
    upper = [name.upper() for name in names]
    if not set(upper) >= _CANONICAL.keys():
        return None
    columns = tuple(_COLUMNS.get(name) if upper.index(name) == place else None for place, name in enumerate(upper))
    targets = {column.name for column in columns if column is not None}
    rules = tuple(rule for rule in _rules(targets) if rule.field in targets)
    measures = tuple(name for name in _MEASURES.values() if name in targets)
    return Form(Layout(",", columns), rules, finish=_finish, measures=measures, impossible=_durations_below_zero)


def _durations_below_zero(frame: pl.DataFrame) -> dict[str, int]:
    count = int(frame.select(_BELOW_ZERO.sum()).item())
    return {"duration_s": count} if count else {}


def _rules(targets: set[str]) -> Iterator[Rule]:
    yield from (missing(name) for name in ("ts", "orig_h", "resp_h", "proto", "duration_s"))
    yield outside("ts", 0, 1000 * LAST_SECOND, reason="bad_time", expected="milliseconds since 1970, to 2099")
    yield outside("duration_s", 0, 1e12, reason=DURATION[0], expected="milliseconds, 0 or more")
    for name in _PORTS:
        yield not_a_port(name)
        yield not_whole(name, reason=PORT[0], expected=PORT[1])
    for name in _COUNTS:
        yield outside(name, 0, 2**53, reason=COUNT[0], expected=COUNT[1])
        yield not_whole(name, reason=COUNT[0], expected=COUNT[1])
    yield outside("proto", 0, 255, reason="bad_protocol", expected="an IP protocol number 0-255")
    yield not_whole("proto", reason="bad_protocol", expected="an IP protocol number 0-255")
    yield from (not_an_address(name) for name in ("orig_h", "resp_h"))
    yield Rule("label_bit", "bad_boolean", "0 or 1", ~pl.col("label_bit").is_in([0.0, 1.0]))
    if {"label_bit", "label_text"} <= targets:
        benign = pl.col("label_text").str.strip_chars().str.to_lowercase() == "benign"
        yield Rule(
            "label_bit", "label_conflict", "0 for Benign and 1 for attacks", benign == (pl.col("label_bit") == 1)
        )


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    have = set(frame.columns)
    keywords = {0: None, **{number: keyword(number) for number in range(1, 256)}}
    changes = [pl.col(name).cast(CONNECTION_SCHEMA[name]) for name in (*_PORTS, *_COUNTS)]
    changes.append(in_seconds(pl.when(~_BELOW_ZERO).then(pl.col("duration_s")), 1e3).alias("duration_s"))
    changes.append(pl.col("proto").cast(pl.Int64).replace_strict(keywords, return_dtype=pl.String))
    if "ts" in have:
        changes.append((pl.col("ts") * 1e3).round().cast(pl.Int64).cast(CONNECTION_SCHEMA["ts"]))
    frame = frame.with_columns(changes)
    if not have & {"label_text", "label_bit"}:
        return frame
    bit = pl.col("label_bit") if "label_bit" in have else pl.lit(None, _NUMBER)
    from_bit = pl.when(bit == 1).then(pl.lit("Attack")).when(bit == 0).then(pl.lit("Benign"))
    text = pl.coalesce("label_text", from_bit) if "label_text" in have else from_bit
    return with_labels(frame.with_columns(text.alias("label_text")), "label_text", label_name)


def label_name(text: str) -> str | None:
    """Return the label in the one spelling of the four sets and of those that they were made of.

    >>> label_name("ddos"), label_name("Backdoor"), label_name("DoS_attacks-Hulk"), label_name("Benign")
    ('DDoS', 'Backdoor', 'DoS Hulk', 'BENIGN')
    """
    word = one_spelling(text)
    folded = word.casefold()
    return _SPELLINGS.get(folded) or ATTACKS.get(folded.replace("_", " ")) or common_name(word)
