"""The benign day: every name in the table exists, and the confusers are in it."""

from __future__ import annotations

import numpy as np
import pytest

from cybersec_mlops.simulate.activities import ACTIVITIES, Activity
from cybersec_mlops.simulate.attacks import ATTACKS, attack_intent, plan_campaigns
from cybersec_mlops.simulate.clock import build_clock
from cybersec_mlops.simulate.network import build_network
from cybersec_mlops.simulate.shapes import SHAPE_INDEX, SHAPES
from cybersec_mlops.simulate.traffic import DEFAULT_START

CLOCK = build_clock(DEFAULT_START, 24)
NETWORK = build_network(np.random.default_rng(1), 40)


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda activity: activity.name)
def test_an_activity_is_sound(activity: Activity) -> None:
    assert activity.weight > 0
    assert activity.session >= 1
    assert activity.clock in CLOCK.share
    assert len(NETWORK.role(activity.source)) > 0
    assert sum(part.share for part in activity.parts) == pytest.approx(1.0)
    for part in activity.parts:
        assert part.shape in SHAPES
        assert len(NETWORK.role(part.target)) > 0


def test_names_are_unique_and_weights_add_up() -> None:
    assert len({activity.name for activity in ACTIVITIES}) == len(ACTIVITIES)
    assert sum(activity.weight for activity in ACTIVITIES) == pytest.approx(1.0, abs=0.25)


def test_every_shape_of_an_attack_is_also_benign() -> None:
    benign = {SHAPE_INDEX[part.shape] for activity in ACTIVITIES for part in activity.parts}
    rng = np.random.default_rng(3)
    for campaign in plan_campaigns(rng, CLOCK, 5_000):
        assert set(attack_intent(rng, NETWORK, campaign).shape.tolist()) <= benign, campaign.kind
    assert len(ATTACKS) >= 8
