"""Ways to combine the two detectors' p-values: known and unknown attacks, on training material only.

    python benchmarks/fusion.py [--folds 1] [--networks 1] [--tables nsl unsw simulated]

Detectors are fitted with everything and without one attack (NSL-KDD: family) in turn; each way combines the same two
surprises, -log p against held-out benign rows. Printed is the mean over the kinds of attack of the recall at a
false-positive rate of 1 % of the test rows' own benign rows, and of ROC-AUC, for attacks that training had ("known")
and those left out ("unknown"). KDDTrain+: folds of ten. UNSW-NB15: the training part of the split that the other
benchmarks test on, split again. Simulated: the later 30 % of networks of their own seeds.

Ways: Fisher (1932), weighted (Mosteller and Bush 1954); Stouffer et al. (1949); smallest p (Tippett 1931); harmonic
mean p (Wilson, PNAS 116, 2019); Cauchy combination (Liu and Xie, JASA 115, 2020); the root of the summed squares.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri_exp
from sklearn.metrics import roc_auc_score

from cybersec_mlops.training.fingerprint import row_fingerprints, uniform
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import feature_columns, split
from detector_data import load, shortcuts, simulated, table
from detector_families import FAMILY

Floats = NDArray[np.float64]
Way = Callable[[Floats, Floats], Floats]
SPEC = TrainingSpec(threads=1)
MIN_ROWS = 20


def _weighted(supervised: float, novelty: float = 1.0) -> Way:
    return lambda s, n: supervised * s + novelty * n


def _cauchy(s: Floats, n: Floats) -> Floats:
    parts = [np.where(x > 15, np.exp(np.minimum(x, 600)) / np.pi, np.tan((0.5 - np.exp(-x)) * np.pi)) for x in (s, n)]
    total = parts[0] + parts[1]
    return np.asarray(np.sign(total) * np.log1p(np.abs(total)), dtype=np.float64)


WAYS: dict[str, Way] = {
    "supervised alone": _weighted(1.0, 0.0),
    "benign-only alone": _weighted(0.0),
    "Fisher": _weighted(1.0),
    **{f"Fisher, supervised x {weight:g}": _weighted(weight) for weight in (1.25, 1.5, 2.0, 3.0)},
    "Stouffer": lambda s, n: -ndtri_exp(-s) - ndtri_exp(-n),
    "summed squares": lambda s, n: np.sqrt(s**2 + n**2),
    "harmonic mean p": np.logaddexp,
    "Cauchy": _cauchy,
    "smallest p": np.maximum,
}
Task = tuple[str, str | None, pl.DataFrame, pl.DataFrame, dict[str, str]]


def nsl(folds: int) -> Iterator[Task]:
    """Yield KDDTrain+ without each family, tested on one fold of ten; the label is the family."""
    rows = load("nsl-kdd")
    family = pl.col("label").replace_strict(FAMILY, default=None)
    codes = uniform(row_fingerprints(rows, feature_columns(rows)), 1000)
    for fold in range(folds):
        inside = pl.Series((codes * 10).astype(np.int64) == fold)
        test = rows.filter(inside).with_columns(label=family)
        for left_out in (None, "dos", "probe", "r2l", "u2r"):
            yield (
                "KDDTrain+",
                left_out,
                rows.filter(~inside & (family != (left_out or "")).fill_null(value=True)),
                test,
                {},
            )


def unsw() -> Iterator[Task]:
    """Yield the training part of the UNSW-NB15 partition, split again, without some of its attacks."""
    cut = split(split(load("unsw-nb15"), SPEC).train, TrainingSpec(seed=5))
    for left_out in (None, "Exploits", "Reconnaissance", "Generic"):
        train = cut.train.filter((pl.col("label") != (left_out or "")).fill_null(value=True))
        yield "UNSW-NB15", left_out, train, cut.test, shortcuts("unsw-nb15")


def networks(count: int) -> Iterator[Task]:
    """Yield simulated networks, cut in time, without each attack."""
    for seed in range(count):
        cut = split(simulated(30_000, 100 + seed, attack_fraction=0.03), SPEC)
        rows = cut.test.filter("is_attack")["label"].value_counts().sort("label")
        for left_out in (None, *rows.filter(pl.col("count") >= MIN_ROWS)["label"]):
            train = cut.train.filter((pl.col("label") != (left_out or "")).fill_null(value=True))
            yield "simulated", left_out, train, cut.test, {}


def measure(task: Task, found: dict[tuple[str, str, str], list[tuple[float, float]]]) -> None:
    """Fit, combine, and note recall and ROC-AUC per kind of attack."""
    name, left_out, train, test, drop = task
    detector = fit_detector(train, SPEC, shortcuts=drop).detector
    scored = detector.score(test)
    assert detector.supervised is not None
    supervised = detector.supervised.surprise(scored["supervised_score"].to_numpy())
    novelty = detector.novelty_surprise(scored["novelty_score"].to_numpy())
    benign = (test["is_attack"] == False).fill_null(value=False).to_numpy()  # noqa: E712 - null is not benign
    label = np.where(test["is_attack"].fill_null(value=False), test["label"].fill_null(""), "")
    kinds = sorted(set(label) - {""}) if left_out is None else [left_out]
    for way, combine in WAYS.items():
        score = combine(supervised, novelty)
        limit = np.quantile(score[benign], 0.99, method="higher")
        for kind in kinds:
            attacks = score[label == kind]
            if attacks.size >= min(MIN_ROWS, 5 if left_out else MIN_ROWS):
                truth = np.r_[np.zeros(int(benign.sum())), np.ones(attacks.size)]
                auc = float(roc_auc_score(truth, np.r_[score[benign], attacks]))
                found[name, "known" if left_out is None else "unknown", way].append(
                    (float((attacks > limit).mean()), auc)
                )


def main() -> None:
    """Print recall and ROC-AUC of every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--networks", type=int, default=1)
    parser.add_argument("--tables", nargs="+", default=["nsl", "unsw", "simulated"])
    given = parser.parse_args()
    tasks: dict[str, Callable[[], Iterator[Task]]] = {
        "nsl": lambda: nsl(given.folds),
        "unsw": unsw,
        "simulated": lambda: networks(given.networks),
    }
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for name in given.tables:
        for task in tasks[name]():
            measure(task, found)
    columns = list(dict.fromkeys(key[:2] for key in found))
    for place, title in enumerate(("recall at 1 %", "ROC-AUC")):
        print(f"\n{title}\n")
        lines: list[list[object]] = []
        for way in WAYS:
            cells = [float(np.mean([one[place] for one in found[(*column, way)]])) for column in columns]
            lines.append([way, *cells, float(np.mean(cells))])
        table(["way", *(" ".join(column) for column in columns), "mean"], lines)


if __name__ == "__main__":
    main()
