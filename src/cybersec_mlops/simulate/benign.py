"""Draw benign connections from the table of activities: sessions of one source, or turns by the clock."""

from __future__ import annotations

from typing import Final
from zlib import crc32

import numpy as np

from cybersec_mlops.simulate.activities import Activity
from cybersec_mlops.simulate.clock import Clock
from cybersec_mlops.simulate.network import Floats, Ints, Network
from cybersec_mlops.simulate.shapes import SHAPE_INDEX
from cybersec_mlops.simulate.wire import Intent

BLOCK_ROWS: Final = 8192
"""Rows of one activity that are drawn together; it is part of what a seed means."""

_PROBES: Final = np.array([SHAPE_INDEX[name] for name in ("probe_absent", "probe_closed", "probe_open", "knock")])
_BUSY_FEW: Final = 0.2
"""Share of sessions that belong to few busy sources; the rest are spread evenly."""
_POPULAR: Final = 0.75
"""The same for targets."""


def allocate(total: int, weights: Floats) -> Ints:
    """Split a number of rows by weight; the parts add up exactly (largest remainder).

    >>> allocate(10, np.array([1.0, 1.0, 1.0])).tolist()
    [4, 3, 3]
    """
    exact = total * weights / weights.sum()
    rows: Ints = np.floor(exact).astype(np.int64)
    order = np.argsort(rows - exact, kind="stable")
    rows[order[: total - int(rows.sum())]] += 1
    return rows


def any_port(rng: np.random.Generator, rows: int) -> Ints:
    """Draw ports as port scanners do: low ones are tried more often.

    >>> ports = any_port(np.random.default_rng(1), 1000)
    >>> bool(ports.min() >= 1 and ports.max() <= 65535 and np.median(ports) < 5000)
    True
    """
    ports: Ints = np.exp2(16.0 * (0.35 + 0.65 * rng.random(rows))).astype(np.int64)
    return ports


def benign_intent(
    rng: np.random.Generator, network: Network, clock: Clock, activity: Activity, rows: int, first: int, count: int
) -> Intent:
    """Give the intents of one block of an activity.

    Parameters
    ----------
    rng : numpy.random.Generator
        Belongs to this block alone.
    network, clock : Network, Clock
        Who there is, and how busy each hour is.
    activity : Activity
        Line of the table.
    rows : int
        Rows of the activity in the whole simulation.
    first, count : int
        Which of them this block holds.
    """
    draw = _turns if activity.rotate else _sessions
    key, source, ts = draw(rng, network.role(activity.source), clock, activity, rows, first, count)
    shares = np.cumsum([part.share for part in activity.parts])
    part = np.minimum(np.searchsorted(shares, rng.random(count)), len(activity.parts) - 1)
    target = _targets(rng, network, activity, part, key, source)
    shape = np.array([SHAPE_INDEX[piece.shape] for piece in activity.parts])[part]
    scale = np.array([piece.orig_scale for piece in activity.parts])[part]
    return Intent(ts, source, target, shape, orig_scale=scale, port=_stray_ports(rng, activity, shape))


def _turns(
    rng: np.random.Generator, pool: Ints, clock: Clock, activity: Activity, rows: int, first: int, count: int
) -> tuple[Ints, Ints, Floats]:
    """Let the sources take turns at a steady pace; each has its own regular interval."""
    order = np.arange(first, first + count)
    quantile = (order + 0.5 + 0.6 * (rng.random(count) - 0.5)) / rows
    source = pool[order % len(pool)]
    return source, source, clock.at(activity.clock, quantile)


def _sessions(
    rng: np.random.Generator, pool: Ints, clock: Clock, activity: Activity, rows: int, first: int, count: int
) -> tuple[Ints, Ints, Floats]:
    """Group the rows of a block into sessions, each with one source and a start."""
    begins = rng.random(count) < 1.0 / activity.session
    begins[0] = True
    session = np.cumsum(begins) - 1
    sessions = int(session[-1]) + 1
    rank = _rank(rng.random(sessions), len(pool), _BUSY_FEW) + crc32(activity.name.encode())  # who is busiest differs
    start = clock.at(activity.clock, (first + rng.random(sessions) * count) / rows)[session]
    gap = activity.gap[0] * np.exp(activity.gap[1] * rng.standard_normal(count))
    gap[begins] = 0.0
    elapsed = np.cumsum(gap)
    ts = start + elapsed - elapsed[begins][session]
    return session, pool[rank % len(pool)][session], clock.fold(start, ts, rng.random(count))


def _rank(draw: Floats, size: int, skew: float) -> Ints:
    """Turn even draws into ranks: log-uniform (Zipf) with probability `skew`, even otherwise."""
    zipf = size ** np.clip(draw / max(skew, 1e-9), 0.0, 1.0) - 1.0
    even = (draw - skew) / (1.0 - skew) * size
    rank: Floats = np.where(draw < skew, zipf, even)
    return np.clip(rank, 0, size - 1).astype(np.int64)


def _targets(
    rng: np.random.Generator, network: Network, activity: Activity, part: Ints, key: Ints, source: Ints
) -> Ints:
    """Choose whom each row connects to; a session, or a source that goes by the clock, mostly keeps to one target."""
    draw = rng.random(len(part))
    if activity.focus or activity.rotate:
        usual = np.modf(key * 0.6180339887498949 + source * 0.7548776662466927)[0]
        draw = np.where(rng.random(len(part)) < (0.97 if activity.focus else 0.85), usual, draw)
    target = np.zeros(len(part), dtype=np.int64)
    for index, piece in enumerate(activity.parts):
        pool = network.role(piece.target)
        target = np.where(part == index, pool[_rank(draw, len(pool), 0.0 if activity.wander else _POPULAR)], target)
    servers = network.role("server")
    return np.where(target == source, servers[(source + 1) % len(servers)], target)


def _stray_ports(rng: np.random.Generator, activity: Activity, shape: Ints) -> Ints | None:
    if not activity.stray:
        return None
    strays = (rng.random(len(shape)) < activity.stray) & np.isin(shape, _PROBES)
    return np.where(strays, any_port(rng, len(shape)), -1)
