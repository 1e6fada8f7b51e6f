"""What the alerts would mean for the people who read them: how many a day, in which hour, from which host.

Every scored row counts here, labelled or not. Nothing in here judges whether an alert is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
MAX_HOURS: Final = 24 * 62
"""Hours are listed one by one up to two months; a longer test set is listed by day."""
TOP_HOSTS: Final = 20


@dataclass(frozen=True, slots=True)
class PeriodCount:
    """The rows and alerts of one hour or day."""

    start: datetime
    """Beginning, UTC."""
    rows: int
    alerts: int
    false_alerts: int
    """Alerts on rows known to be benign."""


@dataclass(frozen=True, slots=True)
class HostCount:
    """The rows and alerts of one originating host."""

    host: str
    rows: int
    alerts: int
    false_alerts: int
    attacks: int


@dataclass(frozen=True, slots=True)
class Activity:
    """Alerts over time and by host; what the test set does not have is None or empty."""

    first: datetime | None
    last: datetime | None
    observed_days: float | None
    """Time between the first and the last row, where a silence counts as one hour at most; None without times."""
    alerts_per_day: float | None
    """Alerts over `observed_days`; an extrapolation where that is under a day."""
    period: str
    """``hour`` or ``day``."""
    by_period: tuple[PeriodCount, ...]
    by_host: tuple[HostCount, ...]
    """The hosts with most alerts."""
    hosts: int
    """Originating hosts in all."""
    hosts_with_alerts: int


def measure_activity(scored: pl.DataFrame) -> Activity:
    """Count alerts over time and by host.

    Parameters
    ----------
    scored : DataFrame
        ``is_alert`` (Boolean), ``is_attack`` (Boolean, may be null), and where known ``ts`` (Datetime, UTC) and
        ``orig_h`` (String).
    """
    times = scored["ts"].drop_nulls() if "ts" in scored.columns else pl.Series("ts", [], pl.Datetime("us", "UTC"))
    days = observed_days(times)
    alerts = int(scored["is_alert"].sum())
    period, by_period = _by_period(scored) if times.len() else ("hour", ())
    by_host, hosts, alerting = _by_host(scored) if "orig_h" in scored.columns else ((), 0, 0)
    first, last = (times.min(), times.max()) if times.len() else (None, None)
    return Activity(
        first=first if isinstance(first, datetime) else None,
        last=last if isinstance(last, datetime) else None,
        observed_days=days,
        alerts_per_day=None if days is None else alerts / days,
        period=period,
        by_period=by_period,
        by_host=by_host,
        hosts=hosts,
        hosts_with_alerts=alerting,
    )


def observed_days(times: pl.Series) -> float | None:
    """Return how long the rows were watched for, in days; None where all have one time or none.

    >>> from datetime import datetime, UTC
    >>> hours = [datetime(2024, 1, day, hour, tzinfo=UTC) for day, hour in [(1, 0), (1, 1), (9, 0)]]
    >>> observed_days(pl.Series(hours)) * 24
    2.0
    """
    stamps = np.sort(times.drop_nulls().dt.epoch("us").to_numpy())
    total = float(np.minimum(np.diff(stamps), HOUR_US).sum())
    return total / DAY_US if total > 0 else None


def _counts() -> list[pl.Expr]:
    benign = ~pl.col("is_attack").fill_null(value=True)
    return [
        pl.len().alias("rows"),
        pl.col("is_alert").sum().alias("alerts"),
        (pl.col("is_alert") & benign).sum().alias("false_alerts"),
        pl.col("is_attack").sum().alias("attacks"),
    ]


def _by_period(scored: pl.DataFrame) -> tuple[str, tuple[PeriodCount, ...]]:
    timed = scored.filter(pl.col("ts").is_not_null())
    for period, every in (("hour", "1h"), ("day", "1d")):
        table = timed.group_by(pl.col("ts").dt.truncate(every).alias("start")).agg(_counts()).sort("start")
        if table.height <= MAX_HOURS or period == "day":
            break
    rows = table.head(MAX_HOURS).select("start", "rows", "alerts", "false_alerts").iter_rows()
    return period, tuple(PeriodCount(*row) for row in rows)


def _by_host(scored: pl.DataFrame) -> tuple[tuple[HostCount, ...], int, int]:
    table = scored.filter(pl.col("orig_h").is_not_null()).group_by("orig_h").agg(_counts())
    alerting = table.filter(pl.col("alerts") > 0).sort(["alerts", "orig_h"], descending=[True, False])
    return tuple(HostCount(*row) for row in alerting.head(TOP_HOSTS).iter_rows()), table.height, alerting.height
