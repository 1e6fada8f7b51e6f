"""Later days, and with and without shortcuts: the three scores on real logs, as the traffic would have come.

    python benchmarks/detector_networks.py [--tables cicids unsw]

Every table is one detector, trained on the first part, with its thresholds frozen before it scored the second part
once. The second parts are not untouched: rows of these collections, CICIDS2017's Thursday included, were among those
that earlier versions of the benign-only design and its screening were compared on. Recall is that of each score at its
own conformal threshold for 1 %; 95 % intervals as in the evaluation's report. Other networks: recalibration.py.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.evaluation.bootstrap import Bootstrap, Estimate
from cybersec_mlops.evaluation.leakage import audit_leakage
from cybersec_mlops.evaluation.ranking import Ranking, average_precision, roc_auc
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import split
from detector_data import load, shortcuts, table

SCORES = {"supervised": "supervised_score", "benign-only": "novelty_score", "fused": "score"}
THURSDAY = datetime(2017, 7, 6, tzinfo=UTC)


def report(title: str, train: pl.DataFrame, test: pl.DataFrame, spec: TrainingSpec, drop: dict[str, str]) -> Detector:
    """Train, score and print; return the detector."""
    detector = fit_detector(train, spec, shortcuts=drop).detector
    test = test.filter(pl.col("is_attack").is_not_null())
    scored = detector.score(test)
    bootstrap = Bootstrap.of(test, resamples=500, seed=0)
    known = set(train["label"].drop_nulls())
    lines: list[list[object]] = []
    alerts = {}
    for name, column in SCORES.items():
        score = scored[column].to_numpy()
        alerts[name] = alerts_of(detector, scored, name)
        auc, precision = bootstrap.ranked(Ranking.of(bootstrap.is_attack, score), roc_auc, average_precision)
        false = bootstrap.rate(alerts[name], ~bootstrap.is_attack)
        lines.append([name, interval(precision), interval(auc), share(false)])
    print(f"\n### {title}: {train.height:,} rows to train, {test.height:,} to test\n")
    table(["score", "average precision", "ROC-AUC", "false positives at nominal 1 %"], lines)
    print("\nRecall at nominal 1 %:\n")
    attacks: list[list[object]] = []
    for label in sorted(set(test.filter("is_attack")["label"])):
        of = (test["label"] == label).to_numpy()
        recalls = [share(bootstrap.rate(alerts[name], of)) for name in SCORES]
        attacks.append([label, int(of.sum()), "yes" if label in known else "no", *recalls])
    table(["attack", "rows", "in training", *SCORES], attacks)
    return detector


def alerts_of(detector: Detector, scored: pl.DataFrame, name: str) -> NDArray[np.bool_]:
    """Return which rows lie at or above a score's own threshold for the nominal rate."""
    score = scored[SCORES[name]].to_numpy()
    level = -np.log(detector.calibration.active.rate)
    if name == "fused":
        return np.asarray(scored["is_alert"].to_numpy(), dtype=np.bool_)
    if name == "benign-only":
        return np.asarray(detector.novelty_surprise(score) >= level)
    assert detector.supervised is not None
    return np.asarray(detector.supervised.surprise(score) >= level)


def interval(estimate: Estimate | None) -> str:
    """Show a figure with its interval."""
    return "-" if estimate is None else f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


def share(estimate: Estimate | None) -> str:
    """Show a rate in per cent with its interval."""
    if estimate is None:
        return "-"
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def cicids(spec: TrainingSpec) -> None:
    """Corrected CICIDS2017, Monday to Wednesday against Thursday."""
    rows = load("cicids2017")
    train, test = rows.filter(pl.col("ts") < THURSDAY), rows.filter(pl.col("ts") >= THURSDAY)
    report("CICIDS2017 improved, Monday to Wednesday -> Thursday", train, test, spec, shortcuts("cicids2017"))


def unsw(spec: TrainingSpec) -> None:
    """The partition split with identical rows on one side, with and without the columns from the time to live."""
    rows, known = load("unsw-nb15"), shortcuts("unsw-nb15")
    cut = split(rows, spec)
    for title, keep in (("without the TTL columns (default)", "drop"), ("with the TTL columns", "keep")):
        each = spec.model_copy(update={"shortcuts": keep})
        features = report(f"UNSW-NB15, {title}", cut.train, cut.test, each, known).encoder.features
        print("\nWhat the leakage audit says of single columns:\n")
        for found in audit_leakage(
            cut.train, cut.test, features, shortcuts=known, spec=EvaluationSpec(), temporal=False
        ):
            if found.check in ("known_shortcut", "single_feature"):
                print(f"- {found.severity}: {found.text}")


TABLES = {"cicids": cicids, "unsw": unsw}


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
