from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.training.prototypes import (
    EXACT_COLUMNS,
    distance_score,
    fit_prototypes,
    nearest_prototype,
    usual_squares,
)
from cybersec_mlops.training.quantiles import ONE_HOT, STEP


def places_of(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-1, 1, (rows, columns))
    return (np.rint(values * STEP) / STEP).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(columns=st.integers(1, EXACT_COLUMNS), seed=st.integers(0, 99))
def test_the_nearest_is_the_nearest_exactly(columns: int, seed: int) -> None:
    rows, prototypes = places_of(40, columns, seed), places_of(17, columns, seed + 1000)
    every = ((rows.astype(np.float64)[:, None] - prototypes[None]) ** 2).sum(axis=2)
    nearest, squares = nearest_prototype(rows, prototypes)
    assert np.array_equal(nearest, every.argmin(axis=1))
    assert np.array_equal(squares, every.min(axis=1))


@pytest.mark.parametrize("columns", [3, 75, 300])
def test_a_row_alone_scores_bit_for_bit_as_in_company(columns: int) -> None:
    rows, prototypes = places_of(2500, columns), places_of(30, columns, 1)
    usual = usual_squares(rows[:500], prototypes)
    whole = distance_score(rows, prototypes, usual)
    alone = [distance_score(rows[i : i + 1], prototypes, usual)[0] for i in range(0, 2500, 50)]
    assert np.array_equal(whole[::50], alone)


def test_the_same_distance_counts_more_where_rows_lie_close_together() -> None:
    rng = np.random.default_rng(0)
    tight, wide = (np.rint(rng.normal(0, sigma, (400, 6))) / STEP for sigma in (2, 40))
    prototypes = np.zeros((2, 6), dtype=np.float32)
    prototypes[:, 0] = -0.75, 0.75
    rows = np.concatenate([tight + prototypes[0], wide + prototypes[1]]).astype(np.float32)
    usual = usual_squares(rows, prototypes)
    off = prototypes + np.float32(0.125)
    assert nearest_prototype(off, prototypes)[1].tolist() == [6 * 0.125**2] * 2
    near_tight, near_wide = distance_score(off, prototypes, usual)
    assert near_tight > near_wide + 1
    ordinary = distance_score(rows, prototypes, usual)
    assert abs(ordinary[:400].mean() - ordinary[400:].mean()) < abs(np.log(usual[0] / usual[1])) * 2 / 3


def test_a_prototype_of_few_rows_has_the_spread_of_all() -> None:
    rows, prototypes = places_of(1000, 4), places_of(20, 4, 1)
    alone = np.concatenate([prototypes, np.ones((1, 4), dtype=np.float32)])
    usual = usual_squares(rows, alone)
    counts = np.bincount(nearest_prototype(rows, alone)[0], minlength=21)
    assert np.abs(usual / nearest_prototype(rows, alone)[1].mean() - 1)[counts <= 1].max() < 0.5
    assert np.allclose(usual_squares(rows, alone[-1:]), nearest_prototype(rows, alone[-1:])[1].mean())


def test_prototypes_cover_the_rows() -> None:
    centres = places_of(8, 5)
    rng = np.random.default_rng(0)
    rows = np.clip(centres[rng.integers(0, 8, 4000)] + np.rint(rng.normal(0, 2, (4000, 5))) / STEP, -1, 1)
    prototypes = fit_prototypes(rows.astype(np.float32), count=64, seed=0)
    assert nearest_prototype(rows.astype(np.float32), prototypes)[1].max() < 0.01


def test_prototypes_are_on_the_grid_distinct_and_seeded() -> None:
    rows = places_of(500, 4)
    prototypes = fit_prototypes(rows, count=50, seed=1)
    assert np.array_equal(prototypes * STEP, np.rint(prototypes * STEP))
    assert np.unique(prototypes, axis=0).shape == prototypes.shape
    assert np.array_equal(prototypes, fit_prototypes(rows, count=50, seed=1))
    assert not np.array_equal(fit_prototypes(rows, count=20, seed=1), fit_prototypes(rows, count=20, seed=2))


def test_a_rare_kind_has_a_prototype_however_often_the_others_come() -> None:
    rows = np.concatenate([np.repeat(places_of(400, 4) / 8, 20, axis=0), np.ones((1, 4), dtype=np.float32)])
    rows = (np.rint(rows * STEP) / STEP).astype(np.float32)
    assert nearest_prototype(rows[-1:], fit_prototypes(rows, count=10, seed=0))[1].max() < 0.01


def test_one_repeated_row_gives_one_prototype() -> None:
    assert fit_prototypes(np.zeros((20, 3), dtype=np.float32), count=9, seed=0).shape == (1, 3)


@settings(max_examples=25, deadline=None)
@given(
    numeric=st.integers(0, 6),
    flags=st.integers(1, 70),
    count=st.integers(150, 900),
    likely=st.floats(0.02, 0.98),
    coarse=st.booleans(),
    seed=st.integers(0, 999),
)
def test_looking_among_like_rows_first_changes_nothing(
    numeric: int, flags: int, count: int, likely: float, coarse: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, prototypes = places_of(700, numeric + flags, seed), places_of(count, numeric + flags, seed + 1)
    if coarse:  # many equal distances: the first of equals must stay the first
        rows, prototypes = np.sign(rows) / 2, np.sign(prototypes) / 2
    rows[:, numeric:] = np.where(rng.random((700, flags)) < likely, ONE_HOT, 0)
    prototypes[: count // 2, numeric:] = rows[rng.integers(0, 700, count // 2), numeric:]
    plain, sooner = nearest_prototype(rows, prototypes), nearest_prototype(rows, prototypes, numeric=numeric)
    assert np.array_equal(plain[0], sooner[0])
    assert np.array_equal(plain[1], sooner[1])
