"""The laws that a reader keeps, to be run over one of your own: ``check_reader(MyReader(), sample)``.

They are those that the tests of this project hold for its own readers, as far as they need nothing but a reader and a
sample file that it reads whole, without a refused row. In a test of a plug-in::

    import pytest
    from cybersec_mlops.ingestion.conformance import LAWS

    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    def test_law(law):
        law(MyReader(), SAMPLE)

A law that is broken raises `AssertionError` with what was expected against what was found.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, META_PREFIX, is_feature
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.reader import (
    HEAD_BYTES,
    REJECTED_ROWS,
    Head,
    Reader,
    Recognition,
    Refusal,
    batch_schema,
)

Law = Callable[[Reader, bytes], None]
CHANGES: Final = 200
"""Damaged copies of the sample that are read."""
_NOISE: Final = (b"", b"\0", b"\n", b"\xff", b'"', b",", b"\t", b"{", b"-1", b"nan", b"9" * 400, b"=cmd()")


@dataclass(frozen=True, slots=True)
class _All:
    rows: pl.DataFrame
    rejected: pl.DataFrame
    skipped: Counter[str]

    @property
    def read(self) -> int:
        return self.rows.height + self.rejected.height + sum(self.skipped.values())


def _read(reader: Reader, data: bytes, batch_bytes: int = 1 << 20) -> _All:
    schema = batch_schema(reader)
    rows, rejected, skipped = [pl.DataFrame(schema=schema)], [pl.DataFrame(schema=REJECTED_ROWS)], Counter[str]()
    for batch in reader.read(io.BytesIO(data), source="sample", batch_bytes=batch_bytes):
        assert batch.read > 0, "a batch without a row, a rejected or a skipped one"
        assert dict(batch.rows.schema) == schema, f"columns {dict(batch.rows.schema)}, expected {schema}"
        assert dict(batch.rejected.schema) == REJECTED_ROWS, f"rejected rows as {dict(batch.rejected.schema)}"
        rows.append(batch.rows)
        rejected.append(batch.rejected)
        skipped.update(batch.skipped)
    return _All(pl.concat(rows), pl.concat(rejected), skipped)


def _head(data: bytes) -> Head:
    tail = data[-(1 << 24) :] if data.startswith(b"PAR1") else b""
    return Head(data[:HEAD_BYTES], complete=len(data) < HEAD_BYTES, tail=tail)


def names_and_types_are_those_of_a_reader(reader: Reader, sample: bytes) -> None:
    """Native columns carry the format's name, hide no canonical column and have a type that SILVER knows."""
    assert reader.name.isidentifier(), f"name {reader.name!r}, expected letters, digits and _"
    for column, dtype in reader.native_columns.items():
        assert column not in {**CONNECTION_SCHEMA, **LABEL_SCHEMA}, f"{column} is a canonical column"
        assert column.removeprefix(META_PREFIX).startswith(f"{reader.name}_"), f"{column}: expected {reader.name}_..."
        assert dtype in (pl.Float64, pl.Int64, pl.String, pl.Boolean), f"{column} has the type {dtype}"
    for column in reader.shortcut_columns:
        assert column in {**reader.native_columns, **CONNECTION_SCHEMA}, f"shortcut {column} is no column"
        assert is_feature(column) or column in CONNECTION_SCHEMA, f"shortcut {column} is never a feature"
    del sample


def the_sample_is_recognised(reader: Reader, sample: bytes) -> None:
    """`recognise` says yes to the sample, with the reader's name, and whether its rows have times."""
    answer = reader.recognise(_head(sample))
    assert isinstance(answer, Recognition), f"recognise gave {answer}, expected a Recognition"
    assert answer.format == reader.name, f"recognised as {answer.format}, expected {reader.name}"
    times = _read(reader, sample).rows["ts"]
    assert answer.has_time == (times.null_count() < len(times)), f"has_time is {answer.has_time}"


def other_files_are_not_recognised(reader: Reader, sample: bytes) -> None:
    """`recognise` gives None, or a refusal, for files of other kinds, and never raises."""
    for data in (
        b"",
        b"\n",
        b"hello\n",
        b"\0" * 64,
        b"a,b,c\n1,2,3\n",
        b'{"a": 1}\n',
        b"PAR1",
        sample[:1],
        b"\xff\xfe",
    ):
        answer = reader.recognise(_head(data))
        assert answer is None or isinstance(answer, Refusal), f"{data[:20]!r} was recognised"


