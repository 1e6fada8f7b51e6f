from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.detector import SCORE_SCHEMA
from cybersec_mlops.training.fit import FittedDetector

MakeRows = Callable[..., pl.DataFrame]


@pytest.fixture(scope="session", params=["both halves", "benign-only"])
def one(request: pytest.FixtureRequest, fitted: FittedDetector, fitted_benign_only: FittedDetector) -> FittedDetector:
    return fitted if request.param == "both halves" else fitted_benign_only


def test_scores_have_the_schema_and_one_row_per_row(one: FittedDetector, make_rows: MakeRows) -> None:
    detector = one.detector
    rows = make_rows(300, seed=1, background=0.1)
    scores = detector.score(rows)
    assert scores.schema == pl.Schema(SCORE_SCHEMA)
    assert scores.height == rows.height
    assert scores.drop("supervised_score").null_count().sum_horizontal().item() == 0
    assert scores["supervised_score"].null_count() == (0 if detector.supervised else rows.height)
    assert detector.score(rows.clear()).schema == pl.Schema(SCORE_SCHEMA)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_neither_order_nor_company_nor_column_order_matters(
    one: FittedDetector, make_rows: MakeRows, seed: int
) -> None:
    detector = one.detector
    rows = make_rows(20, seed=seed)
    scores = detector.score(rows)
    order = np.random.default_rng(seed).permutation(20).tolist()
    assert detector.score(rows[order].select(sorted(rows.columns, reverse=True))).equals(scores[order])
    assert pl.concat([detector.score(rows[i : i + 1]) for i in range(20)]).equals(scores)


def test_blocks_join_without_a_seam(
    fitted: FittedDetector, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(500, seed=2)
    whole = fitted.detector.score(rows)
    monkeypatch.setattr("cybersec_mlops.training.detector.BLOCK", 77)
    assert fitted.detector.score(rows).equals(whole)


def test_higher_scores_have_lower_p_values_and_alerts_are_those_below_the_rate(
    one: FittedDetector, make_rows: MakeRows
) -> None:
    detector = one.detector
    scores = detector.score(make_rows(800, seed=3)).unique("score").sort("score")
    assert (scores["p_value"].diff().drop_nulls() < 0).all()
    assert scores["p_value"].is_between(0, 1).all()
    active = detector.calibration.active
    assert scores["is_alert"].to_list() == (scores["score"] >= active.score).to_list()


def test_attacks_stand_out_and_benign_rows_keep_to_the_rate(fitted: FittedDetector, make_rows: MakeRows) -> None:
    rows = make_rows(4000, seed=4)
    scores = fitted.detector.score(rows).with_columns(rows["is_attack"])
    rates = dict(scores.group_by("is_attack").agg(pl.col("is_alert").mean()).iter_rows())
    assert rates[True] > 0.7
    assert rates[False] < 0.04


def test_missing_features_are_reported_and_scored_as_missing(fitted: FittedDetector, make_rows: MakeRows) -> None:
    rows = make_rows(50, seed=5).drop("service")
    assert fitted.detector.missing_features(rows) == ["service"]
    as_nulls = rows.with_columns(service=pl.lit(None, dtype=pl.String))
    assert fitted.detector.score(rows).equals(fitted.detector.score(as_nulls))
    with pytest.raises(DataError, match="features are not in the data"):
        fitted.detector.score(rows.select("ts", "duration_s"))
    with pytest.raises(DataError, match="features are not in the data"):
        fitted.detector.score(rows.select("ts", "duration_s").clear())
