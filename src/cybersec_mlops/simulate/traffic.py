"""A labelled day of an organisation's network traffic, in the words of the canonical connection.

Synthetic, and meant to be believable rather than easy. Every activity and every attack campaign is a stream of its own,
drawn in blocks whose randomness depends on the seed, the stream and the block alone. Slices merge the streams by time, so
that memory stays bounded and the slice size changes nothing. Writing files is not done here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.simulate.attacks import ATTACKS, Campaign, attack_intent, plan_campaigns
from cybersec_mlops.simulate.benign import ACTIVITIES, BLOCK_ROWS, allocate, benign_intent
from cybersec_mlops.simulate.clock import Clock, build_clock
from cybersec_mlops.simulate.network import Network, build_network, workstation_count
from cybersec_mlops.simulate.wire import HISTORY_VALUES, PROTO_VALUES, SERVICE_VALUES, STATE_VALUES, observe

DEFAULT_START: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
MOST_CONNECTIONS: Final = 1_000_000_000
MOST_HOURS: Final = 24.0 * 31
MOST_ATTACKS: Final = 0.5
SLICE_ROWS: Final = 131_072

TRAFFIC_SCHEMA: Final[dict[str, pl.DataType]] = {**CONNECTION_SCHEMA, "attack": pl.String()}
"""Columns of a slice: the canonical connection, and the kind of attack (null where benign)."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate; equal plans give equal traffic."""

    connections: int = 80_000
    hours: float = 24.0
    start: datetime = DEFAULT_START
    seed: int = 7
    attack_fraction: float = 0.025

    def __post_init__(self) -> None:
        _check_range("connections", self.connections, 1, MOST_CONNECTIONS, whole=True)
        _check_range("hours", self.hours, 0.01, MOST_HOURS)
        _check_range("seed", self.seed, 0, 2**63 - 1, whole=True)
        _check_range("attack_fraction", self.attack_fraction, 0.0, MOST_ATTACKS)
        if not isinstance(self.start, datetime) or self.start.tzinfo is None:
            raise ConfigError(
                f"start is {self.start!r}, expected a date and time with a zone",
                hint="for example 2026-03-02T00:00:00Z",
            )
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        if not 1971 <= self.start.year <= 2200:
            raise ConfigError(
                f"start is in the year {self.start.year}, expected 1971 to 2200", hint="choose another start"
            )

    @property
    def attacks(self) -> int:
        """Number of malicious rows."""
        return round(self.connections * self.attack_fraction)


