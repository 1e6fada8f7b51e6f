"""Parquet files of the formats that are CSV: published tables are passed on as Parquet, and AWS writes its logs so.

A file is recognised by the names of its columns and read as the CSV that it would be, so that a format is defined once.
``raw_line`` is the number of the row, from 1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import parquet
from cybersec_mlops.ingestion.argus import Argus
from cybersec_mlops.ingestion.cicflowmeter import CICFlowMeter
from cybersec_mlops.ingestion.nf_tables import NFTables
from cybersec_mlops.ingestion.reader import Batch, Head, Reader, Recognition, Refusal
from cybersec_mlops.ingestion.sources import stream_of
from cybersec_mlops.ingestion.unsw_nb15 import UNSWNB15
from cybersec_mlops.ingestion.unsw_nb15_raw import UNSWNB15Raw
from cybersec_mlops.ingestion.vpc_flow import VPCFlow

_INDEX: Final = "__index_level_0__"
"""How pandas keeps the index of a frame."""
_TIME: Final = "%Y-%m-%d %H:%M:%S%.6f"
_WHOLE: Final = 2.0**53
"""Below, a number without a fraction is written without a point, as the table was before pandas put NaN into it."""


def recognise_with(reader: Reader, head: Head) -> Recognition | Refusal | None:
    """Ask a reader what a file is; of Parquet, by the header that it would have as CSV."""
    if not (parquet.is_parquet(head.data) and _has_header(reader)):
        return reader.recognise(head)
    try:
        names = _usable(parquet.read_footer(head.tail))
    except DataError:
        return None  # which those that read Parquet tell
    answer = reader.recognise(Head(_line(names), complete=False))
    return replace(answer, variant=f"{answer.variant}, parquet") if isinstance(answer, Recognition) else answer


def read_with(reader: Reader, stream: BinaryIO, *, source: str) -> Iterator[Batch]:
    """Read a decompressed file with a reader, Parquet as CSV; see `Reader.read`."""
    start, stream = parquet.peek(stream)
    if not (parquet.is_parquet(start) and _has_header(reader)):
        yield from reader.read(stream, source=source)
        return
    with parquet.seekable(stream) as file:
        try:
            for batch in reader.read(stream_of(_csv(file)), source=source):
                yield replace(batch, rows=_numbered(batch.rows), rejected=_numbered(batch.rejected))
        except DataError as error:
            raise DataError(error.message, hint=error.hint, source=source) from error


def _has_header(reader: Reader) -> bool:
    """Say whether the format is CSV with a header; the others have no Parquet form, or read it themselves."""
    return isinstance(reader, Argus | VPCFlow | CICFlowMeter | NFTables | UNSWNB15 | UNSWNB15Raw)


def _usable(footer: parquet.Footer) -> list[str]:
    return [name for name in footer.columns if name not in footer.unusable and name != _INDEX]


def _line(values: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([" ".join(value.split("\n")) for value in values])
    return text.getvalue().encode()


def _csv(file: BinaryIO) -> Iterator[bytes]:
    names = _usable(parquet.footer_of(file))
    yield _line(names)
    file.seek(0)
    for rows in parquet.read_rows(file, names):
        yield _lines(rows)


def _lines(rows: parquet.Rows) -> bytes:
    """Return one line for each row; a text that is too long makes its line one that no format has."""
    frame = rows.frame.select(_as_written(name, dtype) for name, dtype in rows.frame.schema.items())
    if not rows.too_long:
        return frame.write_csv(include_header=False).encode()
    long = pl.select(pl.any_horizontal(list(rows.too_long.values()))).to_series()
    lines = frame.write_csv(include_header=False).splitlines(keepends=True)
    said = f"a text of more than {parquet.MAX_TEXT_BYTES} bytes\n"
    return "".join(said if cut else line for line, cut in zip(lines, long, strict=True)).encode()


def _as_written(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if dtype == pl.String():
        plain = value.str.replace_all(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", " ")
        return pl.when(plain != "").then(plain).alias(name)  # an empty text would be written with quotes
    if dtype.is_float():
        whole = (value == value.floor()) & (value.abs() < _WHOLE)
        return pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
    if isinstance(dtype, pl.Datetime):
        return value.dt.to_string(_TIME + ("%z" if dtype.time_zone else "")).alias(name)
    return value


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("raw_line") - 1)  # of the header
