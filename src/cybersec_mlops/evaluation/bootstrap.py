"""95 % intervals: how far a figure could lie from the truth because the test set is only a sample.

Rows of one attack, one hour or one host resemble each other, so that resampling single rows claims too much certainty.
Two schemes are therefore drawn, and an interval is the hull of both:

- *rows*: stratified by class; rows are put at random into at most 200 groups per class and groups are resampled (with
  200 groups the standard error is itself known to about 5 %), which makes the cost independent of the number of rows;
- *blocks*, where time or hosts exist: 50 contiguous stretches of equal row count in time order (the non-overlapping
  block bootstrap of Carlstein, Annals of Statistics 14, 1986), or else hosts as clusters.

Plain rates additionally contain Wilson's score interval (JASA 22, 1927; recommended for small counts by Brown, Cai and
DasGupta, Statistical Science 16, 2001), because a bootstrap of 5 hits in 5 tries says [1, 1]. The same holds for a
ranking without an error: its interval is Wilson's with the size of the smaller class. Resamples of a ranking use at
most ~1300 score bins, finest in the tail; point estimates always use every row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
import polars as pl

from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, IntArray, Ranking, Statistic

BlockKind = Literal["rows", "time", "host"]

CONFIDENCE: Final = 0.95
Z: Final = 1.959963984540054
GROUPS: Final = 200
TIME_BLOCKS: Final = 50
MIN_BLOCKS: Final = 20
MIN_VALID_SHARE: Final = 0.5
"""A scheme that leaves a class empty in more than half of its resamples says nothing about that figure."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def wilson(hits: int, tries: int) -> Estimate:
    """Return a rate with Wilson's score interval.

    >>> str(wilson(5, 5)), str(wilson(0, 100))
    ('1 [0.5655, 1]', '0 [0, 0.03699]')
    """
    if not 0 <= hits <= tries or tries == 0:
        raise ValueError(f"{hits} hits in {tries} tries")
    rate = hits / tries
    low, high = wilson_bounds(rate, tries)
    return Estimate(rate, 0.0 if hits == 0 else low, 1.0 if hits == tries else high)


def wilson_bounds(rate: float, tries: float) -> tuple[float, float]:
    """Return Wilson's bounds for a rate seen in a number of tries."""
    centre = rate + Z * Z / (2 * tries)
    spread = Z * math.sqrt(rate * (1 - rate) / tries + Z * Z / (4 * tries * tries))
    scale = 1 + Z * Z / tries
    return max(0.0, min(rate, (centre - spread) / scale)), min(1.0, max(rate, (centre + spread) / scale))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Which rows belong together."""

    kind: BlockKind
    index: IntArray
    """Block of every labelled row."""
    count: int

    @classmethod
    def of(cls, labelled: pl.DataFrame, seed: int) -> Blocks | None:
        """Take stretches of time where every row has a time, else hosts where every row has one, else nothing."""

        def complete(name: str) -> bool:
            return labelled.height > 0 and name in labelled.columns and labelled[name].null_count() == 0

        blocks = cls.by_time(labelled["ts"].dt.epoch("us").to_numpy()) if complete("ts") else None
        if blocks is None and complete("orig_h"):
            blocks = cls.by_host(labelled["orig_h"].rank("dense").to_numpy().astype(np.int64) - 1, seed)
        return blocks

    @classmethod
    def by_time(cls, ts: IntArray) -> Blocks | None:
        """Cut rows into contiguous stretches of time with equally many rows; equal times stay together.

        Parameters
        ----------
        ts : ndarray of int64
            Any monotone time, e.g. microseconds.
        """
        if ts.size < MIN_BLOCKS * 10:
            return None
        edges = np.unique(np.quantile(ts, np.linspace(0, 1, TIME_BLOCKS + 1)[1:-1], method="lower"))
        index = np.searchsorted(edges, ts, side="left")
        distinct, index = np.unique(index, return_inverse=True)
        return cls("time", index.astype(np.int64), distinct.size) if distinct.size >= MIN_BLOCKS else None

    @classmethod
    def by_host(cls, host: IntArray, seed: int) -> Blocks | None:
        """Take hosts (as codes from 0) as clusters; more than 200 are put together at random into 200."""
        count = int(host.max(initial=-1)) + 1
        if count < MIN_BLOCKS:
            return None
        group = np.random.default_rng(seed).permutation(count) % GROUPS
        return cls("host", group[host].astype(np.int64), min(count, GROUPS))


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One way of drawing: per class, the block of each of its rows and how often each block is drawn."""

    attack_block: IntArray
    attack_draws: FloatArray
    benign_block: IntArray
    benign_draws: FloatArray


