from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cybersec_mlops.evaluation.probe import chance_deviation, fit_score, halves_auc, transfer_auc


def rows(seed: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    attack = rng.random(2000) < 0.4
    return (rng.normal(size=(2000, 4)) + shift * attack[:, None]).astype(np.float32), attack


def test_it_learns_what_is_there_and_nothing_else() -> None:
    (train, attack), (test, truth) = rows(0, 1.0), rows(1, 1.0)
    assert transfer_auc(train, attack, test, truth, 0) > 0.88
    assert halves_auc(train, attack, 0) > 0.88
    noise, label = rows(2, 0.0)
    assert halves_auc(noise, label, 0) == pytest.approx(0.5, abs=5 * chance_deviation(label))


def test_the_same_seed_gives_the_same_scores() -> None:
    (train, attack), (test, _) = rows(0, 0.5), rows(1, 0.5)
    assert np.array_equal(fit_score(train, attack, test, 3), fit_score(train, attack, test, 3))


def test_missing_values_are_no_obstacle() -> None:
    train, attack = rows(0, 1.0)
    train[::3, 0] = np.nan
    assert np.isfinite(fit_score(train, attack, train, 0)).all()


def test_one_class_is_nan_and_not_a_figure() -> None:
    train, attack = rows(0, 1.0)
    assert np.isnan(transfer_auc(train[attack], attack[attack], train, attack, 0))


def test_the_deviation_of_chance_is_that_of_random_scores() -> None:
    rng = np.random.default_rng(0)
    attack = np.arange(300) < 90
    areas = [roc_auc_score(attack, rng.random(300)) for _ in range(300)]
    assert chance_deviation(attack) == pytest.approx(np.std(areas), rel=0.15)
