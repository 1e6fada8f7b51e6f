"""Rows that break a rule: collected with their reason, line and text, and handed over as a table."""

from __future__ import annotations

import re
from typing import Final, Protocol

import polars as pl

from cybersec_mlops.connections import REJECTED_TEXT_LIMIT
from cybersec_mlops.hidden import HIDDEN
from cybersec_mlops.ingestion.reader import REJECTED_ROWS

_HIDDEN: Final = re.compile(f"[{HIDDEN}\n]")


def printable(text: str, limit: int = REJECTED_TEXT_LIMIT) -> str:
    r"""Return the beginning of a hostile text with what is obeyed or not seen written out, except tabs.

    >>> printable("a\x1b[31m\tb", limit=8)
    'a\\x1b[31'
    """
    return _HIDDEN.sub(lambda found: _escape(ord(found[0])), text[:limit])[:limit]


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_NONE: Final = pl.DataFrame(schema=REJECTED_ROWS)


class Located(Protocol):
    """Rows that can be shown: lines of a text, or records of a table."""

    def raw(self, index: int) -> bytes:
        """Return the text of a row."""

    def number(self, index: int) -> int:
        """Return the number of a row in the original, from 1."""

    def numbers(self) -> pl.Series:
        """Return the numbers of all rows, Int64."""


class Rejected:
    """What was set aside while a block was read."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, str | None, str, str]] = []

    def add(self, lines: Located, index: int, reason: str, *, detail: str, field: str | None = None) -> None:
        """Set a line aside: `reason` is a short code, `detail` says expected against found."""
        text = lines.raw(index).removesuffix(b"\r")[: 4 * REJECTED_TEXT_LIMIT].decode(errors="replace")
        self._rows.append((lines.number(index), reason, field, printable(detail), printable(text)))

    @property
    def count(self) -> int:
        """How many rows were set aside."""
        return len(self._rows)

    def add_bytes(self, number: int, data: bytes, reason: str, *, detail: str, field: str | None = None) -> None:
        """Set a record of a binary format aside: `number` is its place in the file, its text is hexadecimal."""
        text = data[: REJECTED_TEXT_LIMIT // 2].hex()
        self._rows.append((number, reason, field, printable(detail), text))

    def frame(self) -> pl.DataFrame:
        """Return everything as `REJECTED_ROWS`, in the order of the lines."""
        if not self._rows:
            return _NONE
        return pl.DataFrame(sorted(self._rows, key=lambda row: row[0]), schema=REJECTED_ROWS, orient="row")
