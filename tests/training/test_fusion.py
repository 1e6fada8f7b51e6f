from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cybersec_mlops.training.fusion import MAX_KNOTS, Surprise, fit_surprise

SCORES = hnp.arrays(np.float64, st.integers(2, 80), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))


@settings(max_examples=100, deadline=None)
@given(SCORES, SCORES)
def test_it_is_strictly_increasing_and_positive(benign: np.ndarray, new: np.ndarray) -> None:
    curve = fit_surprise(benign)
    at = np.unique(np.concatenate([benign, new]))
    values = curve(at)
    assert (values > 0).all()
    assert (np.diff(values) > 0).all()


@settings(max_examples=60, deadline=None)
@given(SCORES)
def test_at_benign_scores_it_is_the_conformal_p_value(benign: np.ndarray) -> None:
    values = fit_surprise(benign)(benign)
    p = np.array([(1 + (benign >= score).sum()) / (benign.size + 1) for score in benign])
    assert np.allclose(np.exp(-values), p, atol=1 / (benign.size + 1))
    assert np.allclose(np.exp(-values)[p < 1], p[p < 1])


@settings(max_examples=60, deadline=None)
@given(SCORES, st.floats(0.01, 30))
def test_inverse(benign: np.ndarray, value: float) -> None:
    curve = fit_surprise(benign)
    assert np.isclose(curve(np.array([curve.inverse(value)]))[0], value, rtol=1e-6, atol=1e-9)


def test_attacks_far_beyond_keep_their_order() -> None:
    curve = fit_surprise(np.random.default_rng(0).normal(size=1000))
    values = curve(np.array([5.0, 50.0, 500.0, 5e6]))
    assert (np.diff(values) > 1).all()


def test_the_tail_of_an_exponential_is_its_own() -> None:
    curve = fit_surprise(np.random.default_rng(0).exponential(2.0, 20_000))
    assert 0.4 < curve.slope < 0.6
    assert abs(curve(np.array([30.0]))[0] - 15.0) < 2.5


def test_a_single_value_in_all_rows_still_gives_a_curve() -> None:
    curve = fit_surprise(np.zeros(100))
    below, same, above = curve(np.array([-1.0, 0.0, 1.0]))
    assert 0 < below < same < above


def test_many_rows_are_thinned_without_a_gap() -> None:
    benign = np.random.default_rng(1).normal(size=200_000)
    curve = fit_surprise(benign)
    assert curve.scores.size <= MAX_KNOTS
    p = np.exp(-curve(np.array([-1.0, 0.0, 2.3263, 3.0902, 3.719])))
    exact = [(1 + (benign >= at).sum()) / 200_001 for at in (-1.0, 0.0, 2.3263, 3.0902, 3.719)]
    assert np.allclose(p, exact, rtol=[0.01, 0.01, 0.01, 0.01, 0.05])  # a step is 4 % up there


def test_arrays_round_trip() -> None:
    curve = fit_surprise(np.arange(50.0))
    again = Surprise.from_arrays(curve.arrays())
    at = np.linspace(-10, 90, 33)
    assert np.array_equal(again(at), curve(at))
    assert again.rows == 50
