"""Work on the blocks of a file in threads, with the results in the order of the file.

Polars and numpy let go of the interpreter's lock, so that a block is parsed while the next one is read, decompressed
and cut into lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE: Final = 2
"""Blocks at work at once: each is in memory, as text and as columns."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int = AT_ONCE) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in their order.

    The items are made in the caller's thread; its context (the limits) holds for the work too. What making an item or
    the work on one raises is raised after the results of all items before it.

    >>> list(in_order(abs, [-3, 2, -1]))
    [3, 2, 1]
    """
    pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="block")
    waiting: deque[Future[Result]] = deque()
    failure: Exception | None = None
    source = iter(items)
    try:
        while failure is None:
            try:
                waiting.append(pool.submit(copy_context().run, work, next(source)))
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 - raised below, when its turn has come
                failure = error
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure
