"""What `--tune N` brings against the given settings: chosen on training rows alone, tested once on later ones.

    python benchmarks/tuning.py [--trials 10] [--seed 0] [--tables cicids ctu nsl]

CICIDS2017 improved, Monday to Wednesday -> Thursday; CTU botnet 4, the first 70 % of its time -> the rest; KDDTrain+,
nine folds -> the tenth (they know no time). Both detectors are frozen before either scores the test rows. Recall is the
mean over the kinds of attack at each detector's own conformal threshold for 1 %. Differences are on the same draws of
rows; 95 % intervals as in the evaluation's report.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.evaluation.bootstrap import Bootstrap, Estimate, hull
from cybersec_mlops.evaluation.ranking import Ranking, average_precision, roc_auc
from cybersec_mlops.training.fingerprint import row_fingerprints, uniform
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import feature_columns, split
from cybersec_mlops.training.tuning import SPACE, tune
from detector_data import load, shortcuts, table
from detector_networks import THURSDAY, share

Floats = NDArray[np.float64]
Rows = tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]


def cicids() -> Rows:
    """Monday to Wednesday, Thursday."""
    rows = load("cicids2017")
    return rows.filter(pl.col("ts") < THURSDAY), rows.filter(pl.col("ts") >= THURSDAY), shortcuts("cicids2017")


def ctu() -> Rows:
    """The first 70 % of the time, the rest."""
    cut = split(load("ctu-botnet-4"), TrainingSpec())
    return cut.train, cut.test, {}


def nsl() -> Rows:
    """Nine folds of KDDTrain+, the tenth."""
    rows = load("nsl-kdd")
    inside = pl.Series(uniform(row_fingerprints(rows, feature_columns(rows)), 1000) < 0.1)
    return rows.filter(~inside), rows.filter(inside), shortcuts("nsl-kdd")


TABLES: dict[str, tuple[str, Callable[[], Rows]]] = {
    "cicids": ("CICIDS2017 improved, Monday to Wednesday -> Thursday", cicids),
    "ctu": ("CTU botnet 4, first 70 % -> rest", ctu),
    "nsl": ("KDDTrain+, nine folds -> the tenth", nsl),
}


def mean_recall(bootstrap: Bootstrap, hits: NDArray[np.bool_], kinds: list[NDArray[np.bool_]]) -> tuple[Floats, ...]:
    """Return the mean over the kinds of attack of their recall: of all rows, then of each scheme's resamples."""
    with np.errstate(invalid="ignore"):
        drawn = [
            [found / rows for found, rows in zip(bootstrap.counts(hits & of), bootstrap.counts(of), strict=True)]
            for of in kinds
        ]
        resampled = tuple(np.nanmean(scheme, axis=0) for scheme in zip(*drawn, strict=True))
    return np.array(np.mean([hits[of].mean() for of in kinds])), *resampled


def points(estimate: Estimate | None) -> str:
    """Show a difference with its interval, in percentage points."""
    if estimate is None:
        return "-"
    return f"{100 * estimate.value:+.2f} [{100 * estimate.low:+.2f}, {100 * estimate.high:+.2f}]"


def compare(title: str, rows: Rows, spec: TrainingSpec) -> None:
    """Tune, fit twice, score the test rows once with each, and print."""
    train, test, drop = rows
    test = test.filter(pl.col("is_attack").is_not_null())
    started = time.process_time()
    tuned = tune(train, spec, shortcuts=drop)
    seconds = time.process_time() - started
    given, best = (fit_detector(train, each, shortcuts=drop).detector for each in (spec, tuned.spec))
    bootstrap = Bootstrap.of(test, resamples=500, seed=0)
    kinds = [(test["label"] == kind).to_numpy() for kind in sorted(set(test.filter("is_attack")["label"]))]
    scored = [detector.score(test) for detector in (given, best)]
    rankings = [Ranking.of(bootstrap.is_attack, each["score"].to_numpy()) for each in scored]
    recalls = [mean_recall(bootstrap, each["is_alert"].to_numpy(), kinds) for each in scored]
    lines: list[list[object]] = []
    for name, statistic in (("average precision", average_precision), ("ROC-AUC", roc_auc)):
        values = [f"{ranking.point(statistic):.4f}" for ranking in rankings]
        lines.append([name, *values, points(bootstrap.difference(rankings[1], rankings[0], statistic))])
    lead = [after - before for before, after in zip(*recalls, strict=True)]
    values = [f"{100 * float(each[0]):.1f} %" for each in recalls]
    lines.append(["recall at 1 %, mean over kinds", *values, points(hull(float(lead[0]), lead[1:]))])
    false = [share(bootstrap.rate(each["is_alert"].to_numpy(), ~bootstrap.is_attack)) for each in scored]
    lines.append(["false positives at nominal 1 %", *false, ""])
    print(f"\n### {title}: {train.height:,} rows to train, {test.height:,} to test, {len(kinds)} kinds of attack\n")
    table(["", "given", "tuned", "difference, points"], lines)
    objective = [max(trial.objective for trial in tuned.trials), tuned.trials[0].objective]
    chosen = ", ".join(f"{name} {getattr(tuned.spec, name)}" for name in SPACE)
    print(
        f"\nChosen: {chosen}; objective {objective[0]:.4f} (given settings {objective[1]:.4f}), {tuned.kinds} kinds,"
        f" validation rows held out: {tuned.split}; {len(tuned.trials)} trials, {seconds:.0f} s of one core."
    )


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in given.tables:
        title, rows = TABLES[name]
        compare(title, rows(), TrainingSpec(seed=given.seed, tune=given.trials, threads=1))


if __name__ == "__main__":
    main()
