from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.baselines import Baseline
from cybersec_mlops.evaluation.bootstrap import Estimate
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.gate import Comparison, Opponent, compare, decide
from cybersec_mlops.evaluation.metrics import Metrics, measure
from cybersec_mlops.evaluation.spec import EvaluationSpec, GateSpec

Traffic = Callable[..., pl.DataFrame]
Score = Callable[[pl.DataFrame], pl.DataFrame]
SEVERE = Finding("known_shortcut", "severe", ("unsw_sttl", "unsw_dttl"), 0.9, None, "why")
BETTER = Estimate(0.05, 0.02, 0.08)
NOISE = Estimate(0.01, -0.02, 0.04)
WORSE = Estimate(-0.05, -0.08, -0.02)
CHAMPION = Opponent("7", rows=9_000)


@pytest.fixture(scope="module")
def metrics(make_traffic: Traffic, score_traffic: Score) -> Metrics:
    scored, spec = score_traffic(make_traffic(0)), EvaluationSpec(resamples=50)
    return measure(scored, threshold=2.3, nominal=0.01, thresholds={}, training_attacks=None, spec=spec)


def comparison(difference: Estimate) -> Comparison:
    return Comparison("average_precision", Estimate(0.9, 0.8, 1.0), Estimate(0.8, 0.7, 0.9), difference, "7")


def baseline(lead: Estimate) -> Baseline:
    return Baseline("decision stump", "duration_s <= 3 or not", Estimate(0.7, 0.6, 0.8), Estimate(0.7, 0.6, 0.8), lead)


