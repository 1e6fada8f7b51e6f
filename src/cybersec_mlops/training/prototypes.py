"""Typical benign rows: a row far from all of them is of a kind that training did not show."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.training.quantiles import STEP

Floats = NDArray[np.float64]
Places = NDArray[np.float32]

ROUNDS: Final = 10
"""Rounds of Lloyd's algorithm."""

ROWS_PER_PROTOTYPE: Final = 16
"""Rows that the prototypes are fitted on, at most, per prototype: more change little."""

EXACT_COLUMNS: Final = 256
"""Up to here the scalar products of places, multiples of 2^-16 below 1, are exact in float32."""

NEARNESS_FLOOR: Final = 1e-4

BLOCK: Final = 1024
"""Rows whose distances to all prototypes are in memory at once: what fits a processor's cache."""


def fit_prototypes(places: Places, *, count: int, seed: int) -> Places:
    """Choose prototypes among the distinct rows; fewer where those are few.

    They begin as rows that lie as far apart as they can (farthest first: Gonzalez, Theoretical Computer Science 38,
    1985) and move to the middle of what is near them (Lloyd 1982). Each different row counts once: a rare kind of
    benign traffic gets prototypes as a frequent one does. (Measured against k-means over all rows, means over the
    kinds of attack: ROC-AUC of the benign-only score 0.968 to 0.972 on KDDTrain+, 0.902 to 0.915 on UNSW-NB15, 0.810
    to 0.819 on simulated traffic; recall at 1 % from 0.59 to 0.69, 0.49 to 0.58, 0.047 to 0.049.)

    Parameters
    ----------
    places : ndarray of float32, shape (rows, columns)
        Benign rows as `Quantiles.transform` gives them.
    count : int
        Prototypes wanted; at most half of the distinct rows are.

    Returns
    -------
    ndarray of float32, shape (prototypes, columns)
        Multiples of 1/256, no two alike.
    """
    distinct = np.unique(places, axis=0)
    if distinct.shape[0] > ROWS_PER_PROTOTYPE * count:
        chosen = np.random.default_rng(seed).choice(distinct.shape[0], ROWS_PER_PROTOTYPE * count, replace=False)
        distinct = distinct[np.sort(chosen)]
    centres = _far_apart(distinct, max(1, min(count, distinct.shape[0] // 2)))
    for _ in range(ROUNDS):
        nearest, _ = nearest_prototype(distinct, centres)
        centres = _means(distinct, nearest, centres)
    return np.unique(centres, axis=0)


def _far_apart(rows: Places, count: int) -> Places:
    """Choose rows, each as far as can be from those before it; the first is the one nearest to the middle."""
    points: NDArray[Any] = rows.astype(_exact(rows), copy=False)
    middle = np.rint(rows.astype(np.float64).mean(axis=0) * STEP) / STEP
    chosen = [int(_square(rows - middle).argmin())]
    nearest = np.full(rows.shape[0], np.inf, dtype=points.dtype)
    while len(chosen) < count:
        differences = points - points[chosen[-1]]
        np.minimum(nearest, np.einsum("ij,ij->i", differences, differences), out=nearest)
        chosen.append(int(nearest.argmax()))
    return rows[chosen]


def _exact(rows: Places) -> np.dtype[Any]:
    """Return the type in which sums over so many columns are exact."""
    return np.dtype(np.float32 if rows.shape[1] <= EXACT_COLUMNS else np.float64)


def nearest_prototype(places: Places, prototypes: Places) -> tuple[NDArray[np.int64], Floats]:
    """Find each row's nearest prototype and the squared distance to it, shapes (rows,) and (rows,)."""
    exact = _exact(places)
    points: NDArray[Any] = places.astype(exact, copy=False)
    targets: NDArray[Any] = prototypes.astype(exact, copy=False)
    halves = np.einsum("ij,ij->i", targets, targets) / 2
    nearest = np.empty(places.shape[0], dtype=np.int64)
    for start in range(0, places.shape[0], BLOCK):
        block = slice(start, start + BLOCK)
        nearest[block] = (halves - points[block] @ targets.T).argmin(axis=1)
    return nearest, _square(places.astype(np.float64) - prototypes[nearest])


def distance_score(places: Places, prototypes: Places) -> Floats:
    """Return the logarithm of the squared distance to the nearest prototype (higher is more suspicious)."""
    squares = nearest_prototype(places, prototypes)[1]
    return np.asarray(np.log(squares / places.shape[1] + NEARNESS_FLOOR), dtype=np.float64)


def _square(differences: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", differences, differences), dtype=np.float64)


def _means(places: Places, nearest: NDArray[np.int64], centres: Places) -> Places:
    order = np.argsort(nearest, kind="stable")
    used, first, counts = np.unique(nearest[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(places[order].astype(np.float64), first, axis=0)
    moved = centres.copy()
    moved[used] = np.rint(sums / counts[:, None] * STEP) / STEP
    return moved
