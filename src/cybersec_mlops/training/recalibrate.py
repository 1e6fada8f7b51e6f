"""A trained detector for another network: what knows attacks is kept, what is normal is learnt anew.

The gradient boosting stays as it is, byte for byte; the scales of both halves and the thresholds come from the new
network's traffic, so that p-values mean there what they meant where the model was trained. The benign-only half is
fitted anew where rows are known to be benign, and kept where nobody knows: it would learn the attacks among them.

What was learnt elsewhere counts the less, the more foreign the traffic is: the supervised half's weight is the
training's times 1 - D, D the Kolmogorov-Smirnov distance between the uniform law and the p-values that the parent's
benign-only half gives the new rows. Both rules were chosen on networks that no published figure is measured on
(benchmarks/recalibration.py).
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fit import (
    FittedDetector,
    assemble,
    check_trainable,
    describe,
    in_canonical_order,
    known_rows,
)
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import benign_mask, carve_calibration, has_labels

SAMPLE: Final = 20_000
"""Rows that the distance is measured on, at most."""


def recalibrate(parent: Detector, rows: pl.DataFrame, spec: TrainingSpec) -> FittedDetector:
    """Carry a detector over to other traffic.

    Parameters
    ----------
    parent : Detector
        A detector with or without a supervised half.
    rows : DataFrame
        SILVER rows of the other network. Where any row is labelled only the benign ones count. Where none is, all do,
        and nominal rates are shares of all rows: attacks among them raise the thresholds, never the false alarms.
    spec : TrainingSpec
        All that concerns the benign-only half, the weight and the thresholds counts.

    Raises
    ------
    DataError
        No benign rows, too few, or rows that lack too many of the features.
    """
    started = time.perf_counter()
    train = in_canonical_order(known_rows(rows))
    check_trainable(train, labelled=False)
    encoder = parent.encoder
    matrix, benign = encoder.encode(train), benign_mask(train)
    calibration = carve_calibration(train, spec) if has_labels(train) else benign
    fitted = benign & ~calibration
    foreign = strangeness(parent, train.filter(pl.Series(benign)))
    booster = None if parent.supervised is None else parent.supervised.booster
    detector = assemble(
        train,
        matrix,
        encoder,
        spec,
        booster,
        fitted if fitted.any() else benign,
        calibration,
        novelty_model=None if has_labels(train) else parent.novelty.model,
        weight=spec.supervised_weight * (1.0 - foreign),
    )
    facts: dict[str, Any] = {
        "mode": "recalibrated" if booster is not None else "benign-only, recalibrated",
        "background_rows": rows.height - train.height,
        "fitted_rows": int(fitted.sum()),
        "missing_features": encoder.missing_features(train),
        "strangeness": round(foreign, 4),
        "supervised_weight": None if detector.supervised is None else detector.supervised.weight,
        "dropped_features": {},
    }
    report = {"rows": rows.height, **describe(train, detector, spec, calibration), **facts}
    return FittedDetector(detector, {**report, "seconds": round(time.perf_counter() - started, 3)})


def strangeness(parent: Detector, rows: pl.DataFrame) -> float:
    """Return how far rows are from what a detector knows as normal: 0 is as its own benign traffic, 1 is nothing alike.

    The Kolmogorov-Smirnov distance of the benign-only half's p-values from the uniform law.
    """
    sample = rows.sample(SAMPLE, seed=0) if rows.height > SAMPLE else rows
    p: NDArray[np.float64] = np.sort(np.exp(-parent.novelty_surprise(parent.score(sample)["novelty_score"].to_numpy())))
    steps = np.arange(p.size + 1) / p.size
    return float(max(np.abs(p - steps[1:]).max(), np.abs(p - steps[:-1]).max()))
