"""Rules, and the rows that break them."""

from __future__ import annotations

import polars as pl

from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.ingestion.screening import (
    Rule,
    below_zero,
    conform,
    missing,
    not_whole,
    outside,
    screen,
    without_impossible,
)

NAN = float("nan")


def screened(
    frame: pl.DataFrame, *rules: Rule, failed: dict[Rule, pl.Series] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rejected = Rejected()
    lines = Lines(b"".join(b"%d\n" % number for number in range(frame.height)), 1)
    kept = screen(
        frame, lines, rules, rejected, failed=failed or {}, value=lambda line, field: f"{field}@{line.decode()}"
    )
    return kept, rejected.frame()


def test_rows_that_keep_every_rule_are_the_same_frame() -> None:
    frame = pl.DataFrame({"a": [1, None]})
    kept, rejected = screened(frame, below_zero("a"))
    assert kept is frame
    assert rejected.is_empty()


def test_a_row_goes_with_the_first_rule_that_it_breaks() -> None:
    frame = pl.DataFrame({"a": [1.0, -1.0, NAN, None, 2.5], "b": ["x", None, None, "y", "z"]})
    kept, rejected = screened(
        frame,
        missing("b"),
        outside("a", 0, 10, reason="bad_a", expected="0 to 10"),
        not_whole("a", reason="bad_a", expected="a whole number"),
    )
    assert kept["b"].to_list() == ["x", "y"]
    assert rejected.select("raw_line", "reason", "field").rows() == [
        (2, "missing_value", "b"),
        (3, "missing_value", "b"),
        (5, "bad_a", "a"),
    ]
    assert rejected["detail"][2] == 'is "a@4", expected a whole number'


def test_what_failed_to_parse_comes_before_the_rules() -> None:
    rule = Rule("a", "bad_number", "a number", pl.lit(value=False))
    kept, rejected = screened(pl.DataFrame({"a": [None, 1]}), missing("a"), failed={rule: pl.Series([True, False])})
    assert kept.height == 1
    assert rejected["reason"].to_list() == ["bad_number"]


def test_not_a_number_and_infinity_are_outside_of_everything() -> None:
    frame = pl.DataFrame({"a": [NAN, float("inf"), -float("inf"), 0.0]})
    kept, _ = screened(frame, outside("a", -1e300, 1e300, reason="r", expected="e"))
    assert kept["a"].to_list() == [0.0]


def test_conform_gives_the_schema_whatever_is_there() -> None:
    frame = conform(pl.DataFrame({"b": [1], "x": ["no"]}), {"a": pl.String(), "b": pl.Float64()})
    assert frame.schema == {"a": pl.String, "b": pl.Float64}
    assert frame.rows() == [(None, 1.0)]


def test_impossible_values_become_null_and_are_counted() -> None:
    frame = pl.DataFrame({"a": [1.0, NAN, float("inf"), -1.0, None], "b": [0.0, 1.0, 2.0, 3.0, None], "c": [-1.0] * 5})
    made, nulled = without_impossible(frame, ["a", "b"])
    assert made["a"].to_list() == [1.0, None, None, None, None]
    assert (made["b"].to_list(), made["c"].to_list()) == (frame["b"].to_list(), frame["c"].to_list())
    assert nulled == {"a": 3}
    assert without_impossible(frame.with_columns(a=pl.lit(None, pl.Float64)), ["a", "b"])[1] == {}
    assert without_impossible(frame, []) == (frame, {})
