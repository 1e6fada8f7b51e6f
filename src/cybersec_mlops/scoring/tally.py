"""What is counted of every row that was scored, alert or not: by day, by feature, and where its score lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

P_VALUE_BINS: Final = 10
"""Equal parts of (0, 1] that the p-values are counted in."""
NO_TIME: Final = "no time"
"""The day of the rows without a time."""


@dataclass
class Tally:
    """Counts of scored rows; sums of tallies are tallies."""

    rows: int = 0
    alerting: int = 0
    """Rows at or above the threshold, before any limit per day."""
    days: dict[str, list[int]] = field(default_factory=dict)
    """Day (UTC) to rows and alerting rows."""
    known: Counter[str] = field(default_factory=Counter)
    """Feature to rows that have a value in it."""
    p_values: list[int] = field(default_factory=lambda: [0] * P_VALUE_BINS)

    @classmethod
    def of(cls, rows: pl.DataFrame, scored: pl.DataFrame, features: Iterable[str]) -> Tally:
        """Count the rows of a slice and their scores."""
        marked = rows.select(day=pl.col("ts").dt.date()).hstack(scored.select("is_alert"))
        counts = marked.group_by("day").agg(pl.len(), pl.col("is_alert").sum())
        days = counts.with_columns(day_of("day")).sort("day").iter_rows()
        return cls(
            rows=rows.height,
            alerting=int(scored["is_alert"].sum()),
            days={day: [count, alerting] for day, count, alerting in days},
            known=Counter({name: rows.height - rows[name].null_count() for name in features}),
            p_values=bin_p_values(scored["p_value"].to_numpy()).tolist(),
        )

    def add(self, other: Tally) -> None:
        """Add another slice's counts."""
        self.rows += other.rows
        self.alerting += other.alerting
        self.known.update(other.known)
        self.p_values = [one + two for one, two in zip(self.p_values, other.p_values, strict=True)]
        for day, counts in other.days.items():
            mine = self.days.setdefault(day, [0, 0])
            self.days[day] = [one + two for one, two in zip(mine, counts, strict=True)]

    def missing(self, features: Iterable[str]) -> list[str]:
        """Name the features that no row has a value in."""
        return [name for name in features if not self.known[name]]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.__dict__, "known": dict(self.known)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Tally:
        """Read the JSON form."""
        return cls(**{**value, "known": Counter(value["known"])})


def day_of(column: str) -> pl.Expr:
    """Return the UTC day of a time as text, ``no time`` where there is none."""
    return pl.col(column).dt.to_string("%Y-%m-%d").fill_null(NO_TIME)


def bin_p_values(p_values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[Any]:
    """Count p-values in equal parts of (0, 1], shape (P_VALUE_BINS,).

    >>> bin_p_values(np.array([0.01, 0.1, 0.11, 1.0])).tolist()
    [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    bins = np.clip(np.ceil(p_values * P_VALUE_BINS).astype(np.int64) - 1, 0, P_VALUE_BINS - 1)
    return np.bincount(bins, weights=weights, minlength=P_VALUE_BINS)
