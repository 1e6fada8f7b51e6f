"""Drawing from the table: exact rows, blocks in their own time, sources that take turns by the clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.simulate.activities import ACTIVITIES, Activity
from cybersec_mlops.simulate.benign import allocate, benign_intent
from cybersec_mlops.simulate.clock import build_clock
from cybersec_mlops.simulate.network import build_network
from cybersec_mlops.simulate.traffic import DEFAULT_START

CLOCK = build_clock(DEFAULT_START, 24)
NETWORK = build_network(np.random.default_rng(1), 40)


@given(total=st.integers(0, 10**9), weights=st.lists(st.floats(0.001, 10), min_size=1, max_size=40))
def test_an_allocation_adds_up_and_is_never_off_by_one(total: int, weights: list[float]) -> None:
    rows = allocate(total, np.array(weights))
    assert rows.sum() == total
    assert (np.abs(rows - total * np.array(weights) / sum(weights)) <= 1.001).all()


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda activity: activity.name)
def test_a_block_keeps_to_its_part_of_the_day(activity: Activity) -> None:
    intent = benign_intent(np.random.default_rng(2), NETWORK, CLOCK, activity, 4_000, 2_000, 1_000)
    assert len(intent.ts) == len(intent.orig) == len(intent.resp) == len(intent.shape) == 1_000
    assert intent.ts.min() >= CLOCK.at(activity.clock, np.array([1_999 / 4_000]))[0]
    assert intent.ts.max() < CLOCK.seconds
    assert np.isin(intent.orig, NETWORK.role(activity.source)).all()
    assert (intent.orig != intent.resp).all()


def test_what_goes_by_the_clock_is_regular() -> None:
    devices = next(activity for activity in ACTIVITIES if activity.name == "devices")
    intent = benign_intent(np.random.default_rng(2), NETWORK, CLOCK, devices, 8_000, 0, 8_000)
    gaps = np.diff(np.sort(intent.ts[intent.orig == intent.orig[0]]))
    assert gaps.std() / gaps.mean() < 0.1


def test_a_session_with_focus_mostly_stays_with_one_target() -> None:
    files = next(activity for activity in ACTIVITIES if activity.name == "printing")
    intent = benign_intent(np.random.default_rng(2), NETWORK, CLOCK, files, 3_000, 0, 3_000)
    same_source = intent.orig[1:] == intent.orig[:-1]
    assert (intent.resp[1:] == intent.resp[:-1])[same_source].mean() > 0.8
