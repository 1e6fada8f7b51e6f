"""How the rows of all originals are cut into slices of time that fit into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.zeek_aggregates import KEYS, KINDS, combine
from cybersec_mlops.transformation.behaviour import CONTEXT_COLUMNS
from cybersec_mlops.transformation.staging import Staged, StagedPart, staged_parts

_SECOND_US: Final = 1_000_000
_MANY_RUNS: Final = 256
"""From so many pieces on they cost every later step more than one copy does; the copy needs as much memory again."""

ORDER: Final = ("ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p", "raw_sha256", "raw_line")
"""The order of the rows of SILVER: by content first, so that it hardly depends on how the logs were cut into files."""


class SlicePart(NamedTuple):
    """A staged part of a slice: small, since a log in no order has every part in every slice."""

    path: str
    raw_sha256: str
    format: str
    """Of the original that its rows are from."""

    @classmethod
    def of(cls, part: StagedPart) -> SlicePart:
        """Take of a staged part what is needed to read it."""
        return cls(part.path, part.raw_sha256, part.format)


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that one SILVER part is made of: a stretch of time, or the rows without a time of one staged part."""

    start_us: int | None
    end_us: int | None
    """``[start, end)`` in microseconds since the epoch; both null for rows without a time."""
    parts: tuple[SlicePart, ...]
    """What holds its rows."""
    past_paths: tuple[str, ...] = ()
    """The staged parts that hold what happened in the look-back before it."""
    joined: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Kinds of logs to the files that say more of connections, those of this slice among them."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in Slice.__slots__}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Slice:
        """Read the JSON form."""
        parts = tuple(SlicePart(*part) for part in value["parts"])
        joined = tuple((kind, tuple(paths)) for kind, paths in value["joined"])
        return cls(value["start_us"], value["end_us"], parts, tuple(value["past_paths"]), joined)


def plan_slices(staged: Sequence[Staged], *, slice_rows: int, lookback_s: int) -> tuple[Slice, ...]:
    """Cut the staged rows into slices of about `slice_rows` rows.

    The cuts depend on the times of all rows and not on the parts that hold them. A second with more than `slice_rows`
    connections stays in one piece.
    """
    parts, joined = list(staged_parts(tuple(staged))), _joined(staged)
    of = {part.path: SlicePart.of(part) for part in parts}  # one for all slices, of which there may be many
    slices: list[Slice] = []
    bounds = _boundaries(staged, slice_rows)
    for start, end in pairwise(bounds):
        own = _overlapping(parts, start, end)
        past = _overlapping(parts, start - lookback_s * _SECOND_US, start)
        slices.append(Slice(start, end, tuple(of[path] for path in own), past, joined))
    slices += [Slice(None, None, (of[part.path],), (), joined) for part in parts if part.timed_rows < part.rows]
    return tuple(slices)


