"""How the rows of all originals are cut into slices of time that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from cybersec_mlops.transformation.behaviour import CONTEXT_COLUMNS
from cybersec_mlops.transformation.staging import Staged, StagedPart, staged_parts

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that one SILVER part is made of: a stretch of time, or the rows without a time of one staged part."""

    start_us: int | None
    end_us: int | None
    """``[start, end)`` in microseconds since the epoch; both null for rows without a time."""
    paths: tuple[str, ...]
    """The staged parts that hold its rows."""
    past_paths: tuple[str, ...] = ()
    """The staged parts that hold what happened in the look-back before it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in Slice.__slots__}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Slice:
        """Read the JSON form."""
        return cls(value["start_us"], value["end_us"], tuple(value["paths"]), tuple(value["past_paths"]))


def plan_slices(staged: Sequence[Staged], *, slice_rows: int, lookback_s: int) -> tuple[Slice, ...]:
    """Cut the staged rows into slices of about `slice_rows` rows.

    The cuts depend on the times of all rows and not on the parts that hold them. A second with more than `slice_rows`
    connections stays in one piece.
    """
    parts = list(staged_parts(tuple(staged)))
    slices: list[Slice] = []
    bounds = _boundaries(parts, slice_rows)
    for start, end in pairwise(bounds):
        own = _overlapping(parts, start, end)
        past = _overlapping(parts, start - lookback_s * _SECOND_US, start)
        slices.append(Slice(start, end, own, past))
    slices += [Slice(None, None, (part.path,)) for part in parts if part.timed_rows < part.rows]
    return tuple(slices)


def _boundaries(parts: Sequence[StagedPart], slice_rows: int) -> list[int]:
    timed = [part.path for part in parts if part.timed_rows]
    if not timed:
        return []
    second = (pl.col("ts").dt.epoch("us") // _SECOND_US).alias("second")
    scans = [pl.scan_parquet(path).select(second).drop_nulls() for path in timed]
    counts = pl.concat(scans).group_by("second").len().sort("second").collect(engine="streaming")
    piece = (pl.col("len").cum_sum() - pl.col("len")) // slice_rows
    starts = counts.group_by(piece.alias("piece")).agg(pl.col("second").min())["second"].sort().to_list()
    return [int(start) * _SECOND_US for start in [*starts, counts["second"][-1] + 1]]


def _overlapping(parts: Sequence[StagedPart], start: int, end: int) -> tuple[str, ...]:
    return tuple(
        part.path
        for part in parts
        if part.first_us is not None and part.last_us is not None and part.first_us < end and part.last_us >= start
    )


def read_slice(piece: Slice, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """Read the rows of a slice with the given columns; those that a staged part lacks are null."""
    return _read(piece.paths, columns, _between(piece.start_us, piece.end_us))


def read_past(piece: Slice, columns: dict[str, pl.DataType], lookback_s: int) -> pl.DataFrame:
    """Read what the behaviour features need of the connections before a slice."""
    wanted = {name: columns[name] for name in CONTEXT_COLUMNS}
    if piece.start_us is None:
        return pl.DataFrame(schema=wanted)
    return _read(piece.past_paths, wanted, _between(piece.start_us - lookback_s * _SECOND_US, piece.start_us))


def _between(start: int | None, end: int | None) -> pl.Expr:
    if start is None or end is None:
        return pl.col("ts").is_null()
    bounds = [pl.lit(bound, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")) for bound in (start, end)]
    return (pl.col("ts") >= bounds[0]) & (pl.col("ts") < bounds[1])


def _read(paths: Sequence[str], columns: dict[str, pl.DataType], wanted: pl.Expr) -> pl.DataFrame:
    if not paths:
        return pl.DataFrame(schema=columns)
    scans = []
    for path in paths:
        scan = pl.scan_parquet(path)
        present = set(scan.collect_schema())
        absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items() if name not in present]
        scans.append(scan.filter(wanted).with_columns(absent).select(list(columns)))
    return pl.concat(scans).collect()
