"""A small autoencoder: rows that it cannot rebuild break the rules that benign rows obey.

scikit-learn fits it; scoring is numpy on plain arrays. Weights and activations are multiples of a power of two, small
enough that every sum is exact in float64: the error of a row has the same bits alone or among a million rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.float32]

WEIGHT_STEP: Final = 2.0**16
WEIGHT_LIMIT: Final = 2.0**5
ACTIVATION_STEP: Final = 2.0**14
ACTIVATION_LIMIT: Final = 2.0**8
"""Products are multiples of 2^-30 below 2^13; a sum of 1,024 of them stays below 2^23: 53 bits, exact in float64."""
ERROR_LIMIT: Final = 4.0
SCALE_STEP: Final = 2.0**8
SCALE_FLOOR: Final = 2.0
"""A column's errors are measured by their mean on the fitted rows, plus this many times all columns' mean."""

ERROR_FLOOR: Final = 1e-6

UPDATES: Final = 15_000
"""Mini-batches that a fit takes at most, and so its time: more rows get fewer passes."""

BATCH: Final = 256

BLOCK: Final = 512
"""Rows that are scored at once: what fits a processor's cache."""


@dataclass(frozen=True)
class Autoencoder:
    """Layers of a network with rectified units that returns what it is given."""

    weights: tuple[Floats, ...]
    """One matrix per layer, shape (inputs, outputs)."""
    biases: tuple[Floats, ...]
    scale: Floats
    """What an error counts, by column: more where benign rows are rebuilt well, shape (columns,)."""

    def errors(self, places: Places) -> Floats:
        """Return how far off each column of each row is rebuilt, scaled, shape (rows, columns)."""
        deviations = self.deviations(places)
        deviations *= self.scale
        return deviations

    def deviations(self, places: Places) -> Floats:
        """Return how far off each column is rebuilt, as it is, shape (rows, columns).

        Absolute errors, though the fit is on squares: many small errors tell as much as a large one. (KDDTrain+, ten
        folds, and the other development draws: recall at 1 % rises on each, ROC-AUC falls on UNSW-NB15 by 0.005.)
        """
        wide = hidden = places.astype(np.float64)
        last = len(self.weights) - 1
        for index, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = hidden @ weights
            hidden += bias
            if index < last:
                np.clip(hidden, 0.0, ACTIVATION_LIMIT, out=hidden)
                _round(hidden, ACTIVATION_STEP)
        hidden -= wide
        np.clip(hidden, -ERROR_LIMIT, ERROR_LIMIT, out=hidden)
        _round(hidden, ACTIVATION_STEP)
        np.abs(hidden, out=hidden)
        return hidden

    def score(self, places: Places) -> Floats:
        """Return the logarithm of the mean scaled error (higher is more suspicious), shape (rows,)."""
        total = np.empty(places.shape[0])
        for start in range(0, places.shape[0], BLOCK):
            block = slice(start, start + BLOCK)
            total[block] = self.deviations(places[block]) @ self.scale
        return np.asarray(np.log(total / self.scale.size + ERROR_FLOOR), dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that it consists of."""
        named = {f"weights{index}": weights for index, weights in enumerate(self.weights)}
        return {**named, **{f"bias{index}": bias for index, bias in enumerate(self.biases)}, "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Autoencoder:
        """Read the arrays back."""
        layers = range(sum(name.startswith("weights") for name in arrays))
        weights = tuple(np.asarray(arrays[f"weights{index}"], dtype=np.float64) for index in layers)
        biases = tuple(np.asarray(arrays[f"bias{index}"], dtype=np.float64) for index in layers)
        return cls(weights, biases, np.asarray(arrays["scale"], dtype=np.float64))


def fit_autoencoder(places: Places, *, hidden: tuple[int, ...], epochs: int, seed: int) -> Autoencoder:
    """Fit by Adam on the squared error (scikit-learn's MLPRegressor), on one thread.

    Parameters
    ----------
    places : ndarray of float32, shape (rows, columns)
        Benign rows as `Quantiles.transform` gives them.
    hidden : tuple of int
        Widths of the hidden layers.
    epochs : int
        Passes over the rows; fewer where they would take more than `UPDATES` mini-batches, more (up to ten times)
        where there are so few rows that the network would hardly move.
    seed : int
    """
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    batch = min(BATCH, max(8, places.shape[0] // 16))
    batches = max(1, places.shape[0] // batch)
    passes = max(2, min(10 * epochs, max(epochs, 600 // batches), UPDATES // batches))
    model = MLPRegressor(
        hidden_layer_sizes=hidden,
        batch_size=batch,
        learning_rate_init=2e-3,
        max_iter=passes,
        tol=0.0,
        n_iter_no_change=passes,
        random_state=seed,
    )
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # stopping after a fixed number of passes is meant, not a failure
        model.fit(places, places)
    sizes = [places.shape[1], *hidden, places.shape[1]]
    shapes = list(pairwise(sizes))
    weights = tuple(_grid(array.reshape(shape)) for array, shape in zip(model.coefs_, shapes, strict=True))
    biases = tuple(_grid(array) for array in model.intercepts_)
    plain = Autoencoder(weights, biases, np.ones(places.shape[1]))
    return Autoencoder(weights, biases, _scale(plain.deviations(places).mean(axis=0)))


def _scale(errors: Floats) -> Floats:
    """Return weights on a grid, in (0, 1 / SCALE_FLOOR], for columns of these mean errors."""
    usual = max(float(errors.mean()), 1e-12)
    return np.maximum(_round(usual / (errors + SCALE_FLOOR * usual), SCALE_STEP), 1 / SCALE_STEP)


def _grid(array: NDArray[np.floating]) -> Floats:
    wide = np.clip(array.astype(np.float64), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return _round(wide, WEIGHT_STEP)


def _round(values: Floats, step: float) -> Floats:
    """Round to multiples of 1 / `step`, ties to even: a sum with so large a number has no bits for more.

    >>> _round(np.array([0.3, 0.375, -0.625]), 4.0).tolist()
    [0.25, 0.5, -0.5]
    """
    large = 1.5 * 2.0**52 / step
    values += large
    values -= large
    return values
