"""Scores as surprise: the negative logarithm of an empirical p-value against benign rows.

Surprise puts scores of any scale side by side, and the sum of two is Fisher's way to combine p-values (Fisher 1932;
the sum is used for its order only, its own p-value comes from benign rows again). Beyond the benign scores it goes on
as an exponential tail, the limit law of peaks over a threshold for light tails (Pickands 1975), so that attacks keep
their order instead of tying at the smallest p-value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_KNOTS: Final = 4096
TOP_KNOTS: Final = 1024
TAIL_SHARE: Final = 0.02
"""Share of the benign scores, from the top, whose mean excess sets the slope of the tail (10 scores at least)."""
MIN_SLOPE_SHARE: Final = 0.02
"""The tail falls by a factor e over no less than this share of the spread between the median and the top."""


@dataclass(frozen=True)
class Surprise:
    """A strictly increasing map from a score to -log p, p the share of benign rows that score as high or higher."""

    scores: Floats
    """Knots: distinct benign scores, ascending, shape (knots,)."""
    values: Floats
    """-log p at the knots, ascending."""
    slope: float
    """Increase of -log p per unit of score above the last knot."""
    rows: int
    """Benign rows that it was fitted on."""

    def __call__(self, scores: Floats) -> Floats:
        """Return -log p (natural logarithm), shape (rows,); NaN stays NaN."""
        result = np.interp(scores, self.scores, self.values)
        above = scores - self.scores[-1]
        below = self.scores[0] - scores
        result = np.where(above > 0, self.values[-1] + self.slope * above, result)
        result = np.where(below > 0, self.values[0] / (1.0 + self.slope * np.maximum(below, 0.0)), result)
        return np.asarray(result, dtype=np.float64)

    def inverse(self, value: float) -> float:
        """Return the score whose -log p is `value`.

        >>> curve = fit_surprise(np.arange(99.0))
        >>> round(curve.inverse(float(curve(np.array([50.5]))[0])), 6)
        50.5
        """
        if value > self.values[-1]:
            return float(self.scores[-1] + (value - self.values[-1]) / self.slope)
        if value < self.values[0]:
            return float(self.scores[0] - (self.values[0] / max(value, 1e-300) - 1.0) / self.slope)
        return float(np.interp(value, self.values, self.scores))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that it consists of."""
        return {"scores": self.scores, "values": self.values, "scale": np.array([self.slope, float(self.rows)])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Surprise:
        """Read the arrays back."""
        slope, rows = np.asarray(arrays["scale"], dtype=np.float64).tolist()
        scores, values = (np.asarray(arrays[name], dtype=np.float64) for name in ("scores", "values"))
        return cls(scores, values, slope, int(rows))


def fit_surprise(benign: Floats) -> Surprise:
    """Fit to the scores of benign rows that took no part in making the score.

    At a benign score p is (1 + rows that score as high or higher) / (rows + 1), the conformal p-value (Vovk,
    Gammerman and Shafer 2005), between two of them interpolated from the higher one, so never too small; it falls on
    exponentially from the highest. Of more than `MAX_KNOTS` scores the highest are all kept.

    >>> curve = fit_surprise(np.arange(99.0))
    >>> np.exp(-curve(np.array([0.0, 89.0, 98.0]))).round(2).tolist()
    [1.0, 0.11, 0.02]
    """
    ordered = np.sort(benign)
    scores, first = np.unique(ordered, return_index=True)
    values = -np.log((1.0 + ordered.size - first) / (ordered.size + 1.0))
    values[0] = max(values[0], 0.5 / (ordered.size + 1.0))
    if scores.size > MAX_KNOTS:
        scores, values = _thin(scores, values)
    return Surprise(scores, values, 1.0 / _mean_excess(ordered), ordered.size)


def _thin(scores: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Keep every knot at the top, where alerts are decided, and below it knots that are even in -log p."""
    top = scores.size - TOP_KNOTS
    levels = np.linspace(0.0, values[top], MAX_KNOTS - TOP_KNOTS)
    kept = np.union1d(np.searchsorted(values[:top], levels[:-1]), np.arange(top, scores.size))
    return scores[kept], values[kept]


def _mean_excess(ordered: Floats) -> float:
    tail = ordered[-max(10, int(TAIL_SHARE * ordered.size)) - 1 :]
    spread = max(ordered[-1] - np.median(ordered), abs(ordered[-1]) * 1e-6, 1e-9)
    return float(max((tail[1:] - tail[0]).mean() if tail.size > 1 else 0.0, MIN_SLOPE_SHARE * spread))
