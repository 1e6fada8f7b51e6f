"""Derived features: unset stays null, division by zero is null, RFC 6335's port classes."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.transformation.derived import DERIVED_SCHEMA, HISTORY_FEATURES, add_derived


def one(**values: object) -> dict[str, object]:
    made = pl.DataFrame([{**dict.fromkeys(CONNECTION_SCHEMA), **values}], schema=CONNECTION_SCHEMA)
    derived = add_derived(made)
    assert {name: derived.schema[name] for name in DERIVED_SCHEMA} == DERIVED_SCHEMA
    return derived.row(0, named=True)


def test_unset_stays_null() -> None:
    assert {one()[name] for name in DERIVED_SCHEMA} == {None}


@pytest.mark.parametrize(
    ("port", "name"), [(0, "system"), (1023, "system"), (1024, "user"), (49151, "user"), (49152, "dynamic")]
)
def test_port_classes(port: int, name: str) -> None:
    assert one(resp_p=port)["resp_port_class"] == name


def test_ratios() -> None:
    row = one(orig_bytes=30, resp_bytes=10, orig_pkts=3, resp_pkts=0, duration_s=2.0)
    assert row["orig_bytes_per_pkt"] == 10.0
    assert row["resp_bytes_per_pkt"] is None
    assert row["orig_byte_share"] == 0.75
    assert row["bytes_per_s"] == 20.0
    assert row["pkts_per_s"] == 1.5


def test_a_duration_of_zero_gives_no_rate() -> None:
    assert one(orig_bytes=1, resp_bytes=1, duration_s=0.0)["bytes_per_s"] is None


def test_history_letters_are_told_apart_by_case() -> None:
    row = one(history="ShAdF")
    seen = {name for name in HISTORY_FEATURES if row[name]}
    assert seen == {
        "history_orig_syn",
        "history_resp_synack",
        "history_orig_ack",
        "history_resp_data",
        "history_orig_fin",
    }
    assert row["history_length"] == 5


@given(st.lists(st.none() | st.text("ShADdaFfRrTt^-", max_size=9)))
def test_each_letter_of_a_history_is_told(histories: list[str | None]) -> None:
    made = pl.DataFrame({"history": histories}, schema={"history": pl.String})
    empty = {name: dtype for name, dtype in CONNECTION_SCHEMA.items() if name != "history"}
    derived = add_derived(made.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in empty.items()))
    for name, letter in HISTORY_FEATURES.items():
        assert derived[name].to_list() == [None if text is None else letter in text for text in histories]
    assert derived["history_length"].to_list() == [None if text is None else len(text) for text in histories]
