"""TCP flags as sensors count them: all flags of all packets of one direction, or-ed into one number."""

from __future__ import annotations

from typing import Final

import polars as pl

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
_LETTERS: Final = "CEUAPRSF"


def letters(number: int) -> str:
    """Return the flags in eight places as nfdump writes them: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.

    >>> letters(0x1B), letters(0)
    ('...AP.SF', '........')
    """
    return "".join(letter if number & 0x80 >> place else "." for place, letter in enumerate(_LETTERS))


_ALL: Final = {number: letters(number) for number in range(256)}


def flag_letters(number: pl.Expr) -> pl.Expr:
    """Return the eight letters of numbers 0-255, null for others (the ninth flag of RFC 3540 is left out)."""
    return (number & 0xFF).replace_strict(_ALL, default=None, return_dtype=pl.String())
