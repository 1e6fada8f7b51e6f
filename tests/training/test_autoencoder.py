from __future__ import annotations

import numpy as np
import pytest

from cybersec_mlops.training.autoencoder import Autoencoder, fit_autoencoder
from cybersec_mlops.training.quantiles import STEP


def places_of(rows: int, seed: int = 0) -> np.ndarray:
    """Six columns of which three follow from the others."""
    free = np.random.default_rng(seed).uniform(-0.5, 0.5, (rows, 3))
    return (np.rint(np.concatenate([free, -free], axis=1) * STEP) / STEP).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Autoencoder:
    return fit_autoencoder(places_of(2000), hidden=(16, 4, 16), epochs=10, seed=0)


def test_rows_that_break_the_rule_score_higher(model: Autoencoder) -> None:
    good, broken = places_of(500, 1), places_of(500, 2)
    broken[:, 3:] = places_of(500, 3)[:, 3:]
    assert np.median(model.score(broken)) > np.quantile(model.score(good), 0.95)


def test_a_row_alone_scores_bit_for_bit_as_in_company(model: Autoencoder) -> None:
    rows = places_of(777, 4)
    alone = np.concatenate([model.score(rows[i : i + 1]) for i in range(rows.shape[0])])
    assert np.array_equal(alone, model.score(rows))
    assert np.array_equal(model.score(np.asfortranarray(rows)), model.score(rows))


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    fits = [fit_autoencoder(places_of(300), hidden=(4,), epochs=2, seed=seed) for seed in (5, 5, 6)]
    assert all(np.array_equal(a, b) for a, b in zip(fits[0].weights, fits[1].weights, strict=True))
    assert not np.array_equal(fits[0].weights[0], fits[2].weights[0])


def test_a_few_rows_are_enough() -> None:
    model = fit_autoencoder(places_of(12), hidden=(8, 2, 8), epochs=2, seed=0)
    assert np.isfinite(model.score(places_of(5))).all()


def test_arrays_round_trip(model: Autoencoder) -> None:
    rows = places_of(50, 9)
    assert np.array_equal(Autoencoder.from_arrays(model.arrays()).errors(rows), model.errors(rows))
