"""Seeded traffic with labels, and one complete evaluation of it, for every test of the package."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.baselines import measure_baselines
from cybersec_mlops.evaluation.bootstrap import Bootstrap
from cybersec_mlops.evaluation.drift import measure_drift
from cybersec_mlops.evaluation.examples import AlertExample, Reason
from cybersec_mlops.evaluation.gate import decide
from cybersec_mlops.evaluation.leakage import audit_leakage
from cybersec_mlops.evaluation.metrics import measure
from cybersec_mlops.evaluation.report import DataReference, ReportInput
from cybersec_mlops.evaluation.spec import EvaluationSpec

FEATURES = ["duration_s", "orig_bytes", "resp_bytes", "conn_state", "service", "toy_rate", "toy_noise", "toy_flag"]
KINDS = ("scan", "flood", "theft", "beacon")
MakeTraffic = Callable[..., pl.DataFrame]


def _make_traffic(seed: int = 0, rows: int = 3000, start: int = 0, attacks: float = 0.3) -> pl.DataFrame:
    """Connections of a day: four kinds of attack, each strong in another feature, none strong in all of them."""
    rng = np.random.default_rng(seed)
    kind = np.where(rng.random(rows) < attacks, rng.integers(1, 5, rows), 0)
    normal = rng.normal(size=(rows, 5))
    stamp = 1_700_000_000_000_000 + start + np.sort(rng.integers(0, 86_400_000_000, rows))
    states = np.array(["SF", "SF", "S1", "REJ", "S0"])
    frame = pl.DataFrame(
        {
            "ts": pl.Series(stamp).cast(pl.Datetime("us", "UTC")),
            "orig_h": [f"10.0.0.{host}" for host in rng.integers(1, 60, rows)],
            "resp_h": [f"192.0.2.{host}" for host in rng.integers(1, 200, rows)],
            "duration_s": np.exp(normal[:, 0] + 2.0 * (kind == 2)),
            "orig_bytes": (np.exp(5 + normal[:, 1] + 3.0 * (kind == 3))).astype(np.int64),
            "resp_bytes": (np.exp(7 + normal[:, 2] - 4.0 * (kind == 1))).astype(np.int64),
            "conn_state": states[np.where((kind == 1) & (rng.random(rows) < 0.8), 4, rng.integers(0, 5, rows))],
            "service": pl.Series(rng.choice(["dns", "http", "ssl"], rows)).replace("ssl", None),
            "toy_rate": normal[:, 3] + 2.5 * (kind == 4),
            "toy_noise": np.where(rng.random(rows) < 0.1, np.nan, normal[:, 4]),
            "toy_flag": rng.random(rows) < 0.5,
            "label": np.array(["BENIGN", *KINDS])[kind],
        }
    )
    return frame.with_columns(is_attack=pl.col("label") != "BENIGN", raw_sha256=pl.lit("aa"))


@pytest.fixture(scope="session")
def make_traffic() -> MakeTraffic:
    return _make_traffic


def _score(frame: pl.DataFrame) -> pl.DataFrame:
    """A plausible detector: better than chance on every kind, blind to most scans."""
    rng = np.random.default_rng(7)
    strength = frame["label"].replace_strict({"BENIGN": 0.0, "scan": 0.5}, default=3.0, return_dtype=pl.Float64)
    score = strength.to_numpy() + rng.normal(size=frame.height)
    p_value = 1 - np.argsort(np.argsort(score)) / frame.height
    kept = [name for name in ("ts", "orig_h", "label", "is_attack") if name in frame.columns]
    return frame.select(kept).with_columns(
        score=pl.Series(score),
        p_value=pl.Series(p_value),
        supervised_score=pl.Series(1 / (1 + np.exp(-score))),
        is_alert=pl.Series(score >= 2.3),
    )


@pytest.fixture(scope="session")
def score_traffic() -> Callable[[pl.DataFrame], pl.DataFrame]:
    return _score


@pytest.fixture(scope="session")
def report_input() -> ReportInput:
    train, test = _make_traffic(1), _make_traffic(2, start=86_400_000_000)
    scored, spec = _score(test), EvaluationSpec(resamples=100)
    thresholds = {0.001: 3.1, 0.01: 2.3, 0.05: 1.7}
    metrics = measure(
        scored, threshold=2.3, nominal=0.01, thresholds=thresholds, training_attacks={"scan", "flood"}, spec=spec
    )
    findings = audit_leakage(train, test, FEATURES, shortcuts={"toy_flag": "it says so"}, spec=spec, temporal=True)
    bootstrap = Bootstrap.of(scored, resamples=100, seed=0)
    baselines = measure_baselines(train, test, FEATURES, bootstrap=bootstrap, model_score=scored["score"].to_numpy())
    importance = {
        "feature": FEATURES,
        "importance": np.arange(len(FEATURES)) / 10,
        "part": ["supervised"] * 4 + ["novelty"] * 4,
    }
    reason = Reason("orig_bytes", "120,000", "40 to 900")
    return ReportInput(
        dataset="toy",
        synthetic=False,
        run_id="20260301-101500-7f3a",
        created=datetime(2026, 3, 1, 10, 15, tzinfo=UTC),
        model_version="toy-v1",
        model_sha256="ab" * 32,
        metrics=metrics,
        decision=decide(spec.gate, metrics, findings, baselines=baselines),
        scored=scored,
        split="By time.",
        findings=findings,
        drift=measure_drift(
            train,
            test,
            FEATURES,
            train_scores=_score(train)["score"].to_numpy(),
            test_scores=scored["score"].to_numpy(),
        ),
        baselines=baselines,
        importance=pl.DataFrame(importance),
        alerts=(AlertExample(9.0, 0.001, "10.0.0.1:1 to 192.0.2.1:80 tcp", test["ts"][0], "theft", True, (reason,)),),
        data=(DataReference("training rows", "file:///silver/1", "cd" * 32, 1234, 3000),),
        training={"rows": 3000, "seconds": 1.5},
        spec={"evaluation": spec.model_dump()},
        code={"version": "0.1.0"},
        notes=("Only a toy.",),
    )
