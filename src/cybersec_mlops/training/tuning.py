"""Tuning by time-ordered validation: some settings drawn at random, judged by attacks that the fit had not seen.

The rows that the final thresholds come from take no part, nor do the test rows. What is left is split as a training
splits: in time where there is time. Two detectors are fitted per trial on the earlier part, each without one half of
the kinds of attack. The objective is the recall at a false-positive rate of 1 % among the later benign rows, as the
mean over the kinds of attack and over both detectors, so that each kind counts once as known and once as unknown, and
a rare one as much as a flood. For budgets of some dozens a seeded random search is hard to beat (Bergstra and
Bengio, JMLR 13, 2012), needs no library beyond scikit-learn and is the same on every machine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.fingerprint import row_fingerprints, uniform
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import carve_calibration, feature_columns, has_labels, split

PROGRESS = logging.getLogger("cybersec_mlops.progress")

SPACE: Final[Mapping[str, tuple[Any, ...]]] = {
    "trees": (75, 150, 300),
    "depth": (3, 4, 6, 8),
    "learning_rate": (0.05, 0.1, 0.2),
    "prototypes": (256, 1024, 2048),
    "hidden": ((32, 8, 32), (64, 16, 64), (96, 24, 96)),
    "epochs": (10, 20, 40),
}
"""What is tuned, and the values that are tried."""

ROWS: Final = 60_000
"""Rows that a trial works on at most; of a rare label all of its rows."""
KEPT_PER_LABEL: Final = 200
RATE: Final = 0.01
MIN_KIND_ROWS: Final = 5
"""Rows of a kind of attack in the later part without which it is not judged by."""


@dataclass(frozen=True)
class Trial:
    """Settings and what they reached."""

    settings: dict[str, Any]
    objective: float
    """Mean recall, see the module."""
    average_precision: float
    """Mean over both detectors; for the reader, nothing is chosen by it."""


@dataclass(frozen=True)
class Tuned:
    """The chosen settings and the way to them."""

    spec: TrainingSpec
    trials: tuple[Trial, ...]
    """In order; the first one has the settings that were given."""
    split: str
    """How the validation rows were held out: ``time`` or ``stratified``."""
    rows: int
    kinds: int
    """Kinds of attack that were judged by."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        chosen = {name: getattr(self.spec, name) for name in SPACE}
        return {
            "objective": f"mean recall of attack kinds at a false-positive rate of {RATE:g}, each once known, once not",
            "split": self.split,
            "rows": self.rows,
            "kinds": self.kinds,
            "chosen": _plain(chosen),
            "trials": [
                {
                    "settings": _plain(trial.settings),
                    "objective": round(trial.objective, 6),
                    "average_precision": round(trial.average_precision, 6),
                    "chosen": trial.settings == chosen,
                }
                for trial in self.trials
            ],
        }


def tune(train: pl.DataFrame, spec: TrainingSpec, *, shortcuts: Mapping[str, str] | None = None) -> Tuned:
    """Try the given settings and `spec.tune` random others; return the best, the given ones where none is better.

    Parameters
    ----------
    train : DataFrame
        SILVER rows to train on, no test row among them.
    spec : TrainingSpec
        `tune` and `seed` count, and all that is not in `SPACE` stays as it is.
    shortcuts : mapping of str to str, optional
        As for `fit_detector`.

    Raises
    ------
    DataError
        There are no labels to judge by, or too few rows to hold some out.
    """
    if not has_labels(train) or spec.supervised == "never":
        raise DataError(
            "tuning needs labelled attacks and a supervised detector: there is nothing to judge trials by",
            hint="leave out --tune, or add labels",
        )
    rows = _thinned(train.filter(pl.Series(~carve_calibration(train, spec)) & pl.col("is_attack").is_not_null()), spec)
    cut = split(rows, spec)
    folds, kinds = _folds(cut.train, cut.test, spec.seed)
    trials: list[Trial] = []
    for settings in _candidates(spec):
        trials.append(_try(settings, spec, folds, cut.test, kinds, shortcuts))
        best = max(trial.objective for trial in trials)
        PROGRESS.info("tuning: trial %d of %d: %.4f, best %.4f", len(trials), spec.tune + 1, trials[-1].objective, best)
    winner = max(trials, key=lambda trial: trial.objective)  # the first of equals, so the given settings among them
    return Tuned(spec.model_copy(update=winner.settings), tuple(trials), cut.method, rows.height, len(kinds))


