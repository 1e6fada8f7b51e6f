from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from cybersec_mlops.training.detector import EXPLANATION_SCHEMA
from cybersec_mlops.training.fit import FittedDetector

MakeRows = Callable[..., pl.DataFrame]


def test_contributions_of_all_features_sum_to_the_score(
    fitted: FittedDetector, fitted_benign_only: FittedDetector, make_rows: MakeRows
) -> None:
    rows = make_rows(60, seed=1)
    for detector in (fitted.detector, fitted_benign_only.detector):
        told = detector.explain(rows, [3, 59, 0], top=99)
        assert told.schema == pl.Schema(EXPLANATION_SCHEMA)
        summed = told.group_by("row", maintain_order=True).agg(pl.col("contribution").sum())
        assert summed["row"].to_list() == [3, 59, 0]
        assert np.allclose(summed["contribution"], detector.score(rows)["score"].to_numpy()[[3, 59, 0]], atol=1e-6)


def test_features_come_in_order_of_contribution_with_value_and_usual(
    fitted: FittedDetector, make_rows: MakeRows
) -> None:
    rows = make_rows(200, seed=2, attacks=0).with_columns(
        orig_bytes=pl.lit(10**12), service=pl.lit(None, dtype=pl.String)
    )
    told = fitted.detector.explain(rows, [7], top=3)
    assert told["rank"].to_list() == [1, 2, 3]
    assert told["contribution"].is_sorted(descending=True)
    every = fitted.detector.explain(rows, [7], top=99)
    sent = every.filter(feature="orig_bytes").row(0, named=True)
    assert sent["value"] == "1000000000000"
    assert 0 <= sent["usual_low"] < sent["usual_high"] < 10**5
    service = every.filter(feature="service").row(0, named=True)
    assert service["value"] is None
    assert "dns" in service["usual"]


def test_the_changed_feature_is_named_by_the_benign_only_detector(
    fitted_benign_only: FittedDetector, make_rows: MakeRows
) -> None:
    rows = make_rows(30, seed=3, attacks=0).with_columns(orig_bytes=pl.lit(10**12))
    told = fitted_benign_only.detector.explain(rows, list(range(30)), top=1)
    assert (told["feature"] == "orig_bytes").sum() > 24
    assert told["supervised_contribution"].null_count() == 30


def test_a_frame_without_a_feature_can_be_explained(fitted: FittedDetector, make_rows: MakeRows) -> None:
    told = fitted.detector.explain(make_rows(5).drop("orig_bytes"), [0], top=99)
    assert told.filter(feature="orig_bytes")["value"].to_list() == [None]
    assert fitted.detector.explain(make_rows(5), []).height == 0


def test_importance_sums_to_one_and_is_empty_without_labels(
    fitted: FittedDetector, fitted_benign_only: FittedDetector
) -> None:
    importance = fitted.detector.feature_importance()
    assert set(importance["feature"]) == set(fitted.detector.encoder.features)
    assert np.isclose(importance["importance"].to_numpy().sum(), 1)
    assert importance["importance"].is_sorted(descending=True)
    assert fitted_benign_only.detector.feature_importance().height == 0
