"""A trained detector for another network: what knows attacks is kept, what is normal is learnt anew.

The gradient boosting stays as it is, byte for byte; the scales of both halves and the thresholds come from the new
network's traffic, so that p-values mean there what they meant where the model was trained. The benign-only half is
fitted anew where rows are known to be benign, and kept where nobody knows: it would learn the attacks among them.

What was learnt elsewhere counts the less, the more foreign the traffic is: the supervised half's weight is the
training's times 1 - D, D the Kolmogorov-Smirnov distance between the uniform law and the p-values that the parent's
benign-only half gives the new rows. Both rules were chosen on networks that no published figure is measured on
(benchmarks/recalibration.py).

Nobody can tell a threshold that holds from one that attacks have raised, so what speaks for the latter is said: see
`warnings_of`.
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

FOREIGN: Final = 0.5
"""Distance from which on the traffic is called foreign: the supervised half has lost half of its weight."""


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
        "warnings": warnings_of(parent, detector, train, spec.nominal_false_positive_rate, foreign),
    }
    report = {"rows": rows.height, **describe(train, detector, spec, calibration), **facts}
    return FittedDetector(detector, {**report, "seconds": round(time.perf_counter() - started, 3)})


def warnings_of(parent: Detector, detector: Detector, train: pl.DataFrame, rate: float, foreign: float) -> list[str]:
    """Say what a user has to know before trusting the thresholds.

    Parameters
    ----------
    parent, detector : Detector
        What was recalibrated, and what became of it.
    train : DataFrame
        The rows that it was recalibrated on.
    rate : float
        The nominal false-positive rate.
    foreign : float
        The distance, see `strangeness`.
    """
    warnings = []
    if not has_labels(train) and parent.supervised is not None:
        scored = detector.score(train)
        odds = scored["supervised_score"].to_numpy()
        likely = (odds > 0) & (parent.supervised.surprise(odds) >= -np.log(rate))  # attacks, by what was learnt
        taken, usual = scored.filter(pl.Series(likely)), rate * train.height
        if taken.height > usual + 2 * usual**0.5 + 2:  # more than such a threshold lets through, beyond chance
            warnings.append(
                f"no row is labelled, and the model takes {taken.height:,} of {train.height:,} for attacks: thresholds"
                f" are shares of all rows, and at the new one only {int(taken['is_alert'].sum()):,} of these would"
                " alert; recalibrate on traffic that is known to be benign"
            )
    if foreign > FOREIGN:
        cause = "" if has_labels(train) else ", or most of it is attacks"
        warnings.append(
            f"this traffic is hardly like what the model knows as benign (strangeness {foreign:.2f} of 1)"
            f"{cause}: what it learnt of attacks counts {100 * (1 - foreign):.0f} % of what it did"
        )
    return warnings


def strangeness(parent: Detector, rows: pl.DataFrame) -> float:
    """Return how far rows are from what a detector knows as normal: 0 is as its own benign traffic, 1 is nothing alike.

    The Kolmogorov-Smirnov distance of the benign-only half's p-values from the uniform law.
    """
    sample = rows.sample(SAMPLE, seed=0) if rows.height > SAMPLE else rows
    p: NDArray[np.float64] = np.sort(np.exp(-parent.novelty_surprise(parent.score(sample)["novelty_score"].to_numpy())))
    steps = np.arange(p.size + 1) / p.size
    return float(max(np.abs(p - steps[1:]).max(), np.abs(p - steps[:-1]).max()))
