"""From a score to a p-value and an alert: split conformal calibration on benign rows that no fitted part has seen.

If calibration and later benign rows are exchangeable, a threshold at rate a has an expected false-positive rate of at
most a, whatever the detector and whatever the distribution (Vovk, Gammerman and Shafer, *Algorithmic Learning in a
Random World*, 2005; Angelopoulos and Bates, *A Gentle Introduction to Conformal Prediction*, 2023, section 1; for
outliers Bates et al., *Testing for outliers with conformal p-values*, 2023). Later traffic is never quite
exchangeable with the past: the evaluation therefore shows the achieved rate beside the nominal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.training.fusion import Surprise, fit_surprise

Floats = NDArray[np.float64]

RATES: Final = (0.001, 0.01, 0.05)
"""The nominal false-positive rates that every bundle has a threshold for."""


@dataclass(frozen=True)
class Threshold:
    """A row is an alert when its score is at least `score`."""

    rate: float
    """Nominal false-positive rate, as a share of benign rows."""
    score: float
    guaranteed: bool
    """False where there are fewer than 1/rate - 1 calibration rows: the score then comes from the extrapolated tail,
    above every benign score seen, and the rate is an estimate without the conformal guarantee."""
    alerts_per_day: float | None = None
    """False alerts per day at this rate and the training rows' connections per day, where they have time."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "rate": self.rate,
            "score": self.score,
            "guaranteed": self.guaranteed,
            "alerts_per_day": self.alerts_per_day,
        }


@dataclass(frozen=True)
class Calibration:
    """The fused scores of held-out benign rows, as a curve, and the thresholds read from it."""

    surprise: Surprise
    thresholds: tuple[Threshold, ...]
    """By ascending rate."""
    active: Threshold
    """The one that `is_alert` follows."""

    def p_values(self, scores: Floats) -> Floats:
        """Return the share of benign rows expected to score as high or higher, in (0, 1], shape (rows,)."""
        return np.exp(-self.surprise(scores))

    def threshold_at(self, rate: float, connections_per_day: float | None = None) -> Threshold:
        """Return the threshold whose p-value is `rate`."""
        budget = None if connections_per_day is None else rate * connections_per_day
        guaranteed = rate * (self.surprise.rows + 1) >= 1
        return Threshold(rate, self.surprise.inverse(-float(np.log(rate))), guaranteed, budget)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the curve itself is kept as arrays."""
        return {
            "rows": self.surprise.rows,
            "active": self.active.to_dict(),
            "thresholds": [threshold.to_dict() for threshold in self.thresholds],
        }

    @classmethod
    def from_parts(cls, value: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Calibration:
        """Read the JSON form and the curve's arrays."""
        thresholds = tuple(Threshold(**threshold) for threshold in value["thresholds"])
        return cls(Surprise.from_arrays(arrays), thresholds, Threshold(**value["active"]))


def calibrate(
    benign_scores: Floats,
    *,
    rate: float,
    alerts_per_day: float | None = None,
    connections_per_day: float | None = None,
) -> Calibration:
    """Set the thresholds from the fused scores of benign rows that no fitted part has seen.

    Parameters
    ----------
    benign_scores : ndarray of float64, shape (rows,)
    rate : float
        The nominal rate of the active threshold.
    alerts_per_day : float, optional
        A budget that replaces the rate; used only together with `connections_per_day`.
    connections_per_day : float, optional
        Connections per day in the training rows.

    Examples
    --------
    >>> calibration = calibrate(np.arange(999.0), rate=0.01)
    >>> calibration.active.guaranteed, bool(calibration.active.score <= 990)
    (True, True)
    >>> calibrate(np.arange(50.0), rate=0.01).active.guaranteed
    False
    """
    if alerts_per_day is not None and connections_per_day:
        rate = min(alerts_per_day / connections_per_day, 0.5)
    bare = Calibration(fit_surprise(benign_scores), (), Threshold(rate, 0.0, False))
    thresholds = tuple(bare.threshold_at(each, connections_per_day) for each in sorted({*RATES, rate}))
    active = next(threshold for threshold in thresholds if threshold.rate == rate)
    return Calibration(bare.surprise, thresholds, active)
