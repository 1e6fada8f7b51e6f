"""NSL-KDD, training file alone: time-blind 10-fold, and every attack family left out of training in turn.

    python benchmarks/detector_families.py [--folds 10] [--run 10] [--processes 2]

A detector is trained on nine folds without one family and ranks that family's rows in the tenth fold against the
benign rows there. Families are those of the KDD Cup 1999 task description. Printed are ROC-AUC and, at a nominal
false-positive rate of 1 %, the recall, each as the mean over the folds with its 95 % interval (Student's t over the
folds, whose training rows overlap: it tells how far folds differ, not another network); for all families in training,
also the achieved over the nominal false-positive rate. The design (views, network, prototypes, fusion, trees) was
chosen by comparing some dozens of variants on two folds of this same file, so the figures are those of the chosen
variant, somewhat flattered by the choice; no other NSL-KDD file was used.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from cybersec_mlops.training.fingerprint import row_fingerprints, uniform
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import feature_columns
from detector_data import load, table

_ATTACKS = {
    "dos": "back land neptune pod smurf teardrop",
    "probe": "ipsweep nmap portsweep satan",
    "r2l": "ftp_write guess_passwd imap multihop phf spy warezclient warezmaster",
    "u2r": "buffer_overflow loadmodule perl rootkit",
}
FAMILY = {attack: family for family, attacks in _ATTACKS.items() for attack in attacks.split()}
SCORES = {"supervised": "supervised_score", "benign-only": "novelty_score", "fused": "score"}
FAMILIES = (*_ATTACKS, "all")
NONE = "none"
SINGLE = {"dos": 0.986, "probe": 0.990, "r2l": 0.901, "u2r": 0.975}
"""The best single detector's ROC-AUC with the family left out (XGBoost, isolation forest, 5-NN), as measured before
this project on the official test file, which has further attacks: a bar, not a comparison on the same rows."""


class Outcome(NamedTuple):
    """What one detector did to one fold."""

    left_out: str
    auc: dict[str, dict[str, float]]
    """Family to score to ROC-AUC."""
    recall: dict[str, float]
    """Family to recall of the fused detector at the active threshold."""
    false_positives: dict[float, float]
    """Nominal to achieved rate."""


def outcome(fold: int, folds: int, left_out: str, seed: int) -> Outcome:
    """Train without a fold and a family, and score the fold."""
    rows = load("nsl-kdd").with_columns(family=pl.col("label").replace_strict(FAMILY, default=None))
    codes = row_fingerprints(rows, feature_columns(rows.drop("family")))
    in_fold = pl.Series((uniform(codes, 1000 + seed) * folds).astype(np.int64) == fold)
    train = rows.filter(~in_fold & ((rows["family"] != left_out).fill_null(True))).drop("family")
    test = rows.filter(in_fold)
    detector = fit_detector(train, TrainingSpec(seed=seed, threads=1)).detector
    scored = test.select("family").hstack(detector.score(test))
    benign = scored.filter(pl.col("family").is_null())
    auc, recall = {}, {}
    for family in FAMILIES:
        attacks = scored.filter(pl.col("family").is_not_null() if family == "all" else pl.col("family") == family)
        truth = np.r_[np.zeros(benign.height), np.ones(attacks.height)]
        auc[family] = {
            name: float(roc_auc_score(truth, pl.concat([benign[column], attacks[column]]).to_numpy()))
            for name, column in SCORES.items()
        }
        recall[family] = float(attacks["is_alert"].to_numpy().mean())
    achieved = {
        threshold.rate: float((benign["score"] >= threshold.score).to_numpy().mean())
        for threshold in detector.calibration.thresholds
    }
    return Outcome(left_out, auc, recall, achieved)


def show(outcomes: Iterable[Outcome]) -> None:
    """Print the tables."""
    every = list(outcomes)
    full = [one for one in every if one.left_out == NONE]
    rows: list[list[object]] = []
    for family, bar in SINGLE.items():
        lofo = [one for one in every if one.left_out == family]
        cells = [over_folds(one.auc[family][score] for one in lofo) for score in SCORES]
        rows.append([family, bar, *cells, over_folds((one.recall[family] for one in lofo), 3)])
    table(["left out", "bar", *SCORES, "fused, recall at nominal 1 %"], rows)
    print()
    rows = [[family, *(over_folds(one.auc[family][name] for one in full) for name in SCORES)] for family in FAMILIES]
    table(["in training", *SCORES], rows)
    print()
    rates = sorted(full[0].false_positives)
    ratios = [[rate, over_folds((one.false_positives[rate] / rate for one in full), 2)] for rate in rates]
    table(["nominal false-positive rate", "achieved / nominal"], ratios)
    print()
    for name in ("benign-only", "fused"):
        means = {each: np.mean([one.auc[each][name] for one in every if one.left_out == each]) for each in SINGLE}
        missed = ", ".join(family for family, bar in SINGLE.items() if means[family] < bar) or "none"
        print(f"{name}: bars missed: {missed}; worst family {min(means.values()):.4f} (wanted: 0.90)")
    ratio = float(np.mean([one.false_positives[0.01] for one in full])) / 0.01
    print(f"achieved over nominal at 1 %: {ratio:.2f} (wanted: at most 1.5)")


def over_folds(figures: Iterable[float], digits: int = 4) -> str:
    """Return the mean over the folds and its interval, where there are several."""
    found = np.array(list(figures))
    mean = f"{found.mean():.{digits}f}"
    if found.size < 2:
        return mean
    half = float(t.ppf(0.975, found.size - 1) * found.std(ddof=1) / np.sqrt(found.size))
    return f"{mean} +- {half:.{digits}f}"


def main() -> None:
    """Run the folds in parallel processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=10, help="how many parts the rows are cut into")
    parser.add_argument("--run", type=int, help="how many of the folds to run (default: all)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(outcome, fold, given.folds, left_out, given.seed)
            for fold in range(given.run or given.folds)
            for left_out in (NONE, *_ATTACKS)
        ]
        show([one.result() for one in waiting])


if __name__ == "__main__":
    main()
