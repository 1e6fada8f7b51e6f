"""What a training costs beside the bare libraries' fits on the same matrices.

    .venv/bin/python benchmarks/training_time.py [--connections 200000] [--repeats 3]

The training is `fit_detector` on rows in memory: order, encoding, both halves, scales, thresholds. The bare fits are
XGBoost's and scikit-learn's (the autoencoder's network) with the same settings on the matrices that the training made;
the prototypes have no library's fit to be compared with and are told apart. They take turns; medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

import polars as pl

from cybersec_mlops.training import fit, novelty
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from detector_data import load, shortcuts, simulated, table

FITS = ((fit, "fit_booster"), (novelty, "fit_autoencoder"), (novelty, "fit_prototypes"))


def main() -> None:
    """Print a table for simulated connections and for KDDTrain+."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}\n")
    lines: list[list[object]] = []
    for name, rows, drop in (
        ("simulated", simulated(given.connections, 1), {}),
        ("KDDTrain+", load("nsl-kdd"), shortcuts("nsl-kdd")),
    ):
        lines += measure(name, rows, drop, given.repeats)
    table(["rows", "what", "wall s", "processor s", "training over bare, wall", "processor"], lines)


def measure(name: str, rows: pl.DataFrame, drop: dict[str, str], repeats: int) -> list[list[object]]:
    """Let the training and the bare fits take turns."""
    spec = TrainingSpec()
    calls = _calls(lambda: fit_detector(rows, spec, shortcuts=drop))
    works: dict[str, Callable[[], Any]] = {
        "training": lambda: fit_detector(rows, spec, shortcuts=drop),
        "bare fits": lambda: [calls["fit_booster"](), calls["fit_autoencoder"]()],
        "prototypes": calls["fit_prototypes"],
    }
    times: dict[str, list[tuple[float, float]]] = {what: [] for what in works}
    for _ in range(repeats):
        for what, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            times[what].append((time.perf_counter() - wall, time.process_time() - cpu))
    middle = {what: [median(one[place] for one in found) for place in (0, 1)] for what, found in times.items()}
    ratios = [middle["training"][place] / middle["bare fits"][place] for place in (0, 1)]
    return [
        [f"{name}, {rows.height:,}", what, *found, *(ratios if what == "training" else ["", ""])]
        for what, found in middle.items()
    ]


def _calls(train: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """Train once, and keep how the libraries were called."""
    calls: dict[str, Callable[[], Any]] = {}

    def kept(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            calls[name] = lambda: original(*given, **named)
            return calls[name]()

        return call

    originals = [(owner, name, getattr(owner, name)) for owner, name in FITS]
    for owner, name, original in originals:
        setattr(owner, name, kept(name, original))
    train()
    for owner, name, original in originals:
        setattr(owner, name, original)
    return calls


if __name__ == "__main__":
    main()
