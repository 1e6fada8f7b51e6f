"""Every figure of an evaluation, from scored rows to a table that can be written as JSON.

A score is higher where a row is more suspicious. Background and unlabelled rows are counted and enter no metric. A
figure that does not apply (no attacks, one class, no time) is None, never 0 and never invented.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from cybersec_mlops.connections import BACKGROUND
from cybersec_mlops.errors import DataError
from cybersec_mlops.evaluation.activity import Activity, measure_activity
from cybersec_mlops.evaluation.bootstrap import BlockKind, Bootstrap, Estimate, hull
from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, Ranking, average_precision, recall_at, roc_auc
from cybersec_mlops.evaluation.spec import EvaluationSpec

CALIBRATION_BINS: Final = 15
MAX_ATTACKS: Final = 200
"""Attack names listed one by one, the most frequent first; a label is free text and may differ in every row."""
REQUIRED: Final = {"score": pl.Float64, "is_alert": pl.Boolean, "is_attack": pl.Boolean, "label": pl.String}


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a frozen threshold promised and what it gave."""

    nominal: float
    """False-positive rate on held-out training traffic at which the threshold was set."""
    threshold: float
    false_positive_rate: Estimate | None
    detection_rate: Estimate | None
    alerts: int
    """Alerts among all scored rows."""
    alerts_per_day: float | None


@dataclass(frozen=True, slots=True)
class RecallAtRate:
    """Recall where the test set's own false-positive rate is at most `rate`."""

    rate: float
    recall: Estimate


