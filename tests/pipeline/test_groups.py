"""How files are put together in tasks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.pipeline.groups import MOST, MOST_BYTES, grouped

SIZES = st.lists(st.integers(0, MOST_BYTES * 2) | st.integers(0, 1000), max_size=300)


@given(SIZES)
def test_every_item_is_in_one_group_in_its_order_and_no_limit_is_passed_by_more_than_one(sizes: list[int]) -> None:
    items = list(enumerate(sizes))
    groups = grouped(items, name=str, size=lambda item: item[1])
    assert [item for group in groups for item in group.items] == items
    for group in groups:
        assert 1 <= len(group.items) <= MOST
        assert len(group.items) == 1 or sum(size for _, size in group.items) <= MOST_BYTES


@given(SIZES)
def test_no_two_neighbours_could_be_one_group(sizes: list[int]) -> None:
    groups = grouped(sizes, name=str, size=int)
    for one, other in pairwise(groups):
        assert len(one.items) == MOST or sum(one.items) + other.items[0] > MOST_BYTES


def test_nothing_makes_no_group() -> None:
    assert grouped([], name=str) == []
