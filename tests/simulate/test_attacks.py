"""Attacks: exact rows, inside of the period, the unseen kinds only at its end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.simulate.attacks import ATTACKS, Attack, attack_intent, plan_campaigns
from cybersec_mlops.simulate.clock import build_clock
from cybersec_mlops.simulate.network import build_network
from cybersec_mlops.simulate.traffic import DEFAULT_START

NETWORK = build_network(np.random.default_rng(1), 60)
LATE = {attack.kind for attack in ATTACKS if attack.late}


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(0, 4_000), hours=st.floats(0.05, 72), seed=st.integers(0, 1000))
def test_campaigns_add_up_and_stay_within_the_period(rows: int, hours: float, seed: int) -> None:
    clock = build_clock(DEFAULT_START, hours)
    campaigns = plan_campaigns(np.random.default_rng(seed), clock, rows)
    assert sum(campaign.rows for campaign in campaigns) == rows
    for campaign in campaigns:
        intent = attack_intent(np.random.default_rng(seed), NETWORK, campaign)
        assert len(intent.ts) == len(intent.orig) == len(intent.resp) == len(intent.shape) == campaign.rows
        assert (np.diff(intent.ts) >= 0).all()
        assert intent.ts[0] >= campaign.start
        assert intent.ts[-1] < clock.seconds
        assert campaign.kind not in LATE or campaign.start >= clock.seconds * 2 / 3


def test_two_kinds_are_late_and_every_kind_has_several_campaigns() -> None:
    clock = build_clock(DEFAULT_START, 24)
    campaigns = plan_campaigns(np.random.default_rng(1), clock, 2_000)
    count = Counter(campaign.kind for campaign in campaigns)
    assert len(LATE) == 2
    assert set(count) == {attack.kind for attack in ATTACKS}
    assert all(count[kind] >= 2 for kind in LATE)
    assert all(number >= 5 for kind, number in count.items() if kind not in LATE)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.kind)
@pytest.mark.parametrize("rows", [1, 2, 500])
def test_a_campaign_of_any_size_can_be_drawn(attack: Attack, rows: int) -> None:
    for seed in range(5):
        intent = attack.make(np.random.default_rng(seed), NETWORK, rows)
        assert intent.ts[0] == 0
        assert np.isfinite(intent.ts).all()
        assert len(intent.resp) == rows


def test_a_beacon_is_more_regular_than_an_exfiltration() -> None:
    def variation(kind: str) -> float:
        make = next(attack.make for attack in ATTACKS if attack.kind == kind)
        gaps = [np.diff(make(np.random.default_rng(seed), NETWORK, 60).ts) for seed in range(12)]
        return float(np.median([gap.std() / gap.mean() for gap in gaps]))

    assert variation("C2-Beacon") < 0.3 < variation("Exfiltration")
