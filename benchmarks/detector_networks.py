"""Later days, other networks, with and without shortcuts: detectors on real logs, as the traffic would have come.

    python benchmarks/detector_networks.py [--tables cicids strato ctu unsw]

Every table is one detector, trained on the first part, with its thresholds frozen before it scored the second part.
The second parts are not untouched: rows of all these collections, strato-010 and CICIDS2017's Thursday included, were
among those that the benign-only design and its screening were compared on. Read the tables as shown, not as proof.
Intervals are not given here: the evaluation's report has them.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

from cybersec_mlops.connections import BENIGN
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import split
from detector_data import load, shortcuts, table

SCORES = {"supervised": "supervised_score", "benign-only": "novelty_score", "fused": "score"}
THURSDAY = datetime(2017, 7, 6, tzinfo=UTC)


def measure(detector: Detector, test: pl.DataFrame) -> tuple[list[list[object]], list[list[object]]]:
    """Return a line per score (ROC-AUC, average precision), and a line per attack (rows, recall at each rate)."""
    test = test.filter(pl.col("is_attack").is_not_null())
    scored = detector.score(test)
    truth = test["is_attack"].to_numpy()
    lines: list[list[object]] = []
    for name, column in SCORES.items():
        if scored[column].null_count():
            continue
        values = scored[column].to_numpy()
        lines.append([name, float(roc_auc_score(truth, values)), float(average_precision_score(truth, values))])
    thresholds = detector.calibration.thresholds
    attacks: list[list[object]] = []
    for label in [BENIGN, *sorted(set(test["label"]) - {BENIGN})]:
        scores = scored["score"].filter(test["label"] == label).to_numpy()
        attacks.append([label, scores.size, *(float((scores >= each.score).mean()) for each in thresholds)])
    return lines, attacks


def report(title: str, train: pl.DataFrame, test: pl.DataFrame, spec: TrainingSpec, drop: dict[str, str]) -> None:
    """Train, score and print."""
    detector = fit_detector(train, spec, shortcuts=drop).detector
    lines, attacks = measure(detector, test)
    print(f"\n### {title}: {train.height} rows to train, {test.height} to test\n")
    table(["score", "ROC-AUC", "average precision"], lines)
    print("\nShare of rows alerted, fused, at a nominal false-positive rate of:\n")
    table(["label", "rows", *(f"{each.rate:.1%}" for each in detector.calibration.thresholds)], attacks)


def cicids(spec: TrainingSpec) -> None:
    """Corrected CICIDS2017, Monday to Wednesday against Thursday."""
    rows = load("cicids2017")
    train, test = rows.filter(pl.col("ts") < THURSDAY), rows.filter(pl.col("ts") >= THURSDAY)
    report("CICIDS2017 corrected, Mon-Wed -> Thu", train, test, spec, shortcuts("cicids2017"))


def strato(spec: TrainingSpec) -> None:
    """One day of a network against the next day."""
    report("Stratosphere 008 -> 010", load("strato-008"), load("strato-010"), spec, {})


def ctu(spec: TrainingSpec) -> None:
    """A botnet capture against another network."""
    train = load("ctu-botnet-4")
    for other in ("strato-008", "strato-010"):
        report(f"CTU botnet 4 -> {other}", train, load(other), spec, {})


def unsw(spec: TrainingSpec) -> None:
    """The partition split with identical rows on one side, with and without the columns from the time to live."""
    rows = load("unsw-nb15")
    cut = split(rows, spec)
    for title, keep in (("without TTL columns", "drop"), ("with TTL columns", "keep")):
        each = spec.model_copy(update={"shortcuts": keep})
        report(f"UNSW-NB15, {title}", cut.train, cut.test, each, shortcuts("unsw-nb15"))


TABLES = {"cicids": cicids, "strato": strato, "ctu": ctu, "unsw": unsw}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    np.seterr(all="raise", under="ignore")
    for name in given.tables:
        TABLES[name](TrainingSpec(seed=given.seed))


if __name__ == "__main__":
    main()