def _candidates(spec: TrainingSpec) -> list[dict[str, Any]]:
    """Return the given settings and `spec.tune` different ones."""
    from sklearn.model_selection import ParameterSampler

    given = {name: getattr(spec, name) for name in SPACE}
    total = int(np.prod([len(values) for values in SPACE.values()]))
    drawn = ParameterSampler(SPACE, n_iter=min(spec.tune + 1, total), random_state=spec.seed)
    others = [{name: each[name] for name in SPACE} for each in drawn]
    return [given, *[each for each in others if each != given][: spec.tune]]


def _thinned(rows: pl.DataFrame, spec: TrainingSpec) -> pl.DataFrame:
    """Return at most about `ROWS` rows, drawn by their content, the rare labels whole."""
    if rows.height <= ROWS:
        return rows
    counts = rows["label"].fill_null("").value_counts(name="rows")
    labels = rows.select(pl.col("label").fill_null("")).join(counts, on="label", how="left", maintain_order="left")
    share = np.maximum(ROWS / rows.height, KEPT_PER_LABEL / labels["rows"].to_numpy())
    draws = uniform(row_fingerprints(rows, [*feature_columns(rows), "raw_line"]), spec.seed + 2)
    return rows.filter(pl.Series(draws < share))


def _folds(train: pl.DataFrame, test: pl.DataFrame, seed: int) -> tuple[list[pl.DataFrame], list[str]]:
    """Return the training rows without either half of the kinds of attack, and the kinds to judge by."""
    counts = test.filter("is_attack")["label"].fill_null("").value_counts(name="rows").sort("label")
    kinds = counts.filter(pl.col("rows") >= pl.min_horizontal(pl.lit(MIN_KIND_ROWS), pl.col("rows").max()))[
        "label"
    ].to_list()
    known = sorted(train.filter("is_attack")["label"].fill_null("").unique().to_list())
    if len(known) < 2:
        return [train], kinds
    shuffled = np.random.default_rng(seed).permutation(known).tolist()
    halves = shuffled[::2], shuffled[1::2]
    return [train.filter(~(pl.col("is_attack") & pl.col("label").fill_null("").is_in(half))) for half in halves], kinds


def _try(
    settings: dict[str, Any],
    spec: TrainingSpec,
    folds: list[pl.DataFrame],
    test: pl.DataFrame,
    kinds: list[str],
    shortcuts: Mapping[str, str] | None,
) -> Trial:
    # Of another seed: without time, rows are set aside by a draw, and those of this one were taken out before.
    tried = spec.model_copy(update={**settings, "seed": (spec.seed + 2) % 2**32})
    scores = [fit_detector(fold, tried, shortcuts=shortcuts).detector.score(test)["score"].to_numpy() for fold in folds]
    truth, label = test["is_attack"].to_numpy().astype(np.bool_), test["label"].fill_null("").to_numpy()
    found = [[_recall(score[~truth], score[truth & (label == kind)]) for kind in kinds] for score in scores]
    return Trial(settings, float(np.mean(found)), float(np.mean([_average_precision(truth, each) for each in scores])))


def _recall(benign: NDArray[np.float64], attacks: NDArray[np.float64]) -> float:
    """Return the share of attacks above all but `RATE` of the benign rows."""
    return float((attacks > np.quantile(benign, 1 - RATE, method="higher")).mean())


def _average_precision(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, score))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
