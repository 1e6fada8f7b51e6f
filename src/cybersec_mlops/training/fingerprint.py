"""A number for the content of a row: equal rows, equal number, on every machine and in every version.

Polars' own row hash changes between versions, so it can neither place rows in a split nor order them for a
reproducible fit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MISSING = np.uint64(0x6D697373696E6721)


def row_fingerprints(frame: pl.DataFrame, columns: Iterable[str]) -> Codes:
    """Hash every row over some columns to 64 bits; the order of columns and of rows plays no part.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    columns : iterable of str
        The columns that count. Numbers are compared as 64-bit floats, all else by its text.

    Returns
    -------
    ndarray of uint64, shape (rows,)
        Mixed with SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Examples
    --------
    >>> a = pl.DataFrame({"x": [1.0, 1.0, None], "y": ["u", "u", "u"]})
    >>> first, second, third = row_fingerprints(a, ["y", "x"])
    >>> bool(first == second), bool(first == third)
    (True, False)
    """
    state = np.full(frame.height, _GOLDEN, dtype=np.uint64)
    for column in sorted(columns):
        state = mix(state ^ (_codes(frame[column]) + _text_code(column)))
    return state


def mix(values: Codes) -> Codes:
    """Spread every bit over the whole word (the finaliser of SplitMix64)."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def uniform(values: Codes, seed: int) -> NDArray[np.float64]:
    """Draw for every fingerprint its own number in [0, 1): the same one whatever rows are around it."""
    salt = np.frombuffer(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), dtype="<u8")[0]
    return (mix(values ^ salt) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _codes(column: pl.Series) -> Codes:
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        floats = column.cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0  # -0.0 becomes 0.0
        codes = np.ascontiguousarray(floats).view(np.uint64).copy()
        codes[np.isnan(floats)] = _MISSING
        return codes
    text = column.cast(pl.String)
    values = text.unique().drop_nulls()
    table = pl.Series([int(_text_code(value)) for value in values], dtype=pl.UInt64)
    default = pl.Series([int(_MISSING)], dtype=pl.UInt64)
    return text.replace_strict(values, table, default=default, return_dtype=pl.UInt64).to_numpy()


def _text_code(text: str) -> np.uint64:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))
