from __future__ import annotations

import numpy as np
import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.complete import complete
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.supervised import (
    available_cpus,
    balanced_weights,
    contributions,
    fit_booster,
    load_booster,
)

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(2000, 6)).astype(np.float32)
MATRIX[RNG.random(2000) < 0.1, 3] = np.nan
IS_ATTACK = MATRIX[:, 0] + MATRIX[:, 1] > 1.5
LABELS = np.where(IS_ATTACK, np.where(MATRIX[:, 2] > 1, "rare", "common"), "BENIGN")


def fit(**changes: object) -> bytes:
    spec = TrainingSpec.model_validate({"trees": 12, "depth": 3, "threads": 1, **changes})
    return fit_booster(MATRIX, LABELS, IS_ATTACK, spec)


def test_the_model_does_not_depend_on_threads_and_does_on_the_seed() -> None:
    assert fit(threads=1) == fit(threads=2) == fit(threads=3)
    assert fit(seed=1) != fit()


def test_attacks_score_higher() -> None:
    scores = complete(load_booster(fit())).margins(MATRIX)
    assert np.median(scores[IS_ATTACK]) > 0 > np.median(scores[~IS_ATTACK])


def test_contributions_sum_to_the_margin_but_for_a_constant() -> None:
    booster = load_booster(fit())
    rest = complete(booster).margins(MATRIX) - contributions(booster, MATRIX).sum(axis=1)
    assert np.ptp(rest) < 1e-4


def test_weights_even_out_the_sides_and_lift_rare_attacks() -> None:
    weights = balanced_weights(LABELS, IS_ATTACK)
    assert weights[IS_ATTACK].sum() == pytest.approx(weights[~IS_ATTACK].sum(), rel=1e-4)
    assert weights[LABELS == "rare"].min() > weights[LABELS == "common"].max()
    assert weights[LABELS == "rare"].sum() < weights[LABELS == "common"].sum()


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(DataError, match="gradient boosting"):
        load_booster(b"{not a model")


def test_there_is_a_processor() -> None:
    assert available_cpus() >= 1
