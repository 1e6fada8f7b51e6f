from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.row_order import check_row_order
from cybersec_mlops.evaluation.sides import Sides
from cybersec_mlops.evaluation.single_features import measure_strengths

Traffic = Callable[..., pl.DataFrame]


def in_stretches(frame: pl.DataFrame) -> pl.DataFrame:
    """Benign rows first, then the attacks one by one, as a laboratory makes them; numbered as lines of a file."""
    ordered = frame.sort("label").with_columns(raw_line=pl.int_range(1, pl.len() + 1))
    return ordered.with_columns(ts=frame["ts"].sort())


def found(train: pl.DataFrame, test: pl.DataFrame, feature: str) -> list[Finding]:
    return check_row_order((train, test), measure_strengths(Sides.of(train, test, [feature])))


@pytest.mark.parametrize(
    "what",
    [
        pl.col("raw_line"),
        pl.col("raw_line") // 100,
        pl.col("ts").dt.epoch("s"),
        -pl.col("ts").dt.hour().cast(pl.Int64),
        pl.col("raw_line").shuffle(seed=1).sort_by(pl.col("label")) * 0 + pl.col("raw_line") * 7.0,
    ],
)
def test_a_row_number_or_a_time_in_disguise_is_severe(make_traffic: Traffic, what: pl.Expr) -> None:
    sides = [in_stretches(make_traffic(seed)).with_columns(toy_id=what) for seed in (0, 1)]
    (one,) = found(sides[0], sides[1], "toy_id")
    assert (one.check, one.severity, one.columns) == ("identifier", "severe", ("toy_id",))


def test_a_row_number_of_another_order_is_known_by_its_values(make_traffic: Traffic) -> None:
    sides = [
        in_stretches(make_traffic(seed))
        .with_columns(toy_id=pl.col("raw_line") * 3)
        .sample(fraction=1.0, shuffle=True, seed=seed)
        for seed in (0, 1)
    ]
    sides = [side.with_columns(raw_line=pl.int_range(pl.len()), ts=pl.lit(None)) for side in sides]
    (one,) = found(sides[0], sides[1], "toy_id")
    assert "another whole number in every row" in one.text


@pytest.mark.parametrize("column", ["duration_s", "orig_bytes", "toy_rate"])
def test_a_measurement_is_none(make_traffic: Traffic, column: str) -> None:
    attacks = {"duration_s": "flood", "orig_bytes": "theft", "toy_rate": "beacon"}
    sides = [
        in_stretches(make_traffic(seed)).filter(pl.col("label").is_in(["BENIGN", attacks[column]])) for seed in (0, 1)
    ]
    assert measure_strengths(Sides.of(sides[0], sides[1], [column]))[0].train.auc > 0.8
    assert found(sides[0], sides[1], column) == []


def test_a_row_number_that_tells_nothing_is_passed_over(make_traffic: Traffic) -> None:
    sides = [make_traffic(seed).with_columns(toy_id=pl.int_range(pl.len())) for seed in (0, 1)]
    assert found(sides[0], sides[1], "toy_id") == []
