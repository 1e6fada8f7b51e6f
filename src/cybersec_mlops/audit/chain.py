"""The hash chain: each row's SHA-256 covers all of its columns and the hash of the row before.

A changed row no longer has its hash; a missing one leaves a gap in the numbers and in the hashes; one that was moved
carries another number than it was hashed with. A cut tail leaves a whole chain that is too short: the head, a row of
its own that triggers keep, says how long it must be. Who can rewrite every row and the head can forge a whole chain;
against that, note a `Head` outside the database (every run prints one) and give it to `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from cybersec_mlops.audit.events import ChainFault, Head
from cybersec_mlops.audit.types import iso
from cybersec_mlops.errors import DataError

GENESIS: Final = "0" * 64
"""What the first row follows."""


def canonical_json(value: object) -> str:
    r"""Return the one JSON text of a value: sorted keys, no blanks, ASCII only, times in UTC to the microsecond.

    Raises
    ------
    DataError
        It holds NaN, an infinity, or something that JSON has no word for.

    Examples
    --------
    >>> canonical_json({"b": 1.5, "a": ["é", None]})
    '{"a":["\\u00e9",null],"b":1.5}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"the audit cannot hold {str(value)[:200]!r}: {error}", hint="what does not apply is null, never NaN"
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def row_hash(row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a row, all columns but ``hash`` itself."""
    content = {name: value for name, value in row.items() if name != "hash"}
    return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()


def faults(rows: Iterable[Mapping[str, Any]], head: Head | None, expected: Iterable[Head] = ()) -> Iterator[ChainFault]:
    """Walk a chain and give everything that is wrong with it.

    Parameters
    ----------
    rows : iterable of mappings
        All rows, by id.
    head : Head or None
        What the database says is the end; None where that row is missing.
    expected : iterable of Head
        Ends that were noted outside the database; each must still be part of the chain.
    """
    witnesses = {noted.id: noted.hash for noted in expected if noted != Head(0, GENESIS)}  # that precedes every chain
    written_as = _Moves()
    last = Head(0, GENESIS)
    for row in rows:
        here, found = int(row["id"]), str(row["hash"])
        yield from _gap(last.id, here)
        if row_hash(row) != found:
            moved = written_as.number(row)
            yield (
                ChainFault(here, "changed", f"row {here} is not what was written: its content does not give its hash")
                if moved is None
                else ChainFault(here, "reordered", f"row {here} was written as row {moved}")
            )
        elif here == last.id + 1 and row["previous_hash"] != last.hash:
            yield ChainFault(
                here, "inserted", f"row {here} does not follow row {last.id}: one of them was put in later"
            )
        if witnesses.pop(here, found) != found:
            yield ChainFault(here, "changed", f"row {here} has hash {found}, not the one noted for it")
        written_as.saw(here, found)
        last = Head(here, found)
    yield from _end(last, head, witnesses)


def _gap(last: int, here: int) -> Iterator[ChainFault]:
    if here == last + 2:
        yield ChainFault(last + 1, "missing", f"row {last + 1} is missing")
    elif here > last + 1:
        yield ChainFault(last + 1, "missing", f"rows {last + 1} to {here - 1} are missing")


def _end(last: Head, head: Head | None, witnesses: Mapping[int, str]) -> Iterator[ChainFault]:
    if head is None:
        yield ChainFault(last.id, "head", "the row that says where the chain ends is missing")
    elif head.id > last.id:
        yield ChainFault(last.id + 1, "truncated", f"the chain ends at row {last.id}, but {head.id} were written")
    elif head != last:
        yield ChainFault(last.id, "head", f"the chain ends at {last}, but its head says {head}")
    for noted in sorted(witnesses):
        yield ChainFault(noted, "truncated", f"row {noted} was noted, but the chain ends at row {last.id}")


class _Moves:
    """Finds the number that a row was hashed with, when it now stands elsewhere."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {GENESIS: 0}

    def saw(self, number: int, found: str) -> None:
        self._numbers[found] = number

    def number(self, row: Mapping[str, Any]) -> int | None:
        """Try the number after the row it says it follows, and those around where it stands."""
        here = int(row["id"])
        near: set[int] = {
            self._numbers.get(str(row["previous_hash"]), here) + 1,
            *range(max(1, here - 100), here + 101),
        }
        for number in sorted(near - {here}):
            if row_hash({**row, "id": number}) == row["hash"]:
                return number
        return None
