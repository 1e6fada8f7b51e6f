"""Zeek's JSON form of ``conn.log``: one object per line, absent keys are unset, several logs may share a file.

Source: https://docs.zeek.org/en/master/log-formats.html, the json-streaming-logs package (``_path``), and exports
of the Corelight kind (``@stream``, ``id_orig_h``). Times are seconds or milliseconds since 1970 or ISO 8601
(``LogAscii::json_timestamps``).

What Polars does (measured with 2.1.0): one line that is not JSON stops the whole block, blank lines vanish, a value of
another type stops the block or becomes null. Hence the search for the lines at fault, by halves. Every key that is
looked for costs time, the more so one that is not there, so the rare spellings are looked for only where they may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from cybersec_mlops.ingestion import zeek_columns
from cybersec_mlops.ingestion.connection_rules import from_milliseconds
from cybersec_mlops.ingestion.json_lines import broken_lines, is_readable, json_fault, objects_only, parse_objects
from cybersec_mlops.ingestion.lines import Lines, clean, has_long_line
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import Rule, screen
from cybersec_mlops.ingestion.zeek_columns import ALIASES, COLUMNS, OTHER_LOGS, TELLING, UNNAMED

STREAM_KEYS: Final = ("_path", "@stream")
"""Where a line says which log it belongs to."""

_BOOLEAN: Final = frozenset({"local_orig", "local_resp"})
_DETAIL: Final = "detailedlabel"
_NUMBER: Final = "ip_proto"
_UNSET: Final = ("", "-", "(empty)")
_TRUTHS: Final = {"T": True, "F": False, "true": True, "false": False}
_EXACT: Final = 2**53
"""From here on a whole number may be another one as a float."""


@dataclass(frozen=True, slots=True)
class Style:
    """Which spellings the first record of a file uses; those of the others are found too, but cost a second look."""

    underscores: bool = False
    """``id_orig_h`` and not ``id.orig_h``."""
    text_times: bool = False
    """Its times are texts, in ISO 8601."""

    def keys(self, *, every: bool = False, detailed: bool = True) -> dict[str, list[str]]:
        """Return for each column the keys under which it is looked for, the file's own spelling first."""
        found: dict[str, list[str]] = {}
        for name, column in COLUMNS.items():
            aliases = [alias for alias, meant in ALIASES.items() if meant == name]
            if name == _DETAIL:
                found[column.name] = [name, *aliases] if every or detailed else []
            elif name == _NUMBER:
                found[column.name] = [name] if every else []
            elif aliases:
                spellings = [*aliases, name] if self.underscores else [name, *aliases]
                found[column.name] = spellings if every else spellings[:1]
            else:
                found[column.name] = [name]
        return {name: keys for name, keys in found.items() if keys}

    def types(self, keys: Mapping[str, list[str]], streams: Sequence[str] = STREAM_KEYS) -> dict[str, pl.DataType]:
        """Return what the values under these keys are read as."""
        by_name = {column.name: column.dtype for column in COLUMNS.values()}
        types = {key: pl.Boolean() if key in _BOOLEAN else by_name[name] for name in keys for key in keys[name]}
        if self.text_times:
            types["ts"] = pl.String()
        return {**types, **dict.fromkeys(streams, pl.String())}


def style_of(line: bytes) -> Style:
    """Return the style of a file from its first record."""
    text_times = re.search(rb'"ts"\s*:\s*"', line) is not None
    return Style(underscores=b'"id_orig_h"' in line, text_times=text_times)


def read_rows(
    lines: Lines, style: Style, timezone: str, rejected: Rejected, skipped: dict[str, int]
) -> pl.DataFrame | None:
    """Read the connections among the lines of a block as it was read; those of other logs are counted in `skipped`."""
    rare = lines.hold(b"\\", b"@", b"detailed")  # a backslash may spell any letter of a key
    keys = style.keys(detailed=rare)
    streams = STREAM_KEYS if rare else STREAM_KEYS[:1]
    types = style.types(keys, streams)
    parsed = _parse_plain(lines, types)
    if parsed is None:
        lines = objects_only(clean(lines, rejected, skipped), rejected, skipped)
    if not lines.height:
        return None
    try:
        lines, frame = _connections_only(lines, parse_objects(lines, types) if parsed is None else parsed, skipped)
        if _needs_every_key(frame, keys):
            keys = style.keys(every=True)
            frame = parse_objects(lines, style.types(keys))
        text = frame
    except PolarsError:
        keys = style.keys(every=True)
        lines = _drop_broken(lines, rejected)
        text = parse_objects(lines, dict.fromkeys(style.types(keys), pl.String()), ignore_errors=True)
        lines, text = _connections_only(lines, text, skipped)
        frame, text = _with_texts(parse_objects(lines, style.types(keys), ignore_errors=True), text)
    if not lines.height:
        return None
    if text["ts"].dtype == pl.String():
        frame = frame.with_columns(zeek_columns.seconds_of(text["ts"], timezone))
    frame = frame.with_columns(from_milliseconds(frame["ts"]))
    failed = _failed(frame, text, keys)
    frame = _canonical(frame, keys).with_columns(lines.numbers().alias("raw_line"))
    nothing = pl.all_horizontal(pl.col(COLUMNS[key].name).is_null() for key in TELLING)
    rules = [
        Rule("conn_state", "not_a_connection", "a connection, with conn_state or the like", nothing),
        *zeek_columns.rules(frame.schema),
    ]
    frame = screen(frame, lines, rules, rejected, failed=failed, value=value_of)
    return zeek_columns.to_connections(frame)


