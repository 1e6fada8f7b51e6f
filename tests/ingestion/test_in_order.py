"""Work in threads keeps the order, and raises a failure in its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cybersec_mlops.ingestion.in_order import in_order
from cybersec_mlops.ingestion.limits import Limits, applied, current


def test_the_order_is_that_of_the_items_whichever_ends_first() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        if item == 1:
            second_is_done.set()
        return item

    assert list(in_order(work, range(5), at_once=2)) == list(range(5))


def test_what_was_made_before_a_failure_comes_first() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("the stream ends early")

    results = in_order(abs, items())
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="ends early"):
        next(results)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_nothing_is_made_after_a_failure(before: int) -> None:
    results = in_order(abs, map(lambda item: 6 // item, [*[1] * before, 0, 2]))  # noqa: C417 - goes on after a failure
    assert [next(results) for _ in range(before)] == [6] * before
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_single_item_needs_no_thread() -> None:
    assert list(in_order(lambda _: threading.current_thread(), [1])) == [threading.current_thread()]
    assert list(in_order(abs, [])) == []


def test_the_work_fails_in_its_turn() -> None:
    results = in_order(lambda item: 6 // item, [1, 2, 0, 3])
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_few_items_are_made_ahead_of_the_reader() -> None:
    made = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    results = in_order(abs, items(), at_once=2)
    next(results)
    assert len(made) <= 4
    results.close()  # type: ignore[attr-defined]


def test_the_limits_hold_for_the_work_too() -> None:
    with applied(Limits(max_columns=3)):
        assert list(in_order(lambda _: current().max_columns, range(5))) == [3] * 5
