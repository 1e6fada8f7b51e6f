"""Rows that lie on both sides of the split.

Where rows have a time, the same record twice is a leak and the same *features* twice is not: a thousand probes of one
scan look alike, and so do tomorrow's. Where a table has no time, the same features count. What is to be expected is
nothing wherever this package drew the split, since it keeps rows of one instant, or rows alike, on one side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA, is_feature
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.text import percent, round_percent

STRAY: Final = 0.002
"""Share of test rows that are training rows too, where none should be: a stray record is no alarm."""
GIVEN_LIMIT: Final = 0.05
"""The same where the test set is another table without times: published pairs share some by their own making."""


def check_duplicates(train: pl.DataFrame, test: pl.DataFrame, features: Sequence[str]) -> list[Finding]:
    """Measure how many test rows also lie in the training set."""
    shared = [name for name in features if name in train.columns and name in test.columns]
    alike = _share_known(train, test, shared)
    if _has_time(train) and _has_time(test):
        return [_same_records(train, test), _same_features(alike, "connections")]
    if not _same_source(train, test):
        text = f"{percent(alike)} of the test rows have exactly the features of a training row"
        return [_judged(text, alike, GIVEN_LIMIT)]
    kept = [name for name in train.columns if name in test.columns and is_feature(name)]
    share = _share_known(train, test, kept)
    text = f"{percent(share)} of the test rows are exactly a training row, though the split keeps such rows on one side"
    found = [_judged(text, share, STRAY)]
    return found if set(kept) == set(shared) else [*found, _same_features(alike, "rows")]


def _same_records(train: pl.DataFrame, test: pl.DataFrame) -> Finding:
    columns = [name for name in CONNECTION_SCHEMA if name in train.columns and name in test.columns]
    if not {"orig_h", "resp_h"} <= set(columns):  # the time alone does not tell connections apart
        columns += [name for name in train.columns if name in test.columns and is_feature(name) and name not in columns]
    share = _share_known(train.filter(pl.col("ts").is_not_null()), test.filter(pl.col("ts").is_not_null()), columns)
    text = f"{percent(share)} of the test connections are also training connections (same time, hosts, ports, volumes)"
    return _judged(text, share, STRAY)


def _judged(text: str, share: float, limit: float) -> Finding:
    limited = f"{text}; the limit is {round_percent(limit)}."
    if share > limit:
        advice = " The figures partly measure memory, not detection: keep identical rows on one side."
        return Finding("identical_rows", "severe", (), share, limit, limited + advice)
    return Finding("identical_rows", "info", (), share, limit, limited)


def _same_features(alike: float, what: str) -> Finding:
    text = (
        f"{percent(alike)} of the test {what} have exactly the features of some training row as the model sees them. "
        "What is not the same record is repetitive traffic and no leak, but such rows are easy."
    )
    return Finding("identical_features", "info", (), alike, None, text)


def _share_known(train: pl.DataFrame, test: pl.DataFrame, columns: Sequence[str]) -> float:
    """Return the share of test rows that are training rows; one row alone is chance."""
    if not test.height or not train.height or not columns:
        return 0.0
    known = train.select(columns).hash_rows(seed=0).unique()
    hits = int(test.select(columns).hash_rows(seed=0).is_in(known.implode()).sum())
    return hits / test.height if hits > 1 else 0.0


def _has_time(frame: pl.DataFrame) -> bool:
    return "ts" in frame.columns and frame["ts"].null_count() <= frame.height / 2


def _same_source(train: pl.DataFrame, test: pl.DataFrame) -> bool:
    """Say whether both sides come from the same RAW objects; also where that is not known."""
    name = "raw_sha256"
    if name not in train.columns or name not in test.columns:
        return True
    return bool(set(train[name].unique()) & set(test[name].unique()))