FPR = Estimate(0.05, 0.04, 0.06)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], bool, str]] = {
    "a first model that is clean": ({}, {}, True, "no champion yet"),
    "a rate that may be within": ({"false_positive_rate": Estimate(0.05, 0.029, 0.06)}, {}, True, "not clearly above"),
    "a rate surely above": ({"false_positive_rate": FPR}, {}, False, "is above 3 times the nominal 1 %"),
    "an absolute limit instead": (
        {"false_positive_rate": FPR},
        {"gate": {"max_false_positive_rate": 0.1}},
        True,
        "within",
    ),
    "a severe finding": ({}, {"findings": [SEVERE]}, False, "known_shortcut (unsw_sttl, unsw_dttl)"),
    "accepted by check": (
        {},
        {"findings": [SEVERE], "gate": {"accepted_findings": ("known_shortcut",)}},
        True,
        "accepted by name",
    ),
    "one of two columns accepted": (
        {},
        {"findings": [SEVERE], "gate": {"accepted_findings": ("known_shortcut:unsw_sttl",)}},
        False,
        "nobody accepted",
    ),
    "both columns accepted": (
        {},
        {"findings": [SEVERE], "gate": {"accepted_findings": ("known_shortcut:unsw_sttl", "known_shortcut:unsw_dttl")}},
        True,
        "accepted by name",
    ),
    "another finding accepted": (
        {},
        {"findings": [SEVERE], "gate": {"accepted_findings": ("split_gap",)}},
        False,
        "nobody",
    ),
    "a warning only": ({}, {"findings": [dataclasses.replace(SEVERE, severity="warning")]}, True, "no severe finding"),
    "no audit": ({}, {"findings": None}, True, "switched off"),
    "chance": ({"roc_auc": Estimate(0.52, 0.48, 0.56)}, {}, False, "not distinguishable from chance"),
    "alerts on benign rows as often": (
        {"detection_rate": Estimate(0.01, 0, 0.02), "false_positive_rate": Estimate(0.012, 0.01, 0.02)},
        {},
        False,
        "no more than",
    ),
    "no attacks to judge by": ({"roc_auc": None, "detection_rate": None}, {}, True, "cannot be judged"),
    "worse than a stump": ({}, {"baselines": [baseline(WORSE)]}, False, "worse than the strongest trivial detector"),
    "as good as a stump": ({}, {"baselines": [baseline(NOISE), baseline(BETTER)]}, True, "within noise"),
    "better than the champion": (
        {},
        {"comparison": comparison(BETTER), "champion": CHAMPION},
        True,
        "better than champion 7",
    ),
    "noise above the champion": (
        {},
        {"comparison": comparison(NOISE), "champion": CHAMPION},
        False,
        "by more than noise",
    ),
    "worse than the champion": (
        {},
        {"comparison": comparison(WORSE), "champion": CHAMPION},
        False,
        "by more than noise",
    ),
    "better, but not by enough": (
        {},
        {"comparison": comparison(BETTER), "champion": CHAMPION, "gate": {"min_difference": 0.03}},
        False,
        "by more than",
    ),
    "a champion and no labels": ({}, {"champion": CHAMPION}, False, "the test set has no two classes"),
    "a champion that was trained on all test rows": (
        {},
        {"champion": Opponent("7", rows=9_000, seen=9_000)},
        False,
        "was trained on 9,000 of the 9,000 labelled test rows. Give rows that neither has seen",
    ),
    "a champion that knows all attacks": (
        {},
        {"champion": Opponent("7", rows=9_000, seen=1_000)},
        False,
        "and the other 8,000 have no two classes",
    ),
    "better on what the champion does not know": (
        {},
        {"comparison": comparison(BETTER), "champion": Opponent("7", rows=9_000, seen=1_000)},
        True,
        "on the 8,000 of 9,000 rows that it was not trained on",
    ),
    "better but leaking": (
        {},
        {"comparison": comparison(BETTER), "champion": CHAMPION, "findings": [SEVERE]},
        False,
        "nobody accepted",
    ),
    "a threshold that no rate set": (
        {"nominal_false_positive_rate": None},
        {},
        True,
        "No false-positive limit applies",
    ),
    "only attacks": ({"false_positive_rate": None, "benign": 0}, {}, True, "has no benign row"),
    "unlabelled and quiet": (
        {"false_positive_rate": None, "attacks": 0, "benign": 0, "alerts": 40},
        {},
        True,
        "has no labels",
    ),
    "unlabelled and loud": (
        {"false_positive_rate": None, "attacks": 0, "benign": 0, "alerts": 900},
        {},
        False,
        "has no labels",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_gate(metrics: Metrics, case: str) -> None:
    changed, given, promoted, words = CASES[case]
    usual = dataclasses.replace(metrics, false_positive_rate=Estimate(0.011, 0.009, 0.013))
    spec = GateSpec(**given.pop("gate", {})) if "gate" in given else GateSpec()
    decision = decide(spec, dataclasses.replace(usual, **changed), **{"findings": [], **given})
    assert decision.promoted is promoted
    assert any(words in reason for reason in decision.reasons)
    assert promoted or words in decision.reasons[0]


def test_a_comparison_finds_the_better_and_not_the_same(make_traffic: Traffic) -> None:
    frame = make_traffic(0)
    rng = np.random.default_rng(0)
    attack = frame["is_attack"].to_numpy()
    old = rng.normal(size=frame.height) + attack
    spec, given = GateSpec(), {"champion_version": "1", "resamples": 100}
    better = compare(frame, old + attack, old, spec=spec, **given)  # type: ignore[arg-type]
    same = compare(frame, np.exp(old), old, spec=spec, **given)  # type: ignore[arg-type]
    assert better is not None
    assert better.difference.low > 0
    assert same is not None
    assert same.difference == Estimate(0.0, 0.0, 0.0)


def test_without_two_classes_there_is_nothing_to_compare(make_traffic: Traffic) -> None:
    frame = make_traffic(0).filter(~pl.col("is_attack"))
    score = np.zeros(frame.height)
    assert compare(frame, score, score, champion_version="1", spec=GateSpec(metric="roc_auc"), resamples=50) is None
