"""From SILVER rows to a trained, calibrated detector and a report of how it was made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.detector import DECIMALS, Detector, Supervised
from cybersec_mlops.training.fingerprint import row_fingerprints
from cybersec_mlops.training.fusion import fit_surprise
from cybersec_mlops.training.matrix import Encoder, Matrix, fit_encoder, usual_values
from cybersec_mlops.training.novelty import NoveltyModel, calibrate_novelty, fit_novelty_model
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import benign_mask, carve_calibration, feature_columns, has_labels
from cybersec_mlops.training.supervised import fit_booster
from cybersec_mlops.training.threshold import Calibration, calibrate

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

MIN_BENIGN_ROWS: Final = 50
SCALE_SHARE: Final = 3
"""One calibration row in so many sets the scale of the parts' scores; the others set the thresholds."""


@dataclass(frozen=True)
class FittedDetector:
    """A detector and the report of its training."""

    detector: Detector
    report: dict[str, Any]
    """JSON: rows, benign, attacks, labels, calibration_rows, features, dropped_features, mode, seconds, ..."""


def fit_detector(
    train: pl.DataFrame, spec: TrainingSpec | None = None, *, shortcuts: Mapping[str, str] | None = None
) -> FittedDetector:
    """Train on SILVER rows; the order of rows and of columns plays no part.

    Parameters
    ----------
    train : DataFrame
        SILVER rows. Rows of unknown label in a labelled set (background) are in no fit. Without any label all rows
        are treated as mostly benign, and nominal rates are shares of all rows.
    spec : TrainingSpec, optional
    shortcuts : mapping of str to str, optional
        Columns known to give the label away in this format, with the reason; dropped or kept as `spec.shortcuts` says.

    Returns
    -------
    FittedDetector

    Raises
    ------
    DataError
        No benign rows, fewer than `MIN_BENIGN_ROWS`, one class only, or no usable feature.
    """
    spec = spec or TrainingSpec()
    started = time.perf_counter()
    rows = train.height
    train = in_canonical_order(known_rows(train))
    labelled = has_labels(train) and spec.supervised == "auto"
    check_trainable(train, labelled=labelled)
    benign = benign_mask(train)
    calibration = carve_calibration(train, spec)
    fitted = ~calibration & (benign | (labelled & ~benign))
    drop = _reasons(spec, shortcuts or {})
    encoder, dropped = fit_encoder(train.filter(pl.Series(fitted)), categories=spec.categories, drop=drop)
    matrix = encoder.encode(train)
    booster = _fit_booster(train, matrix, spec, fitted) if labelled else None
    detector = assemble(train, matrix, encoder, spec, booster, benign & fitted, calibration)
    facts: dict[str, Any] = {
        "mode": "supervised and benign-only" if labelled else "benign-only",
        "background_rows": rows - train.height,
        "fitted_rows": int(fitted.sum()),
        "dropped_features": dropped,
    }
    if unknown := [name for name in spec.drop_features if name not in train.columns]:
        facts["warnings"] = [f"drop_features names {unknown}, which these rows do not have: it dropped nothing"]
    report = {"rows": rows, **describe(train, detector, spec, calibration), **facts}
    return FittedDetector(detector, {**report, "seconds": round(time.perf_counter() - started, 3)})


def describe(train: pl.DataFrame, detector: Detector, spec: TrainingSpec, calibration: Mask) -> dict[str, Any]:
    """Return what every report of a training says of its rows, features and thresholds."""
    benign = int(benign_mask(train).sum())
    return {
        "benign": benign,
        "attacks": train.height - benign,
        "labels": _label_counts(train),
        "calibration_rows": int(calibration.sum()),
        "threshold_rows": detector.calibration.surprise.rows,
        "connections_per_day": connections_per_day(train),
        "features": list(detector.encoder.features),
        "calibration": detector.calibration.to_dict(),
        "spec": spec.model_dump(mode="json", exclude={"threads"}),
    }


def check_trainable(train: pl.DataFrame, *, labelled: bool) -> None:
    """Refuse training rows that no detector can be fitted on.

    Raises
    ------
    DataError
    """
    benign = int(benign_mask(train).sum())
    if train.height == 0:
        raise DataError("there are no rows to train on", hint="check the source and what was quarantined")
    if benign == 0:
        raise DataError(
            f"none of the {train.height} training rows is benign, expected at least {MIN_BENIGN_ROWS}",
            hint="add benign traffic: thresholds come from benign rows",
        )
    if labelled and benign == train.height:
        raise DataError(
            f"all {benign} labelled training rows are benign: one class cannot be told from another",
            hint="set supervised = 'never' to train the benign-only detector, or add attacks",
        )
    if benign < MIN_BENIGN_ROWS:
        raise DataError(
            f"{benign} training rows are benign, expected at least {MIN_BENIGN_ROWS}", hint="add benign traffic"
        )


def connections_per_day(train: pl.DataFrame) -> float | None:
    """Return the rows per day of their time span, None where rows have no time or all the same."""
    if "ts" not in train.columns or train["ts"].len() == train["ts"].null_count():
        return None
    times = train["ts"].drop_nulls().dt.epoch("us").to_numpy()
    days = float(times.max() - times.min()) / 86_400e6
    return times.size / days if days > 0 else None


