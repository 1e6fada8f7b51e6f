"""Parquet files, which may be hostile: what they say of themselves is checked before anything is read.

A file is read in batches of rows, whatever its row groups are. Texts stay dictionary-encoded until their lengths are
known, since a few bytes of a file can stand for gigabytes of rows.
Source: https://parquet.apache.org/docs/file-format/ (footer, encodings).
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.ingestion.scratch import scratch

if TYPE_CHECKING:
    import pyarrow

MAGIC: Final = b"PAR1"
BATCH_ROWS: Final = 65_536
MAX_FOOTER_BYTES: Final = 16 << 20
TAIL_BYTES: Final = MAX_FOOTER_BYTES + 8
"""How much of a file's end is looked at to recognise it."""
MAX_TEXT_BYTES: Final = 4_096
"""A longer text sets its row aside."""
_TEXTS: Final = ("string", "large_string", "binary", "large_binary")
FREE_ROWS: Final = 10_000_000
ROWS_PER_BYTE: Final = 200.0
"""More rows than both: taken for a decompression bomb."""


@dataclass(frozen=True, slots=True)
class Footer:
    """What a Parquet file says of itself."""

    rows: int
    columns: Mapping[str, str]
    """Name to type, in Arrow's words."""
    unusable: Mapping[str, str]
    """Columns that cannot be read, and why: lists, structures and maps; a name that is there twice."""


def is_parquet(data: bytes) -> bool:
    """Say whether a file of this beginning is Parquet."""
    return data.startswith(MAGIC)


def read_footer(tail: bytes) -> Footer:
    """Read what the end of a file says.

    Parameters
    ----------
    tail : bytes
        The last `TAIL_BYTES` of the file, or all of it.

    Raises
    ------
    DataError
        It is cut off, damaged, or too large.
    """
    length = int.from_bytes(tail[-8:-4], "little")
    if not tail.endswith(MAGIC) or len(tail) < 12:
        raise DataError("a Parquet file without its end", hint="copy or download it again; it was cut off on the way")
    if length > MAX_FOOTER_BYTES:
        raise DataError(
            f"a Parquet file whose footer has {length:,} bytes, at most {MAX_FOOTER_BYTES:,} are read",
            hint="write it with fewer columns or larger row groups",
        )
    import pyarrow.parquet as pq

    try:
        # The footer alone is a sound file of its own for a reader that is asked for nothing else.
        metadata = pq.read_metadata(pyarrow_buffer(MAGIC + tail[-(length + 8) :]))
        count = metadata.num_columns
        if count > (most := current().max_columns):
            raise DataError(f"a Parquet file of {count:,} columns, at most {most:,} are read", hint=_FEWER)
        schema = metadata.schema.to_arrow_schema()
    except _arrow_errors() as error:
        raise _damaged(error) from error
    unusable = {field.name: f"is nested ({str(field.type)[:60]})" for field in schema if _is_nested(field.type)}
    names = [field.name for field in schema]
    unusable |= {name: "is there twice" for name in names if names.count(name) > 1}
    return Footer(int(metadata.num_rows), {field.name: str(field.type) for field in schema}, unusable)


_FEWER: Final = "write a file with the columns that are needed"


def pyarrow_buffer(data: bytes) -> Any:
    """Return bytes as a file that pyarrow reads without a copy."""
    import pyarrow as pa

    return pa.BufferReader(data)


def _is_nested(dtype: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(dtype) or pa.types.is_map(dtype) or pa.types.is_union(dtype))


def _arrow_errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, NotImplementedError, OverflowError)


