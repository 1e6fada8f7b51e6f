from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cybersec_mlops.evaluation.activity import MAX_HOURS, TOP_HOSTS, measure_activity, observed_days

START = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)


def scored(times: list[datetime], **columns: Sequence[object]) -> pl.DataFrame:
    rows = len(times)
    base = {"is_alert": [True] * rows, "is_attack": [None] * rows, **columns}
    return pl.DataFrame(
        {"ts": times, **base}, schema_overrides={"ts": pl.Datetime("us", "UTC"), "is_attack": pl.Boolean}
    )


def test_a_silence_counts_as_an_hour_at_most() -> None:
    times = pl.Series([START, START + timedelta(minutes=30), START + timedelta(days=40)])
    assert observed_days(times) == pytest.approx(1.5 / 24)


def test_one_moment_is_no_span() -> None:
    assert observed_days(pl.Series([START, START])) is None
    assert observed_days(pl.Series([], dtype=pl.Datetime("us", "UTC"))) is None


def test_alerts_are_counted_by_hour_and_told_apart() -> None:
    times = [START, START + timedelta(minutes=10), START + timedelta(minutes=40)]
    found = measure_activity(scored(times, is_alert=[True, False, True], is_attack=[False, False, True]))
    assert [(p.start.hour, p.rows, p.alerts, p.false_alerts) for p in found.by_period] == [(12, 2, 1, 1), (13, 1, 1, 0)]
    assert found.alerts_per_day == pytest.approx(2 / (40 / 60 / 24))
    assert (found.first, found.last) == (times[0], times[-1])


def test_hosts_are_listed_by_alerts_and_only_the_first_ones() -> None:
    times = [START + timedelta(minutes=i) for i in range(100)]
    hosts = [f"10.0.0.{i % 40}" for i in range(99)] + ["10.0.0.0"]
    found = measure_activity(scored(times, orig_h=hosts))
    assert found.by_host[0].host == "10.0.0.0"
    assert len(found.by_host) == TOP_HOSTS
    assert (found.hosts, found.hosts_with_alerts) == (40, 40)


def test_a_long_test_set_is_listed_by_day() -> None:
    times = [START + timedelta(hours=i) for i in range(MAX_HOURS + 10)]
    found = measure_activity(scored(times))
    assert found.period == "day"
    assert sum(p.rows for p in found.by_period) == len(times)


def test_without_time_and_hosts_nothing_is_invented() -> None:
    found = measure_activity(pl.DataFrame({"is_alert": [True], "is_attack": [True]}))
    assert (found.alerts_per_day, found.observed_days, found.by_period, found.by_host) == (None, None, (), ())
