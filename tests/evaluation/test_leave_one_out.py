"""Leave one attack out: the detector that judges an attack never saw it, and the figures are those of its scores."""

from __future__ import annotations

import logging
from collections.abc import Callable

import polars as pl
import pytest

from cybersec_mlops.evaluation import leave_one_out
from cybersec_mlops.evaluation.leave_one_out import LeaveOneOut, leave_one_attack_out
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec

MakeTraffic = Callable[..., pl.DataFrame]
SPEC = TrainingSpec(trees=10, depth=3, epochs=2, prototypes=16, hidden=(8,), threads=1)
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def sides(make_traffic: MakeTraffic) -> tuple[pl.DataFrame, pl.DataFrame]:
    train = make_traffic(1, rows=1500).filter(pl.col("label") != "beacon")
    return train, make_traffic(2, rows=1000, start=DAY)


@pytest.fixture(scope="module")
def detector(sides: tuple[pl.DataFrame, pl.DataFrame]) -> Detector:
    return fit_detector(sides[0], SPEC).detector


def judge(detector: Detector, train: pl.DataFrame, test: pl.DataFrame) -> LeaveOneOut:
    return leave_one_attack_out(detector, train, test, SPEC, shortcuts={}, resamples=50, seed=0)


def test_every_attack_is_judged_by_a_detector_that_never_saw_it(
    detector: Detector, sides: tuple[pl.DataFrame, pl.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    train, test = sides
    with caplog.at_level(logging.INFO, logger="cybersec_mlops.progress"):
        found = judge(detector, train, test)
    assert {one.label: one.refitted for one in found.attacks} == {
        "scan": True,
        "flood": True,
        "theft": True,
        "beacon": False,
    }
    assert "4 attacks, 3 of them to be trained without" in caplog.text
    assert found.skipped == ()
    for one in found.attacks:
        both = sum(int((side["label"] == one.label).sum()) for side in sides)
        assert one.rows == both
        for skill in (one.supervised, one.benign_only, one.fused):
            assert skill is not None
            assert skill.roc_auc.low <= skill.roc_auc.value <= skill.roc_auc.high
            assert skill.recall.low <= skill.recall.value <= skill.recall.high


def test_the_figures_are_those_of_the_scores(detector: Detector, sides: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    train, test = sides
    flood = next(one for one in judge(detector, train, test).attacks if one.label == "flood")
    without = fit_detector(train.filter(pl.col("label") != "flood"), SPEC).detector
    attacks = pl.concat([side.filter(pl.col("label") == "flood") for side in sides])
    scored, benign = without.score(attacks), without.score(test.filter(~pl.col("is_attack")))
    assert flood.fused.recall.value == pytest.approx(scored["is_alert"].mean())
    above = [(benign["score"] < score).mean() + (benign["score"] == score).mean() / 2 for score in scored["score"]]
    assert flood.fused.roc_auc.value == pytest.approx(sum(above) / len(above))
    assert without.supervised is not None
    odds = scored["supervised_score"].to_numpy()
    p_values = [2.718281828459045**-value for value in without.supervised.surprise(odds)]
    assert flood.supervised is not None
    assert flood.supervised.recall.value == pytest.approx(sum(p <= 0.01 for p in p_values) / len(p_values))


def test_the_only_attack_leaves_a_benign_only_detector(
    detector: Detector, sides: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    one_kind = [side.filter(pl.col("label").is_in(["BENIGN", "flood"])) for side in sides]
    (only,) = judge(detector, *one_kind).attacks
    assert (only.supervised, only.refitted) == (None, True)


def test_what_cannot_be_judged_is_named(
    detector: Detector, sides: tuple[pl.DataFrame, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = sides
    monkeypatch.setattr(leave_one_out, "MOST_FITS", 1)
    few = judge(detector, train, test)
    assert len(few.attacks) == 1
    assert len(few.skipped) == 3
    unlabelled = test.with_columns(is_attack=pl.lit(None, dtype=pl.Boolean), label=pl.lit(None, dtype=pl.String))
    assert judge(detector, train, unlabelled).attacks == ()
    assert judge(detector, train.filter(~pl.col("is_attack")), test.filter(~pl.col("is_attack"))).attacks == ()
    assert judge(detector, train, test.filter("is_attack")).attacks == ()
