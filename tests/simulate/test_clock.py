"""The clock: shares rise from 0 to 1, and nothing happens outside of the period."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.simulate.clock import build_clock

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
PROFILES = ("flat", "office", "world", "night", "rush")


@settings(max_examples=25, deadline=None)
@given(hours=st.floats(0.01, 744), profile=st.sampled_from(PROFILES))
def test_time_rises_with_the_share_within_the_period(hours: float, profile: str) -> None:
    clock = build_clock(MONDAY, hours)
    at = clock.at(profile, np.linspace(0, 1, 101))
    assert (np.diff(at) >= 0).all()
    assert at[0] >= 0
    assert at[-1] == pytest.approx(hours * 3600)


def test_each_profile_has_its_busy_hour() -> None:
    clock = build_clock(MONDAY, 24)
    quantile = (np.arange(10_000) + 0.5) / 10_000
    busiest = {
        name: np.bincount((clock.at(name, quantile) // 3600).astype(int), minlength=24).argmax() for name in PROFILES
    }
    assert 8 <= busiest["office"] <= 16
    assert busiest["night"] < 6
    spread = np.bincount((clock.at("flat", quantile) // 3600).astype(int), minlength=24)
    assert spread.max() - spread.min() <= 2


def test_the_hour_of_the_day_counts_from_midnight_utc_not_from_the_start() -> None:
    evening = build_clock(MONDAY.replace(hour=18), 24)
    assert evening.at("office", np.array([0.5]))[0] > 14 * 3600  # nobody works before the next morning


def test_what_would_be_too_late_is_brought_back() -> None:
    clock = build_clock(MONDAY, 1)
    start, ts = np.array([3000.0, 3000.0]), np.array([3300.0, 9999.0])
    folded = clock.fold(start, ts, np.array([0.5, 0.5]))
    assert folded.tolist() == [3300.0, 3300.0]
