"""Rules and times that sensors' formats share."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.connection_rules import (
    checked_zone,
    in_seconds,
    not_a_duration,
    not_a_port,
    not_a_time,
    not_an_address,
    parse_times,
)
from cybersec_mlops.ingestion.screening import Rule

FORMATS = ("%Y/%m/%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f")


def broken(rule: Rule, *values: object) -> list[bool | None]:
    found: list[bool | None] = (
        pl.DataFrame({rule.field: values}, strict=False).select(rule.broken).to_series().to_list()
    )
    return found


def test_an_address_is_one_of_a_host_or_a_card() -> None:
    good = ["10.0.0.1", "2001:DB8::1", "00:00:5e:00:53:01", None]
    assert not any(broken(not_an_address("orig_h"), *good))
    assert all(broken(not_an_address("orig_h"), "<b>", "a.example", "1" * 46, "=1"))


@given(st.lists(st.none() | st.sampled_from(["10.0.0.1", "", "::1", "1" * 45, "1" * 46, "-", "é", "(empty)", "a.b"])))
def test_whether_any_is_no_address_is_told_at_once(hosts: list[str | None]) -> None:
    rule, frame = not_an_address("orig_h"), pl.DataFrame({"orig_h": hosts}, schema={"orig_h": pl.String})
    assert rule.any_broken is not None
    assert bool(frame.select(rule.any_broken).item()) == bool(frame.select(rule.broken.any()).item())


def test_ports_and_durations_have_bounds() -> None:
    assert broken(not_a_port("orig_p"), 0, 65_535, -1, 65_536, None) == [False, False, True, True, None]
    assert broken(not_a_duration(), 0.0, 1e9, -1e-9, float("nan"), float("inf")) == [False, False, True, True, True]


def test_times_have_zones_bounds_and_several_forms() -> None:
    texts = pl.Series("ts", ["2026/07/01 12:00:00.5", "2026-07-01T12:00:00", "2026-07-01T12:00:00Z", "noon", None])
    parsed = parse_times(texts, FORMATS, "Europe/Prague")
    assert parsed.name == "ts"
    assert parsed.dt.hour().to_list() == [10, 10, 12, None, None]
    rule = not_a_time("ts", "ts", "a time")
    late = parse_times(pl.Series("ts", ["9999-01-01T00:00:00Z", "1969-12-31T23:59:59Z"]), (), "UTC")
    assert pl.DataFrame(late).select(rule.broken).to_series().to_list() == [True, True]


def test_an_hour_that_there_is_twice_is_the_first_and_one_that_there_is_not_is_none() -> None:
    texts = pl.Series(["2026/10/25 02:30:00", "2026/03/29 02:30:00"])
    assert parse_times(texts, FORMATS, "Europe/Prague").dt.hour().to_list() == [0, None]


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd"])
def test_a_zone_that_there_is_not_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown timezone"):
        checked_zone(name)


def test_a_zone_keeps_its_name() -> None:
    assert checked_zone("America/Moncton") == "America/Moncton"


@given(st.integers(0, 10**12), st.sampled_from([1e3, 1e6]))
@example(1_251_629, 1e6)
@example(1_251_629, 1e3)
def test_a_duration_does_not_depend_on_the_rows_beside_it(value: int, per_second: float) -> None:
    alone, among = (
        pl.DataFrame({"value": rows}).select(in_seconds(pl.col("value"), per_second)).item(0, 0)
        for rows in ([value], [value, 1, 2])
    )
    assert alone == among == pytest.approx(value / per_second, rel=1e-15, abs=1e-15)
