"""What a connection's hosts did in the recent past: counts over sliding windows, exact and from the past only.

For a connection at time *t* a window of *w* seconds holds the connections that started in ``[t - w, t)``: not the
connection itself and none that started at the same microsecond, so that neither the order of equal times nor the way
in which the logs were cut into files can change a value. Counting over the recent connections of a host goes back to
the KDD Cup 1999 features (Lee & Stolfo, "A framework for constructing features and models for intrusion detection
systems", ACM TISSEC 3(4), 2000, doi:10.1145/382912.382914).

How: with the connections of each host one after another in time, a window is a range of places, and a count the
difference of two cumulative sums. A distinct count is the connections in the window less those whose predecessor with
the same peer is in the window too: connection *j* with predecessor *k* counts as such from ``t_j`` on, and no longer
when *k* leaves, so that again two cumulative sums do, one over *j* and one over *k*.
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
Places = npt.NDArray[np.int32]  # and codes: half the memory, and a slice never has two thousand million rows

CONTEXT_COLUMNS: Final = ("ts", "orig_h", "resp_h", "resp_p", "conn_state", "orig_bytes", "resp_bytes", "resp_pkts")
"""The columns that the features are computed from: all that is needed of the connections before a slice."""

FAILED_STATES: Final = ("S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR")
"""Zeek's states of a connection that was never established (Zeek manual, conn.log, ``conn_state``)."""

PAIR_WINDOW_S: Final = 3600
"""Window of the regularity features: long enough for beacons that call home every few minutes."""

MINIMUM_GAPS: Final = 3
"""Fewer gaps than this say nothing about regularity: the feature is null."""

_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Events:
    """Connections of the context and the slice as integers."""

    time: Ints
    by_time: Places  # their order
    orig: Places
    resp: Places
    port: Places
    failed: npt.NDArray[np.bool_]
    volume: Ints

    def since(self, first: int, reach_s: int) -> tuple[_Events, int]:
        """Leave out what no window of `reach_s` can reach from the events from index `first` on.

        Returns
        -------
        tuple
            The events that are left, in their order, and the index of the first that is asked for.
        """
        near = self.time >= self.time[first:].min() - reach_s * _MICROSECONDS
        near[first:] = True
        place = np.cumsum(near, dtype=np.int32) - 1
        left = _Events(
            time=self.time[near],
            by_time=place[self.by_time[near[self.by_time]]],
            orig=self.orig[near],
            resp=self.resp[near],
            port=self.port[near],
            failed=self.failed[near],
            volume=self.volume[near],
        )
        return left, int(place[first])


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
    current = rows.select(CONTEXT_COLUMNS)
    features = _features(*_together(past, current if len(index) == rows.height else current[index], windows_s))
    del past  # what is mapped of it can go
    columns = pl.DataFrame([_series(name, values) for name, values in features]).select(list(schema))
    if len(index) == rows.height:
        return rows.hstack(columns)
    placed = pl.DataFrame({"_row": index.cast(pl.UInt32)}).hstack(columns)
    return rows.with_row_index("_row").join(placed, on="_row", how="left", maintain_order="left").drop("_row")


def _together(
    past: pl.DataFrame, current: pl.DataFrame, windows_s: tuple[int, ...]
) -> tuple[_Events, int, tuple[int, ...]]:
    before = past.select(CONTEXT_COLUMNS).drop_nulls(["ts", "orig_h", "resp_h"])
    return _events(pl.concat([before, current]), lookback_s(windows_s)), before.height, windows_s


def _series(name: str, values: npt.NDArray[np.float64] | Ints) -> pl.Series:
    series = pl.Series(name, values)
    return series.fill_nan(None) if series.dtype == pl.Float64() else series


def _events(connections: pl.DataFrame, widest_s: int) -> _Events:
    failed = (
        pl.when(pl.col("conn_state").is_not_null())
        .then(pl.col("conn_state").is_in(FAILED_STATES))
        .otherwise(pl.col("resp_pkts") == 0)
    )
    hosts = pl.concat([connections["orig_h"], connections["resp_h"]]).cast(pl.Categorical).to_physical().to_numpy()
    port = connections["resp_p"].fill_null(-1).cast(pl.Int32).to_numpy()
    numbers = connections.select(
        pl.col("ts").dt.epoch("us").alias("time"),
        failed.fill_null(value=False).alias("failed"),
        pl.col("orig_bytes").fill_null(0) + pl.col("resp_bytes").fill_null(0),
    )
    time = numbers["time"].to_numpy()
    by_time = np.argsort(time, kind="stable")
    return _Events(
        time=_without_pauses(time, by_time, widest_s),
        by_time=by_time.astype(np.int32),
        orig=hosts[: connections.height].astype(np.int32),
        resp=hosts[connections.height :].astype(np.int32),
        port=port - port.min(),
        failed=numbers["failed"].to_numpy(),
        volume=numbers["orig_bytes"].to_numpy(),
    )


def _without_pauses(time: Ints, by_time: Ints, widest_s: int) -> Ints:
    """Shorten every pause that no window can reach across, so that one row of 1970 does not stretch the line."""
    steps = np.minimum(np.diff(time[by_time], prepend=time[by_time[:1]]), (widest_s + 1) * _MICROSECONDS)
    shortened = np.empty_like(time)
    shortened[by_time] = np.cumsum(steps)
    return shortened


