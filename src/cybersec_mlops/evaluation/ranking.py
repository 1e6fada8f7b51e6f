"""How well a score ranks attacks above benign rows: ROC-AUC, average precision, recall at a false-positive rate.

Every statistic is a function of two histograms over the same distinct scores, most suspicious first, so that one
implementation serves the point estimate (shape ``(k,)``) and all bootstrap resamples at once (``(resamples, k)``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Statistic = Callable[[FloatArray, FloatArray], FloatArray]


def roc_auc(attacks: FloatArray, benign: FloatArray) -> FloatArray:
    """Return the probability that an attack scores above a benign row, ties counting half.

    Parameters
    ----------
    attacks, benign : ndarray of float64, shape (..., k)
        Rows per distinct score, most suspicious first. NaN comes back where a class is empty.

    References
    ----------
    Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 143 (1982).

    >>> float(roc_auc(np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])))
    0.875
    """
    above = benign.cumsum(-1) - benign / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        result: FloatArray = 1.0 - (attacks * above).sum(-1) / (attacks.sum(-1) * benign.sum(-1))
    return result


def average_precision(attacks: FloatArray, benign: FloatArray) -> FloatArray:
    """Return the step-wise area under the precision-recall curve (no interpolation), one step per distinct score.

    >>> float(average_precision(np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])))
    0.8333333333333333
    """
    true = attacks.cumsum(-1)
    total = true + benign.cumsum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(total > 0, true / total, 0.0)
        result: FloatArray = (attacks * precision).sum(-1) / attacks.sum(-1)
    return result


def recall_at(rate: float) -> Statistic:
    """Return the statistic "largest recall whose false-positive rate is at most `rate`" (no interpolation).

    >>> float(recall_at(0.5)(np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])))
    1.0
    """

    def statistic(attacks: FloatArray, benign: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            allowed = benign.cumsum(-1) <= rate * benign.sum(-1)[..., None] * (1 + 1e-12)
            best = np.where(allowed, attacks.cumsum(-1), 0.0).max(-1, initial=0.0)
            result: FloatArray = np.where(benign.sum(-1) > 0, best / attacks.sum(-1), np.nan)
        return result

    return statistic


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rows of a test set by distinct score, most suspicious first."""

    scores: FloatArray
    """The k distinct scores, descending."""
    attacks: FloatArray
    """Attacks at each score."""
    benign: FloatArray
    """Benign rows at each score."""
    place: IntArray
    """For every row, the position of its score in `scores`."""

    @classmethod
    def of(cls, is_attack: BoolArray, score: FloatArray) -> Ranking:
        """Rank labelled rows.

        Raises
        ------
        DataError
            A score is NaN: a ranking with holes would look like a result.
        """
        if np.isnan(score).any():
            raise DataError(
                f"{int(np.isnan(score).sum()):,} of {score.size:,} scores are NaN, expected a number for every row",
                hint="score the test set again with this bundle; a detector must never give NaN",
            )
        distinct, place = np.unique(-score, return_inverse=True)
        attacks = np.bincount(place[is_attack], minlength=distinct.size).astype(np.float64)
        benign = np.bincount(place[~is_attack], minlength=distinct.size).astype(np.float64)
        return cls(-distinct, attacks, benign, place.astype(np.int64))

    def point(self, statistic: Statistic) -> float | None:
        """Return the statistic over all rows, or None where it is undefined (a class is empty)."""
        value = float(statistic(self.attacks, self.benign)) if self.scores.size else float("nan")
        return None if np.isnan(value) else value

    def roc(self) -> tuple[FloatArray, FloatArray]:
        """Return false-positive rates and recalls, from (0, 0) to (1, 1)."""
        false = np.concatenate([[0.0], self.benign.cumsum() / self.benign.sum()])
        recall = np.concatenate([[0.0], self.attacks.cumsum() / self.attacks.sum()])
        return false, recall

    def precision_recall(self) -> tuple[FloatArray, FloatArray]:
        """Return recalls and precisions, one per distinct score."""
        true = self.attacks.cumsum()
        return true / self.attacks.sum(), true / (true + self.benign.cumsum())

    def bins(self, tail: int = 256, body: int = 512) -> IntArray:
        """Group the distinct scores into at most ``tail + 2 * body`` bins, finest where false positives are rare.

        Returns
        -------
        ndarray of int64, shape (k,)
            Bin of each distinct score, ascending from 0. With few distinct scores every one keeps its own bin.
        """
        size = self.scores.size
        if size <= tail + 2 * body:
            return np.arange(size, dtype=np.int64)
        even = np.linspace(0.0, 1.0, body)
        rare = np.geomspace(1e-6, 1.0, tail)
        benign, attacks = (h.cumsum() / max(h.sum(), 1.0) for h in (self.benign, self.attacks))
        wanted = [np.searchsorted(benign, np.concatenate([rare, even])), np.searchsorted(attacks, even)]
        cuts = np.unique(np.concatenate(wanted))
        return np.searchsorted(cuts, np.arange(size), side="left").astype(np.int64)
