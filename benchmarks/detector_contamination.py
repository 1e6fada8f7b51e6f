"""Training without labels, with some attacks among the rows: what screening does to the benign-only detector.

    python benchmarks/detector_contamination.py [--collections nsl-kdd cicids2017 strato-010 unsw-nb15]

Benign rows and a share of attacks are trained on as if nobody knew; other benign rows and attacks are ranked. Printed
are ROC-AUC and the recall at a false-positive rate of 1 % on the ranked rows, with the screening of
`training.novelty.least_isolated` and without it. Seeded draws; training and ranked rows are disjoint. The share that
is screened out was chosen on these collections, among 5, 10 and 20 %.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from detector_data import load, shortcuts, table

SHARES = (0.0, 0.01, 0.05)
ATTACKS = 6_000
BENIGN_ROWS = 30_000


def measure(rows: pl.DataFrame, share: float, trim: float, drop: dict[str, str]) -> tuple[float, float]:
    """Return ROC-AUC and recall for one share of attacks among the training rows."""
    shuffled = rows.sample(fraction=1, shuffle=True, seed=0)
    benign = shuffled.filter(pl.col("is_attack") == False).head(BENIGN_ROWS)  # noqa: E712 - null is not benign
    attacks = shuffled.filter("is_attack")
    known = int(0.7 * benign.height)
    among = int(share * known)
    train = pl.concat([benign.head(known), attacks.head(among)]).drop("label", "label_original", "is_attack")
    detector = fit_detector(train, TrainingSpec(novelty_trim=trim, threads=1), shortcuts=drop).detector
    low, high = (
        detector.score(part)["score"].to_numpy() for part in (benign.slice(known), attacks.slice(among, ATTACKS))
    )
    truth = np.r_[np.zeros(low.size), np.ones(high.size)]
    return float(roc_auc_score(truth, np.r_[low, high])), float((high > np.quantile(low, 0.99)).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", nargs="+", default=["nsl-kdd", "cicids2017", "strato-010", "unsw-nb15"])
    lines: list[list[object]] = []
    for name in parser.parse_args().collections:
        rows = load(name)
        for share in SHARES:
            cells = [figure for trim in (0.0, 0.1) for figure in measure(rows, share, trim, shortcuts(name))]
            lines.append([name, f"{share:.0%}", *cells])
    each = ("ROC-AUC", "recall at 1 %")
    table(
        ["collection", "attacks", *(f"{what}, as they are" for what in each), *(f"{what}, screened" for what in each)],
        lines,
    )


if __name__ == "__main__":
    main()
