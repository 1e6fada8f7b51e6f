"""Rows per second of scoring, and the seconds of training, on one core.

    python benchmarks/detector_speed.py [--rows 1000000]

Made-up rows of 44 numeric and 6 text columns, both detectors on. CPU seconds of this process on one thread, so that
another process on the machine does not count; wall seconds stand beside them.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time

import numpy as np
import polars as pl

from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from detector_data import table

NUMBERS, TEXTS = 44, 6
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def made_up(rows: int, seed: int) -> pl.DataFrame:
    """Make heavy-tailed and whole numbers, and categories."""
    rng = np.random.default_rng(seed)
    attack = rng.random(rows) < 0.2
    columns: dict[str, object] = {}
    for index in range(NUMBERS):
        values = np.exp(rng.normal(size=rows) * 2 + attack * (index % 5 == 0))
        columns[f"number_{index}"] = values if index % 3 else np.round(values)
    for index in range(TEXTS):
        columns[f"text_{index}"] = rng.choice([f"v{value}" for value in range(4 + 2 * index)], rows)
    return pl.DataFrame({**columns, "is_attack": attack, "label": np.where(attack, "made up", "BENIGN")})


def main() -> None:
    """Train on 100,000 rows, score the rows asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    if missing := dict.fromkeys((name for name in ONE_THREAD if os.environ.get(name) != "1"), "1"):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **missing})  # read when they are loaded
    lines: list[list[object]] = []

    def timed(what: str, rows: int, started: tuple[float, float]) -> None:
        cpu, wall = time.process_time() - started[0], time.perf_counter() - started[1]
        lines.append([what, rows, f"{cpu:.1f}", f"{wall:.1f}", f"{rows / cpu:,.0f}"])

    train, test = made_up(100_000, 0), made_up(given.rows, 1)
    started = time.process_time(), time.perf_counter()
    detector = fit_detector(train, TrainingSpec(threads=1)).detector
    timed("train", train.height, started)
    detector.score(test.head(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time(), time.perf_counter()
    detector.score(test)
    timed("score", test.height, started)
    table(["step", "rows", "CPU s", "wall s", "rows per CPU second"], lines)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"\nMatrix of {len(detector.encoder.columns)} columns. Peak memory grew by {grown:.0f} MiB while scoring.")


if __name__ == "__main__":
    main()
