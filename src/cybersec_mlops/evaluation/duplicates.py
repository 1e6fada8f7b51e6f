"""Rows that lie on both sides of the split.

Where connections have a time and hosts, the same record twice is a leak and the same *features* twice is not: a
thousand probes of one scan look alike, and so do tomorrow's. Where a table has neither, the same features count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.text import percent, round_percent

RECORD_LIMIT: Final = 0.01
"""Share of test connections that are also training connections: a capture has none."""
DRAWN_LIMIT: Final = 0.02
"""Share of rows with the same features where both sides come from one table: the split should keep them together."""
GIVEN_LIMIT: Final = 0.05
"""The same where the test set is another table: published pairs share a few per cent by their own making."""
IDENTITY: Final = ("ts", "orig_h", "resp_h")


def check_duplicates(train: pl.DataFrame, test: pl.DataFrame, features: Sequence[str]) -> list[Finding]:
    """Measure how many test rows also lie in the training set."""
    shared = [name for name in features if name in train.columns and name in test.columns]
    alike = _share_known(train, test, shared) if shared else 0.0
    if _has_identity(train) and _has_identity(test):
        return [_same_records(train, test), _same_features(alike)]
    limit = DRAWN_LIMIT if _same_source(train, test) else GIVEN_LIMIT
    text = f"{percent(alike)} of the test rows have exactly the features of a training row"
    return [_judged(text, alike, limit)]


def _same_records(train: pl.DataFrame, test: pl.DataFrame) -> Finding:
    columns = [name for name in CONNECTION_SCHEMA if name in train.columns and name in test.columns]
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in IDENTITY)
    share = _share_known(train.filter(complete), test.filter(complete), columns)
    text = f"{percent(share)} of the test connections are also training connections (same time, hosts, ports, volumes)"
    return _judged(text, share, RECORD_LIMIT)


def _judged(text: str, share: float, limit: float) -> Finding:
    limited = f"{text}; the limit is {round_percent(limit)}."
    if share > limit:
        advice = " The figures partly measure memory, not detection: keep identical rows on one side."
        return Finding("identical_rows", "severe", (), share, limit, limited + advice)
    return Finding("identical_rows", "info", (), share, limit, limited)


def _same_features(alike: float) -> Finding:
    text = (
        f"{percent(alike)} of the test connections have exactly the features of some training connection. At other "
        "times and between other hosts that is repetitive traffic, not a leak, but such rows are easy."
    )
    return Finding("identical_features", "info", (), alike, None, text)


def _share_known(train: pl.DataFrame, test: pl.DataFrame, columns: Sequence[str]) -> float:
    if not test.height or not train.height:
        return 0.0
    known = train.select(columns).hash_rows(seed=0).unique()
    hits = int(test.select(columns).hash_rows(seed=0).is_in(known.implode()).sum())
    return hits / test.height


def _has_identity(frame: pl.DataFrame) -> bool:
    return all(name in frame.columns and frame[name].null_count() <= frame.height / 2 for name in IDENTITY)


def _same_source(train: pl.DataFrame, test: pl.DataFrame) -> bool:
    """Say whether both sides come from the same RAW objects; also where that is not known."""
    name = "raw_sha256"
    if name not in train.columns or name not in test.columns:
        return True
    return bool(set(train[name].unique()) & set(test[name].unique()))