def _joined(staged: Sequence[Staged]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    kinds = sorted({kind for one in staged for kind in one.joined})
    return tuple((kind, tuple(path for one in staged for path in one.joined.get(kind, ()))) for kind in kinds)


def _boundaries(staged: Sequence[Staged], slice_rows: int) -> list[int]:
    counted = [pl.read_ipc(one.seconds) for one in staged if one.seconds is not None]
    if not sum(table.height for table in counted):
        return []
    counts = pl.concat(counted).group_by("second").agg(pl.col("len").sum()).sort("second")
    piece = (pl.col("len").cum_sum() - pl.col("len")) // slice_rows
    starts = counts.group_by(piece.alias("piece")).agg(pl.col("second").min())["second"].sort().to_list()
    return [int(start) * _SECOND_US for start in [*starts, counts["second"][-1] + 1]]


def _overlapping(parts: Sequence[StagedPart], start: int, end: int) -> tuple[str, ...]:
    return tuple(
        part.path
        for part in parts
        if part.first_us is not None and part.last_us is not None and part.first_us < end and part.last_us >= start
    )


def read_slice(piece: Slice, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Read the rows of a slice with the given columns, in `ORDER`; those that a staged part lacks are null."""
    asked = {kind: paths for kind, paths in piece.joined if not columns.keys().isdisjoint(KINDS[kind].features)}
    made = {name for kind in asked for name in KINDS[kind].features}
    ends = {name: CONNECTION_SCHEMA[name] for name in KEYS} if asked else {}
    mapped = [
        _mapped(part.path, columns, {"raw_sha256": part.raw_sha256, "format": part.format}) for part in piece.parts
    ]
    rows = _together(mapped, {name: dtype for name, dtype in {**columns, **ends}.items() if name not in made})
    rows = _taken(rows, _in_order(rows, piece))
    for kind, paths in asked.items():
        rows = join_log(rows, kind, paths)
    return rows.select(list(columns))


def join_log(rows: pl.DataFrame, kind: str, paths: Sequence[str]) -> pl.DataFrame:
    """Add what the logs of one kind say of these connections; null where they say nothing.

    Two connections with one uid between the same ends (one log given twice, in two forms) both get all of it.
    """
    wanted = rows.lazy().select(KEYS).drop_nulls().unique()
    partial = pl.scan_parquet(list(paths)).join(wanted, on=KEYS, how="semi").collect(engine="streaming")
    return rows.join(combine(kind, partial), on=KEYS, how="left", maintain_order="left")


def read_past(piece: Slice, columns: Mapping[str, pl.DataType], lookback_s: int) -> pl.DataFrame:
    """Read what the behaviour features need of the connections before a slice."""
    wanted = {name: columns[name] for name in CONTEXT_COLUMNS}
    if piece.start_us is None:
        return pl.DataFrame(schema=wanted)
    rows = _together([_mapped(path, wanted) for path in piece.past_paths], wanted)
    return _taken(rows, np.flatnonzero(_between(rows, piece.start_us - lookback_s * _SECOND_US, piece.start_us)))


def _taken(rows: pl.DataFrame, index: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Return rows by their places; those that follow each other, as in a log that is in order, without a copy.

    Rows of one microsecond change their places even there, so that a few runs are taken one by one.
    """
    if not len(index):
        return rows.clear()
    bounds = [0, *(np.flatnonzero(np.diff(index) != 1) + 1).tolist(), len(index)]
    if len(bounds) - 1 >= _MANY_RUNS:
        first = int(index.min())
        near, places = rows.slice(first, int(index.max()) - first + 1), pl.Series(index - first)
        # one column after the other is copied twice; text is taken from one chunk in half the time
        return pl.DataFrame([column.rechunk().gather(places) for column in near])
    return pl.concat([rows.slice(int(index[start]), stop - start) for start, stop in pairwise(bounds)], rechunk=False)


def _between(rows: pl.DataFrame, start: int, end: int) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = (
        rows["ts"].to_physical().is_between(start, end, closed="left").fill_null(value=False).to_numpy()
    )
    return inside


def _in_order(rows: pl.DataFrame, piece: Slice) -> npt.NDArray[np.int64]:
    """Return which rows belong to a slice, in `ORDER`.

    Sorting by all of its columns costs more than everything else that is done to a row. Logs are almost in order of
    time and few rows share a microsecond, so it is sorted by time, and by the rest only where times are equal.
    """
    keys = [name for name in ORDER if name in rows.columns]
    if piece.start_us is None or piece.end_us is None:
        index = rows["ts"].is_null().arg_true().to_numpy().astype(np.int64)
        return index[_sorted(rows, index, keys)]
    index = np.flatnonzero(_between(rows, piece.start_us, piece.end_us))
    times = rows["ts"].to_physical().gather(index).to_numpy()
    order = np.argsort(times, kind="stable")
    index, times = index[order], times[order]
    same = np.zeros(len(times) + 1, dtype=bool)
    same[1:-1] = times[1:] == times[:-1]
    tied = np.flatnonzero(same[1:] | same[:-1])
    index[tied] = index[tied][_sorted(rows, index[tied], keys)]
    return index


def _sorted(rows: pl.DataFrame, index: npt.NDArray[np.int64], keys: Sequence[str]) -> npt.NDArray[np.int64]:
    if not len(index):
        return index
    some = rows.select(keys)[index].with_row_index("_place")
    return some.sort(keys, nulls_last=True, maintain_order=True)["_place"].to_numpy().astype(np.int64)


def _together(parts: Sequence[pl.DataFrame], columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=columns), *parts], how="diagonal").select(list(columns))


def _mapped(path: str, columns: Mapping[str, pl.DataType], same: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Map a staged part into memory, what is not looked at is not read; `same` is what all of its rows have."""
    from pyarrow import ipc, memory_map

    with memory_map(path) as file:  # the mapping lives as long as the columns do
        table = ipc.open_file(file).read_all()
    rows = pl.DataFrame(table.select([name for name in table.column_names if name in columns]))
    return rows.with_columns(pl.lit(value).alias(name) for name, value in (same or {}).items() if name in columns)
