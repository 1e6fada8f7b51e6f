from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp, kstest

from cybersec_mlops.evaluation.drift import ks_distance, ks_uniform, measure_drift, psi

Traffic = Callable[..., pl.DataFrame]
FEATURES = ["duration_s", "conn_state", "service", "toy_rate", "toy_flag"]
COUNTS = arrays(np.float64, 5, elements=st.integers(0, 1000).map(float))


@given(COUNTS, COUNTS)
@settings(max_examples=60, deadline=None)
def test_psi_is_symmetric_never_negative_and_zero_for_equals(before: np.ndarray, after: np.ndarray) -> None:
    assert psi(before, after) >= 0
    assert psi(before, after) == pytest.approx(psi(after, before))
    assert psi(before, before) == 0


def test_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=300), np.round(rng.normal(0.4, size=200), 1)
    assert ks_distance(first, second) == pytest.approx(ks_2samp(first, second).statistic)
    p = rng.random(100) ** 2
    assert ks_uniform(p) == pytest.approx(kstest(p, "uniform").statistic)


def test_the_same_traffic_is_stable_and_moved_traffic_is_not(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1)
    assert {one.level for one in measure_drift(train, test, FEATURES).features} == {"stable"}
    moved = test.with_columns(toy_rate=pl.col("toy_rate") + 3, service=pl.lit("quic"))
    found = {one.feature: one.level for one in measure_drift(train, moved, FEATURES).features}
    assert found["toy_rate"] == found["service"] == "large"
    assert found["duration_s"] == "stable"


def test_the_share_of_attacks_alone_is_no_drift(make_traffic: Traffic) -> None:
    drift = measure_drift(make_traffic(0, attacks=0.05), make_traffic(1, attacks=0.6), FEATURES)
    assert drift.benign_only
    assert {one.level for one in drift.features} == {"stable"}


def test_few_rows_are_noise_and_not_an_alarm(make_traffic: Traffic) -> None:
    tiny = make_traffic(1, rows=30)
    drift = measure_drift(make_traffic(0, rows=30), tiny, FEATURES)
    assert not drift.benign_only
    assert [one for one in drift.features if one.level == "large"] == []
    assert max(one.noise for one in drift.features) > 0.2


def test_a_feature_that_one_side_lacks_is_unset_there(make_traffic: Traffic) -> None:
    (one,) = measure_drift(make_traffic(0), make_traffic(1).drop("toy_rate"), ["toy_rate"]).features
    assert (one.missing_train, one.missing_test, one.level) == (0.0, 1.0, "large")


def test_a_column_without_any_value_is_no_drift(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed).with_columns(toy_rate=pl.lit(None, pl.Float64)) for seed in (0, 1))
    (one,) = measure_drift(train, test, ["toy_rate"]).features
    assert one.psi == pytest.approx(0.0, abs=1e-3)


def test_scores_are_compared_where_both_are_known(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=1000), rng.normal(1.0, size=1000)
    found = measure_drift(train, test, FEATURES, train_scores=scores[0], test_scores=scores[1])
    assert found.score_psi is not None
    assert found.score_psi > 0.5
    assert found.score_ks == pytest.approx(0.38, abs=0.05)
    bare = measure_drift(train, test, FEATURES, test_scores=scores[1], benign_p_values=np.empty(0))
    assert (bare.score_psi, bare.score_ks, bare.benign_p_value_ks) == (None, None, None)


@pytest.mark.parametrize(("power", "holds"), [(1.0, True), (2.0, False)])
def test_a_collapse_of_the_calibration_is_seen(power: float, holds: bool, make_traffic: Traffic) -> None:
    p_values = np.linspace(0.001, 1.0, 1000) ** power
    found = measure_drift(make_traffic(0), make_traffic(1), FEATURES, benign_p_values=p_values)
    assert found.calibration_holds is holds
    few = measure_drift(make_traffic(0), make_traffic(1), FEATURES, benign_p_values=p_values[::100])
    assert few.calibration_holds is True
    unknown = measure_drift(make_traffic(0), make_traffic(1), FEATURES)
    assert unknown.calibration_holds is None
