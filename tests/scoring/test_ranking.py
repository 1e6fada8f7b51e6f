"""Merging in bounded memory gives what sorting everything at once gives."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cybersec_mlops.scoring import ranking
from cybersec_mlops.scoring.ranking import Run, at_most, merge, ranked, write_run

START = datetime(2026, 3, 1, 20, tzinfo=UTC)
SCHEMA = {
    "score": pl.Float64(),
    "ts": pl.Datetime("us", "UTC"),
    "uid": pl.String(),
    "orig_h": pl.String(),
    "orig_p": pl.Int32(),
    "resp_h": pl.String(),
    "resp_p": pl.Int32(),
    "raw_sha256": pl.String(),
    "raw_line": pl.Int64(),
}


def frame(scores: list[int], hours: list[int | None]) -> pl.DataFrame:
    """Make alerts with many equal scores and times; their lines tell them apart."""
    return pl.DataFrame(
        {
            "score": [float(one) for one in scores],
            "ts": [None if hour is None else START + timedelta(hours=hour) for hour in hours],
            "uid": [f"C{one % 3}" for one in scores],
            **dict.fromkeys(("orig_h", "orig_p", "resp_h", "resp_p", "raw_sha256")),
            "raw_line": range(len(scores)),
        },
        schema=SCHEMA,
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.lists(st.integers(0, 6), min_size=1, max_size=120),
    hours=st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=120, max_size=120),
    slices=st.integers(1, 5),
    per_day=st.one_of(st.none(), st.integers(1, 9)),
    step=st.integers(1, 7),
    block=st.integers(1, 40),
)
def test_runs_merge_to_the_whole_order(
    scores: list[int],
    hours: list[int | None],
    slices: int,
    per_day: int | None,
    step: int,
    block: int,
    tmp_path: Path,
) -> None:
    alerts = frame(scores, hours[: len(scores)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "STEP", step)
        runs = [
            write_run(alerts.filter(pl.col("raw_line") % slices == number), tmp_path / f"{number}.parquet", per_day)
            for number in range(slices)
        ]
        runs = [Run.from_dict(run.to_dict()) for run in runs]
        merged = pl.concat([frame([], []), *merge(runs, per_day, block_rows=block)])
    assert merged.equals(at_most(ranked(alerts), per_day, Counter()))


def test_a_block_is_bounded(tmp_path: Path) -> None:
    alerts = frame(list(range(20_000)), [0] * 20_000)
    runs = [
        write_run(alerts.filter(pl.col("raw_line") % 4 == number), tmp_path / f"{number}.parquet", None)
        for number in range(4)
    ]
    heights = [block.height for block in merge(runs, block_rows=4_000)]
    assert sum(heights) == 20_000
    assert max(heights) <= 4_000 + len(runs) * ranking.STEP


def test_a_run_keeps_no_more_than_can_be_used(tmp_path: Path) -> None:
    run = write_run(frame([5, 4, 3, 2], [0, 0, 8, None]), tmp_path / "run.parquet", 1)
    assert run.rows == 3, "two days and no time"


def test_without_alerts_there_is_no_block(tmp_path: Path) -> None:
    assert list(merge([write_run(frame([], []), tmp_path / "run.parquet", 3)], 3)) == []
    assert list(merge([])) == []
