from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.training.fingerprint import row_fingerprints, uniform

CELLS = st.tuples(
    st.one_of(st.none(), st.floats(allow_nan=False, width=32)), st.one_of(st.none(), st.text(max_size=4)), st.booleans()
)


def frame_of(rows: list[tuple[float | None, str | None, bool]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"x": pl.Float64, "y": pl.String, "z": pl.Boolean}, orient="row")


@settings(max_examples=60, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=30))
def test_equal_rows_have_equal_fingerprints_and_no_others(rows: list[tuple[float | None, str | None, bool]]) -> None:
    codes = row_fingerprints(frame_of(rows), ["x", "y", "z"])
    same = [(None if x is None else x + 0.0, y, z) for x, y, z in rows]
    assert len(set(codes.tolist())) == len(set(same))


@settings(max_examples=30, deadline=None)
@given(st.lists(CELLS, min_size=2, max_size=20), st.randoms(use_true_random=False))
def test_neither_row_nor_column_order_matters(
    rows: list[tuple[float | None, str | None, bool]], random: object
) -> None:
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    frame = frame_of(rows)
    shuffled = frame[order.tolist()].select("z", "x", "y")
    assert (
        row_fingerprints(shuffled, ["y", "z", "x"]).tolist() == row_fingerprints(frame, ["x", "y", "z"])[order].tolist()
    )


def test_the_numbers_are_the_same_in_every_version() -> None:
    frame = pl.DataFrame({"x": [0.0, None, 1.5], "y": ["tcp", "udp", None]})
    assert row_fingerprints(frame, ["x", "y"]).tolist() == GOLDEN


def test_missing_is_not_zero_and_type_of_number_does_not_count() -> None:
    missing, zero = row_fingerprints(pl.DataFrame({"x": [None, 0.0]}), ["x"])
    assert missing != zero
    as_integer = row_fingerprints(pl.DataFrame({"x": [3]}), ["x"])
    assert as_integer[0] == row_fingerprints(pl.DataFrame({"x": [3.0]}), ["x"])[0]


def test_draws_are_even_and_differ_by_seed() -> None:
    codes = row_fingerprints(pl.DataFrame({"x": np.arange(20_000.0)}), ["x"])
    first, second = uniform(codes, 0), uniform(codes, 1)
    assert np.histogram(first, 10, (0, 1))[0].min() > 1_800
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


GOLDEN = [842974889727009751, 11289589781058058390, 12889952877114295510]
