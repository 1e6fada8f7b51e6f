"""Separated values to typed columns."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.ingestion.delimited import Cells, Column, Layout, read_cells, split_quoted
from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.rejected import Rejected

LAYOUT = Layout(
    ",",
    (Column("a", pl.Int64()), None, Column("c", pl.Float64(), "bad_c", "a share"), Column("d", pl.String())),
    ("-",),
)


def cells_of(data: bytes, *, quoted: bool = False) -> tuple[Cells, pl.DataFrame]:
    rejected = Rejected()
    return read_cells(Lines(data, 1), LAYOUT, rejected, quoted=quoted), rejected.frame()


def test_columns_are_typed_and_others_are_not_read() -> None:
    cells, rejected = cells_of(b"1,x,2.5,e\n-,y,,-\n")
    assert cells.frame.schema == {"a": pl.Int64, "c": pl.Float64, "d": pl.String}
    assert cells.frame.rows() == [(1, 2.5, "e"), (None, None, None)]
    assert (cells.failed, rejected.height) == ({}, 0)


@pytest.mark.parametrize("bad", [b"1,x,2", b"1,x,2,d,e", b"1", b",,,,,,,"])
def test_ragged_lines_are_told_and_the_rest_is_read(bad: bytes) -> None:
    cells, rejected = cells_of(b"1,x,1,d\n" + bad + b"\n3,x,3,d\n")
    assert cells.frame["a"].to_list() == [1, 3]
    assert cells.lines.numbers().to_list() == [1, 3]
    assert rejected.select("raw_line", "reason", "detail").rows() == [
        (2, "ragged_row", f"{bad.count(b',') + 1} columns, expected 4")
    ]


def test_ragged_lines_that_make_up_for_each_other_are_found() -> None:
    cells, rejected = cells_of(b"1,x,1\n2,x,2,d\n3,x,3,d,e\n")
    assert cells.frame["a"].to_list() == [2]
    assert rejected["raw_line"].to_list() == [1, 3]


def test_they_are_found_where_the_last_column_is_not_read() -> None:
    rejected = Rejected()
    layout = Layout(",", (Column("a", pl.Int64()), Column("b", pl.String()), None))
    cells = read_cells(Lines(b"1,x\n2,x,2\n3,x,3,d\n", 1), layout, rejected)
    assert cells.frame.rows() == [(2, "x")]
    assert rejected.frame().select("raw_line", "reason").rows() == [(1, "ragged_row"), (3, "ragged_row")]


def test_values_that_cannot_be_parsed_are_known() -> None:
    cells, rejected = cells_of(b"1,x,1,d\nx,x,y,d\n3,x,,d\n")
    failed = {(rule.field, rule.reason, rule.expected): series.to_list() for rule, series in cells.failed.items()}
    assert failed == {
        ("a", "bad_number", "a number"): [False, True, False],
        ("c", "bad_c", "a share"): [False, True, False],
    }
    assert rejected.is_empty()


@pytest.mark.parametrize("blank", ["", " ", "  "])
def test_a_blank_number_is_null_whatever_its_neighbours_are(blank: str) -> None:
    for other in ("1", "x"):
        cells, _ = cells_of(f"{blank},x,1,d\n{other},x,1,d\n".encode())
        assert cells.frame["a"].to_list()[0] is None
        assert not any(series[0] for series in cells.failed.values())


def test_the_text_of_a_cell_is_found_by_its_field() -> None:
    assert LAYOUT.cell(b"1,x,abc,d", "c") == "abc"
    assert LAYOUT.cell(b"1", "c") is None
    assert LAYOUT.cell(b"1,x,abc,d", "z") is None


def test_quotes_are_taken_off_and_what_they_hold_is_one_value() -> None:
    cells, rejected = cells_of(b'"1","x","2","d e"\n2,"x,y",3,"d,""e"\n3,x,4,"open\n4,x,5,f\n', quoted=True)
    assert cells.frame["d"].to_list() == ["d e", 'd,"e', "f"]
    assert cells.lines.numbers().to_list() == [1, 2, 4]
    assert rejected.select("raw_line", "reason").rows() == [(3, "bad_quotes")]


def test_each_line_of_a_value_with_line_breaks_is_a_row_set_aside() -> None:
    cells, rejected = cells_of(b'1,x,2,"d\n\te"\n2,x,3,"d,\n"\n3,x,4,"d"\n', quoted=True)
    assert cells.frame["a"].to_list() == [3]
    assert rejected.select("raw_line", "reason", "detail").sort("raw_line").rows() == [
        (1, "bad_quotes", "quotes that are not closed on their line"),
        (2, "ragged_row", "1 columns, expected 4"),
        (3, "bad_quotes", "quotes that are not closed on their line"),
        (4, "bad_quotes", "quotes that are not closed on their line"),
    ]


def test_quotes_are_letters_where_the_format_has_none() -> None:
    cells, _ = cells_of(b'1,x,2,"d\n')
    assert cells.frame["d"].to_list() == ['"d']


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_line_can_be_split_or_not(text: str) -> None:
    cells = split_quoted(text.encode(errors="replace"), ",")
    assert cells is None or all(isinstance(cell, str) for cell in cells)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["1", "-", "2.5", "x", "", "1e400", "nan"]), min_size=1, max_size=6), max_size=8)
)
def test_every_line_is_a_row_or_set_aside(table: list[list[str]]) -> None:
    data = "".join(",".join(row) + "\n" for row in table).encode()
    cells, rejected = cells_of(data)
    assert cells.frame.height == cells.lines.height == len(table) - rejected.height
    assert rejected.height == sum(len(row) != 4 for row in table)