def value_of(line: bytes, field: str) -> str | None:
    """Return the text of a canonical field in a line of JSON."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    for key in Style().keys(every=True)[field]:
        if (value := record.get(key)) is not None:
            return value if isinstance(value, str) else json.dumps(value)
    return None


def _parse_plain(lines: Lines, types: Mapping[str, pl.DataType]) -> pl.DataFrame | None:
    """Parse lines as they are; None where some may have to be cleaned or set aside before.

    What is no object, or blank, has no time or makes no row: to look at each line first takes a tenth of the parsing.
    Polars refuses what is not UTF-8, bytes below a space but in between as JSON has them, and a byte-order mark.
    """
    if has_long_line(lines):
        return None
    try:
        frame = parse_objects(lines, types)
    except PolarsError:
        return None
    return None if frame["ts"].null_count() else frame


def _connections_only(lines: Lines, frame: pl.DataFrame, skipped: dict[str, int]) -> tuple[Lines, pl.DataFrame]:
    streams = [key for key in STREAM_KEYS if key in frame.columns]
    stream = frame[streams[0]] if len(streams) == 1 else frame.select(pl.coalesce(streams)).to_series()
    if stream.null_count() == stream.len():
        return lines, frame
    other = (stream != "conn").fill_null(value=False)
    if other.any():  # a filter of Zeek may give its log of connections any name
        telling = pl.col("proto").is_not_null() & pl.any_horizontal(pl.col(TELLING).is_not_null())
        other &= stream.is_in(OTHER_LOGS) | ~frame.select(telling).to_series()
    if not other.any():
        return lines, frame
    for name, count in stream.filter(other).value_counts().iter_rows():
        reason = f"other_stream:{printable(name, 40)}"
        skipped[reason] = skipped.get(reason, 0) + count
    return lines.edit(dict.fromkeys(other.arg_true().to_list())), frame.filter(~other)


def _needs_every_key(frame: pl.DataFrame, keys: Mapping[str, list[str]]) -> bool:
    """Say whether rows may have values under keys that were not looked for."""
    spelt_otherwise = (frame[keys[name][0]].null_count() > 0 for name in ("orig_h", "orig_p", "resp_h", "resp_p"))
    return any(spelt_otherwise) or bool((frame["proto"] == UNNAMED).any())


def _drop_broken(lines: Lines, rejected: Rejected) -> Lines:
    """Set the lines aside that the parser cannot read."""
    parse = partial(parse_objects, schema={"ts": pl.String()}, ignore_errors=True)
    broken = broken_lines(lines, partial(is_readable, parse=parse), json_fault)
    for index, fault in broken.items():
        rejected.add(lines, index, "not_json", detail=fault or "no sound JSON: nested too deeply")
    return lines.edit(dict.fromkeys(broken))


def _with_texts(frame: pl.DataFrame, text: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fill in values that are written in another type: "80" or 80.0 for 80, "T" for true; "" and "-" are unset.

    Whoever brought the log through a table (pandas, Logstash, a database) writes them so.
    """
    text = text.with_columns(pl.when(~pl.col(pl.String()).is_in(_UNSET)).then(pl.col(pl.String())))
    filled = []
    for key, dtype in frame.schema.items():
        texts = text[key]
        if dtype == pl.String() or not (frame[key].is_null() & texts.is_not_null()).any():
            continue
        if dtype == pl.Boolean():
            values = texts.replace_strict(_TRUTHS, default=None, return_dtype=dtype)
        else:
            number = texts.cast(pl.Float64(), strict=False)
            usable = (number == number.floor()) & (number.abs() < _EXACT) if dtype == pl.Int64() else number.is_finite()
            values = number.set(~usable.fill_null(value=False), None).cast(dtype)
        filled.append(pl.coalesce(pl.lit(frame[key]), pl.lit(values)).alias(key))
    return frame.with_columns(filled), text


def _failed(frame: pl.DataFrame, text: pl.DataFrame, keys: Mapping[str, list[str]]) -> dict[Rule, pl.Series]:
    failed: dict[Rule, pl.Series] = {}
    for column in COLUMNS.values():
        for key in keys.get(column.name, ()):
            if frame[key].dtype == text[key].dtype:  # what was parsed as it is
                continue
            series = frame[key].is_null() & text[key].is_not_null()
            if series.any():
                failed[Rule(column.name, column.reason, column.expected, pl.lit(value=False))] = series
    return failed


def _canonical(frame: pl.DataFrame, keys: Mapping[str, list[str]]) -> pl.DataFrame:
    frame = frame.select(
        pl.col(names[0]).alias(column) if len(names) == 1 else pl.coalesce(names).alias(column)
        for column, names in keys.items()
    )
    unset = frame.select(pl.col(pl.String()).is_in(_UNSET).any()).row(0, named=True)
    texts = (name for name, found in unset.items() if found)
    return frame.with_columns(pl.when(~pl.col(name).is_in(_UNSET)).then(pl.col(name)).alias(name) for name in texts)
