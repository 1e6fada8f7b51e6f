"""Explanations of many alerts: the features, in order, with what the row has and what is usual."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from tests.scoring.conftest import World

from cybersec_mlops.scoring.explanations import REASON, explain_rows
from cybersec_mlops.training.detector import Detector


@pytest.fixture(scope="module")
def detector(world: World) -> Detector:
    return world.model.detector


@pytest.fixture(scope="module")
def rows(detector: Detector) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    numeric = {name: rng.exponential(1000, 40).round() for name in detector.encoder.numeric}
    text = {
        name: [[*values, None][n % (len(values) + 1)] for n in range(40)]
        for name, values in detector.encoder.categories.items()
    }
    return pl.DataFrame({**numeric, **text})


def test_a_row_is_explained_alike_alone_and_in_company(detector: Detector, rows: pl.DataFrame) -> None:
    together = explain_rows(detector, rows, 4).reasons
    assert [explain_rows(detector, rows[n], 4).reasons[0] for n in range(rows.height)] == together


def test_the_parts_sum_to_the_score(detector: Detector, rows: pl.DataFrame) -> None:
    every = explain_rows(detector, rows, 1000)
    sums = [sum(one["contribution"] for one in reasons) for reasons in every.reasons]
    assert sums == pytest.approx(detector.score(rows)["score"].to_list(), abs=1e-3)
    for reasons in every.reasons:
        weights = [one["contribution"] for one in reasons]
        assert weights == sorted(weights, reverse=True)
        assert {one["feature"] for one in reasons} == set(detector.encoder.features)


def test_both_forms_say_the_same(detector: Detector, rows: pl.DataFrame) -> None:
    explained = explain_rows(detector, rows, 3)
    series = explained.series()
    assert series.dtype == pl.List(REASON)
    for listed, reasons in zip(series.to_list(), explained.reasons, strict=True):
        assert [{name: value for name, value in one.items() if value is not None} for one in listed] == [
            dict(sorted(one.items(), key=lambda item: ("feature", "value", "usual", "contribution").index(item[0])))
            for one in reasons
        ]
    assert json.dumps(explained.reasons)


def test_values_are_those_of_the_row(detector: Detector, rows: pl.DataFrame) -> None:
    for row, reasons in zip(rows.iter_rows(named=True), explain_rows(detector, rows, 6).reasons, strict=True):
        for one in reasons:
            value = row[one["feature"]]
            if value is None:
                assert "value" not in one
            else:
                assert one["value"] == (value if isinstance(value, str) else f"{value:.6g}")
            assert one["usual"] == detector.usual[one["feature"]].describe()


def test_none_is_asked_for(detector: Detector, rows: pl.DataFrame) -> None:
    for top, chosen in ((0, rows), (5, rows.clear())):
        explained = explain_rows(detector, chosen, top)
        assert explained.reasons == [[]] * chosen.height
        assert explained.series().to_list() == [[]] * chosen.height