@dataclass(frozen=True, slots=True)
class AttackRecall:
    """How much of one attack was detected at the frozen threshold."""

    label: str
    rows: int
    detected: int
    recall: Estimate
    in_training: bool | None
    """Whether training knew this attack; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one evaluation, with 95 % intervals."""

    rows: int
    attacks: int
    benign: int
    background: int
    unlabelled: int
    alerts: int
    threshold: float
    nominal_false_positive_rate: float | None
    roc_auc: Estimate | None
    average_precision: Estimate | None
    detection_rate: Estimate | None
    """Recall at the frozen threshold."""
    false_positive_rate: Estimate | None
    precision: Estimate | None
    """Share of attacks among the alerts on labelled rows, at the test set's own balance."""
    prevalence: float
    precision_at_prevalence: Estimate | None
    """Precision if attacks were `prevalence` of the traffic."""
    expected_calibration_error: Estimate | None
    """Of the supervised probability, 15 bins of equal width; None where there is none."""
    p_value_error: float | None
    """Mean distance between the p-values of benign rows and the uniform law that they should follow."""
    unseen_attack_recall: Estimate | None
    """Recall over all rows of attacks that training did not have."""
    unseen_attacks: int | None
    recall_at: tuple[RecallAtRate, ...]
    operating_points: tuple[OperatingPoint, ...]
    recall_by_attack: tuple[AttackRecall, ...]
    attack_names: int
    """Distinct attack names; more than `recall_by_attack` has where there are too many to list."""
    activity: Activity
    resampled: BlockKind
    """What the intervals resample: rows, stretches of time, or hosts."""
    resamples: int
    seed: int

    def headline(self) -> dict[str, Any]:
        """Return the figures of ``run --json``."""

        def value(estimate: Estimate | None) -> float | None:
            return None if estimate is None else estimate.value

        return {
            "rows": self.rows,
            "attacks": self.attacks if self.attacks + self.benign else None,
            "roc_auc": value(self.roc_auc),
            "average_precision": value(self.average_precision),
            "detection_rate": value(self.detection_rate),
            "false_positive_rate": value(self.false_positive_rate),
            "nominal_false_positive_rate": self.nominal_false_positive_rate,
            "recall_by_attack": {attack.label: attack.recall.value for attack in self.recall_by_attack},
            "unseen_attack_recall": value(self.unseen_attack_recall),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types, times as ISO 8601."""
        result = asdict(self)
        activity = result["activity"]
        for holder, key in [(activity, "first"), (activity, "last"), *((p, "start") for p in activity["by_period"])]:
            holder[key] = None if holder[key] is None else holder[key].isoformat()
        return result


def measure(
    scored: pl.DataFrame,
    *,
    threshold: float,
    nominal: float | None,
    thresholds: Mapping[float, float],
    training_attacks: Collection[str] | None,
    spec: EvaluationSpec,
) -> Metrics:
    """Measure a detector's scores against the labels.

    Parameters
    ----------
    scored : DataFrame
        One row per test row: ``score`` (Float64), ``is_alert`` (Boolean), ``is_attack`` (Boolean, null where background
        or unlabelled), ``label`` (String); optionally ``p_value`` and ``supervised_score`` (Float64, a probability),
        ``ts`` and ``orig_h``.
    threshold, nominal : float
        The frozen threshold and the false-positive rate that it was set for (None where it was set otherwise).
    thresholds : mapping of float to float
        All frozen thresholds by nominal rate.
    training_attacks : collection of str or None
        Attack names of the training set; None where they are not known.

    Raises
    ------
    DataError
        A column is missing or of another type, there is no row, or a score is null or NaN.
    """
    _check(scored)
    labelled = scored.filter(pl.col("is_attack").is_not_null())
    is_attack = labelled["is_attack"].to_numpy().astype(np.bool_)
    is_alert = labelled["is_alert"].to_numpy().astype(np.bool_)
    score = labelled["score"].to_numpy()
    bootstrap = Bootstrap.of(labelled, resamples=spec.resamples, seed=spec.seed)
    ranking = Ranking.of(is_attack, score)
    fixed = [recall_at(rate) for rate in spec.fixed_false_positive_rates]
    auc, precision_area, *recalls = bootstrap.ranked(ranking, roc_auc, average_precision, *fixed)
    unseen = _unseen(labelled, training_attacks)
    activity = measure_activity(scored)
    by_attack, names = _recall_by_attack(labelled, bootstrap, training_attacks)
    background = int((scored["is_attack"].is_null() & (scored["label"] == BACKGROUND).fill_null(value=False)).sum())
    return Metrics(
        rows=scored.height,
        attacks=int(is_attack.sum()),
        benign=int((~is_attack).sum()),
        background=background,
        unlabelled=scored.height - labelled.height - background,
        alerts=int(scored["is_alert"].sum()),
        threshold=threshold,
        nominal_false_positive_rate=nominal,
        roc_auc=auc,
        average_precision=precision_area,
        detection_rate=bootstrap.rate(is_alert, is_attack),
        false_positive_rate=bootstrap.rate(is_alert, ~is_attack),
        precision=bootstrap.rate(is_attack, is_alert) if 0 < is_attack.sum() < is_attack.size else None,
        prevalence=spec.prevalence,
        precision_at_prevalence=_precision_at(spec.prevalence, bootstrap, is_alert),
        expected_calibration_error=_calibration_error(labelled, bootstrap),
        p_value_error=_p_value_error(labelled),
        unseen_attack_recall=None if unseen is None else bootstrap.rate(is_alert, unseen),
        unseen_attacks=None if unseen is None else int(unseen.sum()),
        recall_at=tuple(
            RecallAtRate(rate, recall)
            for rate, recall in zip(spec.fixed_false_positive_rates, recalls, strict=True)
            if recall is not None
        ),
        operating_points=tuple(
            _operating_point(rate, thresholds[rate], scored, score, bootstrap, activity) for rate in sorted(thresholds)
        ),
        recall_by_attack=by_attack,
        attack_names=names,
        activity=activity,
        resampled=bootstrap.kind,
        resamples=spec.resamples,
        seed=spec.seed,
    )


def _check(scored: pl.DataFrame) -> None:
    for name, dtype in REQUIRED.items():
        found = scored.schema.get(name)
        if found != dtype:
            raise DataError(f"column {name} of the scored rows is {found}, expected {dtype}", field=name)
    if scored.height == 0:
        raise DataError("there is no row to evaluate", hint="check the test source and the split")
    missing = int((scored["score"].is_null() | scored["score"].is_nan()).sum())
    if missing:
        raise DataError(
            f"{missing:,} of {scored.height:,} scores are missing, expected a number for every row",
            field="score",
            hint="score the test set again with this bundle; a detector must never give null or NaN",
        )


def _precision_at(prevalence: float, bootstrap: Bootstrap, is_alert: BoolArray) -> Estimate | None:
    is_attack = bootstrap.is_attack

    def precision(detected: FloatArray, attacks: FloatArray, false: FloatArray, benign: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            right, wrong = prevalence * detected / attacks, (1 - prevalence) * false / benign
            result: FloatArray = right / (right + wrong)
        return result

    groups = (is_alert & is_attack, is_attack, is_alert & ~is_attack, ~is_attack)
    point = float(precision(*(np.asarray(group.sum(), dtype=np.float64) for group in groups)))
    if np.isnan(point):
        return None
    return hull(point, [precision(*counts) for counts in zip(*map(bootstrap.counts, groups), strict=True)])


def _calibration_error(labelled: pl.DataFrame, bootstrap: Bootstrap) -> Estimate | None:
    """Expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015) of the supervised probability."""
    if "supervised_score" not in labelled.columns or not 0 < bootstrap.is_attack.sum() < labelled.height:
        return None
    probability = labelled["supervised_score"].to_numpy()
    if not ((probability >= 0) & (probability <= 1)).all():
        return None
    bins = np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)

    def error(attacks: FloatArray, rows: FloatArray, believed: FloatArray) -> FloatArray:
        result: FloatArray = np.abs(attacks - believed).sum(-1) / rows.sum(-1)
        return result

    weights = bootstrap.is_attack.astype(np.float64), np.ones(bins.size), probability
    point = error(*(np.bincount(bins, weight, minlength=CALIBRATION_BINS).astype(np.float64) for weight in weights))
    counted = bootstrap.histograms(bins, CALIBRATION_BINS)
    summed = bootstrap.histograms(bins, CALIBRATION_BINS, probability)
    pairs = zip(counted, summed, strict=True)
    return hull(float(point), [error(a, a + b, p + q) for (a, b), (p, q) in pairs])


def _p_value_error(labelled: pl.DataFrame) -> float | None:
    if "p_value" not in labelled.columns:
        return None
    p = np.sort(labelled.filter(~pl.col("is_attack"))["p_value"].drop_nulls().to_numpy())
    return float(np.abs(p - (np.arange(p.size) + 0.5) / p.size).mean()) if p.size else None


def _unseen(labelled: pl.DataFrame, training_attacks: Collection[str] | None) -> BoolArray | None:
    if training_attacks is None:
        return None
    known = pl.col("label").is_in(list(training_attacks)).fill_null(value=False)
    return labelled.select((pl.col("is_attack") & ~known).alias("unseen"))["unseen"].to_numpy().astype(np.bool_)


def _operating_point(
    nominal: float, threshold: float, scored: pl.DataFrame, score: FloatArray, bootstrap: Bootstrap, activity: Activity
) -> OperatingPoint:
    alert = score >= threshold
    alerts = int((scored["score"] >= threshold).sum())
    return OperatingPoint(
        nominal=nominal,
        threshold=threshold,
        false_positive_rate=bootstrap.rate(alert, ~bootstrap.is_attack),
        detection_rate=bootstrap.rate(alert, bootstrap.is_attack),
        alerts=alerts,
        alerts_per_day=None if activity.observed_days is None else alerts / activity.observed_days,
    )


def _recall_by_attack(
    labelled: pl.DataFrame, bootstrap: Bootstrap, training_attacks: Collection[str] | None
) -> tuple[tuple[AttackRecall, ...], int]:
    named = labelled.select(pl.when("is_attack").then(pl.col("label").fill_null("(unnamed)")).alias("label"))
    counts = named.drop_nulls().group_by("label").len().sort(["len", "label"], descending=[True, False])
    listed = counts["label"].head(MAX_ATTACKS).to_list()
    codes = dict(zip(listed, range(len(listed)), strict=True))
    group = named["label"].replace_strict(codes, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    is_alert = labelled["is_alert"].to_numpy().astype(np.bool_)
    detected = np.bincount(group[is_alert & (group >= 0)], minlength=len(listed))
    recalls = bootstrap.rates(is_alert, group, len(listed)) if listed else []
    result = tuple(
        AttackRecall(label, rows, int(found), recall, None if training_attacks is None else label in training_attacks)
        for (label, rows), found, recall in zip(counts.head(MAX_ATTACKS).iter_rows(), detected, recalls, strict=True)
        if recall is not None
    )
    return result, counts.height