def assemble(
    train: pl.DataFrame,
    matrix: Matrix,
    encoder: Encoder,
    spec: TrainingSpec,
    booster: bytes | None,
    benign: Mask,
    calibration: Mask,
    *,
    novelty_model: NoveltyModel | None = None,
    weight: float | None = None,
) -> Detector:
    """Fit the benign-only half, and set the scales and the thresholds of both halves.

    Parameters
    ----------
    train : DataFrame
        SILVER rows in their canonical order.
    matrix : ndarray of float32
        The same rows, encoded.
    encoder : Encoder
    spec : TrainingSpec
    booster : bytes, optional
        The supervised half, which must not have seen the calibration rows; None for a benign-only detector.
    benign : ndarray of bool, shape (rows,)
        The rows that the benign-only half learns from.
    calibration : ndarray of bool, shape (rows,)
        Benign rows that neither half has seen.
    novelty_model : NoveltyModel, optional
        What to use in place of a fit.
    weight : float, optional
        Of the supervised half; `supervised_weight` of the spec where it is not given.
    """
    scale, final = _halves(calibration)
    model = novelty_model or fit_novelty_model(matrix[benign], len(encoder.numeric), spec, screen=not has_labels(train))
    novelty = calibrate_novelty(model, matrix[scale])
    novelty_surprise = fit_surprise(np.round(novelty.score(matrix[scale]), DECIMALS))
    weight = spec.supervised_weight if weight is None else weight
    supervised = None if booster is None else _scaled(booster, matrix[scale], weight)
    bare = Detector(
        encoder=encoder,
        usual=usual_values(train.filter(pl.Series(benign)), encoder),
        supervised=supervised,
        novelty=novelty,
        novelty_surprise=novelty_surprise,
        calibration=calibrate(np.arange(2.0), rate=spec.nominal_false_positive_rate),
    )
    scores = bare.score(train.filter(pl.Series(final)))["score"].to_numpy()
    return _with_calibration(bare, _calibration(scores, train, spec))


def _calibration(scores: Floats, train: pl.DataFrame, spec: TrainingSpec) -> Calibration:
    per_day = connections_per_day(train)
    if spec.alerts_per_day is not None and per_day is None:
        raise DataError(
            "alerts_per_day needs training rows with time, and these have none",
            hint="set nominal_false_positive_rate instead",
            field="ts",
        )
    return calibrate(
        scores,
        rate=spec.nominal_false_positive_rate,
        alerts_per_day=spec.alerts_per_day,
        connections_per_day=per_day,
    )


def _with_calibration(bare: Detector, calibration: Calibration) -> Detector:
    return Detector(bare.encoder, bare.usual, bare.supervised, bare.novelty, bare.novelty_surprise, calibration)


def _fit_booster(train: pl.DataFrame, matrix: Matrix, spec: TrainingSpec, fitted: Mask) -> bytes:
    labels = train["label"].fill_null("").to_numpy().astype(np.str_)[fitted]
    is_attack = train["is_attack"].fill_null(False).to_numpy()[fitted]
    return fit_booster(matrix[fitted], labels, is_attack, spec)


def _scaled(booster: bytes, benign: Matrix, weight: float) -> Supervised:
    bare = Supervised(booster, fit_surprise(np.arange(2.0)))
    return Supervised(booster, fit_surprise(bare.complete.margins(benign)), weight)


def _halves(calibration: Mask) -> tuple[Mask, Mask]:
    """Deal the calibration rows out, in their canonical order: every third sets scales, the others thresholds."""
    at = np.flatnonzero(calibration)
    scale, final = np.zeros_like(calibration), np.zeros_like(calibration)
    scale[at[::SCALE_SHARE]] = True
    final[at] = ~scale[at]
    return scale, final


def known_rows(train: pl.DataFrame) -> pl.DataFrame:
    """Leave the rows of unknown label out, where any row has one."""
    return train.filter(pl.col("is_attack").is_not_null()) if has_labels(train) else train


def in_canonical_order(train: pl.DataFrame) -> pl.DataFrame:
    """Sort rows by time, label and content, so that the order in which they came plays no part."""
    keys = [name for name in ("ts", "label") if name in train.columns]
    codes = pl.Series("__row", row_fingerprints(train, feature_columns(train)))
    return train.with_columns(codes).sort([*keys, "__row"], nulls_last=True, maintain_order=True).drop("__row")


def _reasons(spec: TrainingSpec, shortcuts: Mapping[str, str]) -> dict[str, str]:
    reasons = dict.fromkeys(spec.drop_features, "dropped by the training configuration")
    if spec.shortcuts == "drop":
        reasons.update({name: f"shortcut: {reason}" for name, reason in shortcuts.items()})
    return reasons


def _label_counts(train: pl.DataFrame) -> dict[str, int]:
    if "label" not in train.columns:
        return {}
    counts = train["label"].drop_nulls().value_counts(name="rows").sort(["rows", "label"], descending=[True, False])
    return dict(counts.iter_rows())
