"""How busy each hour of the day is, and where in time a share of the rows falls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from cybersec_mlops.simulate.network import Floats

_HOURS: Final[dict[str, tuple[float, ...]]] = {
    "flat": (1.0,) * 24,
    "office": (
        0.10, 0.08, 0.07, 0.07, 0.08, 0.12, 0.25, 0.60, 1.30, 1.75, 1.85, 1.70,
        1.20, 1.55, 1.80, 1.75, 1.55, 1.15, 0.70, 0.50, 0.42, 0.35, 0.25, 0.15,
    ),
    "world": (
        0.55, 0.45, 0.40, 0.40, 0.45, 0.55, 0.70, 0.85, 1.05, 1.20, 1.25, 1.25,
        1.20, 1.20, 1.25, 1.25, 1.25, 1.20, 1.25, 1.35, 1.40, 1.30, 1.05, 0.75,
    ),
    "night": (
        1.50, 3.00, 4.00, 3.00, 1.50, 0.80, 0.30, 0.20, 0.20, 0.20, 0.25, 0.30,
        0.60, 0.60, 0.30, 0.20, 0.20, 0.20, 0.30, 0.60, 0.90, 1.50, 1.80, 1.60,
    ),
    "rush": (
        0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.10, 0.20, 0.60, 3.50, 0.60, 0.20,
        0.30, 2.00, 0.30, 0.20, 0.30, 0.50, 0.60, 3.00, 0.80, 0.20, 0.10, 0.05,
    ),
}  # fmt: skip
"""Relative rates at the beginning of each hour, UTC; in between they run straight."""

_WEEKEND: Final = {"office": 0.25, "world": 0.9}
_STEP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Clock:
    """The busy and quiet hours of one simulated period."""

    seconds: float
    """Length of the period."""
    grid: Floats
    """Seconds from the start, ascending from 0 to the end."""
    share: dict[str, Floats]
    """Share of a profile's rows up to each point of the grid."""

    def at(self, profile: str, quantile: Floats) -> Floats:
        """Give the time by which a share of the rows has happened, in seconds from the start."""
        return np.interp(quantile, self.share[profile], self.grid)

    def fold(self, start: Floats, ts: Floats, draw: Floats) -> Floats:
        """Bring what would happen after the end of the period back between its start and the end."""
        return np.where(ts < self.seconds, ts, start + draw * (self.seconds - start))


def build_clock(start: datetime, hours: float) -> Clock:
    """Lay out the period from `start` on.

    >>> from datetime import UTC
    >>> clock = build_clock(datetime(2026, 3, 2, tzinfo=UTC), 24.0)
    >>> bool(clock.at("office", np.array([0.5]))[0] / 3600 > 11.5)
    True
    """
    seconds = hours * 3600.0
    grid = np.linspace(0.0, seconds, max(2, int(np.ceil(seconds / _STEP_S)) + 1))
    day_hour = (start.hour + start.minute / 60 + start.second / 3600 + grid / 3600.0) % 24.0
    day = (start.weekday() + (start.hour * 3600 + start.minute * 60 + start.second + grid) // 86400.0) % 7
    share = {}
    for name, rates in _HOURS.items():
        rate = np.interp(day_hour, np.arange(25), [*rates, rates[0]]) * np.where(day >= 5, _WEEKEND.get(name, 1.0), 1.0)
        area = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2.0)])
        share[name] = area / area[-1]
    return Clock(seconds, grid, share)
