from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.baselines import measure_baselines
from cybersec_mlops.evaluation.bootstrap import Bootstrap

Traffic = Callable[..., pl.DataFrame]
FEATURES = ["duration_s", "resp_bytes", "conn_state", "toy_rate", "toy_noise"]


def test_the_best_feature_is_chosen_on_training_rows_and_scored_on_the_test_rows(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1)
    train = train.with_columns(decoy=pl.col("is_attack").cast(pl.Float64))
    test = test.with_columns(decoy=(~pl.col("is_attack")).cast(pl.Float64))
    bootstrap = Bootstrap.of(test, resamples=60, seed=0)
    single, stump = measure_baselines(train, test, [*FEATURES, "decoy"], bootstrap=bootstrap)
    assert single.rule == "decoy"
    assert stump.rule.startswith("decoy")
    assert single.roc_auc.value == stump.roc_auc.value == 0.0


def test_a_model_is_compared_on_the_same_rows(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1)
    bootstrap = Bootstrap.of(test, resamples=60, seed=0)
    perfect = test["is_attack"].to_numpy().astype(np.float64)
    for one in measure_baselines(train, test, FEATURES, bootstrap=bootstrap, model_score=perfect):
        assert one.lead is not None
        assert one.lead.low > 0.05
        assert one.lead.value == 1.0 - one.average_precision.value


def test_one_class_has_no_baseline(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1).filter(~pl.col("is_attack"))
    assert measure_baselines(train, test, FEATURES, bootstrap=Bootstrap.of(test, resamples=60, seed=0)) == ()


def test_categories_are_described_by_their_values(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1)
    _, stump = measure_baselines(train, test, ["conn_state"], bootstrap=Bootstrap.of(test, resamples=60, seed=0))
    assert stump.rule.startswith("conn_state is one of the")


def test_a_constant_column_is_no_split(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed).with_columns(toy_one=pl.lit(1.0)) for seed in (0, 1))
    _, stump = measure_baselines(train, test, ["toy_one"], bootstrap=Bootstrap.of(test, resamples=60, seed=0))
    assert stump.rule == "no split found"
    assert stump.roc_auc.value == 0.5


@pytest.mark.parametrize("value", [2.0, pl.lit("http")], ids=["number", "text"])
def test_a_split_by_whether_a_value_is_there_is_said_in_words(make_traffic: Traffic, value: float | pl.Expr) -> None:
    train, test = (make_traffic(seed).with_columns(toy_seen=pl.when("is_attack").then(value)) for seed in (0, 1))
    _, stump = measure_baselines(train, test, ["toy_seen"], bootstrap=Bootstrap.of(test, resamples=60, seed=0))
    assert stump.rule == "toy_seen is known or missing"
    assert stump.roc_auc.value == 1.0
