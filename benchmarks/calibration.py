"""Where thresholds come from: held-out stretches, against blocks of time and of hosts that no fit has seen.

    python benchmarks/calibration.py [--test] [--processes 2]

Every line is a pair of earlier and later traffic. One detector is fitted on the earlier part, as a training does, and
scores the later part once; only its thresholds differ. Scores of benign rows of the earlier part come from

- *stretches*: the calibration rows of this detector, 20 stretches spread over the period (what a training does);
- *block out*: five contiguous blocks of time, each scored by a detector that was fitted without its benign rows;
- *forward*: the blocks two to five, each scored by a detector that was fitted on the benign rows before it;
- *hosts out*: five groups of originators, each scored by a detector fitted without their benign rows.

A threshold is read from all of these scores together, or in each block, and the highest taken ("worst": what a new
block like the worst seen would do). Pairs without --test are those to choose by; --test are the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.evaluation.bootstrap import Bootstrap, Estimate
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fingerprint import uniform
from cybersec_mlops.training.fit import fit_detector, in_canonical_order, known_rows
from cybersec_mlops.training.fusion import fit_surprise
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import benign_mask, carve_calibration
from detector_data import load, shortcuts, simulated, table

Floats = NDArray[np.float64]
BLOCKS = 5
RATES = (0.001, 0.01, 0.05)
SMALL = 200
"""Benign rows a host group needs to be a block of its own."""


class Pair(NamedTuple):
    """Earlier and later traffic."""

    name: str
    earlier: pl.DataFrame
    later: pl.DataFrame
    shortcuts: dict[str, str]
    """Columns that a training drops, with the reason."""


class Outcome(NamedTuple):
    """What the thresholds of one way did on the later part."""

    pair: str
    way: str
    false: dict[float, Estimate]
    """By nominal rate."""
    found: dict[float, float | None]
    """Recall, mean over the kinds of attack."""


def cut(name: str, rows: pl.DataFrame, share: float) -> Pair:
    """Cut rows at the time before which a share of the benign ones lies."""
    boundary = rows.filter(pl.col("is_attack") == False)["ts"].quantile(share)  # noqa: E712 - null is not benign
    title = f"{name}, first {100 * share:.0f} % -> rest"
    return Pair(title, rows.filter(pl.col("ts") < boundary), rows.filter(pl.col("ts") >= boundary), {})


def days(first: int, last: int) -> Pair:
    """CICIDS2017 improved, the days of July 2017 before the last against the last."""
    rows = load("cicids2017")
    begins, ends = (datetime(2017, 7, day, tzinfo=UTC) for day in (last, last + 1))
    names = ("Monday", "Tuesday", "Wednesday", "Thursday")
    earlier = " to ".join(dict.fromkeys((names[first - 3], names[last - 4])))
    name = f"CICIDS2017, {earlier} -> {names[last - 3]}"
    return Pair(
        name,
        rows.filter((pl.col("ts") >= datetime(2017, 7, first, tzinfo=UTC)) & (pl.col("ts") < begins)),
        rows.filter((pl.col("ts") >= begins) & (pl.col("ts") < ends)),
        shortcuts("cicids2017"),
    )


def network(seed: int, share: float) -> Pair:
    """Cut a simulated day, whose traffic grows and changes in the morning."""
    return cut(f"simulated {seed}", simulated(25_000, seed), share)


DEVELOPMENT: tuple[Callable[[], Pair], ...] = (
    *(lambda share=share: cut("strato 008", load("strato-008"), share) for share in (0.5, 0.7)),
    *(lambda share=share: cut("CTU botnet 4", load("ctu-botnet-4"), share) for share in (0.3, 0.5, 0.7)),
    lambda: days(3, 4),
    lambda: days(3, 5),
    *(lambda seed=seed: network(seed, 0.4) for seed in (301, 302)),
    lambda: Pair("simulated 301 -> 302", simulated(25_000, 301), simulated(25_000, 302), {}),
)
TEST: tuple[Callable[[], Pair], ...] = (
    lambda: Pair("strato 008 -> 010", load("strato-008"), load("strato-010"), {}),
    *(lambda share=share: cut("strato 010", load("strato-010"), share) for share in (0.5, 0.7)),
    lambda: days(3, 6),
    *(lambda seed=seed: network(seed, 0.4) for seed in (311, 312)),
    lambda: Pair("simulated 311 -> 312", simulated(25_000, 311), simulated(25_000, 312), {}),
)


def fit(rows: pl.DataFrame, drop: dict[str, str]) -> Detector:
    """Train as a training does, benign-only where there are no attacks."""
    spec = TrainingSpec(threads=1, supervised="auto" if rows["is_attack"].any() else "never")
    return fit_detector(rows, spec, shortcuts=drop).detector


def blocked(rows: pl.DataFrame, places: NDArray[np.int64], drop: dict[str, str], *, forward: bool) -> list[Floats]:
    """Return each block's scores, of its benign rows, by a detector that has not seen them (nor, forward, later ones).

    Parameters
    ----------
    rows : DataFrame
    places : ndarray of int64, shape (rows,)
        The block of every benign row, -1 for attacks.
    drop : dict of str to str
    forward : bool
    """
    scores = []
    for block in range(1 if forward else 0, places.max() + 1):
        inside = places == block
        seen = (places < block) if forward else ~inside
        detector = fit(rows.filter(pl.Series(seen)), drop)
        scores.append(detector.score(rows.filter(pl.Series(inside)))["score"].to_numpy())
    return scores


def in_time(rows: pl.DataFrame, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number `BLOCKS` contiguous blocks of the rows chosen, about equally many each."""
    times = rows["ts"].dt.epoch("us").to_numpy()
    edges = np.quantile(times[mask], np.linspace(0, 1, BLOCKS + 1)[1:-1])
    return np.where(mask, np.searchsorted(edges, times, side="right"), -1)