def _check_range(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{name} is {value!r}, expected {kind} from {low:g} to {high:g}", hint=f"correct {name}")


def simulate_traffic(plan: Plan, *, slice_rows: int = SLICE_ROWS) -> Iterator[pl.DataFrame]:
    """Give the connections of a plan, slice by slice, ordered by time.

    Parameters
    ----------
    plan : Plan
        What to simulate.
    slice_rows : int
        Rows per slice, about; it bounds memory and changes no value.

    Yields
    ------
    polars.DataFrame
        Columns of `TRAFFIC_SCHEMA`; the slices together have exactly ``plan.connections`` rows.

    Examples
    --------
    >>> day = pl.concat(simulate_traffic(Plan(connections=1000, seed=1)))
    >>> day.height, day["attack"].count(), day["ts"].is_sorted()
    (1000, 25, True)
    """
    _check_range("slice_rows", slice_rows, 1, MOST_CONNECTIONS, whole=True)
    clock = build_clock(plan.start, plan.hours)
    network = build_network(_generator(plan, 0), workstation_count(plan.connections, plan.hours))
    streams = _benign_streams(plan, clock, network) + _attack_streams(plan, clock, network)
    naming = _Naming(plan, network)
    waiting: list[pl.DataFrame] = []
    for until in _boundaries(plan, clock, slice_rows):
        waiting.extend(block for stream in streams for block in stream.blocks(until))
        rows = pl.concat(waiting)
        due = pl.col("ts_us") < until * 1e6
        ready = rows.filter(due).sort("ts_us", "row")
        waiting = [rows.filter(~due)]
        if ready.height:
            yield naming.name(ready)


def attacks_by_kind(plan: Plan) -> dict[str, int]:
    """Say how many rows each kind of attack has, without drawing them."""
    split = allocate(plan.attacks, np.array([attack.weight for attack in ATTACKS]))
    return {attack.kind: rows for attack, rows in zip(ATTACKS, split.tolist(), strict=True) if rows}


def _generator(plan: Plan, *key: int) -> np.random.Generator:
    """The randomness of one part of the plan, independent of that of every other."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(plan.seed, spawn_key=key)))


class _Stream:
    """Blocks of rows, each with the earliest time that it can hold."""

    def __init__(self, first_row: int) -> None:
        self.first_row = first_row
        self.next = 0

    def blocks(self, until: float) -> Iterator[pl.DataFrame]:
        """Give the blocks that can hold rows before `until` and were not given yet."""
        while self.next < self.count() and self.earliest(self.next) < until:
            yield self.draw(self.next)
            self.next += 1

    def count(self) -> int:
        raise NotImplementedError

    def earliest(self, block: int) -> float:
        raise NotImplementedError

    def draw(self, block: int) -> pl.DataFrame:
        raise NotImplementedError


class _BenignStream(_Stream):
    """One activity."""

    def __init__(self, plan: Plan, clock: Clock, network: Network, index: int, rows: int, first_row: int) -> None:
        super().__init__(first_row)
        self.plan, self.clock, self.network, self.index, self.rows = plan, clock, network, index, rows
        self.activity = ACTIVITIES[index]

    def count(self) -> int:
        return -(-self.rows // BLOCK_ROWS)

    def earliest(self, block: int) -> float:
        quantile = np.array([max(0.0, (block * BLOCK_ROWS - 1) / self.rows)])
        return float(self.clock.at(self.activity.clock, quantile)[0])

    def draw(self, block: int) -> pl.DataFrame:
        rng = _generator(self.plan, 1, self.index, block)
        first = block * BLOCK_ROWS
        rows = min(BLOCK_ROWS, self.rows - first)
        intent = benign_intent(rng, self.network, self.clock, self.activity, self.rows, first, rows)
        return _mark(observe(rng, self.network, intent), self.first_row + first, -1)


class _AttackStream(_Stream):
    """One campaign, in one block."""

    def __init__(self, plan: Plan, network: Network, index: int, campaign: Campaign, first_row: int) -> None:
        super().__init__(first_row)
        self.plan, self.network, self.index, self.campaign = plan, network, index, campaign
        self.code = [attack.kind for attack in ATTACKS].index(campaign.kind)

    def count(self) -> int:
        return 1

    def earliest(self, block: int) -> float:
        return self.campaign.start

    def draw(self, block: int) -> pl.DataFrame:
        rng = _generator(self.plan, 2, self.index)
        intent = attack_intent(rng, self.network, self.campaign)
        return _mark(observe(rng, self.network, intent), self.first_row, self.code)


def _mark(rows: pl.DataFrame, first: int, attack: int) -> pl.DataFrame:
    """Number the rows of a block and say what they are."""
    numbers = np.arange(first, first + rows.height)
    return rows.hstack([pl.Series("row", numbers), pl.Series("attack", np.full(rows.height, attack, dtype=np.int8))])


def _benign_streams(plan: Plan, clock: Clock, network: Network) -> list[_Stream]:
    rows = allocate(plan.connections - plan.attacks, np.array([activity.weight for activity in ACTIVITIES]))
    firsts = np.concatenate([[0], np.cumsum(rows)[:-1]])
    return [
        _BenignStream(plan, clock, network, index, int(count), int(firsts[index]))
        for index, count in enumerate(rows)
        if count
    ]


def _attack_streams(plan: Plan, clock: Clock, network: Network) -> list[_Stream]:
    streams: list[_Stream] = []
    first = plan.connections - plan.attacks
    for index, campaign in enumerate(plan_campaigns(_generator(plan, 3), clock, plan.attacks)):
        streams.append(_AttackStream(plan, network, index, campaign, first))
        first += campaign.rows
    return streams


def _boundaries(plan: Plan, clock: Clock, slice_rows: int) -> list[float]:
    """Times that cut the period into slices of about equal rows; the last lets everything through."""
    slices = max(1, -(-plan.connections // slice_rows))
    mixed = 0.7 * clock.share["office"] + 0.3 * clock.share["flat"]
    inner = np.interp(np.arange(1, slices) / slices, mixed, clock.grid)
    return [*inner.tolist(), math.inf]


class _Naming:
    """Turn the codes of a slice into the canonical columns."""

    def __init__(self, plan: Plan, network: Network) -> None:
        self.plan = plan
        self.start_us = int(plan.start.timestamp()) * 1_000_000 + plan.start.microsecond
        self.address = pl.Series(network.address)
        self.is_local = pl.Series(network.is_local)
        self.attack = pl.Series([attack.kind for attack in ATTACKS])
        self.three = pl.Series([a + b + c for a in _ALPHABET for b in _ALPHABET for c in _ALPHABET])

    def name(self, rows: pl.DataFrame) -> pl.DataFrame:
        column = rows.get_column
        orig, resp = column("orig"), column("resp")
        lasts = pl.col("orig_pkts") + pl.col("resp_pkts") > 1  # Zeek leaves a single packet's duration and bytes unset
        return rows.select(
            (pl.col("ts_us") + self.start_us).cast(pl.Datetime("us", "UTC")).alias("ts"),
            self._uid(column("row").to_numpy()).alias("uid"),
            self.address.gather(orig).alias("orig_h"),
            "orig_p",
            self.address.gather(resp).alias("resp_h"),
            "resp_p",
            _decode(column("proto"), PROTO_VALUES).alias("proto"),
            _decode(column("service"), SERVICE_VALUES).alias("service"),
            pl.when(lasts).then(seconds(column("duration_us"))).alias("duration_s"),
            pl.when(lasts).then("orig_bytes").alias("orig_bytes"),
            pl.when(lasts).then("resp_bytes").alias("resp_bytes"),
            _decode(column("state"), STATE_VALUES).alias("conn_state"),
            self.is_local.gather(orig).alias("local_orig"),
            self.is_local.gather(resp).alias("local_resp"),
            "missed_bytes",
            _decode(column("history"), HISTORY_VALUES).alias("history"),
            "orig_pkts",
            "orig_ip_bytes",
            "resp_pkts",
            "resp_ip_bytes",
            self.attack.gather(column("attack").replace(-1, None).cast(pl.UInt32)).alias("attack"),
        )

    def _uid(self, row: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.Series:
        """Zeek's kind of id: C and seventeen letters and digits, drawn from the seed and the row's number."""
        offset = np.uint64(self.plan.seed * 0x9E3779B97F4A7C15 % 2**64)
        first = _scramble(row.astype(np.uint64) * np.uint64(2) + offset)
        second = _scramble(first + np.uint64(0xD1B54A32D192ED03))
        base = np.uint64(len(self.three))
        digits = [(number >> np.uint64(shift)) % base for number in (first, second) for shift in (0, 20, 40)]
        parts = [self.three.gather(pl.Series(digit)) for digit in digits]
        joined = pl.select(pl.concat_str([pl.lit("C"), *parts[:5], parts[5].str.slice(0, 2)])).to_series()
        return joined


def _scramble(number: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Mix 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def seconds(microseconds: pl.Series) -> pl.Series:
    """Divide by a million, correctly rounded (Polars multiplies by the reciprocal, which is not).

    >>> seconds(pl.Series([5596])).to_list()
    [0.005596]
    """
    return pl.Series(microseconds.to_numpy() / 1e6)


def _decode(codes: pl.Series, values: list[str]) -> pl.Series:
    """Look up names by code; the empty name is unset."""
    return pl.Series([value or None for value in values], dtype=pl.String).gather(codes.cast(pl.UInt32))
