"""Zeek's JSON form of ``conn.log``: one object per line, absent keys are unset, several logs may share a file.

Source: https://docs.zeek.org/en/master/log-formats.html, the json-streaming-logs package (``_path``), and exports
of the Corelight kind (``@stream``, ``id_orig_h``). Times are seconds since 1970 or ISO 8601.

What Polars does (measured with 2.1.0): one line that is not JSON stops the whole block, blank lines vanish, a value of
another type stops the block or becomes null. Hence the search for the lines at fault, by halves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from polars.exceptions import ComputeError

from cybersec_mlops.ingestion import zeek_columns
from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import Rule, screen

STREAM_KEYS: Final = ("_path", "@stream", "_stream")
"""Where a line says which log it belongs to."""

_KEYS: Final = {name: zeek_columns.column_of(name) for name in (*zeek_columns.COLUMNS, *zeek_columns.ALIASES)}
_TYPED: Final = {
    **{name: column.dtype for name, column in _KEYS.items() if column is not None},
    **dict.fromkeys(STREAM_KEYS, pl.String()),
}
_TEXT: Final = dict.fromkeys(_TYPED, pl.String())


def read_rows(lines: Lines, rejected: Rejected, skipped: dict[str, int]) -> pl.DataFrame | None:
    """Read the connections among some lines; lines of other logs are counted in `skipped`."""
    lines = _objects_only(lines, rejected, skipped)
    try:
        frame, text = _parse(lines, _TYPED), None
    except ComputeError:
        lines = _drop_broken(lines, rejected)
        frame, text = _parse(lines, _TYPED, ignore_errors=True), _parse(lines, _TEXT, ignore_errors=True)
        frame = frame.with_columns(_times(frame["ts"], text["ts"]))
    lines, frame, text = _connections_only(lines, frame, text, skipped)
    if not lines.height:
        return None
    failed = _failed(frame, text) if text is not None else {}
    frame = _canonical(frame).with_columns(lines.numbers().alias("raw_line"))
    nothing = pl.all_horizontal(pl.col(zeek_columns.COLUMNS[key].name).is_null() for key in zeek_columns.TELLING)
    rules = [
        Rule("conn_state", "not_a_connection", "a connection, with conn_state or the like", nothing),
        *zeek_columns.rules(frame.columns),
    ]
    frame = screen(frame, lines, rules, rejected, failed=failed, value=value_of)
    return zeek_columns.to_connections(frame)


def value_of(line: bytes, field: str) -> str | None:
    """Return the text of a canonical field in a line of JSON."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    for key, column in _KEYS.items():
        if column is not None and column.name == field and record.get(key) is not None:
            value = record[key]
            return value if isinstance(value, str) else json.dumps(value)
    return None


def _objects_only(lines: Lines, rejected: Rejected, skipped: dict[str, int]) -> Lines:
    changes: dict[int, bytes | None] = {}
    odd = np.flatnonzero(lines.codes[lines.starts] != ord("{")).tolist() if lines.height else []
    for index in odd:
        line = lines.raw(index).strip(b" \t\r")
        if line.startswith(b"{"):
            continue
        changes[index] = None
        if line:
            rejected.add(lines, index, "not_json", detail="a line that is no JSON object")
        else:
            skipped["blank_line"] = skipped.get("blank_line", 0) + 1
    return lines.edit(changes)


def _parse(lines: Lines, schema: Mapping[str, pl.DataType], *, ignore_errors: bool = False) -> pl.DataFrame:
    frame = pl.read_ndjson(lines.data, schema=schema, ignore_errors=ignore_errors)
    if frame.height != lines.height:
        raise ComputeError(f"{lines.height} lines became {frame.height} rows")
    return frame


def _drop_broken(lines: Lines, rejected: Rejected) -> Lines:
    """Set the lines aside that the parser cannot read: halve the block until they stand alone."""
    broken: list[int] = []
    waiting = [(0, lines.height)]
    while waiting:
        start, stop = waiting.pop()
        if start == stop or _is_readable(lines.part(start, stop)):
            continue
        if stop - start == 1:
            broken.append(start)
            continue
        middle = (start + stop) // 2
        waiting += [(start, middle), (middle, stop)]
    for index in broken:
        rejected.add(lines, index, "not_json", detail="a line that is no sound JSON object")
    return lines.edit(dict.fromkeys(broken))


def _is_readable(lines: Lines) -> bool:
    try:
        _parse(lines, _TEXT, ignore_errors=True)
    except ComputeError:
        return False
    return True


def _times(numbers: pl.Series, texts: pl.Series) -> pl.Series:
    """Return seconds since 1970, taking ISO 8601 where there is no number."""
    parsed = texts.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    plain = texts.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    seconds = pl.select(pl.coalesce(parsed, plain).dt.epoch("us") / 1e6).to_series()
    return pl.select(pl.coalesce(numbers, seconds).alias("ts")).to_series()


def _connections_only(
    lines: Lines, frame: pl.DataFrame, text: pl.DataFrame | None, skipped: dict[str, int]
) -> tuple[Lines, pl.DataFrame, pl.DataFrame | None]:
    stream = frame.select(pl.coalesce(STREAM_KEYS)).to_series()
    other = (stream != "conn").fill_null(value=False)
    if not other.any():
        return lines, frame, text
    for name, count in stream.filter(other).value_counts().iter_rows():
        reason = f"other_stream:{printable(name, 40)}"
        skipped[reason] = skipped.get(reason, 0) + count
    kept = lines.edit(dict.fromkeys(other.arg_true().to_list()))
    return kept, frame.filter(~other), None if text is None else text.filter(~other)


def _failed(frame: pl.DataFrame, text: pl.DataFrame) -> dict[Rule, pl.Series]:
    failed = {}
    for key, column in _KEYS.items():
        if column is None or column.dtype == pl.String():
            continue
        series = frame[key].is_null() & text[key].is_not_null()
        if series.any():
            failed[Rule(column.name, column.reason, column.expected, pl.lit(value=False))] = series
    return failed


def _canonical(frame: pl.DataFrame) -> pl.DataFrame:
    spellings: dict[str, list[str]] = {}
    for key, column in _KEYS.items():
        if column is not None:
            spellings.setdefault(column.name, []).append(key)
    return frame.select(pl.coalesce(keys).alias(name) for name, keys in spellings.items())