def _features(
    events: _Events, first: int, windows_s: tuple[int, ...]
) -> Iterator[tuple[str, npt.NDArray[np.float64] | Ints]]:
    """Yield each feature of the events from index `first` on."""
    yield from _regularity(events, first)
    events, first = events.since(first, max(windows_s))  # in dense traffic most of the hour before is out of reach
    peers = _Chains.of(events, events.orig, events.resp).links(events.time)
    for side, host in (("orig", events.orig), ("resp", events.resp)):
        timeline = _Timeline(events, _Chains.of(events, host), first, max(windows_s))
        ports = _Chains.of(events, host, events.port).links(events.time)
        for window in windows_s:
            width = window * _MICROSECONDS
            conns, failures, volume = timeline.sums(width, events.failed, events.volume)
            yield f"{side}_conns_{window}s", conns
            yield f"{side}_failures_{window}s", failures
            yield f"{side}_bytes_{window}s", volume
            yield f"{side}_peers_{window}s", conns - timeline.linked(width, peers)[0]
            yield f"{side}_ports_{window}s", conns - timeline.linked(width, ports)[0]


def _regularity(events: _Events, first: int) -> Iterator[tuple[str, npt.NDArray[np.float64] | Ints]]:
    """Yield count, mean gap and coefficient of variation of the gaps between connections of one client and service."""
    width = PAIR_WINDOW_S * _MICROSECONDS
    chains = _Chains.of(events, events.orig, events.resp, events.port)
    timeline, links = _Timeline(events, chains, first, PAIR_WINDOW_S), chains.links(events.time)
    gap = links.gap // 1000  # milliseconds
    yield f"pair_conns_{PAIR_WINDOW_S}s", timeline.sums(width)[0]
    count, total, squares = timeline.linked(width, links, gap, gap * gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
        variation = np.where(mean > 0, spread / mean, np.nan)
    known = count >= MINIMUM_GAPS
    yield f"pair_gap_mean_s_{PAIR_WINDOW_S}s", np.where(known, mean / 1000.0, np.nan)
    yield f"pair_gap_cv_{PAIR_WINDOW_S}s", np.where(known, variation, np.nan)


@dataclass(frozen=True, slots=True)
class _Links:
    """Every event that has one before it in its chain: that one, itself, and the microseconds between them."""

    before: Places
    after: Places
    gap: Ints


@dataclass(frozen=True, slots=True)
class _Chains:
    """Events that share some codes, one chain after the other, each in order of time."""

    order: Places
    goes_on: npt.NDArray[np.bool_]  # per place: the same chain as at the place before

    @classmethod
    def of(cls, events: _Events, *codes: Places) -> _Chains:
        """Sort by the codes: sixteen bits at a time, since numpy sorts these by counting."""
        order = events.by_time
        for code in codes:
            for shift in range(0, int(code.max()).bit_length(), 16):
                order = order[np.argsort(((code >> shift) & 0xFFFF).astype(np.uint16)[order], kind="stable")]
        goes_on = np.ones(order.size, dtype=np.bool_)
        goes_on[:1] = False
        for code in codes:
            along = code[order]
            goes_on[1:] &= along[1:] == along[:-1]
        return cls(order, goes_on)

    def links(self, time: Ints) -> _Links:
        """Return each event with the one before it."""
        at = np.flatnonzero(self.goes_on)
        before, after = self.order[at - 1], self.order[at]
        return _Links(before, after, time[after] - time[before])


class _Timeline:
    """Chains on one line of integers, so far apart that no window reaches the next one: one search serves all."""

    def __init__(self, events: _Events, chains: _Chains, first: int, widest_s: int) -> None:
        time, self.order = events.time, chains.order
        span = int(time.max() - time.min()) + (widest_s + 1) * _MICROSECONDS
        number = np.cumsum(~chains.goes_on)
        if int(number[-1] + 1) * span >= np.iinfo(np.int64).max:
            raise OverflowError("too many hosts over too long a time for one slice")
        self._line = number * span + time[self.order]
        asked = np.flatnonzero(self.order >= first)
        self._answers = self.order[asked] - first
        self._query = self._line[asked]
        self._end = np.searchsorted(self._line, self._query)  # after all events of an earlier time
        self._begins: dict[int, Ints] = {}

    def sums(self, width: int, *weights: Ints | npt.NDArray[np.bool_]) -> tuple[Ints, ...]:
        """Return, per event from `first` on, the count of events in its window and the sums of their weights."""
        begin = self._begin(width)
        totals = (_before(weight[self.order]) for weight in weights)
        return tuple(self._answer(v) for v in (self._end - begin, *(sum_[self._end] - sum_[begin] for sum_ in totals)))

    def linked(self, width: int, links: _Links, *weights: Ints) -> tuple[Ints, ...]:
        """Return, per event from `first` on, the count of links within its window and the sums of their weights."""
        begin = self._begin(width)
        near = links.gap < width
        before, after = links.before[near], links.after[near]
        found = []
        for weight in (np.ones(links.gap.size, dtype=np.bool_), *weights):
            came, left = (np.zeros(self.order.size, dtype=weight.dtype) for _ in range(2))
            came[after] = left[before] = weight[near]
            found.append(self._answer(_before(came[self.order])[self._end] - _before(left[self.order])[begin]))
        return tuple(found)

    def _begin(self, width: int) -> Ints:
        if width not in self._begins:
            self._begins[width] = np.searchsorted(self._line, self._query - width)
        return self._begins[width]

    def _answer(self, values: Ints) -> Ints:
        answer = np.empty(self._answers.size, dtype=np.int64)
        answer[self._answers] = values
        return answer


def _before(weights: Ints | npt.NDArray[np.bool_]) -> Ints:
    """Return the sums of the weights before each place, and of all."""
    sums = np.zeros(weights.size + 1, dtype=np.int64)
    np.cumsum(weights, out=sums[1:])
    return sums
