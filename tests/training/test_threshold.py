from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.training.threshold import RATES, Calibration, calibrate


@pytest.mark.parametrize(("rows", "rate"), [(199, 0.01), (99, 0.01), (60, 0.05), (2000, 0.001)])
def test_coverage_on_exchangeable_rows(rows: int, rate: float) -> None:
    """Over many draws of calibration and later rows the false-positive rate is at most the nominal one."""
    rng = np.random.default_rng(rows)
    rates = []
    for _ in range(400):
        calibration = calibrate(rng.lognormal(size=rows), rate=rate)
        assert calibration.active.guaranteed
        rates.append((rng.lognormal(size=2000) >= calibration.active.score).mean())
    error = np.std(rates) / np.sqrt(len(rates))
    assert rate / 4 < np.mean(rates) <= rate + 3 * error


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=120), st.floats(0.005, 0.4))
def test_ties_among_benign_scores_do_not_break_the_rate(scores: list[int], rate: float) -> None:
    benign = np.array(scores, dtype=np.float64)
    calibration = calibrate(benign, rate=rate)
    assert (benign >= calibration.active.score).sum() <= rate * (benign.size + 1)


def test_thresholds_exist_for_every_rate_and_fall_with_it() -> None:
    calibration = calibrate(np.random.default_rng(0).normal(size=5000), rate=0.02)
    assert [threshold.rate for threshold in calibration.thresholds] == sorted({*RATES, 0.02})
    assert np.all(np.diff([threshold.score for threshold in calibration.thresholds]) < 0)
    assert calibration.active.rate == 0.02


def test_too_few_rows_are_said() -> None:
    benign = np.random.default_rng(0).normal(size=98)
    calibration = calibrate(benign, rate=0.01)
    assert not calibration.active.guaranteed
    assert calibration.active.score > benign.max()
    assert calibrate(np.append(benign, 0.0), rate=0.01).active.guaranteed


def test_an_alert_is_a_p_value_at_or_below_the_rate() -> None:
    calibration = calibrate(np.random.default_rng(0).normal(size=3000), rate=0.01)
    scores = np.linspace(-5, 8, 5001)
    assert np.array_equal(scores >= calibration.active.score, calibration.p_values(scores) <= 0.01 * (1 + 1e-12))


def test_p_values_fall_as_scores_rise() -> None:
    calibration = calibrate(np.random.default_rng(0).normal(size=300), rate=0.01)
    p_values = calibration.p_values(np.linspace(-4, 30, 500))
    assert (np.diff(p_values) < 0).all()
    assert 0 < p_values.min() < p_values.max() <= 1


def test_a_budget_of_alerts_sets_the_rate() -> None:
    calibration = calibrate(np.arange(10_000.0), rate=0.01, alerts_per_day=50, connections_per_day=100_000)
    assert calibration.active.rate == 0.0005
    assert calibration.active.alerts_per_day == pytest.approx(50)
    assert calibrate(np.arange(99.0), rate=0.01, alerts_per_day=50).active.rate == 0.01


def test_json_round_trip() -> None:
    calibration = calibrate(np.arange(500.0), rate=0.01, connections_per_day=1000.0)
    again = Calibration.from_parts(calibration.to_dict(), calibration.surprise.arrays())
    assert (again.active, again.thresholds) == (calibration.active, calibration.thresholds)
    assert again.p_values(np.array([3.0])) == calibration.p_values(np.array([3.0]))
