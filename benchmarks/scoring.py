"""Rows per second of a scoring on one core, from Zeek JSON to alerts, and where the time goes; peak memory.

    .venv/bin/python benchmarks/scoring.py [--connections 1000000] [--train 100000]

Simulated logs, both detectors, default settings, an alert and its explanation for every row above the threshold. The
scoring runs in a process of its own that is bound to one core (Polars, XGBoost and BLAS with one thread), without
Prefect: ingestion into RAW, staging, features, scores, merged and stored alerts. The model is trained before, on
another day of the same simulated network. Times are of the processor, since machines are shared; the wall clock is
told as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Simulate, train, score in a process of its own, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--train", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(_score(given.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-bench-") as name:
        folder = Path(name)
        _prepare(folder, given)
        command = [sys.executable, __file__, "--folder", str(folder)]
        environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    _print(json.loads(done.stdout.splitlines()[-1]))


def _prepare(folder: Path, given: argparse.Namespace) -> None:
    from cybersec_mlops.ingestion.ingest import ingest
    from cybersec_mlops.simulate.simulate import simulate
    from cybersec_mlops.training.spec import TrainingSpec
    from cybersec_mlops.training.train import train
    from cybersec_mlops.transformation.spec import TransformationSpec
    from cybersec_mlops.transformation.transform import transform

    simulate(folder / "train", connections=given.train, format="zeek-json", rotate=False, seed=11)
    simulate(folder / "new", connections=given.connections, format="zeek-json", rotate=False, seed=7)
    layers = _layers(folder)
    raw, originals, _ = ingest([str(folder / "train")], layers.raw)
    spec = TransformationSpec()
    silver, _made = transform(originals, raw, layers.raw, layers.silver, folder / "t", dataset="benchmark", spec=spec)
    code = {"version": "benchmark"}
    made = train(silver, layers.silver, layers.models, folder, spec=TrainingSpec(), holdout=False, code=code)
    (folder / "bundle.json").write_text(json.dumps(made.bundle.to_dict()))


def _layers(folder: Path) -> Any:
    from cybersec_mlops.storage.layers import Layers

    layers = Layers.open(f"file://{folder}/store/{{layer}}")
    layers.ensure()
    return layers


class _Laps:
    """Processor time by part; a part inside another is taken out of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def watch(self, owner: Any, name: str, label: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            begun = time.process_time()
            try:
                return original(*given, **named)
            finally:
                spent = time.process_time() - begun
                self.seconds[label] = self.seconds.get(label, 0.0) + spent - self._inner.pop()
                self._inner[-1] += spent

        setattr(owner, name, timed)


def _score(folder: Path) -> dict[str, Any]:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from cybersec_mlops.native import tune_native
    from cybersec_mlops.pipeline.loading import loading

    tune_native()  # as the command line and the image do
    with loading():  # as a run does
        import xgboost  # noqa: F401 - the model's

        from cybersec_mlops.ingestion.ingest import ingest
        from cybersec_mlops.scoring import batch
        from cybersec_mlops.scoring.model import load_model
        from cybersec_mlops.scoring.spec import ScoringSpec
        from cybersec_mlops.storage.reference import Reference
        from cybersec_mlops.transformation.spec import TransformationSpec
        from cybersec_mlops.transformation.while_storing import parsing

    layers = _layers(folder)
    bundle = Reference.from_dict(json.loads((folder / "bundle.json").read_text()))
    supervised = load_model(bundle, layers.models).detector.supervised
    assert supervised is not None
    assert supervised.complete.columns.size, "loaded, with its libraries, before the clock starts"
    laps = _watched(batch)
    begun, wall = time.process_time(), time.perf_counter()
    parsed = folder / "parsed"
    parsed.mkdir()
    raw, originals, _ = ingest([str(folder / "new")], layers.raw, onlooker=parsing(layers.raw, parsed))
    laps.seconds["ingestion and parsing, at the same time"] = time.process_time() - begun
    job = batch.ScoringJob(bundle, "benchmark", 1, raw, TransformationSpec(), ScoringSpec())
    outputs = batch.score(originals, job, layers, folder / "scratch", parsed=parsed)
    spent = time.process_time() - begun
    laps.seconds["other"] = spent - sum(laps.seconds.values())
    return {
        "rows": outputs["rows"],
        "alerts": outputs["alerts"],
        "cpu": spent,
        "wall": time.perf_counter() - wall,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parts": laps.seconds,
    }


def _watched(batch: Any) -> _Laps:
    from cybersec_mlops.scoring import alert_files
    from cybersec_mlops.training import detector, novelty
    from cybersec_mlops.training.autoencoder import Autoencoder
    from cybersec_mlops.training.complete import CompleteBooster
    from cybersec_mlops.training.matrix import Encoder
    from cybersec_mlops.training.quantiles import Quantiles

    setattr(alert_files, "in_order", map)  # noqa: B010 - one after the other: what a part takes is its own
    laps = _Laps()
    for name in ("read_slice", "read_past", "add_derived"):
        laps.watch(batch, name, "slices and derived features")
    laps.watch(batch, "add_behaviour", "behaviour features")
    laps.watch(batch, "conclude", "rank, explain, write alerts")
    laps.watch(Encoder, "encode", "detector: matrix")
    laps.watch(CompleteBooster, "margins", "detector: gradient boosting")
    laps.watch(Quantiles, "transform", "detector: quantiles")
    laps.watch(Autoencoder, "score", "detector: autoencoder")
    laps.watch(novelty, "distance_score", "detector: prototypes")
    laps.watch(detector.Detector, "score", "detector: fusion, p-values")
    return laps


def _print(found: dict[str, Any]) -> None:
    rows, cpu = found["rows"], found["cpu"]
    print(f"{rows:,} simulated connections, Zeek JSON to {found['alerts']:,} alerts, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| part | CPU seconds | rows per CPU second |")
    print("|---|---:|---:|")
    for name, seconds in sorted(found["parts"].items(), key=lambda item: -item[1]):
        print(f"| {name} | {seconds:.2f} | {rows / max(seconds, 1e-9):,.0f} |")
    print(f"| **all** | {cpu:.2f} | **{rows / cpu:,.0f}** |")
    print(f"\nwall clock {found['wall']:.1f} s; peak memory {found['peak_bytes'] / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
