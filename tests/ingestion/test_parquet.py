"""Parquet, sound and hostile."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import parquet


def written(table: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), buffer, **options)
    return buffer.getvalue()


def read(data: bytes, *columns: str) -> list[parquet.Rows]:
    return list(parquet.read_rows(io.BytesIO(data), columns))


class Pipe(io.RawIOBase):
    """A stream that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._data.readinto(buffer)


@pytest.mark.parametrize("row_group_size", [7, 70_000, 200_000])
def test_rows_are_numbered_and_do_not_depend_on_the_row_groups(row_group_size: int) -> None:
    data = written({"a": range(150_000), "b": ["x"] * 150_000}, row_group_size=max(row_group_size, 1000))
    batches = read(data, "b", "a")
    assert max(rows.frame.height for rows in batches) <= parquet.BATCH_ROWS
    assert pl.concat(rows.frame for rows in batches)["a"].to_list() == list(range(150_000))
    sizes = [rows.frame.height for rows in batches]
    assert [rows.first for rows in batches] == [1 + sum(sizes[:place]) for place in range(len(sizes))]


def test_a_stream_that_cannot_seek_is_read_as_well() -> None:
    data = written({"a": [1, 2]})
    (rows,) = parquet.read_rows(io.BufferedReader(Pipe(data)), ["a"])
    assert rows.frame["a"].to_list() == [1, 2]


def test_types_become_those_that_a_mapping_knows() -> None:
    table = pa.table(
        {
            "binary": pa.array([b"a", b"\xff"]),
            "decimal": pa.array([1, None], pa.decimal128(10, 2)),
            "words": pa.array(["a", "b"]).dictionary_encode(),
            "nothing": pa.nulls(2),
            "broken": pa.array([b"b", b"\xfe"]).view(pa.string()),
        }
    )
    (rows,) = read(written(table), *table.column_names)
    assert rows.frame.to_dict(as_series=False) == {
        "binary": ["a", "\ufffd"],
        "decimal": [1.0, None],
        "words": ["a", "b"],
        "nothing": [None, None],
        "broken": ["b", "\ufffd"],
    }


def test_a_footer_says_what_there_is() -> None:
    table = pa.table({"a": [1], "l": [[1]], "s": [{"x": 1}]})
    footer = parquet.read_footer(written(table))
    assert (footer.rows, list(footer.columns)) == (1, ["a", "l", "s"])
    assert set(footer.unusable) == {"l", "s"}
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert parquet.read_footer(written(twice)).unusable == {"a": "is there twice"}


def test_a_text_of_gigabytes_is_set_aside_before_it_is_decoded() -> None:
    rows = 50_000  # 50,000 times 1 MiB, in a file of a few kilobytes
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * (1 << 20)])})
    data = written(table)
    assert len(data) < 2 << 20
    (batch,) = read(data, "a")
    assert batch.frame["a"].null_count() == rows
    assert batch.too_long["a"].all()


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(DataError, match=r"2,001 columns, at most 2,000"):
        parquet.read_footer(written({f"c{number}": [1] for number in range(2001)}))


def test_a_footer_of_gigabytes_is_refused_by_its_length() -> None:
    with pytest.raises(DataError, match="footer has 2,147,483,647 bytes"):
        parquet.read_footer(b"PAR1" + b"\0" * 20 + (2**31 - 1).to_bytes(4, "little") + b"PAR1")


def test_more_rows_than_bytes_can_hold_are_taken_for_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FREE_ROWS", 1000)
    data = written({"a": pa.array([0] * 1_000_000, pa.int8())})
    with pytest.raises(DataError, match=r"promises 1,000,000 rows in [\d,]+ bytes: taken for a decompression bomb"):
        read(data, "a")


@pytest.mark.parametrize("end", [4, 11, 40, -1, -8])
def test_a_file_that_is_cut_off_is_said_to_be(end: int) -> None:
    with pytest.raises(DataError, match=r"without its end|cannot be read"):
        read(written({"a": list(range(100))})[:end], "a")


SAMPLE = written({"a": list(range(50)), "b": [f"text {i % 5}" for i in range(50)]}, row_group_size=20)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for place, value in changes:
        data[place] = value
    try:
        footer = parquet.read_footer(bytes(data))
        batches = read(bytes(data), *(name for name in footer.columns if name not in footer.unusable))
    except DataError:
        return
    assert sum(rows.frame.height for rows in batches) == footer.rows
