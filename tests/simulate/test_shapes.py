"""The tables: every name in them exists, every probability adds up, every ending is one that Zeek can write."""

from __future__ import annotations

import pytest

from cybersec_mlops.simulate.shapes import BOTH, CUT, ENDINGS, ICMP, MIXES, NOTHING, REQUEST, SHAPES, TCP, UDP


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_names_endings_and_adds_up_to_one(name: str) -> None:
    assert set(MIXES[name]) <= set(ENDINGS)
    assert sum(MIXES[name].values()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_sound(name: str) -> None:
    shape = SHAPES[name]
    assert shape.mix in MIXES
    assert all(0 <= port <= 65_535 for port in shape.ports)
    assert shape.turns >= 1
    assert 0 <= shape.keep <= 1
    assert min(*shape.orig, *shape.resp, *shape.hold) >= 0
    letters = {TCP: "SDAh", UDP: "D", ICMP: ""}[shape.proto]
    for ending in MIXES[shape.mix]:
        history = ENDINGS[ending].history
        assert (history[:1] in letters) if letters else history == "", ending


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_shows_the_payload_that_it_lets_through(name: str) -> None:
    ending = ENDINGS[name]
    if not ending.history:
        return
    assert ("D" in ending.history) == (ending.payload in (REQUEST, BOTH, CUT))
    assert ("d" in ending.history) == (ending.payload in (BOTH, CUT))
    assert ending.payload != NOTHING or ending.state not in ("S2", "S3")


def test_every_ending_and_mix_is_used() -> None:
    used = {shape.mix for shape in SHAPES.values()} | {"stalled"}  # slowloris names its mix itself
    assert used == set(MIXES)
    assert {ending for mix in MIXES.values() for ending in mix} == set(ENDINGS)
