"""Rows as the audit's own small models see them: a numeric matrix, a seeded sample, and single features as scores.

The detector has its own, better encoding in ``training``; this one is deliberately independent of it, so that a mistake
there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, IntArray

CATEGORIES: Final = 63
CLASS_QUANTILES: Final = 32


def labelled_sample(frame: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
    """Return at most about `rows` labelled rows, drawn per class so that its share is kept; order is kept."""
    labelled = frame.filter(pl.col("is_attack").is_not_null())
    if labelled.height <= rows:
        return labelled
    rng = np.random.default_rng(seed)
    is_attack = labelled["is_attack"].to_numpy().astype(np.bool_)
    keep = np.zeros(labelled.height, dtype=np.bool_)
    for group in (np.flatnonzero(is_attack), np.flatnonzero(~is_attack)):
        wanted = min(group.size, max(round(rows * group.size / labelled.height), min(group.size, 500)))
        keep[rng.choice(group, wanted, replace=False)] = True
    return labelled.filter(pl.Series(keep))


@dataclass(frozen=True, slots=True)
class Encoder:
    """Columns to numbers: numeric as they are, categories by frequency in the fitted frame, unset and unseen as NaN."""

    features: tuple[str, ...]
    categories: dict[str, dict[str, int]]

    @classmethod
    def fit(cls, frame: pl.DataFrame, features: Sequence[str]) -> Encoder:
        """Learn the categories."""
        found = {}
        for name in features:
            if frame.schema[name] == pl.String:
                counts = frame[name].drop_nulls().value_counts(name="n").sort(["n", name], descending=[True, False])
                found[name] = {value: code for code, value in enumerate(counts[name].head(CATEGORIES))}
        return cls(tuple(features), found)

    def encode(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Return the matrix, shape (rows, features); a column that the frame lacks is all NaN."""
        matrix = np.full((frame.height, len(self.features)), np.nan, dtype=np.float32)
        for place, name in enumerate(self.features):
            if name in frame.columns:
                matrix[:, place] = self._column(frame[name])
        matrix[~np.isfinite(matrix)] = np.nan
        return matrix

    def _column(self, column: pl.Series) -> NDArray[np.float32]:
        codes = self.categories.get(column.name)
        if codes is not None:
            text = column.cast(pl.String)
            column = text.replace_strict(codes, default=None, return_dtype=pl.Float64)
        with np.errstate(over="ignore"):
            return column.cast(pl.Float64).to_numpy().astype(np.float32)


def single_feature_score(
    column: NDArray[np.float32], is_attack: BoolArray, other: NDArray[np.float32]
) -> tuple[FloatArray, FloatArray]:
    """Score rows by one column alone: the attack rate, among the fitted rows, of the bin that a value falls in.

    Bins have their edges at quantiles of each class and NaN has its own, so that a separation of any shape is found,
    not only a monotone one.

    Parameters
    ----------
    column, is_attack : ndarray, shape (n,)
        The rows to fit on.
    other : ndarray, shape (m,)
        Further rows to score.

    Returns
    -------
    tuple of ndarray
        The scores of the fitted and of the other rows.
    """
    edges = _edges(column, is_attack)
    bins = _bin(column, edges)
    count = edges.size + 2
    base = is_attack.mean()
    rows = np.bincount(bins, minlength=count)
    rate = (np.bincount(bins[is_attack], minlength=count) + base) / (rows + 1.0)
    return rate[bins], rate[_bin(other, edges)]


def _edges(column: NDArray[np.float32], is_attack: BoolArray) -> NDArray[np.float32]:
    known = ~np.isnan(column)
    edges = [
        np.quantile(group, np.linspace(0, 1, CLASS_QUANTILES + 1), method="nearest")
        for group in (column[known & is_attack], column[known & ~is_attack])
        if group.size
    ]
    both = np.unique(np.concatenate(edges)) if edges else np.empty(0, dtype=np.float32)
    between = np.nextafter(both, np.float32(np.inf), dtype=np.float32)
    return np.unique(np.concatenate([both, between]))


def _bin(column: NDArray[np.float32], edges: NDArray[np.float32]) -> IntArray:
    bins = np.searchsorted(edges, column, side="right")
    bins[np.isnan(column)] = edges.size + 1
    return bins.astype(np.int64)
