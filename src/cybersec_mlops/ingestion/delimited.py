"""Separated values: lines to typed columns, with the lines that do not fit set aside one by one.

The whole block is parsed at once by Polars with the types that it should have. Only when that fails are the lines that
are at fault looked for, and the same parser reads the rest, so that a bad line never changes its neighbours.

What Polars does (measured with 2.1.0): a line with too few columns is silently filled with nulls, one with too many
stops everything, a number that cannot be parsed stops everything or becomes null, blanks alone are null. Hence the
counting of separators.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.ingestion.screening import Rule

HELD: Final = "\u241f"
"""Stands for a separator inside quotes while a block is parsed: the symbol for the unit separator."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is read."""

    name: str
    dtype: pl.DataType
    reason: str = "bad_number"
    """Code of a value that cannot be parsed."""
    expected: str = "a number"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table by position; those that are None are not read."""

    separator: str
    columns: tuple[Column | None, ...]
    null_values: tuple[str, ...] = ()

    def cell(self, line: bytes, field: str) -> str | None:
        """Return the text of a field in a line."""
        cells = line.decode(errors="replace").split(self.separator)
        for text, column in zip(cells, self.columns, strict=False):
            if column is not None and column.name == field:
                return text
        return None


@dataclass(frozen=True, slots=True)
class Cells:
    """What a block became."""

    lines: Lines
    """The lines that are rows of the table."""
    frame: pl.DataFrame
    """A row for each of them."""
    failed: dict[Rule, pl.Series]
    """Where a value is null because it could not be parsed."""


def read_cells(lines: Lines, layout: Layout, rejected: Rejected, *, quoted: bool = False) -> Cells:
    """Parse lines as a table; those with another number of columns go to `rejected`."""
    held = quoted and b'"' in lines.data
    if held:
        lines = _unquote(lines, layout, rejected)
    if not _may_fit(lines, layout):
        lines = _drop_ragged(lines, layout, rejected)
    try:
        return Cells(lines, _parse(lines, layout, held=held), {})
    except PolarsError:
        lines = _drop_ragged(lines, layout, rejected)
    try:
        return Cells(lines, _parse(lines, layout, held=held), {})
    except PolarsError:
        frame = _parse(lines, layout, held=held, ignore_errors=True)
        return Cells(lines, frame, _failed(frame, _parse(lines, layout, held=held, as_text=True), layout))


def _may_fit(lines: Lines, layout: Layout) -> bool:
    """Say whether every line has so many separators as it should, as far as parsing does not tell.

    Where their number is right, one too many here may make up for one too few there. A line with one too many stops the
    parser if the last column is read, so that it need not be looked for then.
    """
    each, separator = len(layout.columns) - 1, ord(layout.separator)
    if lines.count(separator) != lines.height * each:
        return False
    if not each or layout.columns[-1] is not None:
        return True
    places = lines.positions(separator).reshape(lines.height, each)
    return bool(((places[:, 0] >= lines.starts) & (places[:, -1] < lines.ends)).all())


def _parse(
    lines: Lines, layout: Layout, *, held: bool, ignore_errors: bool = False, as_text: bool = False
) -> pl.DataFrame:
    schema = {
        f"\0{position}" if column is None else column.name: pl.String() if column is None or as_text else column.dtype
        for position, column in enumerate(layout.columns)
    }
    frame = pl.read_csv(
        lines.data,
        separator=layout.separator,
        has_header=False,
        quote_char=None,
        schema=schema,
        columns=[position for position, column in enumerate(layout.columns) if column is not None],
        null_values=list(layout.null_values),
        ignore_errors=ignore_errors,
    ).rechunk()  # else every step that adds a column copies all of them (Polars 2.1.0)
    if held:
        frame = frame.with_columns(pl.col(pl.String).str.replace_all(HELD, layout.separator, literal=True))
    if frame.height != lines.height:  # pragma: no cover - would be a fault of ours or of Polars, never of the data
        raise AssertionError(f"{lines.height} lines became {frame.height} rows")
    return frame


def _failed(frame: pl.DataFrame, text: pl.DataFrame, layout: Layout) -> dict[Rule, pl.Series]:
    failed = {}
    for column in layout.columns:
        if column is None or column.dtype == pl.String():
            continue
        written = (text[column.name].str.strip_chars(" \t\r") != "").fill_null(value=False)
        series = frame[column.name].is_null() & written
        if series.any():
            failed[Rule(column.name, column.reason, column.expected, pl.lit(value=False))] = series
    return failed


def _drop_ragged(lines: Lines, layout: Layout, rejected: Rejected) -> Lines:
    before = np.searchsorted(lines.positions(ord(layout.separator)), lines.ends)
    columns = np.diff(before, prepend=0) + 1
    expected = len(layout.columns)
    ragged = np.flatnonzero(columns != expected).tolist()
    for index in ragged:
        detail = f"{columns[index]} columns, expected {expected}"
        rejected.add(lines, index, "ragged_row", detail=detail)
    return lines.edit(dict.fromkeys(ragged))


def _unquote(lines: Lines, layout: Layout, rejected: Rejected) -> Lines:
    changes: dict[int, bytes | None] = {}
    for index in lines.holding(lines.positions(ord('"'))):
        cells = split_quoted(lines.raw(index), layout.separator)
        changes[index] = None
        if cells is None:
            rejected.add(lines, index, "bad_quotes", detail="quotes that are not closed on their line")
        else:
            changes[index] = layout.separator.join(cell.replace(layout.separator, HELD) for cell in cells).encode()
    return lines.edit(changes)


def split_quoted(line: bytes, separator: str) -> Sequence[str] | None:
    """Return the values of a line that may have quotes; None where they do not fit.

    >>> split_quoted(b'1,"a",b', ",")
    ['1', 'a', 'b']
    """
    try:
        (cells,) = csv.reader([line.decode(errors="replace")], delimiter=separator, strict=True)
    except (csv.Error, ValueError):
        return None
    return cells
