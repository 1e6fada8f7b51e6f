"""The values of what nfdump prints, text and CSV alike: times, durations, counts with units, ports, flags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import (
    COUNT,
    DURATION,
    PORT,
    from_milliseconds,
    in_seconds,
    not_a_duration,
    not_a_time,
    not_an_address,
    parse_times,
)
from cybersec_mlops.ingestion.labels import common_name, with_labels
from cybersec_mlops.ingestion.protocols import ICMP, SPELLINGS, WITH_PORTS
from cybersec_mlops.ingestion.screening import Rule, missing
from cybersec_mlops.ingestion.tcp_flags import flag_letters

ENDS: Final = ("orig", "resp")
_NUMBER: Final = pl.Float64()
_COUNTS: Final = ("orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes", "nfdump_flows")
_TIME: Final = "a time like 2013-07-09 01:00:23.040"
_TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f",)
_END_POINT: Final = r"^(?P<host>\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f:]+(?:\.\.[0-9A-Fa-f:]*)?)(?:\([^)]*\))?[:.](?P<port>\S+)$"
_UNITS: Final = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def prepare(frame: pl.DataFrame, timezone: str, *, from_end: bool = False) -> pl.DataFrame:
    """Make of the texts what the rules look at: hosts and ports apart, times in UTC, numbers.

    Parameters
    ----------
    frame : DataFrame
        Columns of text.
    timezone : str
        IANA zone of times that do not say theirs.
    from_end : bool
        The column of the duration holds the connection's end.
    """
    for end in ENDS:
        if end in frame.columns:
            parts = frame[end].str.extract_groups(_END_POINT).struct.unnest()
            frame = frame.drop(end).with_columns(parts["host"].alias(f"{end}_h"), parts["port"].alias(f"{end}_p"))
    stripped = [pl.col(name).str.strip_chars(" \t\r") for name, dtype in frame.schema.items() if dtype == pl.String()]
    frame = frame.with_columns(stripped)
    proto = pl.col("proto").str.to_lowercase().replace(SPELLINGS)
    counts = [_count(frame[name]).alias(f"{name}_parsed") for name in _COUNTS if name in frame.columns]
    start = _times(frame["ts"], timezone)
    lasted = (_times(frame["duration_s"], timezone) - start).dt.total_microseconds() if from_end else None
    seconds = pl.lit(_seconds(frame["duration_s"])) if lasted is None else in_seconds(pl.lit(lasted), 1e6)
    return frame.with_columns(
        start.alias("ts_parsed"),
        seconds.alias("duration_s_parsed"),
        pl.when(proto != "").then(proto).alias("proto"),
        *(_port(f"{end}_p").alias(f"{end}_p_parsed") for end in ENDS),
        *counts,
    )


def _times(texts: pl.Series, timezone: str) -> pl.Series:
    if "\t" in str(texts.first()):
        texts = texts.str.replace_all(r"\s+", " ")
    times = parse_times(texts, _TIME_FORMATS, timezone)
    if times.null_count() == texts.null_count():
        return times
    epoch = (from_milliseconds(texts.cast(_NUMBER, strict=False)) * 1e6).round().cast(pl.Int64, strict=False)
    return pl.select(pl.coalesce(times, epoch.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))).to_series()


def _seconds(texts: pl.Series) -> pl.Series:
    """Return durations in seconds: "8.304", "00:00:08.304", "1d 02:00:00.000"."""
    plain = texts.cast(_NUMBER, strict=False)
    if plain.null_count() == texts.null_count():
        return plain
    parts = texts.str.extract_groups(r"^(?:(\d{1,5})\s*d\s*)?(\d{1,5}):(\d\d):(\d\d(?:\.\d+)?)$").struct.unnest()
    numbers = [parts.to_series(position).cast(_NUMBER) for position in range(4)]
    clock = numbers[0].fill_null(0) * 86_400 + numbers[1] * 3_600 + numbers[2] * 60 + numbers[3]
    return pl.select(pl.coalesce(plain, clock)).to_series()


def _count(texts: pl.Series) -> pl.Series:
    """Return counts; those with a unit are as exact as nfdump wrote them."""
    plain = texts.cast(pl.Int64, strict=False)
    if plain.null_count() == texts.null_count():
        return plain
    parts = texts.str.extract_groups(r"^(\d{1,15}(?:\.\d+)?)\s?([KMGT])$").struct.unnest()
    unit = parts.to_series(1).replace_strict(_UNITS, default=None, return_dtype=_NUMBER)
    scaled = (parts.to_series(0).cast(_NUMBER) * unit).round().cast(pl.Int64, strict=False)
    return pl.select(pl.coalesce(plain, scaled)).to_series()


def _port(name: str) -> pl.Expr:
    return pl.when(pl.col("proto").str.to_lowercase().replace(SPELLINGS).is_in(WITH_PORTS)).then(
        pl.col(name).cast(pl.Int64, strict=False)
    )


def rules(frame: pl.DataFrame) -> Iterator[Rule]:
    """Give the rules for the columns that are there."""
    yield from (missing(name) for name in ("ts", "proto", "orig_h", "resp_h", "duration_s"))
    yield not_a_time("ts", "ts_parsed", _TIME)
    yield replace(not_a_duration("duration_s_parsed"), field="duration_s")
    yield Rule("duration_s", *DURATION, pl.col("duration_s_parsed").is_null())
    for end in ENDS:
        yield not_an_address(f"{end}_h")
        port = pl.col(f"{end}_p_parsed")
        wrong = pl.col("proto").is_in(WITH_PORTS) & ~port.is_between(0, 65_535).fill_null(value=False)
        yield Rule(f"{end}_p", *PORT, wrong)
    for name in _COUNTS:
        if name in frame.columns:
            number, text = pl.col(f"{name}_parsed"), pl.col(name)
            yield Rule(name, *COUNT, (number < 0) | (number.is_null() & text.is_not_null() & (text != "")))
    if "nfdump_tos" in frame.columns:
        tos = pl.col("nfdump_tos")
        number = tos.cast(_NUMBER, strict=False).is_between(0, 255).fill_null(value=False)
        yield Rule("nfdump_tos", "bad_number", "a type of service 0-255", ~number & (tos != ""))


def finish(frame: pl.DataFrame, *, zero_is_unset: bool) -> pl.DataFrame:
    """Make the canonical and native columns of the rows that keep the rules."""
    have = set(frame.columns)
    code = pl.when(pl.col("proto").is_in(ICMP)).then(pl.col("resp_p"))
    packed = code.cast(pl.Int64, strict=False)
    dotted = code.str.contains(".", literal=True)
    frame = frame.with_columns(
        pl.col("ts_parsed").alias("ts"),
        pl.col("duration_s_parsed").alias("duration_s"),
        *(pl.col(f"{end}_p_parsed").cast(CONNECTION_SCHEMA[f"{end}_p"]).alias(f"{end}_p") for end in ENDS),
        *(pl.col(f"{name}_parsed").alias(name) for name in _COUNTS if name in have),
        pl.when(dotted).then(code.str.extract(r"^(\d+)\.").cast(_NUMBER)).otherwise(packed // 256)
        .cast(_NUMBER).alias("nfdump_icmp_type"),
        pl.when(dotted).then(code.str.extract(r"\.(\d+)$").cast(_NUMBER)).otherwise(packed % 256)
        .cast(_NUMBER).alias("nfdump_icmp_code"),
        *([_flags()] if "nfdump_flags" in have else []),
        *([pl.col("nfdump_tos").cast(_NUMBER, strict=False)] if "nfdump_tos" in have else []),
    )  # fmt: skip
    if zero_is_unset and {"resp_pkts", "resp_ip_bytes"} <= have:
        one_way = (pl.col("resp_pkts") == 0) & (pl.col("resp_ip_bytes") == 0)
        frame = frame.with_columns(
            pl.when(~one_way).then(pl.col(name)).alias(name) for name in ("resp_pkts", "resp_ip_bytes")
        )
    return with_labels(frame, "label_text", common_name) if "label_text" in have else frame


def _flags() -> pl.Expr:
    """Return the TCP flags in eight places, CEUAPRSF, as nfdump 1.7 writes them; null for other protocols.

    nfdump 1.6 has six places and writes those with CWR or ECE as a number, "0xc2".
    """
    flags = pl.col("nfdump_flags")
    number = flags.str.extract(r"^0x([0-9A-Fa-f]{1,2})$").str.to_integer(base=16, strict=False)
    letters = pl.coalesce(flag_letters(number), flags.str.pad_start(8, "."))
    return pl.when(pl.col("proto") == "tcp").then(letters).alias("nfdump_flags")
