"""A labelled day of an organisation's network traffic, in the words of the canonical connection.

Synthetic, and meant to be believable rather than easy. Every activity and every attack campaign is a stream of its
own, drawn in blocks whose randomness depends on the seed, the stream and the block alone. Slices merge the streams by
time, so that memory stays bounded and the slice size changes nothing. Writing files is not done here.

How hard it is, measured with XGBoost (200 trees of depth 6) on the pipeline's own features, trained on the first 55 %
of the rows and tested on the last 30 %: ROC-AUC 0.943 to 0.963 and average precision 0.71 to 0.81 on 60,000 rows (seeds
1, 2, 3 and 7; 3 % attacks), 0.976 and 0.88 on 300,000. At 1 % false positives it finds 61 to 75 % (82 % of the larger)
of the attacks: floods and wide scans almost all, the kinds that training never saw between 3 and 58 %. The threshold of
the day's middle gives 0.9 to 1.6 % false positives at its end. No single feature has a ROC-AUC above 0.79.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.simulate.activities import ACTIVITIES
from cybersec_mlops.simulate.attacks import ATTACKS, Campaign, attack_intent, plan_campaigns
from cybersec_mlops.simulate.benign import BLOCK_ROWS, allocate, benign_intent
from cybersec_mlops.simulate.clock import Clock, build_clock
from cybersec_mlops.simulate.network import Ints, Network, build_network, workstation_count
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
        if self.start.tzinfo is None:
            raise ConfigError(
                f"start is {self.start.isoformat()}, expected a time with a zone", hint="say 2026-03-02T00:00:00Z"
            )
        if not 1971 <= self.start.year <= 2200:
            raise ConfigError(f"start is in {self.start.year}, expected a year from 1971 to 2200", hint="correct start")
        object.__setattr__(self, "start", self.start.astimezone(UTC))

    @property
    def attacks(self) -> int:
        """Number of malicious rows."""
        return round(self.connections * self.attack_fraction)


def _check_range(name: str, value: float, low: float, high: float, *, whole: bool = False) -> None:
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:  # NaN is in no range
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
    last_us = round(plan.hours * 3.6e9) - 1
    waiting: list[pl.DataFrame] = []
    for until_us in _boundaries(plan, clock, slice_rows):
        waiting.extend(block for stream in streams for block in stream.blocks(until_us))
        rows = pl.concat(waiting).with_columns(pl.col("ts_us").clip(0, last_us))
        due = pl.col("ts_us") < until_us
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


@dataclass(slots=True)
class _Stream:
    """Rows that are drawn block by block."""

    earliest_us: Ints
    """Per block: no row of it, and of none after it, is before this."""
    draw: Callable[[int], pl.DataFrame]
    drawn: int = 0

    def blocks(self, until_us: float) -> Iterator[pl.DataFrame]:
        """Give the blocks that can hold rows before a time and were not given yet."""
        while self.drawn < len(self.earliest_us) and self.earliest_us[self.drawn] < until_us:
            yield self.draw(self.drawn)
            self.drawn += 1


def _benign_streams(plan: Plan, clock: Clock, network: Network) -> list[_Stream]:
    """One stream per activity."""
    split = allocate(plan.connections - plan.attacks, np.array([activity.weight for activity in ACTIVITIES]))
    before = np.cumsum(split) - split
    return [
        _benign_stream(plan, clock, network, index, rows, first)
        for index, (rows, first) in enumerate(zip(split.tolist(), before.tolist(), strict=True))
        if rows
    ]


def _benign_stream(plan: Plan, clock: Clock, network: Network, index: int, rows: int, before: int) -> _Stream:
    activity = ACTIVITIES[index]

    def draw(block: int) -> pl.DataFrame:
        rng = _generator(plan, 1, index, block)
        first = block * BLOCK_ROWS
        intent = benign_intent(rng, network, clock, activity, rows, first, min(BLOCK_ROWS, rows - first))
        return _mark(observe(rng, network, intent), before + first, -1)

    firsts = np.arange(0, rows, BLOCK_ROWS)
    earliest = clock.at(activity.clock, np.maximum(firsts - 1, 0) / rows)
    return _Stream(np.floor(earliest * 1e6).astype(np.int64), draw)


def _attack_streams(plan: Plan, clock: Clock, network: Network) -> list[_Stream]:
    """One stream of one block per campaign."""
    streams, before = [], plan.connections - plan.attacks
    for index, campaign in enumerate(plan_campaigns(_generator(plan, 3), clock, plan.attacks)):
        streams.append(_attack_stream(plan, network, index, campaign, before))
        before += campaign.rows
    return streams


def _attack_stream(plan: Plan, network: Network, index: int, campaign: Campaign, before: int) -> _Stream:
    code = [attack.kind for attack in ATTACKS].index(campaign.kind)

    def draw(_: int) -> pl.DataFrame:
        rng = _generator(plan, 2, index)
        return _mark(observe(rng, network, attack_intent(rng, network, campaign)), before, code)

    return _Stream(np.array([int(campaign.start * 1e6)]), draw)


def _mark(rows: pl.DataFrame, first: int, attack: int) -> pl.DataFrame:
    """Number the rows of a block and say what they are."""
    numbers = np.arange(first, first + rows.height)
    return rows.hstack([pl.Series("row", numbers), pl.Series("attack", np.full(rows.height, attack, dtype=np.int8))])


def _boundaries(plan: Plan, clock: Clock, slice_rows: int) -> list[float]:
    """Microseconds that cut the period into slices of about equal rows; the last lets everything through."""
    slices = max(1, -(-plan.connections // slice_rows))
    mixed = 0.7 * clock.share["office"] + 0.3 * clock.share["flat"]
    inner = np.interp(np.arange(1, slices) / slices, mixed, clock.grid)
    return [*np.floor(inner * 1e6).tolist(), math.inf]


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

    def _uid(self, row: Ints) -> pl.Series:
        """Zeek's kind of id: C and seventeen letters and digits, drawn from the seed and the row's number."""
        offset = np.uint64(self.plan.seed * 0x9E3779B97F4A7C15 % 2**64)
        first = _scramble(row.astype(np.uint64) * np.uint64(2) + offset)
        second = _scramble(first + np.uint64(0xD1B54A32D192ED03))
        base = np.uint64(len(self.three))
        digits = [(number >> np.uint64(shift)) % base for number in (first, second) for shift in (0, 20, 40)]
        parts = [self.three.gather(pl.Series(digit)) for digit in digits]
        return pl.select(pl.concat_str([pl.lit("C"), *parts[:5], parts[5].str.slice(0, 2)])).to_series()


def _scramble(number: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
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
