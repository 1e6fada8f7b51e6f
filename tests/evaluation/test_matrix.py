from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.matrix import Encoder, labelled_sample, single_feature_score
from cybersec_mlops.evaluation.ranking import Ranking, roc_auc

Traffic = Callable[..., pl.DataFrame]


def test_a_sample_keeps_the_share_of_attacks_the_order_and_only_labelled_rows(make_traffic: Traffic) -> None:
    frame = make_traffic(0, rows=6000)
    unlabelled = frame.head(500).with_columns(is_attack=pl.lit(None, pl.Boolean))
    drawn = labelled_sample(pl.concat([frame, unlabelled]), 3000, seed=1)
    assert abs(drawn.height - 3000) <= 1
    assert drawn["is_attack"].mean() == pytest.approx(frame["is_attack"].mean(), abs=0.01)
    assert drawn["ts"].is_sorted()
    assert drawn.equals(labelled_sample(pl.concat([frame, unlabelled]), 3000, seed=1))


def test_a_rare_class_is_not_lost_by_sampling(make_traffic: Traffic) -> None:
    frame = make_traffic(0, rows=20_000, attacks=0.005)
    assert labelled_sample(frame, 2000, seed=0)["is_attack"].sum() == frame["is_attack"].sum()


def test_unset_unseen_infinite_and_lacking_values_are_nan() -> None:
    train = pl.DataFrame({"a": [1.0, None], "s": ["x", "x"], "b": [True, False]})
    test = pl.DataFrame({"a": [float("inf"), float("nan")], "s": ["new", None]})
    matrix = Encoder.fit(train, ["a", "s", "b"]).encode(test)
    assert np.isnan(matrix).all()
    assert Encoder.fit(train, ["a", "s", "b"]).encode(train).tolist()[0] == [1.0, 0.0, 1.0]


def test_numbers_beyond_single_precision_do_not_warn() -> None:
    frame = pl.DataFrame({"a": [1e300, -1e300, 5.0]})
    assert np.isnan(Encoder.fit(frame, ["a"]).encode(frame)[:2]).all()


@pytest.mark.parametrize("shape", ["up", "down", "both ends", "missing"])
def test_a_separation_of_any_shape_is_found(shape: str) -> None:
    rng = np.random.default_rng(0)
    attack = rng.random(2000) < 0.3
    value = rng.normal(size=2000)
    column = {
        "up": value + 20 * attack,
        "down": value - 20 * attack,
        "both ends": np.where(attack, 20 * np.sign(value), value),
        "missing": np.where(attack, np.nan, value),
    }[shape].astype(np.float32)
    _, score = single_feature_score(column[:1000], attack[:1000], column[1000:])
    assert Ranking.of(attack[1000:], score).point(roc_auc) == pytest.approx(1.0, abs=1e-3)


def test_noise_stays_at_chance_on_other_rows() -> None:
    rng = np.random.default_rng(0)
    attack, column = rng.random(4000) < 0.3, rng.normal(size=4000).astype(np.float32)
    _, score = single_feature_score(column[:2000], attack[:2000], column[2000:])
    assert Ranking.of(attack[2000:], score).point(roc_auc) == pytest.approx(0.5, abs=0.06)


def test_a_column_without_a_value_scores_all_rows_alike() -> None:
    empty = np.full(10, np.nan, dtype=np.float32)
    fitted, other = single_feature_score(empty, np.arange(10) < 5, empty)
    assert len(set(fitted)) == len(set(other)) == 1
