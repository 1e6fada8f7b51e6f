from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.scoring.tally import NO_TIME, P_VALUE_BINS, Tally, bin_p_values


def counted(frame: pl.DataFrame) -> Tally:
    return Tally.of(frame.select("ts", "a", "b"), frame.select("is_alert", "p_value"), ("a", "b"))


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(0, 60), seed=st.integers(0, 99))
def test_the_sum_of_parts_is_the_whole(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    days = [None, datetime(2026, 1, 1, 23, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]
    frame = pl.DataFrame(
        {
            "ts": [days[at] for at in rng.integers(0, 3, 60)],
            "a": [1.0 if known else None for known in rng.random(60) < 0.3],
            "b": [None] * 60,
            "is_alert": rng.random(60) < 0.2,
            "p_value": rng.random(60),
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC")},
    )
    whole, parts = counted(frame), Tally()
    for part in (frame[:cut], frame[cut:]):
        parts.add(Tally.from_dict(json.loads(json.dumps(counted(part).to_dict()))))
    assert parts == whole
    assert set(whole.days) <= {NO_TIME, "2026-01-01", "2026-01-02"}
    assert sum(whole.p_values) == whole.rows == 60
    assert "b" in whole.missing(("a", "b"))


def test_every_p_value_has_a_bin() -> None:
    assert bin_p_values(np.array([1e-300, 1.0])).tolist() == [1, *[0] * (P_VALUE_BINS - 2), 1]
