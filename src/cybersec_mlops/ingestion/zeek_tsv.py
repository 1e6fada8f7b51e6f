r"""Zeek's TSV form of ``conn.log``: the header says what the columns are, and may change within a file.

Source: https://docs.zeek.org/en/master/log-formats.html. Unset is ``-`` and an empty set ``(empty)``, unless the header
says otherwise; both become null. Zeek writes separators inside values as ``\x09``, so a tab always separates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import zeek_columns
from cybersec_mlops.ingestion.delimited import Cells, Column, Layout, read_cells
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.lines import BOM, Lines
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import Rule, screen

TAIL: Final = "tail"
_GAP: Final = "   "


@dataclass(frozen=True, slots=True)
class Header:
    """What the comment lines have said so far."""

    separator: str = "\t"
    unset: str = "-"
    empty: str = "(empty)"
    path: str | None = None
    fields: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, also those that IoT-23 joins by three blanks."""
        return tuple(name for field in self.fields for name in field.split(_GAP))

    @property
    def ignored(self) -> tuple[str, ...]:
        """Columns that are not read."""
        return tuple(name for name in self.names if zeek_columns.column_of(name) is None)

    @property
    def is_connection(self) -> bool:
        """Whether what follows are connections, each once."""
        return self.path not in zeek_columns.OTHER_LOGS and zeek_columns.is_connection(self.names)

    def layout(self, *, text_times: bool = False) -> Layout:
        """Return what to read of the columns."""
        columns = [zeek_columns.column_of(name) for name in self.fields]
        if text_times:
            columns = [replace(one, dtype=pl.String()) if one and one.name == "ts" else one for one in columns]
        if _GAP in self.fields[-1]:
            columns[-1] = Column(TAIL, pl.String())
        seen: set[str] = set()
        for position, column in enumerate(columns):
            if column is not None and column.name in seen:
                columns[position] = None
            elif column is not None:
                seen.add(column.name)
        return Layout(self.separator, tuple(columns), (self.unset, self.empty))


def is_comment(line: bytes) -> bool:
    """Say whether a line is a comment; a mark, blanks or a tab may stand before it."""
    return line.removeprefix(BOM).lstrip(b" \t").startswith(b"#")


def read_comment(line: bytes, header: Header) -> Header:
    r"""Return the header after one more comment line.

    >>> read_comment(b"#path\tconn", Header()).path
    'conn'

    Raises
    ------
    DataError
        A separator that is not one ASCII character, or too many columns.
    """
    text = line.removeprefix(BOM).decode(errors="replace").lstrip(" \t").rstrip("\r\n")
    if text.startswith("#separator"):
        return _changed(header, separator=_separator(text.removeprefix("#separator").strip(" ")))
    word, *values = text.split(header.separator)
    if word == "#fields":
        if len(values) > (most := current().max_columns):
            raise DataError(
                f"a Zeek header with {len(values):,} columns, expected at most {most:,}",
                hint="set max_columns in [limits] if the log is sound",
            )
        return _changed(header, fields=tuple(values))
    key = {"#path": "path", "#unset_field": "unset", "#empty_field": "empty"}.get(word)
    return _changed(header, **{key: values[0]}) if key and values else header


def _changed(header: Header, **values: Any) -> Header:
    return Header(**{**{name: getattr(header, name) for name in Header.__slots__}, **values})


def _separator(text: str) -> str:
    separator = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text) or "\t"
    if len(separator) != 1 or not separator.isascii() or separator in '\n\r"':
        raise DataError(
            f"a Zeek log with the separator {printable(text, 20)!r}, expected one ASCII character",
            hint="write the log with Zeek's default, #separator \\x09",
        )
    return separator


