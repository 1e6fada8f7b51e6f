"""The reader of Argus's bidirectional flows ("binetflow"), separated by commas or tabs, as in the CTU-13 data set.

Source: ``ra`` of https://openargus.org with the columns of CTU-13 (Garcia et al., Computers & Security 2014,
https://www.stratosphereips.org/datasets-ctu13). What it copes with, and how:

- local times without a zone: an option;
- times of 1970, which a sensor without a clock writes, are null, the row is kept and the time counted; Argus's own
  management records are rejected;
- hexadecimal ports, which are the type and code of ICMP, and missing ones are null, the row is kept;
- protocols by name, or by number as ``ra -nn`` writes them; addresses of a MAC, of IPv6, blanks around the direction;
- ``ra`` prints any columns: two of ``SrcBytes``, ``DstBytes`` and ``TotBytes`` give the third, so do packets, and
  ``LastTime`` gives the duration where ``Dur`` is absent;
- bytes count whole packets, so they are the canonical ``*_ip_bytes``; ``SAppBytes`` and ``DAppBytes`` are the payload.
  CTU-13 itself has ``TotPkts`` alone: then the packets of each side are null and only the sum is known;
- labels like ``flow=From-Botnet-V42-TCP-CC1``: direction and version are left out of the attack's name. A label that
  says neither background, nor normal, nor malicious ("TCP-Established-To-Microsoft-7") is none; its text is kept.

Argus's ``State`` is not Zeek's ``conn_state``, so it stays a native column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import BACKGROUND, BENIGN, CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import (
    COUNT,
    DURATION,
    LAST_SECOND,
    PORT,
    checked_zone,
    in_seconds,
    not_a_duration,
    not_an_address,
    parse_times,
    zone_notes,
)
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.labels import one_spelling, with_labels
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.protocols import SPELLINGS
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.ingestion.screening import Rule, below_zero, missing, outside
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table

NAME: Final = "argus"
_NUMBER, _TEXT, _INTEGER = pl.Float64(), pl.String(), pl.Int64()
_COLUMNS: Final[dict[str, Column]] = {
    "starttime": Column("ts", _TEXT),
    "dur": Column("duration_s", _NUMBER, *DURATION),
    "proto": Column("proto", _TEXT),
    "srcaddr": Column("orig_h", _TEXT),
    "sport": Column("orig_p", _TEXT),
    "dir": Column("argus_dir", _TEXT),
    "dstaddr": Column("resp_h", _TEXT),
    "dport": Column("resp_p", _TEXT),
    "state": Column("argus_state", _TEXT),
    "stos": Column("argus_stos", _NUMBER),
    "dtos": Column("argus_dtos", _NUMBER),
    "totpkts": Column("argus_packets", _INTEGER, *COUNT),
    "totbytes": Column("total_bytes", _INTEGER, *COUNT),
    "srcbytes": Column("orig_ip_bytes", _INTEGER, *COUNT),
    "srcpkts": Column("orig_pkts", _INTEGER, *COUNT),
    "label": Column("label_text", _TEXT),
    "lasttime": Column("duration_s", _TEXT),
    "dstbytes": Column("resp_ip_bytes", _INTEGER, *COUNT),
    "dstpkts": Column("resp_pkts", _INTEGER, *COUNT),
    "sappbytes": Column("orig_bytes", _INTEGER, *COUNT),
    "dappbytes": Column("resp_bytes", _INTEGER, *COUNT),
}
_LEAST: Final = 8
"""Half of CTU-13's header."""
_ENDS: Final = ("starttime", "proto", "srcaddr", "sport", "dstaddr", "dport")
_BYTES: Final = ("totbytes", "srcbytes", "dstbytes")
_COUNTS: Final = ("orig_ip_bytes", "resp_ip_bytes", "orig_pkts", "resp_pkts", "orig_bytes", "resp_bytes")
_NATIVE: Final[dict[str, pl.DataType]] = {
    "argus_dir": _TEXT,
    "argus_state": _TEXT,
    "argus_stos": _NUMBER,
    "argus_dtos": _NUMBER,
    "argus_packets": _NUMBER,
}
_PORTS: Final = ("orig_p", "resp_p")
_HEXADECIMAL: Final = r"^0[xX][0-9A-Fa-f]{1,8}$"
_TIME: Final = "a time like 2011/08/10 09:46:53.047277"
_TIME_FORMATS: Final = tuple(f"{day}{mark}%H:%M:%S%.f" for day in ("%Y/%m/%d", "%Y-%m-%d") for mark in (" ", ".", "T"))
"""What RA_TIME_FORMAT is set to, most of the time; ra -u writes seconds since 1970, which have no zone."""
_EPOCH: Final = r"^\d{1,10}(\.\d{1,9})?$"
_DAY: Final = 86_400
_NO_CLOCK: Final = pl.col("ts_parsed").dt.epoch("s") < 365 * _DAY
"""1970, in whatever zone."""
_MALICIOUS: Final = frozenset({"botnet", "malware", "malicious", "attack", "cc", "ddos"})