def by_host(rows: pl.DataFrame, benign: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Number groups of originators; None where there are not two groups of a size."""
    codes = rows["orig_h"].fill_null("").hash(seed=0).to_numpy()
    drawn = np.where(benign, (uniform(codes, 0) * BLOCKS).astype(np.int64), -1)
    large = [place for place in range(BLOCKS) if (drawn == place).sum() >= SMALL]
    if len(large) < 3:
        return None
    places = np.full(rows.height, -2)
    for number, place in enumerate(large):
        places[drawn == place] = number
    return np.where(places == -2, -1, places)


def thresholds(scores: list[Floats], *, worst: bool) -> dict[float, float]:
    """Return the score at which each nominal rate is kept: among all scores, or in every block."""
    parts = scores if worst else [np.concatenate(scores)]
    return {rate: max(fit_surprise(part).inverse(-float(np.log(rate))) for part in parts) for rate in RATES}


def ways(pair: Pair) -> Iterator[tuple[str, Detector, dict[float, float]]]:
    """Yield every way's thresholds for one detector."""
    rows, drop = in_canonical_order(known_rows(pair.earlier)), pair.shortcuts
    benign = benign_mask(rows)
    detector = fit(rows, drop)
    final = carve_calibration(rows, TrainingSpec())
    final[np.flatnonzero(final)[::3]] = False  # these set the scales
    places, scores = in_time(rows, final), detector.score(rows)["score"].to_numpy()
    sources = {"stretches": [scores[places == block] for block in range(BLOCKS)]}
    places = in_time(rows, benign)
    sources["block out"] = blocked(rows, places, drop, forward=False)
    sources["forward"] = blocked(rows, places, drop, forward=True)
    hosts = by_host(rows, benign)
    if hosts is not None:
        sources["hosts out"] = blocked(rows, hosts, drop, forward=False)
    for name, each in sources.items():
        for worst in (False, True):
            yield f"{name}, {'worst' if worst else 'pooled'}", detector, thresholds(each, worst=worst)


def measure(number: int, test: bool) -> list[Outcome]:
    """Fit one pair, and judge every way on its later part."""
    pair = (TEST if test else DEVELOPMENT)[number]()
    later = pair.later.filter(pl.col("is_attack").is_not_null())
    bootstrap = Bootstrap.of(later, resamples=500, seed=0)
    kinds = [(later["label"] == kind).to_numpy() for kind in sorted(set(later.filter("is_attack")["label"]))]
    outcomes, score = [], None
    for way, detector, limits in ways(pair):
        score = detector.score(later)["score"].to_numpy() if score is None else score
        false: dict[float, Any] = {}
        found: dict[float, float | None] = {}
        for rate, limit in limits.items():
            false[rate] = bootstrap.rate(score >= limit, ~bootstrap.is_attack)
            found[rate] = float(np.mean([(score[of] >= limit).mean() for of in kinds])) if kinds else None
        outcomes.append(Outcome(pair.name, way, false, found))
    return outcomes


def show(outcomes: list[Outcome]) -> None:
    """Print the pairs and the summary of every way."""
    lines: list[list[object]] = []
    for one in outcomes:
        cells: list[object] = []
        for rate in RATES:
            each, found = one.false[rate], one.found[rate]
            cells.append(f"{100 * each.value:.2f} % [{100 * each.low:.1f}, {100 * each.high:.1f}]")
            cells.append("-" if found is None else f"{100 * found:.0f} %")
        lines.append([one.pair, one.way, *cells])
    table(["pair", "way", *(f"{what} at {100 * rate:g} %" for rate in RATES for what in ("false", "found"))], lines)
    print()
    lines = []
    for way in dict.fromkeys(one.way for one in outcomes):
        cells = []
        for rate in RATES:
            mine = [one for one in outcomes if one.way == way]
            ratios = np.array([one.false[rate].value / rate for one in mine])
            recalls = [found for one in mine if (found := one.found[rate]) is not None]
            near = f"{int(((ratios >= 0.5) & (ratios <= 2)).sum())} of {ratios.size}"
            cells.append(f"{ratios.mean():.1f}; {ratios.max():.1f}; {near}; {100 * np.mean(recalls):.0f} %")
        lines.append([way, *cells])
    print("Achieved over nominal rate: mean; highest; pairs within a factor of 2; mean recall.\n")
    table(["way", *(f"at {100 * rate:g} %" for rate in RATES)], lines)


def main() -> None:
    """Run the pairs in parallel processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", action="store_true", help="the pairs that nothing is chosen by")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        pairs = range(len(TEST if given.test else DEVELOPMENT))
        show([one for each in pool.map(measure, pairs, [given.test] * len(pairs)) for one in each])


if __name__ == "__main__":
    main()
