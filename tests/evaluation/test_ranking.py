from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from cybersec_mlops.errors import DataError
from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, Ranking, average_precision, recall_at, roc_auc

Rows = tuple[BoolArray, FloatArray]


@st.composite
def scored_rows(draw: st.DrawFn) -> Rows:
    """Rows of both classes with many ties."""
    size = draw(st.integers(2, 60))
    score = draw(st.lists(st.integers(-5, 5), min_size=size, max_size=size))
    attack = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    attack[0], attack[1] = True, False
    return np.array(attack), np.array(score, dtype=np.float64)


@given(scored_rows())
@settings(max_examples=80, deadline=None)
def test_it_agrees_with_scikit_learn(rows: Rows) -> None:
    attack, score = rows
    ranking = Ranking.of(attack, score)
    assert ranking.point(roc_auc) == pytest.approx(roc_auc_score(attack, score))
    assert ranking.point(average_precision) == pytest.approx(average_precision_score(attack, score))
    false, recall, _ = roc_curve(attack, score, drop_intermediate=False)
    for rate in (0.0, 0.1, 0.5, 1.0):
        assert ranking.point(recall_at(rate)) == pytest.approx(recall[false <= rate].max())


@given(scored_rows())
@settings(max_examples=40, deadline=None)
def test_monotone_transforms_and_row_order_change_nothing(rows: Rows) -> None:
    attack, score = rows
    order = np.random.default_rng(0).permutation(score.size)
    one, other = Ranking.of(attack, score), Ranking.of(attack[order], np.exp(score[order] / 3))
    for statistic in (roc_auc, average_precision, recall_at(0.2)):
        assert one.point(statistic) == other.point(statistic)


@given(scored_rows())
@settings(max_examples=40, deadline=None)
def test_turning_the_score_around_mirrors_the_area(rows: Rows) -> None:
    attack, score = rows
    areas = [Ranking.of(attack, sign * score).point(roc_auc) for sign in (1.0, -1.0)]
    assert areas[0] is not None
    assert areas[1] == pytest.approx(1 - areas[0])


def test_what_is_undefined_is_none_and_never_zero() -> None:
    ranking = Ranking.of(np.zeros(3, dtype=np.bool_), np.arange(3.0))
    assert [ranking.point(one) for one in (roc_auc, average_precision, recall_at(0.1))] == [None, None, None]
    assert Ranking.of(np.zeros(0, dtype=np.bool_), np.zeros(0)).point(roc_auc) is None


def test_infinite_scores_rank_at_the_end() -> None:
    ranking = Ranking.of(np.array([True, False, False]), np.array([np.inf, 0.0, -np.inf]))
    assert ranking.point(roc_auc) == 1.0


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 scores are NaN"):
        Ranking.of(np.array([True, False]), np.array([np.nan, 1.0]))


def test_bins_keep_the_order_and_are_few() -> None:
    rng = np.random.default_rng(0)
    attack = rng.random(50_000) < 0.01
    ranking = Ranking.of(attack, rng.normal(size=50_000) + attack)
    bins = ranking.bins()
    assert (np.diff(bins) >= 0).all()
    assert bins[0] == 0
    assert bins[-1] < 1300
    attacks, benign = (np.bincount(bins, counts).astype(np.float64) for counts in (ranking.attacks, ranking.benign))
    assert float(roc_auc(attacks, benign)) == pytest.approx(ranking.point(roc_auc), abs=1e-3)


def test_curves_start_and_end_where_they_must() -> None:
    ranking = Ranking.of(np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0]))
    false, recall = ranking.roc()
    assert (false[0], recall[0], false[-1], recall[-1]) == (0, 0, 1, 1)
    recall, precision = ranking.precision_recall()
    assert recall[-1] == 1
    assert precision[-1] == 0.5
