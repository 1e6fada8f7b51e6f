"""What a connection's hosts did in the recent past: counts over sliding windows, exact and from the past only.

For a connection at time *t* a window of *w* seconds holds the connections that started in ``[t - w, t)``: not the
connection itself and none that started at the same microsecond, so that neither the order of equal times nor the way
in which the logs were cut into files can change a value. Counting over the recent connections of a host goes back to
the KDD Cup 1999 features (Lee & Stolfo, "A framework for constructing features and models for intrusion detection
systems", ACM TISSEC 3(4), 2000, doi:10.1145/382912.382914).

How: a connection *j* is inside the window of every *t* of its host in ``(t_j, t_j + w]``. A count at *t* is therefore
the number of such intervals that hold *t*: those that began before *t* less those that ended before *t*, two binary
searches. A distinct count drops the part of the interval in which an earlier *j* with the same peer is still inside.
Integer arithmetic only (microseconds, bytes), so a value does not depend on where a slice of the data begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

CONTEXT_COLUMNS: Final = ("ts", "orig_h", "resp_h", "resp_p", "conn_state", "orig_bytes", "resp_bytes", "resp_pkts")
"""The columns that the features are computed from: all that is needed of the connections before a slice."""

FAILED_STATES: Final = ("S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR")
"""Zeek's states of a connection that was never established (Zeek manual, conn.log, ``conn_state``)."""

PAIR_WINDOW_S: Final = 3600
"""Window of the regularity features: long enough for beacons that call home every few minutes."""

MINIMUM_GAPS: Final = 3
"""Fewer gaps than this say nothing about regularity: the feature is null."""

_GAP_LIMIT_MS: Final = PAIR_WINDOW_S * 1000
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Events:
    """Connections of the context and the slice as integers, in order of time."""

    time: Ints
    orig: Ints
    resp: Ints
    port: Ints
    pair: Ints
    failed: Ints
    sent: Ints
    received: Ints


def lookback_s(windows_s: tuple[int, ...]) -> int:
    """Return how many seconds of the past the features of a slice need.

    >>> lookback_s((60, 600))
    3600
    """
    return max(*windows_s, PAIR_WINDOW_S)


def behaviour_schema(windows_s: tuple[int, ...]) -> dict[str, pl.DataType]:
    """Return the names and dtypes of the features, in order.

    >>> list(behaviour_schema((60,)))[:3]
    ['orig_conns_60s', 'orig_failures_60s', 'orig_bytes_60s']
    """
    schema: dict[str, pl.DataType] = {}
    for side in ("orig", "resp"):
        for window in windows_s:
            for what in ("conns", "failures", "bytes", "peers", "ports"):
                schema[f"{side}_{what}_{window}s"] = pl.Int64()
    schema[f"pair_conns_{PAIR_WINDOW_S}s"] = pl.Int64()
    schema[f"pair_gap_mean_s_{PAIR_WINDOW_S}s"] = pl.Float64()
    schema[f"pair_gap_cv_{PAIR_WINDOW_S}s"] = pl.Float64()
    return schema


