"""Which alerts to show a person: the highest of every kind, right and wrong, not ten times the same attack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl


@dataclass(frozen=True, slots=True)
class Reason:
    """One feature that made a row suspicious."""

    feature: str
    value: str
    usual: str
    """What benign rows usually have there."""


@dataclass(frozen=True, slots=True)
class AlertExample:
    """One alert, as an analyst would get it."""

    score: float
    p_value: float | None
    connection: str
    """``10.0.0.5:51022 to 192.0.2.1:443 tcp ssl``, or what the format has instead."""
    ts: datetime | None
    label: str | None
    """The test set's label; an alert in production has none."""
    is_attack: bool | None
    reasons: tuple[Reason, ...] = ()


def choose_examples(scored: pl.DataFrame, count: int) -> list[int]:
    """Choose alerts to show: the highest of each label in turn, so that false alarms and rare attacks are among them.

    Parameters
    ----------
    scored : DataFrame
        ``score``, ``is_alert``, ``label``.
    count : int
        How many to show at most.

    Returns
    -------
    list of int
        Row numbers, highest score first.

    >>> rows = {"score": [9.0, 8.0, 7.0, 1.0], "is_alert": [True] * 3 + [False], "label": ["a", "a", "BENIGN", "b"]}
    >>> choose_examples(pl.DataFrame(rows), 2)
    [0, 2]
    """
    alerts = scored.select("score", "is_alert", "label").with_row_index("row").filter("is_alert")
    ranked = alerts.sort(["score", "row"], descending=[True, False])
    turns = ranked.with_columns(turn=pl.int_range(pl.len()).over("label"))
    chosen = turns.sort(["turn", "score", "row"], descending=[False, True, False]).head(count)
    return chosen.sort(["score", "row"], descending=[True, False])["row"].to_list()
