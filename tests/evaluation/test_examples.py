from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.evaluation.examples import choose_examples

ROW = st.tuples(st.floats(-5, 5), st.booleans(), st.sampled_from(["a", "b", "BENIGN", None]))


@given(st.lists(ROW, max_size=30), st.integers(0, 10))
@settings(max_examples=60, deadline=None)
def test_only_alerts_are_shown_each_once_and_highest_first(
    rows: list[tuple[float, bool, str | None]], count: int
) -> None:
    schema = {"score": pl.Float64, "is_alert": pl.Boolean, "label": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    chosen = choose_examples(frame, count)
    assert len(chosen) == len(set(chosen)) == min(count, int(frame["is_alert"].sum()))
    assert all(rows[row][1] for row in chosen)
    scores = [rows[row][0] for row in chosen]
    assert scores == sorted(scores, reverse=True)


def test_every_kind_is_among_them_when_there_is_room() -> None:
    frame = pl.DataFrame({"score": [9.0, 8.0, 7.0, 6.0], "is_alert": [True] * 4, "label": ["x", "x", "x", "BENIGN"]})
    assert choose_examples(frame, 2) == [0, 3]