def add_behaviour(rows: pl.DataFrame, past: pl.DataFrame, windows_s: tuple[int, ...]) -> pl.DataFrame:
    """Add the behaviour features to a slice of connections.

    Parameters
    ----------
    rows : DataFrame
        The slice, with `CONTEXT_COLUMNS`. Rows without a time or a host get nulls.
    past : DataFrame
        `CONTEXT_COLUMNS` of every connection that started in the `lookback_s` seconds before the slice; more is
        harmless.
    windows_s : tuple of int
        Window lengths in seconds.

    Returns
    -------
    DataFrame
        `rows` with the columns of `behaviour_schema`; bytes are payload of both directions, ``failures`` are
        connections that were never established, ``peers`` and ``ports`` distinct far ends and responder ports.
    """
    usable = rows.select(
        (pl.col("ts").is_not_null() & pl.col("orig_h").is_not_null() & pl.col("resp_h").is_not_null()).alias("usable")
    )["usable"]
    index = usable.arg_true()
    schema = behaviour_schema(windows_s)
    if index.is_empty():
        return rows.with_columns([pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items()])
    current = rows.select(CONTEXT_COLUMNS)[index]
    before = past.select(CONTEXT_COLUMNS).drop_nulls(["ts", "orig_h", "resp_h"])
    events = _events(pl.concat([before, current]), lookback_s(windows_s))
    features = dict(_features(events, before.height, windows_s))
    columns = pl.DataFrame([_series(name, features[name], dtype) for name, dtype in schema.items()])
    if len(index) == rows.height:
        return rows.hstack(columns)
    placed = pl.DataFrame({"_row": index.cast(pl.UInt32)}).hstack(columns)
    return rows.with_row_index("_row").join(placed, on="_row", how="left", maintain_order="left").drop("_row")


def _series(name: str, values: npt.NDArray[np.float64] | Ints, dtype: pl.DataType) -> pl.Series:
    series = pl.Series(name, values)
    return series.fill_nan(None) if dtype == pl.Float64() else series


def _events(connections: pl.DataFrame, widest_s: int) -> _Events:
    failed = (
        pl.when(pl.col("conn_state").is_not_null())
        .then(pl.col("conn_state").is_in(FAILED_STATES))
        .otherwise(pl.col("resp_pkts") == 0)
    )
    names = pl.concat([connections["orig_h"], connections["resp_h"]]).cast(pl.Categorical).to_physical()
    hosts = np.unique(names.to_numpy(), return_inverse=True)[1].astype(np.int64)
    orig, resp = hosts[: connections.height], hosts[connections.height :]
    port = connections["resp_p"].fill_null(-1).cast(pl.Int64).to_numpy()
    numbers = connections.select(
        pl.col("ts").dt.epoch("us").alias("time"),
        failed.fill_null(value=False).cast(pl.Int64).alias("failed"),
        pl.col("orig_bytes").fill_null(0),
        pl.col("resp_bytes").fill_null(0),
    )
    return _Events(
        time=_without_pauses(numbers["time"].to_numpy(), widest_s),
        orig=orig,
        resp=resp,
        port=port,
        pair=_both(_both(orig, resp), port),
        failed=numbers["failed"].to_numpy(),
        sent=numbers["orig_bytes"].to_numpy(),
        received=numbers["resp_bytes"].to_numpy(),
    )


def _without_pauses(time: Ints, widest_s: int) -> Ints:
    """Shorten every pause that no window can reach across, so that one row of 1970 does not stretch the line."""
    order = np.argsort(time, kind="stable")
    steps = np.minimum(np.diff(time[order], prepend=time[order[:1]]), (widest_s + 1) * _MICROSECONDS)
    shortened = np.empty_like(time)
    shortened[order] = np.cumsum(steps)
    return shortened


def _features(
    events: _Events, first: int, windows_s: tuple[int, ...]
) -> Iterator[tuple[str, npt.NDArray[np.float64] | Ints]]:
    """Yield each feature of the events from index `first` on."""
    total = events.sent + events.received
    for side, group, peer in (("orig", events.orig, events.resp), ("resp", events.resp, events.orig)):
        timeline = _Timeline.of(group, events.time, first, max(windows_s))
        by_peer = _previous(_both(group, peer), events.time)
        by_port = _previous(_both(group, events.port), events.time)
        for window in windows_s:
            width = window * _MICROSECONDS
            conns, failures, volume = timeline.sums(width, events.failed, total)
            yield f"{side}_conns_{window}s", conns
            yield f"{side}_failures_{window}s", failures
            yield f"{side}_bytes_{window}s", volume
            yield f"{side}_peers_{window}s", timeline.distinct(width, by_peer)
            yield f"{side}_ports_{window}s", timeline.distinct(width, by_port)
    yield from _regularity(events, first)


