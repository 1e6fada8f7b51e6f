"""A detector on another network: its thresholds hold there, what it knows of attacks stays, and it says what it is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.bundle import read_bundle, write_bundle
from cybersec_mlops.training.fit import FittedDetector
from cybersec_mlops.training.recalibrate import recalibrate, strangeness
from cybersec_mlops.training.spec import TrainingSpec

MakeRows = Callable[..., pl.DataFrame]


def elsewhere(rows: pl.DataFrame) -> pl.DataFrame:
    """The same people on a faster network with larger files."""
    return rows.with_columns(
        orig_bytes=pl.col("orig_bytes") * 40 + 3000,
        orig_pkts=pl.col("orig_pkts") + 30,
        duration_s=pl.col("duration_s") / 9,
    )


@pytest.fixture(scope="module")
def there(make_rows: MakeRows) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = elsewhere(make_rows(6000, seed=5))
    return rows.head(3000), rows.tail(3000)


def false_positives(fitted: FittedDetector, rows: pl.DataFrame) -> float:
    return float(fitted.detector.score(rows.filter(~pl.col("is_attack")))["is_alert"].to_numpy().mean())


def test_the_threshold_holds_there_and_the_trees_are_the_same(
    fitted: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], small_spec: TrainingSpec
) -> None:
    earlier, later = there
    carried = recalibrate(fitted.detector, earlier, small_spec)
    assert false_positives(fitted, later) > 0.1
    assert false_positives(carried, later) < 0.03
    assert fitted.detector.supervised is not None
    assert carried.detector.supervised is not None
    assert carried.detector.supervised.booster == fitted.detector.supervised.booster
    assert carried.report["mode"] == "recalibrated"


def test_the_more_foreign_the_less_counts_what_was_learnt_elsewhere(
    fitted: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], make_rows: MakeRows, small_spec: TrainingSpec
) -> None:
    home = recalibrate(fitted.detector, make_rows(3000, seed=8), small_spec).report
    away = recalibrate(fitted.detector, there[0], small_spec).report
    assert home["strangeness"] < 0.15 < 0.5 < away["strangeness"] <= 1
    assert home["supervised_weight"] > away["supervised_weight"] >= 0
    assert away["supervised_weight"] == pytest.approx(
        small_spec.supervised_weight * (1 - away["strangeness"]), abs=1e-3
    )


def test_attacks_in_the_rows_are_never_learnt(
    fitted: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], small_spec: TrainingSpec
) -> None:
    earlier, later = there
    with_labels = recalibrate(fitted.detector, earlier, small_spec)
    benign_only = recalibrate(fitted.detector, earlier.filter(~pl.col("is_attack")), small_spec)
    assert with_labels.detector.score(later).equals(benign_only.detector.score(later))


def test_unlabelled_rows_change_scales_and_thresholds_alone(
    fitted: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], small_spec: TrainingSpec
) -> None:
    unlabelled = there[0].drop("label", "is_attack")
    carried = recalibrate(fitted.detector, unlabelled, small_spec)
    kept, given = carried.detector.novelty.model, fitted.detector.novelty.model
    assert kept is given
    assert false_positives(carried, there[1]) <= 0.01  # a share of all rows, a fifth of them attacks
    assert carried.report["calibration_rows"] == unlabelled.height


def test_a_carried_detector_goes_through_a_bundle(
    fitted: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], small_spec: TrainingSpec
) -> None:
    carried = recalibrate(fitted.detector, there[0], small_spec).detector
    read, manifest = read_bundle(write_bundle(carried))
    assert read.score(there[1]).equals(carried.score(there[1]))
    assert carried.supervised is not None
    assert manifest["supervised_weight"] == carried.supervised.weight


def test_a_benign_only_detector_can_be_carried_over(
    fitted_benign_only: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], small_spec: TrainingSpec
) -> None:
    carried = recalibrate(fitted_benign_only.detector, there[0], small_spec)
    assert carried.detector.supervised is None
    assert carried.report["supervised_weight"] is None
    assert false_positives(carried, there[1]) < 0.03


def test_strangeness_is_a_distance(fitted: FittedDetector, make_rows: MakeRows) -> None:
    benign = make_rows(1500).filter(~pl.col("is_attack"))
    assert 0 <= strangeness(fitted.detector, benign) < 0.15
    assert strangeness(fitted.detector, benign.filter(pl.col("orig_bytes") == benign["orig_bytes"][0])) <= 1


@pytest.mark.parametrize("rows", [0, 20])
def test_too_few_rows_are_refused(
    fitted: FittedDetector, make_rows: MakeRows, rows: int, small_spec: TrainingSpec
) -> None:
    with pytest.raises(DataError, match="rows"):
        recalibrate(fitted.detector, make_rows(300).head(rows), small_spec)


def test_rows_of_another_kind_are_refused(
    fitted: FittedDetector, make_rows: MakeRows, small_spec: TrainingSpec
) -> None:
    with pytest.raises(DataError, match="are not in the data"):
        recalibrate(fitted.detector, make_rows(300).select("ts", "proto", "is_attack", "label"), small_spec)


@pytest.mark.parametrize("weight", [math.inf, -1.0, math.nan])
def test_a_bundle_with_a_senseless_weight_is_refused(fitted: FittedDetector, weight: float) -> None:
    from dataclasses import replace

    assert fitted.detector.supervised is not None
    spoiled = replace(fitted.detector, supervised=replace(fitted.detector.supervised, weight=weight))
    with pytest.raises((DataError, ValueError), match=r"weight|JSON"):
        read_bundle(write_bundle(spoiled))


def test_the_weight_counts_in_score_and_explanation(fitted: FittedDetector, make_rows: MakeRows) -> None:
    from dataclasses import replace

    rows, detector = make_rows(200, seed=4), fitted.detector
    assert detector.supervised is not None
    half, none = (replace(detector, supervised=replace(detector.supervised, weight=w)) for w in (0.5, 0.0))
    surprise = detector.supervised.surprise(detector.score(rows)["supervised_score"].to_numpy())
    lighter = half.score(rows)["score"] - none.score(rows)["score"]
    assert np.allclose(lighter.to_numpy(), 0.5 * surprise, atol=1e-8)
    explained = half.explain(rows, [3], top=100)
    assert explained["contribution"].sum() == pytest.approx(half.score(rows)["score"][3], abs=1e-6)
    assert explained["supervised_contribution"].sum() == pytest.approx(0.5 * surprise[3], abs=1e-6)


def test_unlabelled_attacks_that_hide_under_the_threshold_are_told(
    fitted: FittedDetector, make_rows: MakeRows, small_spec: TrainingSpec
) -> None:
    rows = make_rows(3000, seed=8)
    attacks, benign = int(rows["is_attack"].sum()), rows.filter(~pl.col("is_attack"))
    unlabelled = recalibrate(fitted.detector, rows.drop("label", "is_attack"), small_spec)
    (warning,) = unlabelled.report["warnings"]
    found = re.search(r"takes ([0-9,]+) of 3,000 for attacks.* only ([0-9,]+) of these would alert", warning)
    assert found is not None
    taken, alerting = (int(number.replace(",", "")) for number in found.groups())
    assert 0.5 * attacks < taken <= attacks
    assert alerting <= 0.01 * rows.height + 1
    assert recalibrate(fitted.detector, rows, small_spec).report["warnings"] == []
    assert recalibrate(fitted.detector, benign.drop("label", "is_attack"), small_spec).report["warnings"] == []


@pytest.mark.parametrize("labelled", [True, False])
def test_foreign_traffic_is_told(
    fitted: FittedDetector, there: tuple[pl.DataFrame, pl.DataFrame], labelled: bool, small_spec: TrainingSpec
) -> None:
    benign = there[0].filter(~pl.col("is_attack"))
    report = recalibrate(fitted.detector, benign if labelled else benign.drop("label", "is_attack"), small_spec).report
    assert f"strangeness {report['strangeness']:.2f} of 1" in report["warnings"][-1]
    assert ("or most of it is attacks" in report["warnings"][-1]) is not labelled
