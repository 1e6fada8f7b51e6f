from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cybersec_mlops.training.quantiles import ONE_HOT, STEP, Quantiles, fit_quantiles

COLUMN = hnp.arrays(np.float32, st.integers(2, 60), elements=st.floats(-1e6, 1e6, width=32))


@settings(max_examples=60, deadline=None)
@given(COLUMN, COLUMN)
def test_places_are_monotone_bounded_and_on_the_grid(train: np.ndarray, new: np.ndarray) -> None:
    quantiles = fit_quantiles(train[:, None], 1)
    new = np.sort(new)
    places = quantiles.transform(new[:, None])[:, 0]
    assert (np.diff(places) >= 0).all()
    assert (np.abs(places) <= 1).all()
    assert np.array_equal(places * STEP, np.rint(places * STEP))


def test_a_common_value_lies_in_the_middle_of_its_ranks() -> None:
    train = np.array([0] * 90 + [7] * 10, dtype=np.float32)[:, None]
    places = fit_quantiles(train, 1).transform(np.array([[0], [7]], dtype=np.float32))[:, 0]
    assert np.allclose(places, [-0.05, 0.45], atol=1 / STEP)


def test_beyond_the_benign_values_it_goes_on_up_to_a_limit() -> None:
    train = np.linspace(0, 1, 200, dtype=np.float32)[:, None]
    near, far, absurd = fit_quantiles(train, 1).transform(np.array([[1.5], [3], [1e30]], dtype=np.float32))[:, 0]
    assert 0.5 < near < far < absurd <= 1.0


def test_a_value_that_benign_rows_never_vary_stands_out() -> None:
    quantiles = fit_quantiles(np.zeros((50, 1), dtype=np.float32), 1)
    same, other = quantiles.transform(np.array([[0], [1]], dtype=np.float32))[:, 0]
    assert same == 0
    assert other == 0.5


def test_missing_is_neutral_and_flagged_where_training_had_it() -> None:
    train = np.array([[1, 5], [2, np.nan], [3, 7]], dtype=np.float32)
    quantiles = fit_quantiles(train, 2)
    assert quantiles.flagged.tolist() == [1]
    assert quantiles.columns().tolist() == [0, 1, 1]
    places = quantiles.transform(np.array([[np.nan, np.nan]], dtype=np.float32))
    assert places.tolist() == [[0, 0, np.float32(ONE_HOT)]]


def test_always_missing_in_training() -> None:
    quantiles = fit_quantiles(np.full((5, 1), np.nan, dtype=np.float32), 1)
    assert np.isfinite(quantiles.transform(np.array([[3], [np.nan]], dtype=np.float32))).all()


def test_arrays_round_trip() -> None:
    train = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    quantiles = fit_quantiles(train, 3)
    again = Quantiles.from_arrays(quantiles.arrays())
    assert np.array_equal(again.transform(train), quantiles.transform(train))