def split_comments(lines: Lines, header: Header) -> Iterator[tuple[Header, Lines]]:
    """Give the runs of rows between the comments, each with the header that holds for it.

    The last one given may have no lines: it carries the header to the next block.
    """
    first = lines.codes[lines.starts] if lines.height else lines.codes
    candidates = np.flatnonzero((first == ord("#")) | (first == ord("\t")) | (first == ord(" ")))
    comments = [index for index in candidates.tolist() if is_comment(lines.raw(index))]
    start, dropped = 0, list[int]()
    for index in comments:
        changed = read_comment(lines.raw(index), header)
        dropped.append(index)
        if changed != header:
            yield header, _without(lines, start, index, dropped)
            header, start, dropped = changed, index + 1, []
    yield header, _without(lines, start, lines.height, dropped)


def _without(lines: Lines, start: int, stop: int, dropped: list[int]) -> Lines:
    """Return the lines from `start` to `stop` except those `dropped`, without a copy where they are at the ends."""
    gone = set(dropped)
    while start < stop and start in gone:
        start += 1
    while start < stop and stop - 1 in gone:
        stop -= 1
    inside = {index - start: None for index in dropped if start <= index < stop}
    return lines.part(start, stop).edit(inside)


def read_rows(
    lines: Lines, header: Header, timezone: str, rejected: Rejected, skipped: dict[str, int]
) -> pl.DataFrame | None:
    """Read rows under one header; rows of another log type are counted in `skipped`."""
    if not lines.height:
        return None
    if not header.fields:
        for index in range(lines.height):
            rejected.add(lines, index, "no_header", detail="a row before any #fields line")
        return None
    if not header.is_connection:
        reason = f"other_stream:{printable(header.path or 'unknown', 40)}"
        skipped[reason] = skipped.get(reason, 0) + lines.height
        return None
    layout = header.layout()
    cells = _read_cells(lines, header, timezone, rejected)
    if layout.columns[-1] is not None and layout.columns[-1].name == TAIL:
        cells = _split_tail(cells, header, rejected)
    frame = cells.frame.with_columns(cells.lines.numbers().alias("raw_line"))
    frame = screen(
        frame,
        cells.lines,
        zeek_columns.rules(frame.schema),
        rejected,
        failed=cells.failed,
        value=layout.cell,
    )
    return zeek_columns.to_connections(frame)


def _read_cells(lines: Lines, header: Header, timezone: str, rejected: Rejected) -> Cells:
    """Parse the rows; their times as numbers, or where there are others as texts."""
    layout = header.layout()
    if ":" not in (layout.cell(lines.raw(0), "ts") or ""):
        cells = read_cells(lines, layout, rejected)
        if all(rule.field != "ts" for rule in cells.failed):
            return cells
        lines = cells.lines
    cells = read_cells(lines, header.layout(text_times=True), rejected)
    texts = cells.frame["ts"]
    times = zeek_columns.seconds_of(texts, timezone)
    failed = dict(cells.failed)
    if (wrong := times.is_null() & texts.is_not_null()).any():
        failed[Rule("ts", "bad_time", zeek_columns.COLUMNS["ts"].expected, pl.lit(value=False))] = wrong
    return Cells(cells.lines, cells.frame.with_columns(times), failed)


def _split_tail(cells: Cells, header: Header, rejected: Rejected) -> Cells:
    """Split IoT-23's last column, "tunnel_parents   label   detailed-label", at its threes of blanks."""
    names = header.fields[-1].split(_GAP)
    parts = cells.frame[TAIL].fill_null("").str.split(_GAP)
    wrong = parts.list.len() != len(names)
    for index in wrong.arg_true().to_list():
        detail = f"{len(parts[index])} values in the last column, expected {len(names)}: {', '.join(names)}"
        rejected.add(cells.lines, index, "ragged_row", detail=printable(detail))
    unset = [header.unset, header.empty, ""]
    columns = []
    for position, name in enumerate(names):
        if column := zeek_columns.column_of(name):
            text = parts.list.get(position, null_on_oob=True)
            columns.append(text.set(text.is_in(unset), None).alias(column.name))
    frame = cells.frame.drop(TAIL).with_columns(columns).filter(~wrong)
    return Cells(
        cells.lines.edit(dict.fromkeys(wrong.arg_true().to_list())),
        frame,
        {rule: series.filter(~wrong) for rule, series in cells.failed.items()},
    )
