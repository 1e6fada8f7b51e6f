"""The leakage audit, twenty seeded times each: planted leaks, duplicates, shuffled labels, and nothing at all.

    python benchmarks/leakage_trials.py [--trials 20] [--seed 1000] [--simulated] [--verbose]

A trial draws rows of one source (simulated networks of fresh seeds, KDDTrain+, the UNSW-NB15 partition, the improved
CICIDS2017 sample, CTU botnet 4) and of one size, splits them as a training would, and spoils them in one way. Caught
means a severe finding of the check that is meant to catch it; a false alarm is any severe finding where nothing was
done. Planted is one feature each, in both sides or, every fourth trial, in one of them alone: a copy of the label, the
label with noise, with 1 to 10 % of its values wrong, a text whose values belong to one class each, the attack's name,
its number, a number that only attacks have, a number that only benign rows have, a measurement that is unset for
attacks, a row number of a file in which attacks come in stretches, and the label written into a feature that the rows
have anyway.
A leak that needs two features together is not claimed, nor is a shift of a feature where others part the classes alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import polars as pl

from cybersec_mlops.connections import is_feature
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.leakage import audit_leakage
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import split
from detector_data import load, shortcuts, simulated, table

SIZES = (6_000, 12_000, 25_000)
REAL = ("nsl-kdd", "unsw-nb15", "cicids2017", "ctu-botnet-4")
SHARES = (0.02, 0.05, 0.2)
NO_IDENTITY = ("ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p")

Rng = np.random.Generator
Plant = Callable[[pl.DataFrame, Rng], pl.Series]


def _attack(rows: pl.DataFrame) -> np.ndarray:
    return rows["is_attack"].to_numpy().astype(np.bool_)


def _flipped(share: float) -> Plant:
    return lambda rows, rng: pl.Series((_attack(rows) ^ (rng.random(rows.height) < share)).astype(np.float64))


def _noisy(rows: pl.DataFrame, rng: Rng) -> pl.Series:
    return pl.Series(_attack(rows) + rng.normal(0, 0.2, rows.height))


def _text(rows: pl.DataFrame, rng: Rng) -> pl.Series:
    codes = 2 * rng.integers(0, 6, rows.height) + _attack(rows)
    return pl.Series([f"unit-{(7 * code) % 12}" for code in codes])


def _only(*, attacks: bool) -> Plant:
    def plant(rows: pl.DataFrame, rng: Rng) -> pl.Series:
        values = pl.Series(rng.lognormal(3, 2, rows.height))
        return values.zip_with(pl.Series(_attack(rows) == attacks), pl.Series([None] * rows.height, dtype=pl.Float64))

    return plant


def _into(column: str) -> Plant:
    def plant(rows: pl.DataFrame, _: Rng) -> pl.Series:
        own = rows[column].cast(pl.Float64).fill_null(0.0)
        return pl.Series(_attack(rows).astype(np.float64) + own.to_numpy() * 1e-9)

    return plant


def _kind(rows: pl.DataFrame, _: Rng) -> pl.Series:
    return pl.Series([sum(map(ord, name)) * 7_919 % 1_009 for name in _names(rows)])


def _names(rows: pl.DataFrame) -> pl.Series:
    return rows["label"].fill_null("")


def _unset(rows: pl.DataFrame, _: Rng) -> pl.Series:
    own = rows["orig_bytes"].cast(pl.Float64).fill_null(0.0)
    return own.zip_with(pl.Series(~_attack(rows)), pl.Series([None] * rows.height, dtype=pl.Float64))


def _row_number(rows: pl.DataFrame, rng: Rng) -> pl.Series:
    stretch = _names(rows).replace_strict({name: rng.random() for name in sorted(set(_names(rows)))})
    numbers = np.empty(rows.height)
    numbers[np.lexsort((np.arange(rows.height), stretch.to_numpy()))] = np.arange(rows.height)
    return pl.Series(numbers)


PLANTS: dict[str, tuple[str, Plant]] = {
    "copy": ("leak", _flipped(0.0)),
    "noise": ("leak", _noisy),
    "1 % wrong": ("leak", _flipped(0.01)),
    "5 % wrong": ("leak", _flipped(0.05)),
    "10 % wrong": ("leak", _flipped(0.1)),
    "text": ("leak", _text),
    "name": ("leak", lambda rows, _: _names(rows)),
    "number of the kind": ("leak", _kind),
    "unset for attacks": ("leak", _unset),
    "row number": ("leak", _row_number),
    "only attacks have it": ("leak", _only(attacks=True)),
    "only benign rows have it": ("leak", _only(attacks=False)),
    "in duration_s": ("duration_s", _into("duration_s")),
}


def draw(source: str, rows: int, seed: int) -> tuple[pl.DataFrame, dict[str, str]]:
    """Draw labelled rows of a source: a fresh simulated network, or contiguous or random rows of a real one."""
    if source != "simulated":
        known = load(source).filter(pl.col("is_attack").is_not_null())
        return known.sample(min(rows, known.height), seed=seed).sort("ts", nulls_last=True), shortcuts(source)
    return simulated(rows, seed), {}


def main() -> None:
    """Run the trials and print one line per kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--simulated", action="store_true", help="leave the real collections out")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    sources = ["simulated"] if given.simulated else ["simulated", *REAL]
    caught = dict.fromkeys(["clean", "planted leak", "duplicates", "shuffled labels"], 0)
    alarms = 0
    for trial in range(given.trials):
        seed = given.seed + trial
        source, size = sources[trial % len(sources)], SIZES[(trial // len(sources)) % len(SIZES)]
        for kind, findings in _trial(trial, source, size, seed):
            severe = sorted({finding.check for finding in findings if finding.severity == "severe"})
            alarms += kind == "clean" and bool(severe)
            caught[kind.split(":")[0]] += _is_caught(kind, findings)
            if given.verbose:
                print(f"{seed} {source} {size} {kind}: {', '.join(severe) or 'nothing severe'}", flush=True)
    rows: list[list[object]] = [
        [kind, given.trials, count, "" if kind != "clean" else alarms] for kind, count in caught.items()
    ]
    table(["what was done", "trials", "caught (clean: passed)", "false alarms"], rows)


def _is_caught(kind: str, findings: tuple[Finding, ...]) -> bool:
    severe = [finding for finding in findings if finding.severity == "severe"]
    what, column, *_ = [*kind.split(":"), ""]
    if what == "clean":
        return not severe
    if what == "planted leak":
        return any(
            finding.check in ("single_feature", "identifier") and column in finding.columns for finding in severe
        )
    return any(finding.check == {"duplicates": "identical_rows"}.get(what, "label_signal") for finding in severe)


def _plant(side: pl.DataFrame, plant: Plant, column: str, rng: Rng, *, spoiled: bool) -> pl.DataFrame:
    """Add the planted column; on a side that is not spoiled, the same of labels that are not these rows'."""
    strange = side.sample(fraction=1.0, shuffle=True, seed=1).select("label", "is_attack").get_columns()
    values = plant(side if spoiled else side.with_columns(strange), rng)
    return side.with_columns(values.alias(column)) if spoiled or column == "leak" else side


def _trial(trial: int, source: str, size: int, seed: int) -> list[tuple[str, tuple[Finding, ...]]]:
    rng = np.random.default_rng(seed)
    rows, drop = draw(source, size, seed)
    if trial % 3 == 2:  # a table without times and hosts
        rows = rows.drop(name for name in NO_IDENTITY if name in rows.columns)
    spec = TrainingSpec(seed=seed)
    cut = split(rows, spec)
    train, test = cut.train, cut.test
    features = [name for name in rows.columns if is_feature(name) and name not in drop]

    def audit(
        train: pl.DataFrame, test: pl.DataFrame, seen: list[str] = features, *, temporal: bool = cut.method == "time"
    ) -> tuple[Finding, ...]:
        given = EvaluationSpec(seed=seed)
        return audit_leakage(train, test, seen, shortcuts=drop, spec=given, temporal=temporal)

    name = list(PLANTS)[trial % len(PLANTS)]
    column, plant = PLANTS[name]
    where = (trial // 4 % 2,) if trial % 4 == 3 else (0, 1)
    column = column if column != "duration_s" or column in rows.columns else "leak"
    sides = [train, test]
    planted = [_plant(side, plant, column, rng, spoiled=place in where) for place, side in enumerate(sides)]
    seen = [*features, *([column] if column not in features else [])]
    copies = test.sample(fraction=SHARES[trial % len(SHARES)], seed=seed)
    mixed = rows.with_columns(
        rows.select("label", "is_attack").sample(fraction=1.0, shuffle=True, seed=seed).get_columns()
    )
    shuffled = split(mixed, spec)
    return [
        ("clean", audit(train, test)),
        (
            f"planted leak:{column}:{name}, {'both sides' if len(where) == 2 else 'one side'}",
            audit(planted[0], planted[1], seen),
        ),
        ("duplicates", audit(pl.concat([train, copies]), test)),
        ("shuffled labels", audit(shuffled.train, shuffled.test)),
    ]


if __name__ == "__main__":
    main()