@dataclass(frozen=True, slots=True)
class Argus:
    """Argus's bidirectional flows.

    Parameters
    ----------
    timezone : str
        IANA name of the zone in which the times were written; they do not say it. CTU-13's is "Europe/Prague".
    """

    timezone: str = "UTC"
    name = NAME
    has_time = True

    def __post_init__(self) -> None:
        """Check the zone; raises `ConfigError` where there is no such zone."""
        checked_zone(self.timezone)

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """Direction, state, types of service, and the packets of both sides together."""
        return _NATIVE

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """None is known."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the header's names."""
        names, separator = _cells(names_of(head.data.removeprefix(BOM).partition(b"\n")[0]))
        known = {name.casefold() for name in names} & _COLUMNS.keys()
        if len(known) < _LEAST or "srcaddr" not in known:
            return None
        extra = tuple(name for name in names if name.casefold() not in _COLUMNS)
        if lacking := list(_lacking(known)):
            return Refusal(
                f"a table like Argus's, whose columns are not those of the format: missing {', '.join(lacking)}; "
                f"not known: {', '.join(printable(name, 30) for name in extra[:8]) or 'none'}",
                hint="export it with ra -n -u -c , -s stime dur proto saddr sport dir daddr dport state stos dtos pkts "
                "bytes spkts sbytes",
                line=1,
            )
        if head.complete and len(head.data.strip().splitlines()) < 2:
            return Refusal(
                "an Argus table with a header and no rows", hint="give a table with flows", line=1, passable=True
            )
        notes = (*zone_notes(head.data, self.timezone), *(("labelled",) * ("label" in known)))
        return Recognition(NAME, "tabs" if separator == "\t" else "commas", has_time=True, ignored=extra, notes=notes)

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table; see `Reader.read`."""
        del source  # the format has no error of its own
        table = Table(partial(_form, timezone=self.timezone), expected="Argus's header with StartTime, Dur, Proto, ...")
        return read_table(self, table, stream, batch_bytes=batch_bytes)


def _cells(names: list[str]) -> tuple[list[str], str]:
    """Return the names and the separator of a header that was cut at commas."""
    if len(names) == 1 and "\t" in names[0]:
        return [name.strip() for name in names[0].split("\t")], "\t"
    return names, ","


def _lacking(known: set[str]) -> Iterator[str]:
    """Give what a header lacks of what a connection needs: where several columns would do, the one of CTU-13."""
    yield from (name for name in _ENDS if name not in known)
    if not known & {"dur", "lasttime"}:
        yield "dur"
    if "totpkts" not in known and not known >= {"srcpkts", "dstpkts"}:
        yield "totpkts"
    if len(known & set(_BYTES)) < len(_BYTES) - 1:
        yield from (name for name in _BYTES[:2] if name not in known)


def _form(names: list[str], timezone: str) -> Form | None:
    cells, separator = _cells(names)
    names = [name.casefold() for name in cells]
    columns = [None if name == "lasttime" and "dur" in names else _COLUMNS.get(name) for name in names]
    targets = {column.name for column in columns if column is not None}
    if any(_lacking(set(names))) or len(targets) < sum(column is not None for column in columns):
        return None
    return Form(
        Layout(separator, tuple(columns)),
        tuple(rule for rule in _rules(targets) if rule.field in targets),
        prepare=partial(_prepare, timezone=timezone, from_end="dur" not in names),
        finish=_finish,
        impossible=_nulled,
    )


def _prepare(frame: pl.DataFrame, timezone: str, *, from_end: bool) -> pl.DataFrame:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String() and name != "label_text"]
    stripped = [pl.col(name).str.strip_chars(" \t\r") for name in texts]
    frame = frame.with_columns(
        pl.when(text != "").then(text).alias(name) for name, text in zip(texts, stripped, strict=True)
    )
    times = _times(frame["ts"], timezone).alias("ts_parsed")
    ports = [_port(name).alias(f"{name}_parsed") for name in _PORTS]
    frame = frame.with_columns(times, pl.col("proto").str.to_lowercase().replace(SPELLINGS), *ports)
    return _with_duration(frame, timezone) if from_end else frame


def _with_duration(frame: pl.DataFrame, timezone: str) -> pl.DataFrame:
    """Make the duration from the end, which is a text; NaN, which no duration is, where that text is no time."""
    ends = _times(frame["duration_s"], timezone).alias("end")
    seconds = in_seconds((pl.col("end") - pl.col("ts_parsed")).dt.total_microseconds(), 1e6)
    no_time = pl.col("end").is_null() & pl.col("duration_s").is_not_null()
    return frame.with_columns(ends).with_columns(duration_s=pl.when(no_time).then(float("nan")).otherwise(seconds))


def _times(texts: pl.Series, timezone: str) -> pl.Series:
    times = parse_times(texts, _TIME_FORMATS, timezone)
    if times.null_count() == texts.null_count():
        return times
    seconds = texts.set(~texts.str.contains(_EPOCH), None).cast(_NUMBER, strict=False)
    epoch = (seconds * 1e6).round().cast(_INTEGER, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return times.zip_with(times.is_not_null(), epoch)


def _port(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64, strict=False)


def _rules(targets: set[str]) -> Iterator[Rule]:
    yield Rule("proto", "management_record", "a flow, not a record of Argus itself", pl.col("proto") == "man")
    yield from (missing(name) for name in ("ts", "proto", "orig_h", "resp_h", "duration_s"))
    seconds = pl.col("ts_parsed").dt.epoch("s")
    yield Rule("ts", "bad_time", _TIME, seconds.is_null() | ~seconds.is_between(-_DAY, LAST_SECOND))
    yield not_a_duration()
    for name in _PORTS:
        parsed = pl.col(f"{name}_parsed")
        number = parsed.is_between(0, 65_535).fill_null(value=False)
        hexadecimal = pl.col(name).str.contains(_HEXADECIMAL)
        yield Rule(name, PORT[0], f"{PORT[1]}, no name (ra -n)", ~(number | hexadecimal) & pl.col(name).is_not_null())
    yield from (not_an_address(name) for name in ("orig_h", "resp_h"))
    yield from (below_zero(name) for name in ("argus_packets", "total_bytes", *_COUNTS))
    for name in ("argus_stos", "argus_dtos"):
        yield outside(name, 0, 255, reason="bad_number", expected="a type of service 0-255")
    for unit, total, word in (("ip_bytes", "total_bytes", "TotBytes"), ("pkts", "argus_packets", "TotPkts")):
        parts = [f"{side}_{unit}" for side in ("orig", "resp") if f"{side}_{unit}" in targets]
        if total in targets:
            yield from (Rule(name, COUNT[0], f"no more than {word}", pl.col(name) > pl.col(total)) for name in parts)


def _nulled(frame: pl.DataFrame) -> dict[str, int]:
    counts = {"ts": int(frame.select(_NO_CLOCK.sum()).item())}
    counts |= {name: int((frame[name].is_not_null() & frame[f"{name}_parsed"].is_null()).sum()) for name in _PORTS}
    return {name: count for name, count in counts.items() if count}


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    have = set(frame.columns)
    changes = [
        pl.when(~_NO_CLOCK).then("ts_parsed").alias("ts"),
        *(pl.col(f"{name}_parsed").cast(CONNECTION_SCHEMA[name]).alias(name) for name in _PORTS),
        *_third(have, "total_bytes", "ip_bytes"),
        *_third(have, "argus_packets", "pkts"),
    ]
    if "argus_packets" not in have:
        changes.append((pl.col("orig_pkts").cast(_NUMBER) + pl.col("resp_pkts")).alias("argus_packets"))
    frame = frame.with_columns(changes)
    return with_labels(frame, "label_text", label_name) if "label_text" in have else frame


def _third(have: set[str], total: str, unit: str) -> Iterator[pl.Expr]:
    """Make the side that is not there of the total and the other side."""
    orig, resp = f"orig_{unit}", f"resp_{unit}"
    for name, other in ((orig, resp), (resp, orig)):
        if name not in have and {total, other} <= have:
            yield (pl.col(total) - pl.col(other)).alias(name)


def label_name(text: str) -> str | None:
    """Return the label of what CTU-13 and its labeller say.

    >>> label_name("flow=From-Botnet-V42-TCP-CC1"), label_name("flow=Background-UDP"), label_name("flow=To-Normal-V42")
    ('Botnet-TCP-CC1', 'BACKGROUND', 'BENIGN')
    """
    word = one_spelling(text)
    word = re.sub(r"^flow=", "", word, flags=re.IGNORECASE)
    word = re.sub(r"^(From|To)-", "", word, flags=re.IGNORECASE)
    word = re.sub(r"-V\d+(?=-|$)", "", word)
    parts = set(re.split(r"[-_ ]", word.casefold()))
    if "background" in parts:
        return BACKGROUND
    if parts & {"normal", "benign"}:
        return BENIGN
    return word if parts & _MALICIOUS else None
