"""Whether the model's threshold means on this traffic what it meant where it was set.

A p-value is the share of held-out benign rows that score as high: among benign rows like those, p-values are spread as
theirs were. Where they are not, the nominal false-positive rate is a number without a meaning, and the rows say so
without any label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.evaluation.drift import psi
from cybersec_mlops.scoring.tally import Tally, bin_p_values
from cybersec_mlops.training.threshold import Calibration

LARGE_PSI: Final = 0.2
"""The usual alarm of a population stability index (Siddiqi 2006)."""
LARGE_RATIO: Final = 3.0
"""Alerting rows over what the nominal rate explains."""
ADVICE: Final = (
    "look at the highest scores first, and do not read the nominal rate as this network's; `cybersec-mlops recalibrate`"
    " sets the thresholds from its own traffic, and training on it is better still (docs/concepts.md, Another network)"
)


@dataclass(frozen=True)
class Validity:
    """What the scores of unlabelled rows tell of the calibration."""

    nominal_rate: float
    alert_share: float
    """Rows at or above the threshold, of all that were scored."""
    p_value_psi: float
    """Population stability index of the p-values against those of the calibration rows; 0 is no change."""
    noise: float
    """What sampling alone exceeds in 5 % of cases."""
    warnings: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the calibration."""
        return not self.warnings

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **self.__dict__,
            "warnings": list(self.warnings),
            "holds": self.holds,
            "advice": ADVICE if self.warnings else None,
        }


def judge(tally: Tally, calibration: Calibration) -> Validity:
    """Compare the p-values of all scored rows with those of the calibration rows, and alerts with the nominal rate."""
    rate, rows = calibration.active.rate, max(tally.rows, 1)
    before = expected_p_values(calibration)
    distance = psi(before, np.array(tally.p_values, dtype=np.float64))
    noise = _chi_square_95(int((before > 0).sum()) - 1) * (1 / rows + 1 / max(calibration.surprise.rows, 1))
    share = tally.alerting / rows
    warnings = []
    usual = LARGE_RATIO * rate * rows
    if tally.alerting > usual + 2 * usual**0.5 + 2:  # more than chance adds to so many
        warnings.append(
            f"{100 * share:.2f} % of the rows alert, {share / rate:.1f} times the nominal {100 * rate:g} %:"
            " either that many are attacks, or the threshold does not hold on this traffic"
        )
    if distance > max(LARGE_PSI, noise):
        warnings.append(
            f"the scores are not distributed as where the threshold was set (PSI {distance:.2f}, alarm at {LARGE_PSI})"
        )
    return Validity(rate, share, distance, noise, tuple(warnings))


def expected_p_values(calibration: Calibration) -> NDArray[np.float64]:
    """Return how many calibration rows have their p-value in each part of (0, 1], shape (P_VALUE_BINS,)."""
    p_values = np.exp(-calibration.surprise.values)
    shares = p_values - np.append(p_values[1:], 0.0)
    shares[0] += max(0.0, 1.0 - p_values[0])
    return np.asarray(bin_p_values(p_values, shares) * calibration.surprise.rows, dtype=np.float64)


def _chi_square_95(freedom: int) -> float:
    """Return the 95 % quantile of chi-square (Wilson and Hilferty, PNAS 17, 1931)."""
    part = 2 / (9 * max(freedom, 1))
    return float(freedom * (1 - part + 1.6448536269514722 * part**0.5) ** 3)
