"""Behaviour features equal a count by hand, look at the past only, and do not depend on how rows are cut."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.transformation.behaviour import (
    CONTEXT_COLUMNS,
    MINIMUM_GAPS,
    PAIR_WINDOW_S,
    add_behaviour,
    behaviour_schema,
    lookback_s,
)

SCHEMA = {name: CONNECTION_SCHEMA[name] for name in CONTEXT_COLUMNS}
WINDOWS = (60, 600)
NOTHING = pl.DataFrame(schema=SCHEMA)

connection = st.fixed_dictionaries(
    {
        "ts": st.integers(0, 7_200).map(lambda s: s * 1_000_000) | st.integers(0, 7_200_000_000),
        "orig_h": st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        "resp_h": st.sampled_from(["10.0.0.1", "192.0.2.1", "192.0.2.2"]),
        "resp_p": st.sampled_from([22, 53, 443, None]),
        "conn_state": st.sampled_from(["SF", "S0", "REJ", None]),
        "orig_bytes": st.integers(0, 2**40) | st.none(),
        "resp_bytes": st.integers(0, 2**40) | st.none(),
        "resp_pkts": st.integers(0, 3) | st.none(),
    }
)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    made = pl.DataFrame(rows, schema={**SCHEMA, "ts": pl.Int64()}).with_columns(pl.col("ts").cast(SCHEMA["ts"]))
    return made.sort("ts", maintain_order=True)


def by_hand(rows: list[dict[str, Any]], at: int) -> dict[str, Any]:
    """Count what the module's docstring says, the slow way."""
    me = rows[at]
    counted: dict[str, Any] = {}
    for side, peer in (("orig", "resp"), ("resp", "orig")):
        for window in WINDOWS:
            past = [
                row
                for row in rows
                if me["ts"] - window * 1_000_000 <= row["ts"] < me["ts"] and row[f"{side}_h"] == me[f"{side}_h"]
            ]
            failed = [
                row["conn_state"] in ("S0", "REJ") if row["conn_state"] else row["resp_pkts"] == 0 for row in past
            ]
            counted[f"{side}_conns_{window}s"] = len(past)
            counted[f"{side}_failures_{window}s"] = sum(failed)
            counted[f"{side}_bytes_{window}s"] = sum((r["orig_bytes"] or 0) + (r["resp_bytes"] or 0) for r in past)
            counted[f"{side}_peers_{window}s"] = len({row[f"{peer}_h"] for row in past})
            counted[f"{side}_ports_{window}s"] = len({row["resp_p"] for row in past})
    same = [
        row["ts"]
        for row in rows
        if me["ts"] - PAIR_WINDOW_S * 1_000_000 <= row["ts"] < me["ts"]
        and all(row[name] == me[name] for name in ("orig_h", "resp_h", "resp_p"))
    ]
    gaps = np.diff(np.sort(same)) // 1000
    counted[f"pair_conns_{PAIR_WINDOW_S}s"] = len(same)
    known = len(gaps) >= MINIMUM_GAPS
    counted[f"pair_gap_mean_s_{PAIR_WINDOW_S}s"] = gaps.mean() / 1000 if known else None
    counted[f"pair_gap_cv_{PAIR_WINDOW_S}s"] = gaps.std() / gaps.mean() if known and gaps.mean() > 0 else None
    return counted


@settings(max_examples=60, deadline=None)
@given(st.lists(connection, min_size=1, max_size=40))
def test_equals_a_count_by_hand(rows: list[dict[str, Any]]) -> None:
    made = frame(rows)
    ordered = made.with_columns(pl.col("ts").dt.epoch("us")).to_dicts()
    got = add_behaviour(made, NOTHING, WINDOWS)
    for at in range(got.height):
        expected = by_hand(ordered, at)
        for name, value in expected.items():
            assert got[name][at] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-6)), name


@settings(max_examples=30, deadline=None)
@given(st.lists(connection, min_size=2, max_size=40), st.integers(0, 7_200_000_000))
def test_does_not_depend_on_the_cut(rows: list[dict[str, Any]], cut: int) -> None:
    made = frame(rows)
    at = pl.lit(cut).cast(SCHEMA["ts"])
    past, rest = made.filter(pl.col("ts") < at), made.filter(pl.col("ts") >= at)
    whole = add_behaviour(made, NOTHING, WINDOWS).filter(pl.col("ts") >= at)
    assert add_behaviour(rest, past, WINDOWS).equals(whole)


@settings(max_examples=30, deadline=None)
@given(st.lists(connection, min_size=2, max_size=30))
def test_does_not_see_the_future(rows: list[dict[str, Any]]) -> None:
    made = frame(rows)
    half = made.filter(pl.col("ts") <= made["ts"][made.height // 2])
    assert add_behaviour(half, NOTHING, WINDOWS).equals(add_behaviour(made, NOTHING, WINDOWS)[: half.height])


def test_rows_without_time_or_host_get_nulls_and_disturb_nobody() -> None:
    base = {"orig_h": "a", "resp_h": "b", "resp_p": 1, "conn_state": "SF"}
    base |= {"orig_bytes": 1, "resp_bytes": 1, "resp_pkts": 1}
    rows = [{**base, "ts": 0}, {**base, "ts": None}, {**base, "ts": 1, "orig_h": None}, {**base, "ts": 2}]
    made = pl.DataFrame(rows, schema={**SCHEMA, "ts": pl.Int64()}).with_columns(pl.col("ts").cast(SCHEMA["ts"]))
    assert add_behaviour(made, NOTHING, (60,))["orig_conns_60s"].to_list() == [0, None, None, 1]


def test_no_usable_row_gives_the_columns_all_the_same() -> None:
    made = add_behaviour(NOTHING, NOTHING, WINDOWS)
    assert made.select(list(behaviour_schema(WINDOWS))).schema == behaviour_schema(WINDOWS)


def test_a_row_of_1970_among_rows_of_today() -> None:
    """A sensor without a clock must not stretch the line of integers beyond what fits."""
    hosts = [f"10.{i // 250}.{i % 250}.1" for i in range(60_000)]
    today = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1e6)
    made = pl.DataFrame({"ts": [0] + [today + i for i in range(59_999)], "orig_h": hosts}).with_columns(
        pl.col("ts").cast(SCHEMA["ts"]), resp_h=pl.lit("b"), **{n: pl.lit(None, d) for n, d in list(SCHEMA.items())[3:]}
    )
    assert add_behaviour(made, NOTHING, (60,))["resp_conns_60s"][-1] == 59_998


def test_context_and_lookback_cover_the_windows() -> None:
    assert lookback_s(WINDOWS) == max(*WINDOWS, PAIR_WINDOW_S)
