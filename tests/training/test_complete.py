"""The booster without missing values gives the bits of the one with them."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from cybersec_mlops.training.complete import BLOCK, complete

RNG = np.random.default_rng(0)
ROWS = 3000
MATRIX = RNG.normal(size=(ROWS, 7)).astype(np.float32)
MATRIX[RNG.random((ROWS, 7)) < (0.3, 0.01, 0.5, 0, 0.1, 0.9, 0)] = np.nan
MATRIX[:, 6] = RNG.choice([-3e38, 0, 3e38], ROWS)
MATRIX[::50, 6] = np.nan
TARGET = (np.nan_to_num(MATRIX[:, 0]) + np.isnan(MATRIX[:, 2]) + (MATRIX[:, 6] > 0)) > 1


def fitted(matrix: np.ndarray, target: np.ndarray, trees: int = 20) -> xgboost.Booster:
    parameters = {"objective": "binary:logistic", "max_depth": 6, "tree_method": "hist", "subsample": 0.7, "nthread": 1}
    return xgboost.train(parameters, xgboost.QuantileDMatrix(matrix, target), num_boost_round=trees)


def as_it_is(booster: xgboost.Booster, matrix: np.ndarray) -> np.ndarray:
    margins = booster.inplace_predict(matrix, predict_type="margin", missing=np.nan)
    return np.asarray(margins, dtype=np.float64)


def test_the_log_odds_have_the_same_bits() -> None:
    booster = fitted(MATRIX, TARGET)
    assert np.array_equal(complete(booster).margins(MATRIX), as_it_is(booster, MATRIX))
    nothing = np.full((4, 7), np.nan, dtype=np.float32)
    assert np.array_equal(complete(booster).margins(nothing), as_it_is(booster, nothing))


def test_a_column_is_missing_that_was_never_in_training() -> None:
    booster = fitted(np.nan_to_num(MATRIX), TARGET)
    assert np.array_equal(complete(booster).margins(MATRIX), as_it_is(booster, MATRIX))


def test_a_row_alone_scores_bit_for_bit_as_in_company(monkeypatch: pytest.MonkeyPatch) -> None:
    made = complete(fitted(MATRIX, TARGET))
    together = made.margins(MATRIX)
    assert ROWS < BLOCK
    assert np.array_equal([made.margins(MATRIX[i : i + 1])[0] for i in range(0, ROWS, 40)], together[::40])
    monkeypatch.setattr("cybersec_mlops.training.complete.BLOCK", 7)
    assert np.array_equal(made.margins(MATRIX), together)


def test_trees_without_a_split() -> None:
    booster = fitted(np.zeros((100, 3), dtype=np.float32), np.arange(100) % 2 == 0, trees=2)
    assert np.array_equal(complete(booster).margins(MATRIX[:, :3]), as_it_is(booster, MATRIX[:, :3]))


def test_a_split_at_minus_infinity_still_parts_the_missing() -> None:
    matrix = np.array([[-3e38], [3e38], [np.nan]] * 200, dtype=np.float32)
    booster = fitted(matrix, np.isnan(matrix[:, 0]))
    assert np.array_equal(complete(booster).margins(matrix), as_it_is(booster, matrix))
    assert np.ptp(as_it_is(booster, matrix)) > 0
