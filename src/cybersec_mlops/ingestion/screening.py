"""Rules that a row must keep, checked for a whole block at once; the few rows that break one are set aside.

A format says its rules as Polars expressions. Where no row breaks any, which is almost always, the cost is one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.ingestion.rejected import Located, Rejected, printable

VALUE_LIMIT: Final = 60
"""Characters of a wrong value that are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Something that no row may do."""

    field: str
    """The canonical or native column that is at fault."""
    reason: str
    """Short code: "bad_port"."""
    expected: str
    """In words: "a port 0-65535"."""
    broken: pl.Expr
    """True where a row breaks the rule; null counts as kept."""
    any_broken: pl.Expr | None = None
    """Whether any row does, where there is a faster way to tell than to look at each."""


def below_zero(field: str, expected: str = "a count of 0 or more", reason: str = "bad_count") -> Rule:
    """Return the rule that a column is not negative."""
    return Rule(field, reason, expected, pl.col(field) < 0)


def outside(field: str, low: float, high: float, *, reason: str, expected: str) -> Rule:
    """Return the rule that a column is a finite number from `low` to `high`."""
    return Rule(field, reason, expected, ~pl.col(field).is_between(low, high))  # NaN is not between anything


def not_whole(field: str, *, reason: str, expected: str) -> Rule:
    """Return the rule that a column has no fractions."""
    return Rule(field, reason, expected, pl.col(field) % 1 != 0)


def missing(field: str) -> Rule:
    """Return the rule that a column has a value."""
    return Rule(field, "missing_value", "a value", pl.col(field).is_null())


def screen(
    frame: pl.DataFrame,
    lines: Located,
    rules: Sequence[Rule],
    rejected: Rejected,
    *,
    failed: Mapping[Rule, pl.Series],
    value: Callable[[bytes, str], str | None],
) -> pl.DataFrame:
    """Return the rows that keep every rule; each other one goes to `rejected` with the first rule that it breaks.

    Parameters
    ----------
    frame : DataFrame
        One row for each of `lines`, in the same order.
    failed : mapping of Rule to Series
        What is already known to be broken: Boolean, one per row.
    value : callable
        Gives the text of a field of a line, for the message.
    """
    broken = {**failed, **_broken(frame, rules)}
    if not broken:
        return frame
    any_broken = pl.Series([False]).new_from_index(0, frame.height)
    first: dict[int, Rule] = {}
    for rule, series in broken.items():
        any_broken = any_broken | series
        for index in series.arg_true().to_list():
            first.setdefault(index, rule)
    for index, rule in first.items():
        found = value(lines.raw(index), rule.field)
        shown = "is missing" if found is None else f'is "{printable(found, VALUE_LIMIT)}"'
        rejected.add(lines, index, rule.reason, field=rule.field, detail=f"{shown}, expected {rule.expected}")
    return frame.filter(~any_broken)


def _broken(frame: pl.DataFrame, rules: Sequence[Rule]) -> dict[Rule, pl.Series]:
    if not rules:
        return {}
    looks = (rule.broken.any() if rule.any_broken is None else rule.any_broken for rule in rules)
    hits = frame.select(look.alias(str(number)) for number, look in enumerate(looks)).row(0)
    found = [rule for rule, hit in zip(rules, hits, strict=True) if hit]
    return {rule: frame.select(rule.broken.fill_null(value=False)).to_series() for rule in found}


def without_impossible(frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Set what no measure can be, a value below 0 or not finite, to null.

    Almost no column has any, so that it is looked for first, and only those that have are made anew.

    >>> frame, nulled = without_impossible(pl.DataFrame({"a": [1.0, -1.0, None], "b": [0.0, 2.0, None]}), ["a", "b"])
    >>> frame["a"].to_list(), nulled
    ([1.0, None, None], {'a': 1})

    Returns
    -------
    tuple
        The frame, and how many values of each column became null.
    """
    wrong = [name for name in names if not all(map(_is_possible, frame[name].get_chunks()))]
    if not wrong:
        return frame, {}
    possible = (pl.col(name).is_finite() & (pl.col(name) >= 0) for name in wrong)
    made = frame.with_columns(pl.when(keep).then(pl.col(name)) for name, keep in zip(wrong, possible, strict=True))
    return made, {name: made[name].null_count() - frame[name].null_count() for name in wrong}


def _is_possible(values: pl.Series) -> bool:
    numbers = values.drop_nulls().to_numpy()  # whose extremes are NaN where a value is
    return bool(numbers.min(initial=0) >= 0 and numbers.max(initial=0) < np.inf)


def conform(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return exactly the columns of `schema`, null where `frame` has none."""
    have = frame.schema
    return frame.select(
        pl.col(name).cast(dtype) if name in have else pl.lit(None, dtype).alias(name) for name, dtype in schema.items()
    )
