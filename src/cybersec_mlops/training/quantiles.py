"""Matrix columns on one scale: their place among benign values, in steps of 1/256.

The steps are coarse on purpose. Sums of products of such numbers are exact in floating point, so a row's distance or
error has the same bits alone or among a million rows, with any matrix library on any processor. Values are read to
eight significant bits (the upper half of a 32-bit float), so that a place is one look-up in a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.training.matrix import Matrix

Floats = NDArray[np.float64]

STEP: Final = 256.0
KNOTS: Final = 257
ONE_HOT: Final = 179 / STEP
"""A category's column, near sqrt(1/2): two rows of different category are at distance 1."""
BLOCK: Final = 512
"""Rows that are placed at once: what fits a processor's cache."""
TAIL: Final = 0.5
"""How far beyond the benign values a value can come to lie: as far as half of all benign values."""


@dataclass(frozen=True)
class Quantiles:
    """A monotone map for every numeric column, and a flag where training had missing values."""

    knots: Floats
    """Benign values of all numeric columns, one column after the other, ascending within each."""
    places: Floats
    """Their mid-ranks in (0, 1), same shape."""
    starts: NDArray[np.int64]
    """Where each column's knots begin, shape (numeric columns + 1,)."""
    flagged: NDArray[np.int64]
    """The numeric columns that are sometimes missing in training: each gets a column that says so."""
    width: int
    """Columns of the encoder's matrix."""

    @property
    def numeric(self) -> int:
        """Numeric columns; they come first in the matrix."""
        return self.starts.size - 1

    def columns(self) -> NDArray[np.int64]:
        """For every column of the result the matrix column that it shows, shape (columns of the result,)."""
        return np.concatenate([np.arange(self.width), self.flagged])

    def transform(self, matrix: Matrix) -> NDArray[np.float32]:
        """Return centred places, multiples of 1/256 in [-1, 1], shape (rows, width + flagged columns)."""
        result = np.empty((matrix.shape[0], self.width + self.flagged.size), dtype=np.float32)
        for start in range(0, matrix.shape[0], BLOCK):
            rows, placed = matrix[start : start + BLOCK], result[start : start + BLOCK]
            bits = np.ascontiguousarray(rows[:, : self.numeric]).view(np.uint32)
            placed[:, : self.numeric] = self._tables.take((bits >> np.uint32(16)) + self._offsets)
            np.multiply(rows[:, self.numeric :], np.float32(ONE_HOT), out=placed[:, self.numeric : self.width])
            placed[:, self.width :] = np.isnan(rows[:, self.flagged]) * np.float32(ONE_HOT)
        return result

    @property
    def _offsets(self) -> NDArray[np.int64]:
        return np.arange(self.numeric, dtype=np.int64) << 16

    @cached_property
    def _tables(self) -> NDArray[np.float32]:
        """The place of every value of eight significant bits, shape (numeric columns, 65536)."""
        values = (np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)).view(np.float32)
        tables = np.empty((self.numeric, values.size), dtype=np.float32)
        for column in range(self.numeric):
            tables[column] = self._place(values, column)
        return tables

    def _place(self, values: Matrix, column: int) -> Floats:
        knots = self.knots[self.starts[column] : self.starts[column + 1]]
        places = self.places[self.starts[column] : self.starts[column + 1]]
        wide = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        place = np.interp(wide, knots, places)
        spread = max(knots[-1] - knots[0], 1e-3 * abs(knots[-1]), 1e-9)
        for outside, sign in ((wide - knots[-1], 1.0), (knots[0] - wide, -1.0)):
            if (far := outside > 0).any():
                place[far] += sign * np.minimum(TAIL, np.log1p(8 * outside[far] / spread) / 8)
        return np.where(np.isnan(wide), 0.0, np.rint((place - 0.5) * STEP) / STEP)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that it consists of."""
        return {
            "knots": self.knots,
            "places": self.places,
            "starts": self.starts,
            "flagged": self.flagged,
            "width": np.array([self.width]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Quantiles:
        """Read the arrays back."""
        return cls(
            np.asarray(arrays["knots"], dtype=np.float64),
            np.asarray(arrays["places"], dtype=np.float64),
            np.asarray(arrays["starts"], dtype=np.int64),
            np.asarray(arrays["flagged"], dtype=np.int64),
            int(np.asarray(arrays["width"], dtype=np.int64)[0]),
        )


def fit_quantiles(matrix: Matrix, numeric: int) -> Quantiles:
    """Learn the places of values among the rows of a matrix whose first `numeric` columns are numbers.

    A value that many rows share (a zero, mostly) gets the middle of the ranks that it covers, so that rare values
    beside it lie clearly apart from it.
    """
    parts = [_knots(matrix[:, column]) for column in range(numeric)]
    starts = np.concatenate([[0], np.cumsum([knots.size for knots, _ in parts])]).astype(np.int64)
    empty = np.zeros(0)
    return Quantiles(
        np.concatenate([empty, *(knots for knots, _ in parts)]),
        np.concatenate([empty, *(places for _, places in parts)]),
        starts,
        np.flatnonzero(np.isnan(matrix[:, :numeric]).any(axis=0)).astype(np.int64),
        matrix.shape[1],
    )


def _eight_bits(values: Matrix) -> Matrix:
    return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _knots(column: Matrix) -> tuple[Floats, Floats]:
    values = np.sort(_eight_bits(column[~np.isnan(column)]).astype(np.float64))
    if values.size == 0:
        return np.zeros(1), np.full(1, 0.5)
    knots = np.unique(values[np.linspace(0, values.size - 1, KNOTS).round().astype(np.int64)])
    below, upto = np.searchsorted(values, knots, "left"), np.searchsorted(values, knots, "right")
    return knots, (below + upto) / 2 / values.size
