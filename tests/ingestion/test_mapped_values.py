"""Values of mapped tables: units, times, truths, labels."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.ingestion.mapped_values import FLAG, LABEL, finish, label_name, to_canonical
from cybersec_mlops.ingestion.mapping import TableMapping


def mapping(column: dict[str, Any] | None = None, **settings: Any) -> TableMapping:
    columns = {"h": "orig_h", **({"c": column} if column else {})}
    return TableMapping.model_validate({"name": "x", "columns": columns, **settings})


def convert(
    values: list[Any], column: dict[str, Any], timezone: str = "UTC", **settings: Any
) -> tuple[list[Any], list[bool]]:
    """Return the values of one column and which of them could not be read."""
    made = mapping(column, **settings)
    frame, failed, _ = to_canonical(pl.DataFrame({made.targets["c"]: values}, strict=False), made, timezone)
    bad = [any(series[row] for series in failed.values()) for row in range(frame.height)]
    return frame[made.targets["c"]].to_list(), bad


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (["1", "0.5", None], "s", [1.0, 0.5, None]),
        ([1500, 0, None], "ms", [1.5, 0.0, None]),
        (["2500000"], "us", [2.5]),
        ([3_000_000_000], "ns", [3.0]),
        ([timedelta(milliseconds=250)], "s", [0.25]),
    ],
)
def test_durations_become_seconds(values: list[Any], unit: str, expected: list[float | None]) -> None:
    assert convert(values, {"to": "duration_s", "unit": unit}) == (expected, [False] * len(values))


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [(["1.5"], "KiB", 1536), ([2], "MB", 2_000_000), (["800"], "bit", 100), ([Decimal("1.5")], "kB", 1500)],
)
def test_sizes_become_bytes(values: list[Any], unit: str, expected: float) -> None:
    assert convert(values, {"to": "orig_bytes", "unit": unit})[0] == [expected]


def test_decimal_commas_and_grouped_thousands() -> None:
    numbers = {"to": "orig_bytes"}
    assert convert(["1.234,5", "1 234", "7"], numbers, decimal=",")[0] == [1234.5, 1234.0, 7.0]
    assert convert(["1,234", "1,234,567.5", "12,34", "x"], numbers) == (
        [1234.0, 1234567.5, None, None],
        [False, False, True, True],
    )


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("1795424400.5", "epoch_s"),
        (1795424400.5, "epoch_s"),
        ("1795424400500", "epoch_ms"),
        (1795424400500000, "epoch_us"),
        (1795424400500000000, "epoch_ns"),
        ("2026-11-23T09:00:00.5Z", "iso"),
        ("2026-11-23 10:00:00.5+0100", "iso"),
        ("2026-11-23T09:00:00.5", "iso"),
        ("23/Nov/2026:10:00:00.5 +0100", "%d/%b/%Y:%H:%M:%S%.f %z"),
        ("23.11.2026 09:00:00.5", "%d.%m.%Y %H:%M:%S%.f"),
    ],
)
def test_times_in_every_format(value: Any, form: str) -> None:
    made, bad = convert([value], {"to": "ts", "format": form})
    assert made == [datetime(2026, 11, 23, 9, 0, 0, 500_000, UTC)]
    assert bad == [False]


def test_local_times_are_read_in_the_nearest_zone_that_is_named() -> None:
    local, column = ["2026-07-01T12:00:00"], {"to": "ts"}
    hours = [
        convert(local, {**column, **named}, timezone=run)[0][0].hour
        for named, run in (({}, "UTC"), ({}, "Europe/Prague"), ({"timezone": "America/New_York"}, "Europe/Prague"))
    ]
    assert hours == [12, 10, 16]
    in_file = mapping(column, timezone="Asia/Tokyo")
    frame, _, _ = to_canonical(pl.DataFrame({"ts": local}), in_file, "Europe/Prague")
    assert frame["ts"][0].hour == 3


def test_times_that_have_a_type_need_no_format() -> None:
    zoned = datetime(2026, 7, 1, 10, tzinfo=UTC)
    naive = datetime(2026, 7, 1, 12, tzinfo=UTC).replace(tzinfo=None)
    assert convert([naive], {"to": "ts"}, timezone="Europe/Prague")[0] == [zoned]
    assert convert([zoned], {"to": "ts"}, timezone="Europe/Prague")[0] == [zoned]
    assert convert([date(2026, 7, 1)], {"to": "ts"})[0] == [datetime(2026, 7, 1, tzinfo=UTC)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4_102_444_800_000_000))
def test_whole_epochs_are_exact(us: int) -> None:
    for form, value in (("epoch_us", us), ("epoch_ns", us * 1000), ("epoch_us", str(us)), ("epoch_ns", str(us * 1000))):
        (made,), _ = convert([value], {"to": "ts", "format": form})
        assert made == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def test_one_of_several_formats_is_enough() -> None:
    made, bad = convert(["1795424400", "23.11.2026", "soon"], {"to": "ts", "format": ["epoch_s", "%d.%m.%Y"]})
    assert made == [datetime(2026, 11, 23, 9, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC), None]
    assert bad == [False, False, True]


def test_protocols_are_names_or_numbers() -> None:
    values = ["6", "TCP", "udp", "1", "132", "?!", "999"]
    made, bad = convert(values, {"to": "proto"})
    assert made == ["tcp", "tcp", "udp", "icmp", "sctp", None, None]
    assert bad == [False] * 5 + [True] * 2
    assert convert([6, 17.0, 253], {"to": "proto"})[0] == ["tcp", "udp", "proto-253"]


def test_truths_and_words() -> None:
    assert convert(["Yes", "F", "1", "maybe", None], {"to": "local_orig"}) == (
        [True, False, True, None, None],
        [False, False, False, True, False],
    )
    states = convert(["EST", "REJ", "-"], {"to": "conn_state", "values": {"EST": "SF"}})[0]
    assert states == ["SF", "REJ", None]


def test_nan_is_not_known_and_infinite_is_no_measure() -> None:
    made = mapping({"native": "rate"})
    frame, failed, nulled = to_canonical(pl.DataFrame({"x_rate": [1.0, float("nan"), float("inf"), None]}), made, "UTC")
    assert frame["x_rate"].to_list() == [1.0, None, None, None]
    assert (failed, nulled) == ({}, {"x_rate": 1})


LABELS = {"column": "l", "benign": ["0", "OK"], "background": ["?"], "names": {"2": "Port  scan"}}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("0", "BENIGN"), ("ok", "BENIGN"), ("Normal", "BENIGN"), ("?", "BACKGROUND"), ("2", "Port scan")),
        *(("DoS", "DoS"), ("-", None), ("", None)),
    ],
)
def test_a_label_has_one_spelling(text: str, name: str | None) -> None:
    assert label_name(text, mapping(label=LABELS)) == name


def test_the_original_label_is_kept() -> None:
    made = mapping(label=LABELS)
    frame, _, _ = to_canonical(pl.DataFrame({LABEL: ["0", "2", "-", None, "?"]}), made, "UTC")
    rows = finish(frame, made).select("label", "label_original", "is_attack").rows()
    assert rows == [
        ("BENIGN", "0", False),
        ("Port scan", "2", True),
        (None, None, None),
        (None, None, None),
        ("BACKGROUND", "?", None),
    ]


def test_a_truth_alone_is_a_label() -> None:
    made = mapping(label={"is_attack": "bad"})
    frame, failed, _ = to_canonical(pl.DataFrame({FLAG: [1, 0, None, 7]}), made, "UTC")
    assert finish(frame, made)["label"].to_list() == ["Attack", "BENIGN", None, None]
    assert [rule.reason for rule in failed] == ["bad_boolean"]


def test_a_label_and_a_truth_that_disagree_are_told() -> None:
    made = mapping(label={"column": "l", "is_attack": "bad"})
    given_ = pl.DataFrame({LABEL: ["benign", "DoS", "benign", "DoS"], FLAG: ["0", "1", "1", "0"]})
    _, failed, _ = to_canonical(given_, made, "UTC")
    assert [(rule.reason, series.to_list()) for rule, series in failed.items()] == [
        ("label_conflict", [False, False, True, True])
    ]
