from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.matrix import Encoder, fit_encoder, usual_values

MakeRows = Callable[..., pl.DataFrame]


def test_never_features_meta_constant_and_empty_columns_are_left_out() -> None:
    frame = pl.DataFrame(
        {
            "duration_s": [1.0, 2.0],
            "orig_h": ["a", "b"],
            "resp_p": [1, 2],
            "label": ["x", "y"],
            "meta_row": [1, 2],
            "same": [3, 3],
            "empty": [None, None],
            "nested": [[1], [2]],
            "asked": [1, 2],
        },
        schema_overrides={"empty": pl.Float64},
    )
    encoder, dropped = fit_encoder(frame, categories=4, drop={"asked": "a shortcut"})
    assert encoder.features == ("duration_s",)
    assert dropped == {
        "same": "constant",
        "empty": "always missing",
        "nested": "type List(Int64)",
        "asked": "a shortcut",
    }


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match="no usable feature"):
        fit_encoder(pl.DataFrame({"orig_h": ["a", "b"], "same": [1, 1]}), categories=4)


def test_categories_by_frequency_then_other_then_missing() -> None:
    train = pl.DataFrame({"service": ["dns", "dns", "http", "http", "smtp", None]})
    encoder, _ = fit_encoder(train, categories=2)
    assert encoder.columns == ("service=dns", "service=http", "service=other", "service=missing")
    new = pl.DataFrame({"service": ["http", "never seen", "smtp", None]})
    assert encoder.encode(new).tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_numbers_booleans_and_what_is_no_number() -> None:
    train = pl.DataFrame({"a": [1.0, 2.0], "b": [True, False]})
    encoder, _ = fit_encoder(train, categories=2)
    new = pl.DataFrame({"a": [float("inf"), float("nan"), None, 1e300, -5.0], "b": [True, False, None, True, True]})
    matrix = encoder.encode(new)
    assert np.isnan(matrix[:3, 0]).all()
    assert np.isfinite(matrix[3, 0])
    assert matrix[3, 0] > 1e38
    assert np.array_equal(matrix[:3, 1], [1, 0, np.nan], equal_nan=True)


def test_absent_features_are_missing_and_reported(make_rows: MakeRows) -> None:
    rows = make_rows(50)
    encoder, _ = fit_encoder(rows, categories=4)
    new = rows.drop("duration_s", "service")
    assert encoder.missing_features(new) == ["duration_s", "service"]
    matrix = encoder.encode(new)
    columns = list(encoder.columns)
    assert np.isnan(matrix[:, columns.index("duration_s")]).all()
    assert (matrix[:, columns.index("service=missing")] == 1).all()


def test_too_many_absent_features_are_refused(make_rows: MakeRows) -> None:
    encoder, _ = fit_encoder(make_rows(50), categories=4)
    with pytest.raises(DataError, match="features are not in the data"):
        encoder.encode(make_rows(50).select("ts", "duration_s", "proto"))


def test_text_where_training_had_numbers_is_refused(make_rows: MakeRows) -> None:
    encoder, _ = fit_encoder(make_rows(50), categories=4)
    for wrong in ({"orig_bytes": pl.String}, {"proto": pl.Int64}):
        column, dtype = next(iter(wrong.items()))
        new = make_rows(50).with_columns(pl.lit(None, dtype=dtype).alias(column))
        with pytest.raises(DataError, match=f"feature {column} is") as caught:
            encoder.encode(new)
        assert caught.value.field == column


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_column_order_and_company_do_not_matter(make_rows: MakeRows, seed: int) -> None:
    rows = make_rows(30, seed=seed, background=0.1)
    encoder, _ = fit_encoder(rows, categories=3)
    again, _ = fit_encoder(
        rows.select(sorted(rows.columns, reverse=True)).sample(fraction=1, shuffle=True), categories=3
    )
    assert again == encoder
    whole = encoder.encode(rows)
    single = np.concatenate([encoder.encode(rows[i : i + 1]) for i in range(rows.height)])
    assert np.array_equal(whole, single, equal_nan=True)


def test_json_round_trip(make_rows: MakeRows) -> None:
    encoder, _ = fit_encoder(make_rows(100), categories=4)
    assert Encoder.from_dict(encoder.to_dict()) == encoder


def test_usual_values_are_those_of_the_rows_given() -> None:
    train = pl.DataFrame({"x": [float(i) for i in range(101)], "y": ["a"] * 90 + ["b"] * 10 + [None]})
    encoder, _ = fit_encoder(train, categories=4)
    usual = usual_values(train, encoder)
    assert (usual["x"].low, usual["x"].high) == (5.0, 95.0)
    assert usual["y"].values == ("a",)


def test_usual_values_of_an_always_missing_feature() -> None:
    train = pl.DataFrame({"x": [1.0, 2.0, None]})
    encoder, _ = fit_encoder(train, categories=4)
    usual = usual_values(train.tail(1), encoder)
    assert usual["x"].describe() == "always missing"


def test_long_texts_get_no_column_of_their_own() -> None:
    train = pl.DataFrame({"service": ["x" * 10_000] * 5 + ["dns"] * 3})
    encoder, _ = fit_encoder(train, categories=4)
    assert encoder.categories == {"service": ("dns",)}
    assert encoder.encode(train)[0].tolist() == [0, 1, 0]
