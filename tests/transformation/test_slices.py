"""Slices cover every row once, whatever parts hold them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.transformation import slices
from cybersec_mlops.transformation.behaviour import CONTEXT_COLUMNS
from cybersec_mlops.transformation.slices import Slice, plan_slices, read_past, read_slice
from cybersec_mlops.transformation.staging import Staged, StagedPart

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, pl.DataType] = {
    "ts": pl.Datetime("us", "UTC"),
    "n": pl.Int64(),
    **{name: pl.String() for name in CONTEXT_COLUMNS if name != "ts"},
}


def stage(folder: Path, parts: list[list[int | None]]) -> Staged:
    """Write parts that hold connections at these seconds."""
    made, number, counts = [], 0, list[pl.DataFrame]()
    for position, seconds in enumerate(parts):
        times = [None if second is None else START + timedelta(seconds=second) for second in seconds]
        rows = pl.DataFrame(
            {"ts": times, "n": list(range(number, number + len(times)))}, schema={"ts": COLUMNS["ts"], "n": pl.Int64}
        )
        number += len(times)
        path = folder / f"{position}.arrow"
        rows.write_ipc(path)
        known = rows["ts"].dt.epoch("us").drop_nulls()
        counts.append((known // 1_000_000).rename("second").value_counts(name="len"))
        first, last = (int(known.min()), int(known.max())) if len(known) else (None, None)  # type: ignore[arg-type]
        made.append(StagedPart(str(path), len(times), len(known), first, last, "ab", "zeek_conn"))
    table = folder / "seconds.arrow"
    pl.concat(counts).write_ipc(table)
    return Staged("ab", "zeek_conn", False, tuple(made), (), seconds=str(table))


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(st.lists(st.integers(0, 5000) | st.none(), min_size=1, max_size=30), min_size=1, max_size=4),
    slice_rows=st.integers(1, 40),
)
def test_every_row_is_in_one_slice(
    parts: list[list[int | None]], slice_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    staged = stage(tmp_path_factory.mktemp("parts"), parts)
    pieces = plan_slices([staged], slice_rows=slice_rows, lookback_s=60)
    numbers = [number for piece in pieces for number in read_slice(piece, COLUMNS)["n"].to_list()]
    assert sorted(numbers) == list(range(sum(len(part) for part in parts)))


def test_the_cuts_do_not_depend_on_the_parts(tmp_path: Path) -> None:
    seconds: list[int | None] = [second * 3 for second in range(100)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = plan_slices([stage(tmp_path / "a", [seconds])], slice_rows=10, lookback_s=60)
    two = plan_slices([stage(tmp_path / "b", [seconds[1::2], seconds[::2]])], slice_rows=10, lookback_s=60)
    assert [(piece.start_us, piece.end_us) for piece in one] == [(piece.start_us, piece.end_us) for piece in two]
    assert len(one) == 10


def test_the_past_is_the_lookback_and_no_more(tmp_path: Path) -> None:
    staged = stage(tmp_path, [[0, 50, 100, 200]])
    pieces = plan_slices([staged], slice_rows=1, lookback_s=100)
    pasts = [read_past(piece, COLUMNS, 100).height for piece in pieces]
    assert pasts == [0, 1, 2, 1]


@pytest.mark.parametrize("rows", [100, slices._MANY_RUNS, 1000])
def test_a_log_that_is_in_no_order_is_put_in_order(rows: int, tmp_path: Path) -> None:
    seconds: list[int | None] = [997 * step % (2 * rows) for step in range(2 * rows)]
    piece = plan_slices([stage(tmp_path, [seconds[:200], seconds[200:]])], slice_rows=rows, lookback_s=1)[1]
    found = read_slice(piece, COLUMNS)
    assert found["ts"].to_list() == [START + timedelta(seconds=second) for second in range(rows, 2 * rows)]
    assert found["n"].to_list() == [seconds.index(second) for second in range(rows, 2 * rows)]


def test_a_column_that_a_part_lacks_is_null(tmp_path: Path) -> None:
    piece = plan_slices([stage(tmp_path, [[1]])], slice_rows=5, lookback_s=1)[0]
    assert read_slice(piece, COLUMNS)["orig_h"].to_list() == [None]


def test_a_slice_survives_json(tmp_path: Path) -> None:
    piece = plan_slices([stage(tmp_path, [[1], [None]])], slice_rows=5, lookback_s=1)[0]
    assert Slice.from_dict(piece.to_dict()) == piece
