"""Tables with headers, as every CSV format reads them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import polars as pl
import pytest

from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition
from cybersec_mlops.ingestion.screening import below_zero
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table


class Toy:
    """A format of two columns, in any order."""

    name = "toy"
    has_time = False
    native_columns = {"toy_a": pl.Float64(), "toy_b": pl.String()}  # noqa: RUF012 - read only
    shortcut_columns: dict[str, str] = {}  # noqa: RUF012 - read only

    def recognise(self, head: Head) -> Recognition | None:
        return None

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        return read_table(self, Table(form_of), stream, batch_bytes=batch_bytes)


def form_of(names: list[str]) -> Form | None:
    if sorted(names) != ["a", "b"]:
        return None
    columns = tuple(Column(f"toy_{name}", pl.Float64() if name == "a" else pl.String()) for name in names)
    return Form(
        Layout(",", columns),
        (below_zero("toy_a"),),
        impossible=lambda frame: {"toy_a": int((frame["toy_a"] == 7).sum())},
    )


def read(text: str, batch_bytes: int = 1 << 20) -> list[Batch]:
    return list(Toy().read(io.BytesIO(text.encode()), source="toy.csv", batch_bytes=batch_bytes))


def test_names_have_neither_blanks_nor_quotes_nor_marks() -> None:
    assert names_of(b'\xef\xbb\xbf"a", b,"c d",\r') == ["a", "b", "c d", ""]


def test_rows_are_read_under_their_header() -> None:
    (batch,) = read("a,b\n1,x\n2,\n")
    assert batch.rows.select("toy_a", "toy_b", "raw_line").rows() == [(1.0, "x", 2), (2.0, None, 3)]


def test_a_repeated_header_is_counted_and_a_new_one_holds() -> None:
    (batch,) = read("a,b\n1,x\na,b\n2,y\nb,a\nz,3\n")
    assert batch.rows.select("toy_a", "toy_b").rows() == [(1.0, "x"), (2.0, "y"), (3.0, "z")]
    assert batch.skipped == {"repeated_header": 2}
    assert batch.read == 5


def test_rows_before_the_header_are_set_aside() -> None:
    (batch,) = read("junk\n1,x\na,b\n1,x\n")
    assert batch.rejected.select("raw_line", "reason").rows() == [(1, "no_header"), (2, "no_header")]
    assert batch.rows["raw_line"].to_list() == [4]


def test_the_header_holds_for_later_batches() -> None:
    batches = read("a,b\n1,x\n-1,x\n7,x\na,b\n2,y\n", batch_bytes=4)
    assert [value for batch in batches for value in batch.rows["toy_a"]] == [1.0, 7.0, 2.0]
    assert [value for batch in batches for value in batch.rejected["raw_line"]] == [3]
    assert sum(batch.skipped.get("repeated_header", 0) for batch in batches) == 1
    assert sum(batch.nulled.get("toy_a", 0) for batch in batches) == 1


def test_a_line_of_too_many_columns_is_no_header() -> None:
    with applied(Limits(max_columns=50)):
        (batch,) = read("a" + ",b" * 50 + "\n")
    assert batch.rejected["reason"].to_list() == ["no_header"]


def test_rows_that_begin_like_names_hide_no_header() -> None:
    rows = [f"r{number},{number}" for number in range(40)]
    (batch,) = read("\n".join(["b,a", *rows, "b,a", *rows[:2], "a,b", "5,z", ""]))
    assert batch.rows.height == 43
    assert batch.rows["toy_b"].to_list()[-2:] == ["r1", "z"]
    assert batch.skipped == {"repeated_header": 2}


def test_most_rows_that_begin_like_names_are_not_taken_for_headers() -> None:
    asked: list[list[str]] = []

    def form_of_wide(names: list[str]) -> Form | None:
        asked.append(names)
        columns = tuple(Column(f"toy_{name}", pl.Float64()) if name == "a" else None for name in names)
        return Form(Layout(",", columns), ()) if "a" in names else None

    names = [f"{'r' * (number % 2 * 100)}{number}" for number in range(40)]  # also such as fill the start of a line
    lines = ["x,a,b", *(f"r{name},{number},7" for number, name in enumerate(names)), "x,a,b", ""]
    (batch,) = read_table(Toy(), Table(form_of_wide), io.BytesIO("\n".join(lines).encode()), batch_bytes=1 << 20)
    assert batch.rows.height == 40
    assert asked == [["x", "a", "b"]]  # the second one is known


def test_headers_that_alternate_are_read_like_headers_that_do_not() -> None:
    (batch,) = read("a,b\n1,x\nb,a\ny,2\n" * 500)
    assert batch.rows.select("toy_a", "toy_b", "raw_line").rows()[:2] == [(1.0, "x", 2), (2.0, "y", 4)]
    assert batch.rows["raw_line"].to_list() == list(range(2, 2001, 2))
    assert batch.skipped == {"repeated_header": 999}


@pytest.mark.parametrize("batch_bytes", [9, 1 << 20])
def test_rows_below_a_header_too_many_are_set_aside_and_never_read_under_another(batch_bytes: int) -> None:
    with applied(Limits(max_headers=1)):
        batches = read("a,b\n1,x\nb,a\ny,2\nz,4\na,b\n3,x\n", batch_bytes=batch_bytes)
    assert [value for batch in batches for value in batch.rows["toy_a"]] == [1.0, 3.0]
    rejected = [row for batch in batches for row in batch.rejected.select("raw_line", "reason").rows()]
    assert rejected == [(3, "too_many_headers"), (4, "no_header"), (5, "no_header")]
    assert sum(batch.read for batch in batches) == 6  # the last header is one again
