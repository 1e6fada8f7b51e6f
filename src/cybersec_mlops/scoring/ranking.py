"""Alerts of all slices in one order, in bounded memory: sorted runs on scratch, read back score range by score range.

The order is by score, highest first; equal scores by time, then by what the connection says of itself, and only where
all of that is equal by the place in RAW. So it depends neither on slices nor on how the logs were cut into files.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from cybersec_mlops.scoring.tally import day_of

ORDER: Final = ("score", "ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p", "raw_sha256", "raw_line")
"""Keys, the first one descending."""
BLOCK_ROWS: Final = 50_000
"""Alerts that are in memory at once, about."""
STEP: Final = 1_000
"""Every so-manieth alert of a run tells where its scores lie."""

_NO_TIME: Final = pl.lit(2**62)


@dataclass(frozen=True, slots=True)
class Run:
    """The alerts of one slice on scratch, in order."""

    path: str
    rows: int
    marks: tuple[tuple[float, int], ...]
    """Score and time (microseconds) of every `STEP`-th of them."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"path": self.path, "rows": self.rows, "marks": [list(mark) for mark in self.marks]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Run:
        """Read the JSON form."""
        return cls(value["path"], value["rows"], tuple((score, time) for score, time in value["marks"]))


def ranked(alerts: pl.DataFrame) -> pl.DataFrame:
    """Return alerts in their order."""
    descending = [name == "score" for name in ORDER]
    return alerts.sort(ORDER, descending=descending, nulls_last=True)


def at_most(alerts: pl.DataFrame, per_day: int | None, used: Counter[str]) -> pl.DataFrame:
    """Keep the first so many alerts of each day; `used` says how many were kept before, and is brought up to date."""
    if per_day is None or alerts.is_empty():
        return alerts
    days = alerts.select(day=day_of("ts"))
    before = pl.Series("used", [used[day] for day in days["day"].unique(maintain_order=True)], dtype=pl.Int64)
    known = pl.DataFrame([days["day"].unique(maintain_order=True), before])
    place = days.join(known, on="day", how="left", maintain_order="left").select(
        day="day", place=pl.col("day").cum_count().over("day") + pl.col("used")
    )
    kept = alerts.filter(place["place"] <= per_day)
    used.update(place.filter(pl.col("place") <= per_day)["day"].to_list())
    return kept


def write_run(alerts: pl.DataFrame, path: Path, per_day: int | None) -> Run:
    """Write the alerts of one slice in order; those that a limit per day can never let through are left out."""
    ordered = at_most(ranked(alerts), per_day, Counter())
    ordered.write_parquet(path, compression="lz4", statistics=True, row_group_size=4 * STEP)
    marks = ordered.gather_every(STEP).select("score", time=_time()).iter_rows()
    return Run(str(path), ordered.height, tuple(marks))


def merge(runs: Sequence[Run], per_day: int | None = None, *, block_rows: int = BLOCK_ROWS) -> Iterator[pl.DataFrame]:
    """Yield the alerts of all runs in order, block by block, at most `per_day` for each day.

    A block has about `block_rows` rows; only alerts of one score and one microsecond are never parted.
    """
    used: Counter[str] = Counter()
    filled = [run for run in runs if run.rows]
    bounds = [None, *_cuts(filled, block_rows), None] if filled else []
    for above, upto in itertools.pairwise(bounds):
        block = ranked(pl.concat([_between(run.path, above, upto) for run in filled]).collect())
        kept = at_most(block, per_day, used)
        if not kept.is_empty():
            yield kept


def _time() -> pl.Expr:
    return pl.col("ts").dt.epoch("us").fill_null(_NO_TIME)


def _cuts(runs: Sequence[Run], block_rows: int) -> list[tuple[float, int]]:
    """Choose where blocks end: between two cuts each run has less than a step more than its share."""
    marks = sorted({mark for run in runs for mark in run.marks}, key=lambda mark: (-mark[0], mark[1]))
    every = max(1, block_rows // STEP)
    return marks[every::every]


def _between(path: str, after: tuple[float, int] | None, upto: tuple[float, int] | None) -> pl.LazyFrame:
    scan = pl.scan_parquet(path, glob=False)
    if after is not None:
        scan = scan.filter(_is_after(after))
    return scan if upto is None else scan.filter(~_is_after(upto))


def _is_after(mark: tuple[float, int]) -> pl.Expr:
    score, time = mark
    return (pl.col("score") < score) | ((pl.col("score") == score) & (_time() > time))
