"""Explanations of many alerts: the features, in order, with what the row has and what is usual."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.scoring.conftest import World

from cybersec_mlops.scoring.explanations import REASON, Explained, explain_rows, weightiest
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
    made = pl.DataFrame({**numeric, **text})
    return made.hstack(detector.score(made))


def listed(explained: Explained) -> list[list[dict[str, Any]]]:
    """Return the reasons of every row."""
    found: list[list[dict[str, Any]]] = explained.series().to_list()
    return found


def test_a_row_is_explained_alike_alone_and_in_company(detector: Detector, rows: pl.DataFrame) -> None:
    together = listed(explain_rows(detector, rows, 4))
    assert [listed(explain_rows(detector, rows[n], 4))[0] for n in range(rows.height)] == together


def test_the_parts_sum_to_the_score(detector: Detector, rows: pl.DataFrame) -> None:
    every = listed(explain_rows(detector, rows, 1000))
    sums = [sum(one["contribution"] for one in reasons) for reasons in every]
    assert sums == pytest.approx(rows["score"].to_list(), abs=1e-3)
    for reasons in every:
        weights = [one["contribution"] for one in reasons]
        assert weights == sorted(weights, reverse=True)
        assert {one["feature"] for one in reasons} == set(detector.encoder.features)


@pytest.mark.parametrize("top", [1, 3, 7, 9])
def test_the_weightiest_are_those_of_a_stable_sort(top: int) -> None:
    shares = np.random.default_rng(2).integers(-3, 3, size=(500, 7)).astype(np.float64)  # many are equal
    expected = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    assert weightiest(shares, top).tolist() == expected.tolist()


def test_all_forms_say_the_same(detector: Detector, rows: pl.DataFrame) -> None:
    explained = explain_rows(detector, rows, 3)
    assert explained.series().dtype == pl.List(REASON)
    phrases = explained.phrases(2)
    for reasons, told, phrase in zip(listed(explained), explained.json(), phrases, strict=True):
        known = [{name: value for name, value in one.items() if value is not None} for one in reasons]
        assert json.loads(told) == known
        texts = [f"{one['feature']} {one.get('value', 'missing')} (usual {one['usual']})" for one in known]
        assert phrase == f": {texts[0]}; {texts[1]}"


def test_values_are_those_of_the_row(detector: Detector, rows: pl.DataFrame) -> None:
    for row, reasons in zip(rows.iter_rows(named=True), listed(explain_rows(detector, rows, 6)), strict=True):
        for one in reasons:
            value = row[one["feature"]]
            text = value if value is None or isinstance(value, str) else f"{value:.6g}"
            assert one["value"] == text
            assert one["usual"] == detector.usual[one["feature"]].describe()


def test_none_is_asked_for(detector: Detector, rows: pl.DataFrame) -> None:
    for top, chosen in ((0, rows), (5, rows.clear())):
        explained = explain_rows(detector, chosen, top)
        assert listed(explained) == [[]] * chosen.height
        assert explained.json().to_list() == [None] * chosen.height
        assert explained.phrases(3).to_list() == [""] * chosen.height
