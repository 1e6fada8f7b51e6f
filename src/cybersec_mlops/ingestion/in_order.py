"""Work on the blocks of a file in threads, with the results in the order of the file.

Polars and numpy let go of the interpreter's lock, so that a block is parsed while the next one is read, decompressed
and cut into lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE: Final = 3
"""Blocks at work at once, each in memory as text and as columns; of two on two cores one often waits for the other."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int = AT_ONCE) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in their order.

    The items are made in the caller's thread; its context (the limits) holds for the work too. What making an item or
    the work on one raises is raised after the results of all items before it. A single item needs no thread.

    >>> list(in_order(abs, [-3, 2, -1]))
    [3, 2, 1]
    """
    source = _Source(items)
    if len(begun := [*source.take(2)]) < 2:
        yield from map(work, begun)
        source.check()
        return
    pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="block")
    waiting = deque[Future[Result]]()
    try:
        while begun or (begun := [*source.take(1)]):
            waiting.append(pool.submit(copy_context().run, work, begun.pop(0)))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    source.check()


class _Source(Generic[Item]):
    """Items, and what making one of them raised, which is kept until its turn has come."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self._failure = iter(items), list[Exception]()

    def take(self, count: int) -> Iterator[Item]:
        """Give the next few, fewer at the end."""
        try:
            yield from islice(self._items, 0 if self._failure else count)
        except Exception as error:  # noqa: BLE001 - raised by `check`
            self._failure.append(error)

    def check(self) -> None:
        """Raise what making an item raised."""
        for failure in self._failure:
            raise failure