def _regularity(events: _Events, first: int) -> Iterator[tuple[str, npt.NDArray[np.float64] | Ints]]:
    """Yield count, mean gap and coefficient of variation of the gaps between connections of one client and service."""
    width = PAIR_WINDOW_S * _MICROSECONDS
    timeline = _Timeline.of(events.pair, events.time, first, PAIR_WINDOW_S)
    previous = _previous(events.pair, events.time)
    gap = np.minimum((events.time - previous) // 1000, _GAP_LIMIT_MS)  # milliseconds
    yield f"pair_conns_{PAIR_WINDOW_S}s", timeline.sums(width)[0]
    count, total, squares = timeline.sums(width, gap, gap * gap, until=previous + width)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
        variation = np.where(mean > 0, spread / mean, np.nan)
    known = count >= MINIMUM_GAPS
    yield f"pair_gap_mean_s_{PAIR_WINDOW_S}s", np.where(known, mean / 1000.0, np.nan)
    yield f"pair_gap_cv_{PAIR_WINDOW_S}s", np.where(known, variation, np.nan)


def _both(left: Ints, right: Ints) -> Ints:
    """Return one dense code per pair of codes."""
    pairs = left * (right.max() - right.min() + 1) + (right - right.min())
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


_NEVER: Final = np.iinfo(np.int64).min // 4


def _previous(group: Ints, time: Ints) -> Ints:
    """Return the time of the row before in the same group, `_NEVER` where there is none."""
    order = np.lexsort((time, group))
    previous = np.full(len(time), _NEVER, dtype=np.int64)
    same = group[order[1:]] == group[order[:-1]]
    previous[order[1:][same]] = time[order[:-1][same]]
    return previous


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Events of every group on one line of integers, group after group, so that one binary search serves all."""

    begin: Ints  # per event: its place on the line
    shift: Ints  # per event: what to add to a time of its group to get the place
    order: Ints  # the events in order of their place
    asked: Ints  # the same, without the events before the slice: searching in this order is three times faster
    first: int

    @classmethod
    def of(cls, group: Ints, time: Ints, first: int, widest_s: int) -> _Timeline:
        """Lay the groups out so far apart that no window reaches the next one."""
        span = int(time.max() - time.min()) + (widest_s + 1) * _MICROSECONDS
        if int(group.max() + 1) * span >= np.iinfo(np.int64).max:
            raise OverflowError("too many hosts over too long a time for one slice")
        shift = group * span - time.min()
        order = np.argsort(shift + time, kind="stable")
        return cls(shift + time, shift, order, order[order >= first], first)

    def sums(self, width: int, *weights: Ints, until: Ints | None = None) -> tuple[Ints, ...]:
        """Return, per event from `first` on, the count of events in its window and the sums of their weights."""
        end = self.begin + width if until is None else np.maximum(self.shift + until, self.begin)
        last = self.order if until is None else np.argsort(end, kind="stable")
        query = self.begin[self.asked]
        began = np.searchsorted(self.begin[self.order], query, side="left")
        ended = np.searchsorted(end[last], query, side="left")
        sums = (_before(w[self.order], began) - _before(w[last], ended) for w in weights)
        return tuple(self._answer(values) for values in (began - ended, *sums))

    def distinct(self, width: int, previous: Ints) -> Ints:
        """Return, per event from `first` on, how many different values its window holds."""
        begin = np.sort(self.shift + np.maximum(self.begin - self.shift, previous + width))
        end = (self.begin + width)[self.order]
        query = self.begin[self.asked]
        return self._answer(np.searchsorted(begin, query, side="left") - np.searchsorted(end, query, side="left"))

    def _answer(self, values: Ints) -> Ints:
        answer = np.empty(len(self.asked), dtype=np.int64)
        answer[self.asked - self.first] = values
        return answer


def _before(weights: Ints, position: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(weights)))[position]
