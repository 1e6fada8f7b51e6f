from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.audit.chain import GENESIS, canonical_json, faults, row_hash
from cybersec_mlops.audit.events import Head
from cybersec_mlops.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def chained(number: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    previous = GENESIS
    for each in range(1, number + 1):
        row = {"id": each, "what": f"event {each}", "previous_hash": previous}
        previous = row["hash"] = row_hash(row)
        rows.append(row)
    return rows


def end(rows: list[dict[str, Any]]) -> Head:
    return Head(rows[-1]["id"], rows[-1]["hash"])


@settings(max_examples=50)
@given(VALUES)
def test_canonical_json_is_json_that_reads_back_and_is_stable(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
    assert text.isascii()


def test_the_order_of_keys_does_not_matter() -> None:
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == canonical_json({"a": {"c": 3, "d": 2}, "b": 1})


def test_the_same_moment_has_one_form() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert canonical_json(moment) == canonical_json(moment.astimezone(timezone(timedelta(hours=5))))
    assert canonical_json(moment) == '"2026-01-01T00:00:00.000000+00:00"'


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": {1, 2}}, b"x"])
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="the audit cannot hold"):
        canonical_json(value)


def test_a_hash_covers_every_column_but_itself() -> None:
    row = chained(1)[0]
    assert row_hash({**row, "hash": "other"}) == row["hash"]
    for name in ("id", "what", "previous_hash"):
        assert row_hash({**row, name: "other"}) != row["hash"]


@settings(max_examples=40)
@given(number=st.integers(0, 12))
def test_an_untouched_chain_has_no_fault(number: int) -> None:
    rows = chained(number)
    assert list(faults(rows, end(rows) if rows else Head(0, GENESIS))) == []
    assert (
        list(
            faults(
                rows, end(rows) if rows else Head(0, GENESIS), [Head(0, GENESIS), *([end(rows[:3])] if rows else [])]
            )
        )
        == []
    )


@settings(max_examples=60)
@given(data=st.data(), number=st.integers(2, 12))
def test_every_single_tampering_is_found(data: st.DataObject, number: int) -> None:
    rows = chained(number)
    head = end(rows)
    at = data.draw(st.integers(0, number - 1))
    kind = data.draw(st.sampled_from(["change", "delete", "swap", "repeat", "forge"]))
    if kind == "change":
        rows[at]["what"] = "something else"
    elif kind == "delete":
        del rows[at]
    elif kind == "swap":
        other = (at + 1) % number
        rows[at]["id"], rows[other]["id"] = rows[other]["id"], rows[at]["id"]
        rows.sort(key=lambda row: int(row["id"]))
    elif kind == "repeat":
        rows.append({**rows[at], "id": number + 1})
    else:  # changed, with a hash to match
        rows[at]["what"] = "something else"
        rows[at]["hash"] = row_hash(rows[at])
    assert list(faults(rows, head)) != []


def test_a_forged_row_breaks_the_link_to_the_next() -> None:
    rows = chained(5)
    head = end(rows)
    rows[2]["what"] = "forged"
    rows[2]["hash"] = row_hash(rows[2])
    assert [(fault.id, fault.kind) for fault in faults(rows, head)] == [(4, "inserted")]
