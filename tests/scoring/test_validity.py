"""A calibration that does not hold is told without labels, and one that holds raises no alarm."""

from __future__ import annotations

import numpy as np
import pytest

from cybersec_mlops.scoring.tally import Tally, bin_p_values
from cybersec_mlops.scoring.validity import expected_p_values, judge
from cybersec_mlops.training.threshold import Calibration, calibrate


def tally_of(scores: np.ndarray[tuple[int], np.dtype[np.float64]], calibration: Calibration) -> Tally:
    p_values = calibration.p_values(scores)
    alerting = int((scores >= calibration.active.score).sum())
    return Tally(rows=scores.size, alerting=alerting, p_values=bin_p_values(p_values).tolist())


@pytest.fixture
def calibration() -> Calibration:
    return calibrate(np.random.default_rng(0).normal(size=4000), rate=0.01)


def test_rows_like_the_calibration_rows_raise_no_alarm(calibration: Calibration) -> None:
    for seed in range(1, 21):
        found = judge(tally_of(np.random.default_rng(seed).normal(size=5000), calibration), calibration)
        assert found.holds, found.warnings
        assert found.p_value_psi < 0.05
        assert found.to_dict()["advice"] is None


def test_scores_that_many_rows_share_raise_no_alarm() -> None:
    rng = np.random.default_rng(0)
    calibration = calibrate(rng.integers(0, 4, 4000).astype(np.float64) ** 2, rate=0.01)
    again = rng.integers(0, 4, 4000).astype(np.float64) ** 2
    assert judge(tally_of(again, calibration), calibration).p_value_psi < 0.05
    assert expected_p_values(calibration).sum() == pytest.approx(4000, rel=0.01)


@pytest.mark.parametrize(("shift", "warned"), [(1.0, "not distributed"), (2.5, "times the nominal 1 %")])
def test_rows_of_another_network_are_told(shift: float, warned: str, calibration: Calibration) -> None:
    scores = np.random.default_rng(1).normal(shift, 1, 5000)
    found = judge(tally_of(scores, calibration), calibration)
    assert not found.holds
    assert any(warned in one for one in found.warnings)
    assert "recalibrate" in found.to_dict()["advice"]


def test_a_few_rows_are_no_evidence(calibration: Calibration) -> None:
    assert judge(tally_of(np.array([5.0, 0.1]), calibration), calibration).holds
    assert judge(Tally(), calibration).alert_share == 0
