"""A small, fast model of the audit's own: not to detect attacks, but to ask what could be learnt from these columns.

It shares no code with ``training``, so that a mistake there is not repeated here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, Ranking, roc_auc

Matrix = NDArray[np.float32]


def fit_score(train: Matrix, is_attack: BoolArray, test: Matrix, seed: int) -> FloatArray:
    """Fit 40 shallow boosted trees to the training rows and score the test rows; higher is more suspicious.

    One thread: 20,000 rows take 0.2 s on it, and OpenMP threads that wait for each other on a busy machine take 40
    times as long.
    """
    import xgboost

    settings = {
        "objective": "binary:logistic",
        "max_depth": 4,
        "eta": 0.3,
        "tree_method": "hist",
        "max_bin": 64,
        "min_child_weight": 2,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
    }
    model = xgboost.train(settings, xgboost.DMatrix(train, label=is_attack, nthread=1), num_boost_round=40)
    scores: FloatArray = model.inplace_predict(test).astype(np.float64)
    return scores


def transfer_auc(train: Matrix, is_attack: BoolArray, test: Matrix, truth: BoolArray, seed: int) -> float:
    """Return the ROC-AUC on the test rows of a probe fitted to the training rows; NaN where a class is missing."""
    if not 0 < is_attack.sum() < is_attack.size:
        return float("nan")
    value = Ranking.of(truth, fit_score(train, is_attack, test, seed)).point(roc_auc)
    return float("nan") if value is None else value


def halves_auc(rows: Matrix, is_attack: BoolArray, seed: int) -> float:
    """Return the ROC-AUC within one set of rows: fitted to each random half, scored on the other."""
    half = np.random.default_rng(seed).permutation(is_attack.size) % 2 == 0
    aucs = [transfer_auc(rows[side], is_attack[side], rows[~side], is_attack[~side], seed) for side in (half, ~half)]
    return float(np.mean(aucs))


def chance_deviation(is_attack: BoolArray) -> float:
    """Return the standard deviation of the ROC-AUC of a score that knows nothing (Mann-Whitney)."""
    attacks, benign = int(is_attack.sum()), int((~is_attack).sum())
    return float(np.sqrt((attacks + benign + 1) / (12 * attacks * benign))) if attacks and benign else float("nan")
