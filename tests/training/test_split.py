from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.fingerprint import row_fingerprints
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import carve_calibration, feature_columns, split

MakeRows = Callable[..., pl.DataFrame]
SPEC = TrainingSpec()
START = datetime(2024, 1, 1, tzinfo=UTC)


def timed(seconds: list[int], attacks: list[bool] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ts": [START + timedelta(seconds=second) for second in seconds],
            "duration_s": [float(i) for i in range(len(seconds))],
            "is_attack": attacks or [False] * len(seconds),
            "label": ["x"] * len(seconds),
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC")},
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=60).filter(lambda values: len(set(values)) > 1))
def test_in_time_train_ends_before_test_begins(seconds: list[int]) -> None:
    frame = timed(seconds)
    try:
        cut = split(frame, SPEC)
    except DataError:
        assert (
            min(seconds) == sorted(seconds)[round(0.95 * len(seconds)) - 1]
        )  # nearly all rows are of the first instant
        return
    assert cut.method == "time"
    assert cut.train.height + cut.test.height == len(seconds)
    assert cut.train["ts"].max() < cut.boundary <= cut.test["ts"].min()  # type: ignore[operator]


def test_in_time_the_share_is_kept() -> None:
    cut = split(timed(list(range(1000))), SPEC)
    assert (cut.train.height, cut.test.height, cut.notes) == (700, 300, ())


def test_the_boundary_moves_only_until_both_sides_have_both_classes() -> None:
    attacks = [100 <= i < 600 for i in range(1000)]
    cut = split(timed(list(range(1000)), attacks), SPEC)
    assert cut.train.height == 550  # 70 %, 65 %, 75 %, 60 %, 80 % leave no attack in the test part
    assert "for want of a class" in cut.notes[0]


def test_no_boundary_serves() -> None:
    with pytest.raises(DataError, match="no boundary in time") as caught:
        split(timed(list(range(1000)), [i < 20 for i in range(1000)]), SPEC)
    assert "--test" in caught.value.hint


def test_all_rows_of_one_instant_cannot_be_split_in_time() -> None:
    with pytest.raises(DataError, match="same time"):
        split(timed([5] * 100).drop("is_attack"), SPEC)


def test_rows_without_time_are_trained_on_and_counted() -> None:
    frame = timed(list(range(100))).with_columns(ts=pl.when(pl.col("duration_s") != 99).then("ts"))
    cut = split(frame, SPEC)
    assert cut.train["ts"].null_count() == 1
    assert "1 rows without time" in cut.notes[0]


def test_time_asked_for_where_there_is_none(make_rows: MakeRows) -> None:
    with pytest.raises(DataError, match="no row has a time"):
        split(make_rows(100, timed=False), TrainingSpec(split="time"))


def test_stratified_keeps_identical_rows_on_one_side(make_rows: MakeRows) -> None:
    frame = make_rows(600, timed=False)
    frame = pl.concat([frame, frame.head(300), frame.head(100)])
    cut = split(frame, SPEC)
    sides = [set(row_fingerprints(side, feature_columns(frame)).tolist()) for side in (cut.train, cut.test)]
    assert cut.method == "stratified"
    assert not sides[0] & sides[1]
    assert cut.train.height + cut.test.height == frame.height


def test_stratified_gives_every_label_its_share(make_rows: MakeRows) -> None:
    frame = make_rows(3000, timed=False, background=0.05)
    test = split(frame, SPEC).test
    for label, rows in frame["label"].value_counts().iter_rows():
        slack = 0.3 if label == "Port Scan" else 0.02  # the scans are a few rows, repeated: they come in lumps
        assert abs((test["label"] == label).sum() - 0.3 * rows) <= slack * rows


def test_stratified_gives_a_rare_label_to_both_sides(make_rows: MakeRows) -> None:
    frame = make_rows(300, timed=False, attacks=0.0)
    rare = frame.head(2).with_columns(label=pl.lit("rare"), is_attack=pl.lit(True), orig_bytes=pl.Series([-1, -2]))
    cut = split(pl.concat([frame, rare]), SPEC)
    assert [(side["label"] == "rare").sum() for side in (cut.train, cut.test)] == [1, 1]


@pytest.mark.parametrize("has_time", [True, False])
def test_row_order_does_not_matter(make_rows: MakeRows, has_time: bool) -> None:
    frame = make_rows(500, timed=has_time)
    again = split(frame.sample(fraction=1, shuffle=True, seed=3), SPEC)
    assert set(split(frame, SPEC).test["raw_line"]) == set(again.test["raw_line"])


def test_too_few_different_rows() -> None:
    frame = pl.DataFrame({"duration_s": [1.0] * 9, "label": ["BENIGN"] * 9, "is_attack": [False] * 9})
    with pytest.raises(DataError, match="too few different"):
        split(frame, SPEC)
    with pytest.raises(DataError, match="1 rows"):
        split(frame.head(1), SPEC)


@pytest.mark.parametrize("has_time", [True, False])
def test_calibration_rows_are_benign_and_enough(make_rows: MakeRows, has_time: bool) -> None:
    frame = make_rows(6000, timed=has_time, background=0.1)
    chosen = frame.filter(pl.Series(carve_calibration(frame, SPEC)))
    assert set(chosen["is_attack"]) == {False}
    share = chosen.height / (frame["is_attack"] == False).sum()  # noqa: E712
    assert 0.17 < share < 0.23


def test_few_benign_rows_give_up_to_half_to_calibration(make_rows: MakeRows) -> None:
    frame = make_rows(200, timed=False)
    benign = int((~frame["is_attack"]).sum())
    assert 0.35 * benign < carve_calibration(frame, SPEC).sum() < 0.65 * benign


def test_calibration_rows_come_in_stretches_of_time(make_rows: MakeRows) -> None:
    frame = make_rows(8000, attacks=0.0)
    chosen = carve_calibration(frame, SPEC)
    assert np.abs(np.diff(chosen.astype(int))).sum() <= 2 * 20 + 1
    thirds = [part.mean() for part in np.array_split(chosen, 3)]
    assert min(thirds) > 0.1  # from the whole period, not from its end alone


def test_without_labels_all_rows_can_calibrate(make_rows: MakeRows) -> None:
    frame = make_rows(2000, timed=False).drop("label", "is_attack")
    assert 0.1 < carve_calibration(frame, SPEC).mean() < 0.3


@pytest.mark.parametrize("timed", [True, False])
def test_benign_rows_that_are_all_alike_cannot_be_set_aside(make_rows: MakeRows, timed: bool) -> None:
    frame = make_rows(300).with_columns(pl.col(feature_columns(make_rows(1))).first())
    frame = frame if timed else frame.drop("ts")
    if timed:
        assert 0 < carve_calibration(frame, SPEC).sum() < frame.height
    else:
        with pytest.raises(DataError, match="1 different values, too few"):
            carve_calibration(frame, SPEC)
