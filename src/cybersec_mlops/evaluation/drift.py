"""How far the test set's features and scores have moved from training, so that a silent collapse is seen.

Features alone are not enough: on NSL-KDD the calibration collapsed while no feature passed the usual alarm. The score
distribution and the p-values of benign rows are therefore compared as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from cybersec_mlops.evaluation.ranking import FloatArray

Level = Literal["stable", "moderate", "large"]

MODERATE: Final = 0.1
LARGE: Final = 0.2
BINS: Final = 10
CATEGORIES: Final = 20
MAX_ROWS: Final = 100_000
UNCALIBRATED: Final = 0.1
"""Kolmogorov-Smirnov distance from which p-values say something else than they promise."""
CHANCE: Final = 1.63
"""Kolmogorov's 99 % point, over the square root of the number of values."""
MIN_BENIGN: Final = 200
"""With fewer benign rows on either side, all rows are compared."""


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature, training against test."""

    feature: str
    psi: float
    """Population stability index; 0 is no change."""
    noise: float
    """What sampling alone exceeds in 5 % of cases."""
    missing_train: float
    """Share of training rows where it is unset."""
    missing_test: float

    @property
    def level(self) -> Level:
        """``large`` above 0.2, ``moderate`` above 0.1, where it is also above the noise."""
        if self.psi <= max(MODERATE, self.noise):
            return "stable"
        return "large" if self.psi > LARGE else "moderate"


@dataclass(frozen=True, slots=True)
class Drift:
    """Features and scores, training against test."""

    features: tuple[FeatureDrift, ...]
    """By PSI, largest first."""
    score_psi: float | None
    """Of the scores of training rows against those of test rows."""
    score_ks: float | None
    """Kolmogorov-Smirnov distance between the two."""
    benign_p_value_ks: float | None
    """Distance of the benign test rows' p-values from the uniform law; large where calibration has collapsed."""
    benign_only: bool
    """Whether features were compared among benign rows: the share of attacks in a test set is the maker's choice."""
    train_rows: int
    test_rows: int
    benign_p_values: int = 0
    """How many benign p-values were compared."""

    @property
    def calibration_holds(self) -> bool | None:
        """Whether the benign p-values are near the uniform law, or no further than chance; None where unknown."""
        if self.benign_p_value_ks is None:
            return None
        return bool(self.benign_p_value_ks <= max(UNCALIBRATED, CHANCE / self.benign_p_values**0.5))


def measure_drift(
    train: pl.DataFrame,
    test: pl.DataFrame,
    features: Sequence[str],
    *,
    train_scores: FloatArray | None = None,
    test_scores: FloatArray | None = None,
    benign_p_values: FloatArray | None = None,
    seed: int = 0,
) -> Drift:
    """Compare two sets of rows, feature by feature and by score.

    Parameters
    ----------
    train, test : DataFrame
        SILVER rows; a feature that one side lacks counts as unset there. Benign rows are compared where both sides have
        at least 200, else all rows.
    train_scores, test_scores : ndarray of float64, optional
        Scores of rows of either side (not necessarily all, nor in the order of the frames).
    benign_p_values : ndarray of float64, optional
        p-values of the benign test rows.
    """
    benign = [_benign(frame) for frame in (train, test)]
    benign_only = min(frame.height for frame in benign) >= MIN_BENIGN
    chosen = benign if benign_only else [train, test]
    drawn = [f.sample(MAX_ROWS, seed=seed) if f.height > MAX_ROWS else f for f in chosen]
    found = [_feature_drift(name, *(_column(frame, name) for frame in drawn)) for name in features]
    pair = None if train_scores is None or test_scores is None else (train_scores, test_scores)
    pair = pair if pair and pair[0].size and pair[1].size else None
    return Drift(
        features=tuple(sorted(found, key=lambda one: (-one.psi, one.feature))),
        score_psi=_score_psi(*pair) if pair else None,
        score_ks=ks_distance(*pair) if pair else None,
        benign_p_value_ks=None if benign_p_values is None or not benign_p_values.size else ks_uniform(benign_p_values),
        benign_only=benign_only,
        train_rows=drawn[0].height,
        test_rows=drawn[1].height,
        benign_p_values=0 if benign_p_values is None else int(benign_p_values.size),
    )


