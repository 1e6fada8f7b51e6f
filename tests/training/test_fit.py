from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.bundle import write_bundle
from cybersec_mlops.training.fit import FittedDetector, connections_per_day, fit_detector
from cybersec_mlops.training.spec import TrainingSpec

MakeRows = Callable[..., pl.DataFrame]


@pytest.mark.parametrize("timed", [True, False])
def test_neither_row_nor_column_order_changes_a_byte(
    make_rows: MakeRows, small_spec: TrainingSpec, timed: bool
) -> None:
    rows = make_rows(500, timed=timed)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1).select(sorted(rows.columns, reverse=True))
    first, again = (write_bundle(fit_detector(frame, small_spec).detector) for frame in (rows, shuffled))
    assert first == again


def test_threads_do_not_change_a_byte_and_the_seed_does(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(500)
    specs = (small_spec, small_spec.model_copy(update={"threads": 2}), small_spec.model_copy(update={"seed": 1}))
    one, two, other = (write_bundle(fit_detector(rows, spec).detector) for spec in specs)
    assert one == two
    assert one != other


def test_background_rows_are_in_no_fit(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(600, background=0.2)
    odd = rows.with_columns(orig_bytes=pl.when(pl.col("is_attack").is_null()).then(10**15).otherwise("orig_bytes"))
    first, second = (fit_detector(frame, small_spec) for frame in (rows, odd))
    assert write_bundle(first.detector) == write_bundle(second.detector)
    assert first.report["background_rows"] == rows["is_attack"].null_count() > 0


def test_the_report_adds_up_and_is_json(fitted: FittedDetector, make_rows: MakeRows) -> None:
    report = json.loads(json.dumps(fitted.report, allow_nan=False))
    assert report["rows"] == report["benign"] + report["attacks"] + report["background_rows"] == 1500
    assert report["fitted_rows"] + report["calibration_rows"] == 1500
    assert report["threshold_rows"] < report["calibration_rows"]
    assert sum(report["labels"].values()) == 1500
    assert report["mode"] == "supervised and benign-only"
    assert "orig_h" not in report["features"]
    assert report["connections_per_day"] == pytest.approx(2880, rel=0.01)


def test_shortcuts_are_dropped_or_kept_as_asked(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(300)
    shortcuts = {"orig_pkts": "gives it away"}
    dropped = fit_detector(rows, small_spec, shortcuts=shortcuts).report
    assert "orig_pkts" not in dropped["features"]
    assert dropped["dropped_features"]["orig_pkts"] == "shortcut: gives it away"
    kept = small_spec.model_copy(update={"shortcuts": "keep", "drop_features": ("proto",)})
    report = fit_detector(rows, kept, shortcuts=shortcuts).report
    assert "orig_pkts" in report["features"]
    assert "proto" not in report["features"]
    assert "warnings" not in report


def test_a_feature_to_drop_that_is_not_there_is_told(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    asked = small_spec.model_copy(update={"drop_features": ("proto", "prot")})
    (warning,) = fit_detector(make_rows(300), asked).report["warnings"]
    assert "['prot'], which these rows do not have" in warning


def test_without_labels_all_rows_are_learnt_from(fitted_benign_only: FittedDetector) -> None:
    report = fitted_benign_only.report
    assert (report["mode"], report["benign"], report["attacks"]) == ("benign-only", 1500, 0)
    assert fitted_benign_only.detector.supervised is None


def test_never_supervised_learns_from_benign_rows_alone(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(600)
    spec = small_spec.model_copy(update={"supervised": "never"})
    alone, with_attacks = (fit_detector(frame, spec) for frame in (rows.filter(~pl.col("is_attack")), rows))
    assert with_attacks.detector.supervised is None
    new = make_rows(200, seed=1)
    assert alone.detector.score(new).equals(with_attacks.detector.score(new))


def test_what_cannot_be_trained_on_is_said(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(400)
    benign, attacks = rows.filter(~pl.col("is_attack")), rows.filter("is_attack")
    cases = {
        "no rows to train on": rows.clear(),
        "none of the": attacks,
        "one class": benign,
        "9 training rows are benign": pl.concat([benign.head(9), attacks]),
        "no usable feature": rows.select("ts", "label", "is_attack"),
    }
    for message, frame in cases.items():
        with pytest.raises(DataError, match=message) as caught:
            fit_detector(frame, small_spec)
        assert caught.value.hint
    with pytest.raises(DataError, match="alerts_per_day needs"):
        fit_detector(make_rows(400, timed=False), small_spec.model_copy(update={"alerts_per_day": 5.0}))


def test_the_smallest_training_set_works(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(400, timed=False)
    small = pl.concat([rows.filter(~pl.col("is_attack")).head(50), rows.filter("is_attack").head(3)])
    fitted = fit_detector(small, small_spec)
    assert not fitted.detector.calibration.active.guaranteed
    scores = fitted.detector.score(make_rows(200, seed=1))
    assert np.isfinite(scores["score"].to_numpy()).all()


def test_connections_per_day_needs_a_span_of_time(make_rows: MakeRows) -> None:
    assert connections_per_day(make_rows(100, timed=False)) is None
    assert connections_per_day(make_rows(1)) is None
    assert connections_per_day(make_rows(2881)) == pytest.approx(2881)
