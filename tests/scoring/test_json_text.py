"""JSON by columns is the JSON that the standard library reads back as the same values."""

from __future__ import annotations

import json
import math
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.scoring.json_text import array, constant, json_values, record

ROW = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(),
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "real": st.none() | st.floats(),
        "flag": st.none() | st.booleans(),
    }
)
SCHEMA = {"text": pl.String(), "whole": pl.Int64(), "real": pl.Float64(), "flag": pl.Boolean()}


@given(st.lists(ROW, min_size=1, max_size=8))
def test_values_come_back_and_what_is_unset_is_not_there(rows: list[dict[str, Any]]) -> None:
    told = json_values(pl.DataFrame(rows, schema=SCHEMA))
    lines = told.select(record({name: pl.col(name) for name in SCHEMA})).to_series()
    for row, line in zip(rows, lines, strict=True):
        known = {name: value for name, value in row.items() if value is not None}
        if not math.isfinite(known.get("real", 0.0)):
            del known["real"]
        if not known:
            assert line is None
            continue
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line) == known


def test_records_nest_and_lists_leave_out_what_is_unset() -> None:
    table = json_values(pl.DataFrame({"one": ["a", None, None], "two": [1, 2, None]}))
    both = pl.col("one"), pl.col("two")
    made = record({"list": array(both), "always": constant({"of": ["\u00e9"]})}, filled=True)
    assert table.select(made).to_series().to_list() == [
        '{"list":["a",1],"always":{"of":["\\u00e9"]}}',
        '{"list":[2],"always":{"of":["\\u00e9"]}}',
        '{"always":{"of":["\\u00e9"]}}',
    ]
