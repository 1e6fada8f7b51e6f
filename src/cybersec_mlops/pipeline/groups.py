"""Small files share a task: with one for each of a thousand, Prefect would cost more than what is done in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 64
"""Files of one task."""
MOST_BYTES: Final = 32 << 20
"""Their bytes together; a file that is larger has a task of its own."""


@dataclass(frozen=True)
class Group(Generic[T]):
    """Neighbours that one task works on."""

    name: str
    items: tuple[T, ...]


def grouped(items: Iterable[T], *, name: Callable[[T], str], size: Callable[[T], int] = lambda _: 0) -> list[Group[T]]:
    """Put neighbours together, in their order.

    Parameters
    ----------
    items : iterable
        What there is to do.
    name : callable
        What an item is called where people see it.
    size : callable
        Its bytes.

    Examples
    --------
    >>> [group.name for group in grouped(["a", "b", "c"], name=str, size=lambda item: (MOST_BYTES + 1) * (item == "b"))]
    ['a', 'b', 'c']
    >>> [group.name for group in grouped(range(100), name=str)]
    ['0 and 63 more', '64 and 35 more']
    """
    return [_group(together, name) for together in _cut(items, size)]


def _cut(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    together, total = list[T](), 0
    for item in items:
        if together and (len(together) == MOST or total + size(item) > MOST_BYTES):
            yield together
            together, total = [], 0
        together.append(item)
        total += size(item)
    if together:
        yield together


def _group(items: list[T], name: Callable[[T], str]) -> Group[T]:
    first = name(items[0])
    return Group(first if len(items) == 1 else f"{first} and {len(items) - 1} more", tuple(items))
