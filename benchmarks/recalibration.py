"""Another network: a model as it comes, and recalibrated on the earlier part of that network's traffic.

    python benchmarks/recalibration.py [--share 0.5] [--development]

Every line is tested on the same rows: the later part, by time of its benign rows, of the network in its title. The
earlier part recalibrates: its benign rows, or all of its rows as if nobody had labelled them. 95 % intervals as in the
evaluation's report, nominal false-positive rate 1 %. With --development the networks on which the rules of
`training.recalibrate` were chosen: simulated -> CTU botnet 4, strato 008 -> CTU botnet 4, and two simulated ones.
"""

from __future__ import annotations

import argparse

import polars as pl

from cybersec_mlops.evaluation.bootstrap import Bootstrap
from cybersec_mlops.evaluation.ranking import Ranking, average_precision, roc_auc
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.recalibrate import recalibrate
from cybersec_mlops.training.spec import TrainingSpec
from detector_data import load, simulated, table
from detector_networks import interval, share

PAIRS = (("strato-008", "strato-010"), ("ctu-botnet-4", "strato-008"), ("ctu-botnet-4", "strato-010"))
DEVELOPMENT = (("simulated-1", "ctu-botnet-4"), ("strato-008", "ctu-botnet-4"), ("simulated-1", "simulated-2"))
LABELS = ("label", "label_original", "is_attack")


def rows_of(name: str) -> pl.DataFrame:
    """Load a collection or simulate a network."""
    return simulated(25_000, 200 + int(name[-1])) if name.startswith("simulated") else load(name)


def halves(rows: pl.DataFrame, earlier: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut rows at the time before which a share of the benign ones lies."""
    boundary = rows.filter(pl.col("is_attack") == False)["ts"].quantile(earlier)  # noqa: E712 - null is not benign
    return rows.filter(pl.col("ts") < boundary), rows.filter(pl.col("ts") >= boundary)


def line(pair: str, how: str, detector: Detector, test: pl.DataFrame) -> list[object]:
    """Score the test rows once and tell."""
    test = test.filter(pl.col("is_attack").is_not_null())
    scored = detector.score(test)
    bootstrap = Bootstrap.of(test, resamples=500, seed=0)
    alerts = scored["is_alert"].to_numpy()
    ranking = Ranking.of(bootstrap.is_attack, scored["score"].to_numpy())
    auc, precision = bootstrap.ranked(ranking, roc_auc, average_precision)
    rates = [share(bootstrap.rate(alerts, of)) for of in (bootstrap.is_attack, ~bootstrap.is_attack)]
    weight = "" if detector.supervised is None else f"{detector.supervised.weight:.2f}"
    return [pair, how, weight, *rates, interval(auc), interval(precision)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.5, help="of the benign rows, by time, that recalibrate")
    parser.add_argument("--development", action="store_true")
    given = parser.parse_args()
    spec = TrainingSpec(threads=1)
    lines = []
    for home, away in DEVELOPMENT if given.development else PAIRS:
        model = fit_detector(rows_of(home), spec).detector
        earlier, later = halves(rows_of(away), given.share)
        known = (int(later["is_attack"].sum()), later.height)
        pair = f"{home} -> {away} ({known[0]:,} attacks in {known[1]:,})"
        lines.append(line(pair, "as it comes", model, later))
        lines.append(line("", "recalibrated, benign rows known", recalibrate(model, earlier, spec).detector, later))
        unlabelled = recalibrate(model, earlier.drop(LABELS), spec).detector
        among = 100 * float(earlier.select(pl.col("is_attack").fill_null(value=False).cast(pl.Float64).mean()).item())
        lines.append(line("", f"recalibrated, unlabelled ({among:.0f} % attacks)", unlabelled, later))
    header = ["network", "model", "weight", "detected", "false positives", "ROC-AUC", "average precision"]
    table(header, lines)


if __name__ == "__main__":
    main()
