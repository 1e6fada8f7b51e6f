"""Small made-up SILVER rows, and a detector fitted to them once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.connections import BACKGROUND, BENIGN
from cybersec_mlops.training.fit import FittedDetector, fit_detector
from cybersec_mlops.training.spec import TrainingSpec

MakeRows = Callable[..., pl.DataFrame]

START = datetime(2024, 5, 1, tzinfo=UTC)


def rows_of(
    count: int, *, seed: int = 0, attacks: float = 0.2, background: float = 0.0, timed: bool = True
) -> pl.DataFrame:
    """Make benign rows that obey a rule (bytes follow packets), and attacks of two kinds that break it."""
    rng = np.random.default_rng(seed)
    draw = rng.random(count)
    is_attack = draw < attacks
    is_background = (draw >= attacks) & (draw < attacks + background)
    scan = is_attack & (rng.random(count) < 0.7)
    pkts = np.where(scan, 1, rng.poisson(12, count) + 1)
    size = np.exp(rng.normal(5, 0.5, count))
    sent = np.where(is_attack, np.where(scan, 0, 5_000), np.round(pkts * size))
    state = np.where(scan, "S0", rng.choice(["SF", "RSTO", "S1"], count, p=[0.9, 0.07, 0.03]))
    service = np.where(scan, "", rng.choice(["http", "dns", "ssl", ""], count))
    label = np.where(is_attack, np.where(scan, "Port Scan", "Brute Force"), np.where(is_background, BACKGROUND, BENIGN))
    frame = pl.DataFrame(
        {
            "ts": [START + timedelta(seconds=30 * i) for i in range(count)] if timed else [None] * count,
            "orig_h": [f"10.0.0.{i}" for i in rng.integers(1, 50, count)],
            "resp_p": rng.integers(1, 1024, count).astype(np.int32),
            "proto": rng.choice(["tcp", "udp"], count, p=[0.8, 0.2]),
            "service": pl.Series(service).replace("", None),
            "duration_s": np.where(scan, np.nan, rng.exponential(2, count)),
            "orig_bytes": sent.astype(np.int64),
            "orig_pkts": pkts.astype(np.int64),
            "conn_state": state,
            "local_orig": rng.random(count) < 0.9,
            "raw_line": np.arange(1, count + 1),
            "dataset": ["made up"] * count,
            "label": label,
            "is_attack": is_attack,
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC")},
    )
    unknown = pl.when(pl.col("label") != BACKGROUND)
    return frame.with_columns(pl.col("duration_s").fill_nan(None), is_attack=unknown.then("is_attack"))


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """Return the function that makes rows."""
    return rows_of


@pytest.fixture(scope="session")
def small_spec() -> TrainingSpec:
    """Return a spec that fits in a fraction of a second."""
    return TrainingSpec(trees=15, depth=4, epochs=3, prototypes=48, threads=1)


@pytest.fixture(scope="session")
def fitted(small_spec: TrainingSpec) -> FittedDetector:
    """Return a detector with both halves."""
    return fit_detector(rows_of(1500), small_spec)


@pytest.fixture(scope="session")
def fitted_benign_only(small_spec: TrainingSpec) -> FittedDetector:
    """Return a detector without the supervised half."""
    return fit_detector(rows_of(1500).drop("label", "is_attack"), small_spec)