@dataclass(frozen=True)
class Bootstrap:
    """Seeded resamples of one test set's labelled rows, shared by every figure.

    Parameters
    ----------
    is_attack : ndarray of bool, shape (n,)
        The labelled rows.
    blocks : Blocks, optional
        Which rows belong together; None draws rows only.
    resamples, seed : int
        How many draws, and from which seed. The same inputs give the same intervals.
    """

    is_attack: BoolArray
    blocks: Blocks | None = None
    resamples: int = 500
    seed: int = 0

    @classmethod
    def of(cls, labelled: pl.DataFrame, *, resamples: int, seed: int) -> Bootstrap:
        """Prepare the resamples of labelled rows: by time where every row has one, else by host, else by row.

        Parameters
        ----------
        labelled : DataFrame
            ``is_attack`` (Boolean, no null), and where known ``ts`` (Datetime, UTC) and ``orig_h`` (String).
        """
        is_attack = labelled["is_attack"].to_numpy().astype(np.bool_)
        return cls(is_attack, Blocks.of(labelled, seed), resamples, seed)

    @property
    def kind(self) -> BlockKind:
        """What the widest scheme resamples."""
        return "rows" if self.blocks is None else self.blocks.kind

    @cached_property
    def _schemes(self) -> tuple[_Scheme, ...]:
        rng = np.random.default_rng(self.seed)
        attacks, benign = int(self.is_attack.sum()), int((~self.is_attack).sum())
        attack_block, attack_draws = self._draw_groups(rng, attacks)
        benign_block, benign_draws = self._draw_groups(rng, benign)
        schemes = [_Scheme(attack_block, attack_draws, benign_block, benign_draws)]
        if self.blocks is not None:
            draws = _draws(rng, self.blocks.count, self.resamples)
            index = self.blocks.index
            schemes.append(_Scheme(index[self.is_attack], draws, index[~self.is_attack], draws))
        return tuple(schemes)

    def _draw_groups(self, rng: np.random.Generator, rows: int) -> tuple[IntArray, FloatArray]:
        groups = max(1, min(rows, GROUPS))
        return (rng.permutation(rows) % groups).astype(np.int64), _draws(rng, groups, self.resamples)

    def counts(self, rows: BoolArray, weight: FloatArray | None = None) -> tuple[FloatArray, ...]:
        """Return, per scheme, how many of `rows` (or how much of `weight`) each resample holds: shape (resamples,)."""
        one_bin = np.zeros(rows.size, dtype=np.int64)
        kept = rows.astype(np.float64) if weight is None else np.where(rows, weight, 0.0)
        return tuple((attacks + benign)[:, 0] for attacks, benign in self.histograms(one_bin, 1, kept))

    def histograms(
        self, bin_of_row: IntArray, bins: int, weight: FloatArray | None = None
    ) -> tuple[tuple[FloatArray, FloatArray], ...]:
        """Return, per scheme, resampled histograms of attacks and of benign rows: each of shape (resamples, bins)."""
        weight = np.ones(self.is_attack.size) if weight is None else weight
        result = []
        for scheme in self._schemes:
            pair = []
            for rows, block, draws in (
                (self.is_attack, scheme.attack_block, scheme.attack_draws),
                (~self.is_attack, scheme.benign_block, scheme.benign_draws),
            ):
                flat = np.bincount(block * bins + bin_of_row[rows], weight[rows], minlength=draws.shape[1] * bins)
                pair.append(draws @ flat.reshape(draws.shape[1], bins))
            result.append((pair[0], pair[1]))
        return tuple(result)

    def rate(self, hits: BoolArray, among: BoolArray) -> Estimate | None:
        """Return the share of the rows `among` that are `hits`, or None where there is no row."""
        return self.rates(hits, np.where(among, 0, -1), 1)[0]

    def rates(self, hits: BoolArray, group: IntArray, groups: int) -> list[Estimate | None]:
        """Return the share of `hits` in each group of rows, None for a group without rows.

        Parameters
        ----------
        hits : ndarray of bool, shape (n,)
        group : ndarray of int64, shape (n,)
            Group of every row, from 0 to ``groups - 1``; negative for a row that is in none.
        """
        member = group >= 0
        code = np.where(member, group, 0)
        tries = np.bincount(code, member, minlength=groups).astype(np.int64)
        found = np.bincount(code, member & hits, minlength=groups).astype(np.int64)
        estimates = [wilson(int(n), int(m)) if m else None for n, m in zip(found, tries, strict=True)]
        if self.blocks is None:
            return estimates
        weights = ((member & hits).astype(np.float64), member.astype(np.float64))
        drawn = [self.histograms(code, groups, weight)[-1] for weight in weights]
        drawn_hits, drawn_tries = (attacks + benign for attacks, benign in drawn)
        with np.errstate(invalid="ignore"):
            samples = (drawn_hits / drawn_tries).T
        return [_widened(one, sample) for one, sample in zip(estimates, samples, strict=True)]

    def ranked(self, ranking: Ranking, *statistics: Statistic) -> tuple[Estimate | None, ...]:
        """Return statistics of a ranking with their intervals; None where one is undefined."""
        smaller = min(int(self.is_attack.sum()), int((~self.is_attack).sum()))
        if smaller == 0:
            return (None,) * len(statistics)
        drawn, binned = self._binned(ranking)
        result = []
        for statistic in statistics:
            point = ranking.point(statistic)
            assert point is not None
            shift = point - float(statistic(*binned))  # what binning alone changes
            low, high = _hull(point, [np.clip(statistic(*pair) + shift, 0.0, 1.0) for pair in drawn])
            result.append(Estimate(point, *((low, high) if high > low else wilson_bounds(point, smaller))))
        return tuple(result)

    def difference(self, first: Ranking, second: Ranking, statistic: Statistic) -> Estimate | None:
        """Return statistic(first) - statistic(second), two scores of the same rows, on the same draws of rows."""
        points = first.point(statistic), second.point(statistic)
        if points[0] is None or points[1] is None:
            return None
        point = points[0] - points[1]
        (drawn_first, binned_first), (drawn_second, binned_second) = self._binned(first), self._binned(second)
        shift = point - float(statistic(*binned_first) - statistic(*binned_second))
        samples = [statistic(*a) - statistic(*b) + shift for a, b in zip(drawn_first, drawn_second, strict=True)]
        return Estimate(point, *_hull(point, samples))

    def _binned(
        self, ranking: Ranking
    ) -> tuple[tuple[tuple[FloatArray, FloatArray], ...], tuple[FloatArray, FloatArray]]:
        bin_of_score = ranking.bins()
        bins = int(bin_of_score[-1]) + 1
        drawn = self.histograms(bin_of_score[ranking.place], bins)
        attacks, benign = (
            np.bincount(bin_of_score, h, minlength=bins).astype(np.float64) for h in (ranking.attacks, ranking.benign)
        )
        return drawn, (attacks, benign)


def hull(point: float, samples: Sequence[FloatArray]) -> Estimate:
    """Return a figure with the interval that its resamples give."""
    return Estimate(point, *_hull(point, samples))


def _widened(estimate: Estimate | None, sample: FloatArray) -> Estimate | None:
    if estimate is None:
        return None
    low, high = _hull(estimate.value, [sample])
    return Estimate(estimate.value, min(low, estimate.low), max(high, estimate.high))


def _hull(point: float, samples: Sequence[FloatArray]) -> tuple[float, float]:
    low = high = point
    for sample in samples:
        valid = sample[np.isfinite(sample)]
        if valid.size >= MIN_VALID_SHARE * sample.size:
            bounds = np.quantile(valid, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
            low, high = min(low, float(bounds[0])), max(high, float(bounds[1]))
    return low, high


def _draws(rng: np.random.Generator, blocks: int, resamples: int) -> FloatArray:
    return rng.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=resamples).astype(np.float64)