def every_row_of_the_sample_is_kept(reader: Reader, sample: bytes) -> None:
    """The sample has rows, and none of them is refused."""
    found = _read(reader, sample)
    assert found.rows.height, "no row was kept"
    assert found.rejected.is_empty(), f"refused: {found.rejected.head(3).to_dicts()}"


def an_empty_file_gives_nothing(reader: Reader, sample: bytes) -> None:
    """No batch, and no error."""
    assert list(reader.read(io.BytesIO(b""), source="empty")) == [], "a batch of an empty file"
    del sample


def rows_do_not_depend_on_the_batches(reader: Reader, sample: bytes) -> None:
    """Whatever `batch_bytes` is."""
    whole = _read(reader, sample)
    for batch_bytes in (1, 64, 1000):
        some = _read(reader, sample, batch_bytes)
        assert some.rows.equals(whole.rows), f"other rows with batch_bytes={batch_bytes}"
        assert some.skipped == whole.skipped, f"other counts with batch_bytes={batch_bytes}"


def lines_are_numbered(reader: Reader, sample: bytes) -> None:
    """``raw_line`` rises from 1 or later, and no line is both kept and refused."""
    found = _read(reader, sample)
    lines = found.rows["raw_line"]
    assert lines.null_count() == 0, "a row without raw_line"
    assert lines.is_sorted(), "raw_line does not rise"
    assert lines.n_unique() == len(lines), "two rows with one raw_line"
    assert lines.min() >= 1, "raw_line begins below 1"  # type: ignore[operator]


def unset_is_null(reader: Reader, sample: bytes) -> None:
    """No number is NaN or infinite, no text empty, no count below 0, no port beyond 65535."""
    rows = _read(reader, sample).rows
    for name, dtype in rows.schema.items():
        if dtype == pl.Float64:
            assert rows[name].drop_nulls().is_finite().all(), f"{name} is NaN or infinite"
        if dtype == pl.String:
            assert not (rows[name] == "").any(), f"{name} is an empty text"
        if dtype.is_integer() and name in CONNECTION_SCHEMA:
            assert not (rows[name] < 0).any(), f"{name} is below 0"
    beyond = rows.select((pl.col("orig_p", "resp_p") > 65_535).any()).row(0)
    assert True not in beyond, "a port beyond 65535"


def labels_fit_together(reader: Reader, sample: bytes) -> None:
    """``is_attack`` is false for BENIGN, true for an attack, null for BACKGROUND and for no label."""
    rows = _read(reader, sample).rows
    expected = rows.select(
        pl.when(pl.col("label") != "BACKGROUND").then(pl.col("label") != "BENIGN").alias("is_attack")
    ).to_series()
    assert rows["is_attack"].equals(expected), "is_attack does not follow from label"


def damage_never_crashes(reader: Reader, sample: bytes) -> None:
    """Cut and changed copies are read, refused row by row, or a `DataError`; nothing else is raised."""
    random_ = random.Random(0)  # noqa: S311 - the same copies every time
    for number in range(CHANGES):
        place = random_.randrange(len(sample) + 1)
        noise = random_.choice(_NOISE)
        copy = sample[:place] if number % 4 == 0 else sample[:place] + noise + sample[place + random_.randrange(4) :]
        try:
            reader.recognise(_head(copy))
            found = _read(reader, copy, batch_bytes=256)
        except DataError:
            continue
        overlap = set(found.rows["raw_line"]) & set(found.rejected["raw_line"])
        assert not overlap, f"lines {sorted(overlap)[:3]} are both kept and refused"


LAWS: Final[tuple[Law, ...]] = (
    names_and_types_are_those_of_a_reader,
    the_sample_is_recognised,
    other_files_are_not_recognised,
    every_row_of_the_sample_is_kept,
    an_empty_file_gives_nothing,
    rows_do_not_depend_on_the_batches,
    lines_are_numbered,
    unset_is_null,
    labels_fit_together,
    damage_never_crashes,
)
"""Every law, each to be called with a reader and the bytes of a sample."""


def check_reader(reader: Reader, sample: bytes) -> None:
    """Hold every law over a reader.

    Parameters
    ----------
    reader : Reader
        Yours.
    sample : bytes
        A decompressed file of the format that it reads whole; some rows are enough.

    Raises
    ------
    AssertionError
        A law is broken: which, and what was found.
    """
    for law in LAWS:
        try:
            law(reader, sample)
        except AssertionError as error:
            raise AssertionError(f"{law.__name__}: {error}") from error