def _damaged(error: Exception) -> DataError:
    words = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
    return DataError(
        f"a Parquet file that cannot be read: {words}",
        hint="write it again: it is damaged or of an unknown kind",
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file."""

    first: int
    """The number of the first, from 1."""
    frame: pl.DataFrame
    """The columns that were asked for."""
    too_long: Mapping[str, pl.Series]
    """Columns with texts of more than `MAX_TEXT_BYTES`: where they are, Boolean; they are null in `frame`."""


def read_rows(stream: BinaryIO, columns: Sequence[str]) -> Iterator[Rows]:
    """Read some columns of a file in its order, in bounded memory.

    Parameters
    ----------
    stream : BinaryIO
        The file at its beginning; what cannot seek is copied to a temporary file first.
    columns : sequence of str
        Which, at the top level; none of them nested.

    Raises
    ------
    DataError
        It is damaged, cut off, or taken for a bomb.
    """
    import pyarrow.parquet as pq

    with seekable(stream) as file:
        size = file.seek(0, io.SEEK_END)
        footer = footer_of(file)
        if footer.rows > max(FREE_ROWS, ROWS_PER_BYTE * size):
            raise DataError(
                f"a Parquet file that promises {footer.rows:,} rows in {size:,} bytes: taken for a decompression bomb",
                hint="if it is sound, write it again as several files",
            )
        file.seek(0)
        texts = [name for name in columns if footer.columns[name] in _TEXTS]
        first = 1
        try:
            opened = pq.ParquetFile(file, read_dictionary=texts, buffer_size=1 << 20, pre_buffer=False)
            for batch in opened.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
                yield _rows(batch, first, columns)
                first += batch.num_rows
        except _arrow_errors() as error:
            raise _damaged(error) from error
        if first - 1 != footer.rows:
            raise DataError(
                f"a Parquet file that promises {footer.rows:,} rows and has {first - 1:,}", hint="write it again"
            )


class _Kept:
    """A file that somebody else closes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def __enter__(self) -> BinaryIO:
        return self.file

    def __exit__(self, *_: object) -> None:
        return None


def footer_of(file: BinaryIO) -> Footer:
    """Read the footer of a file that can seek.

    Raises
    ------
    DataError
        As `read_footer`.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    return read_footer(file.read())


def seekable(stream: BinaryIO) -> Any:
    """Return a context with the file, copied to a temporary one where it cannot seek."""
    if stream.seekable():
        return _Kept(stream)
    copy = tempfile.TemporaryFile(prefix="cybersec-mlops-", dir=scratch())  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return copy


def _rows(batch: pyarrow.RecordBatch, first: int, columns: Sequence[str]) -> Rows:
    series, too_long = [], {}
    for name in columns:
        array = batch.column(batch.schema.get_field_index(name))
        array, long = _short_texts(array)
        if long is not None:
            too_long[name] = long
        series.append(_series(name, array))
    return Rows(first, pl.DataFrame(series), too_long)


def _short_texts(array: Any) -> tuple[Any, pl.Series | None]:
    """Decode a dictionary of texts; the rows of those that are too long become null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(array.type):
        return array, None
    array = _sound_texts(array)
    long = pc.fill_null(pc.greater(pc.binary_length(array.dictionary), MAX_TEXT_BYTES), fill_value=False)
    if not pc.any(long).as_py():
        return array.dictionary_decode(), None
    words = pc.if_else(long, pa.scalar(None, array.dictionary.type), array.dictionary)
    where = pc.fill_null(pc.take(long, array.indices), fill_value=False)
    return pc.take(words, array.indices), pl.Series(where.to_pylist(), dtype=pl.Boolean)


def _sound_texts(array: Any) -> Any:
    """Return a dictionary of texts that are UTF-8: Parquet promises it, a file need not keep it."""
    import pyarrow as pa

    words = array.dictionary
    if pa.types.is_string(words.type) or pa.types.is_large_string(words.type):
        try:
            words.validate(full=True)
        except pa.ArrowInvalid:
            words = words.view(pa.binary() if pa.types.is_string(words.type) else pa.large_binary())
        else:
            return array
    texts = [None if word is None else word.decode(errors="replace") for word in words.to_pylist()]
    return pa.DictionaryArray.from_arrays(array.indices, pa.array(texts, pa.large_string()))


def _series(name: str, array: Any) -> pl.Series:
    """Return an Arrow array as a column of one of the types that a mapping knows: text, number, truth or time."""
    import pyarrow as pa

    if pa.types.is_null(array.type):
        return pl.Series(name, [None] * len(array), dtype=pl.String)
    series = pl.Series(name, array)
    if isinstance(series.dtype, pl.Decimal):
        return series.cast(pl.Float64)
    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String)
    return series


def peek(stream: BinaryIO, size: int = 4096) -> tuple[bytes, BinaryIO]:
    """Return the beginning of a stream, and the stream at its beginning."""
    if stream.seekable():
        start = stream.read(size)
        stream.seek(-len(start), io.SEEK_CUR)
        return start, stream
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream, size)  # type: ignore[type-var]
    return buffered.peek(size)[:size], buffered