def _benign(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("is_attack")) if "is_attack" in frame.columns else frame.clear()


def psi(before: FloatArray, after: FloatArray) -> float:
    """Return the population stability index of two histograms over the same bins.

    Half a row is added to every bin, so that an empty one gives a finite number.

    References
    ----------
    Siddiqi, Credit Risk Scorecards (2006); its distribution: Yurdakul, Statistical properties of PSI (2018).

    >>> psi(np.array([50.0, 50.0]), np.array([50.0, 50.0]))
    0.0
    """
    expected, actual = (before + 0.5) / (before + 0.5).sum(), (after + 0.5) / (after + 0.5).sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())


def ks_distance(first: FloatArray, second: FloatArray) -> float:
    """Return the largest distance between two empirical distributions.

    >>> ks_distance(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    1.0
    """
    values = np.concatenate([first, second])
    below = [np.searchsorted(np.sort(sample), values, side="right") / sample.size for sample in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def ks_uniform(p_values: FloatArray) -> float:
    """Return the largest distance between an empirical distribution on [0, 1] and the uniform one."""
    p, n = np.sort(p_values), p_values.size
    steps = np.arange(1, n + 1) / n
    return float(max(np.abs(steps - p).max(), np.abs(steps - 1 / n - p).max()))


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=pl.Float64)
    column = frame[name]
    return column if column.dtype == pl.String else column.cast(pl.Float64).fill_nan(None)


def _feature_drift(name: str, before: pl.Series, after: pl.Series) -> FeatureDrift:
    if pl.String in (before.dtype, after.dtype):
        counts = _category_counts(before.cast(pl.String), after.cast(pl.String))
    else:
        edges = _edges(before.drop_nulls().to_numpy())
        counts = _numeric_counts(before, edges), _numeric_counts(after, edges)
    used = int(((counts[0] + counts[1]) > 0).sum())
    noise = _chi_square_95(used - 1) * (1 / max(before.len(), 1) + 1 / max(after.len(), 1))
    missing = [column.null_count() / max(column.len(), 1) for column in (before, after)]
    return FeatureDrift(name, psi(*counts), noise, missing[0], missing[1])


def _edges(values: FloatArray) -> FloatArray:
    if not values.size:
        return np.empty(0)
    return np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))


def _numeric_counts(column: pl.Series, edges: FloatArray) -> FloatArray:
    bins = np.searchsorted(edges, column.drop_nulls().to_numpy(), side="left")
    counts = np.bincount(bins, minlength=edges.size + 1).astype(np.float64)
    return np.append(counts, float(column.null_count()))


def _category_counts(before: pl.Series, after: pl.Series) -> tuple[FloatArray, FloatArray]:
    common = before.drop_nulls().value_counts(name="n").sort(["n", before.name], descending=[True, False])
    names = common[before.name].head(CATEGORIES)
    found = []
    for column in (before, after):
        by_name = dict(column.drop_nulls().value_counts(name="n").iter_rows())
        counts = [float(by_name.get(name, 0)) for name in names]
        rest = column.len() - column.null_count() - sum(counts)
        found.append(np.array([*counts, rest, float(column.null_count())]))
    return found[0], found[1]


def _score_psi(before: FloatArray, after: FloatArray) -> float:
    edges = _edges(before)
    counts = [np.bincount(np.searchsorted(edges, s, side="left"), minlength=edges.size + 1) for s in (before, after)]
    return psi(counts[0].astype(np.float64), counts[1].astype(np.float64))


def _chi_square_95(freedom: int) -> float:
    """Return the 95 % quantile of chi-square (Wilson and Hilferty, PNAS 17, 1931)."""
    if freedom <= 0:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + 1.6448536269514722 * part**0.5) ** 3)
