"""Rows per second and peak memory of each phase, beside a straight Polars script that parses the same file.

    .venv/bin/python benchmarks/phases.py [--connections 1000000] [--format zeek-tsv] [--repeats 3] [--larger]

Every phase runs in a process of its own, without Prefect, so that its peak memory is its own. The Polars script reads
the same file, casts the same columns and writes Parquet; it checks nothing, counts nothing and computes no feature.
Times are of whatever machine this is, whose speed may change from one minute to the next: read the ratios, those of
processor seconds where it is busy. What is compared with each other, the script and `both-plain`, is run in turn,
`--repeats` times: the ratio is the median of those of each run with the one before it, the table has the run with the
median of its seconds. Everything else is a single run. Both sides' imports are counted, once each: what is compared
with the script is `both-plain`, ingestion and transformation without behaviour features in one process, as a run does
them, and `both`, with them. The script is run twice: `polars` compresses as SILVER is, with zstd at level 1, and
`polars-default` as Polars does where nothing is said. Memory that is mapped from a file, and can be dropped at any
time, counts in the peak and not in what is anonymous, which is looked at every 20 ms.

`--larger` repeats the phases up to the transformation with ten times as many rows, in the same way but at most three
times, and compares time per row and memory. It needs some 12 GB of memory for the script, and 30 GB in TMPDIR.
"""

from __future__ import annotations

import argparse
import compileall
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

FORMATS = ("zeek-tsv", "zeek-json", "cicflowmeter")
LARGER = 10
"""How many times the connections `--larger` has."""
STRAIGHT = ("polars", "polars-default")
COMPARED = (*STRAIGHT, "both-plain")
DATA_PHASES = (*COMPARED, "both", "ingestion", "transformation-plain", "transformation")
MODEL_PHASES = ("training", "evaluation")
MIB = 2**20


def main() -> None:
    """Run every phase in a process of its own and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--format", choices=FORMATS, help="only this one")
    parser.add_argument("--repeats", type=int, default=5, help="of the script and of what is compared with it")
    parser.add_argument("--larger", action="store_true", help="compare with more connections")
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phase:
        print(json.dumps(_measured(given.phase, given.folder, given.format, given.connections)))
        return
    source = Path(__file__).parents[1] / "src"
    compileall.compile_dir(source, quiet=1)  # as an installation does: else only our imports compile each time
    for log_format in [given.format] if given.format else FORMATS:
        models = MODEL_PHASES if log_format == "zeek-tsv" else ()  # which depend on the rows and not on their format
        rows = _chain(log_format, given.connections, (*_data_phases(given.repeats), *models))
        _print(rows, log_format, given.connections)
        if given.larger:
            more = given.connections * LARGER
            _print_larger(rows, _chain(log_format, more, _data_phases(min(given.repeats, 3))), log_format, more)


def _data_phases(repeats: int) -> tuple[str, ...]:
    return (*COMPARED * (repeats - 1), *DATA_PHASES)


def _chain(log_format: str, connections: int, phases: tuple[str, ...]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-bench-") as name:
        folder, rows = Path(name), []
        for phase in ("simulate", *phases):
            rows.append({"phase": phase, **_in_process(phase, folder, log_format, connections)})
            if phase.startswith("both"):
                shutil.rmtree(folder / "store")
            if phase == "ingestion":
                shutil.rmtree(folder / "logs")
                (folder / "straight.parquet").unlink()
    runs = {phase: [row for row in rows if row["phase"] == phase] for phase in phases}
    found = {phase: sorted(ones, key=lambda run: run["seconds"])[len(ones) // 2] for phase, ones in runs.items()}
    for script in STRAIGHT:
        for unit in ("seconds", "cpu_seconds"):
            found[script][f"{unit}_ratios"] = [
                straight[unit] / plain[unit] for straight, plain in zip(runs[script], runs["both-plain"], strict=True)
            ]
    return list(found.values())


def _in_process(phase: str, folder: Path, log_format: str, connections: int) -> dict[str, Any]:
    options = {"phase": phase, "folder": folder, "format": log_format, "connections": connections}
    command = [
        sys.executable,
        __file__,
        *(text for name, value in options.items() for text in (f"--{name}", str(value))),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measured(phase: str, folder: Path, log_format: str, connections: int) -> dict[str, Any]:
    if phase == "simulate":
        run_simulate(folder, log_format, connections)
        return {}
    if phase not in STRAIGHT:
        from cybersec_mlops.native import tune_native

        tune_native()  # as the command line and the image do
    work: Callable[[Path, str], int] = globals()[f"run_{phase.replace('-', '_')}"]
    with _Anonymous() as anonymous:
        prepared, cpu = time.perf_counter(), time.process_time()
        rows = work(folder, log_format)
        seconds, cpu = time.perf_counter() - prepared, time.process_time() - cpu
    # not `ru_maxrss`, which begins at that of the process that started this one
    measured = {"phase": phase, "rows": rows, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": _memory("VmHWM")}
    return {**measured, "anonymous_bytes": anonymous.peak}


def _memory(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


class _Anonymous:
    """The most anonymous memory that was seen while it was entered."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Anonymous:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.peak = max(self.peak, _memory("RssAnon"))


def run_simulate(folder: Path, log_format: str, connections: int) -> None:
    """Write the logs."""
    from cybersec_mlops.simulate.simulate import simulate

    simulate(folder / "logs", connections=connections, format=log_format, rotate=False)


def run_polars(folder: Path, log_format: str) -> int:
    """Parse and write Parquet with Polars alone, compressed as SILVER is."""
    return _straight(folder, log_format, compression="zstd", compression_level=1)


def run_polars_default(folder: Path, log_format: str) -> int:
    """Parse and write Parquet with Polars alone, as it does where nothing is said."""
    return _straight(folder, log_format)


def _straight(folder: Path, log_format: str, **how: Any) -> int:
    import polars as pl

    path = next((folder / "logs").iterdir())
    if log_format == "zeek-json":
        frame = pl.read_ndjson(path)
    elif log_format == "zeek-tsv":
        frame = _straight_tsv(path)
    else:
        frame = pl.read_csv(path, infer_schema_length=10_000, null_values=["NaN", "Infinity"])
    frame.write_parquet(folder / "straight.parquet", **how)
    return frame.height


def _straight_tsv(path: Path) -> Any:
    import polars as pl

    with path.open() as opened:
        header = [line for line, _ in zip(opened, range(20), strict=False) if line.startswith("#")]
    fields = next(line for line in header if line.startswith("#fields")).rstrip("\n").split("\t")[1:]
    frame = pl.read_csv(
        path,
        separator="\t",
        has_header=False,
        new_columns=fields,
        comment_prefix="#",
        quote_char=None,
        null_values=["-", "(empty)"],
        infer_schema_length=10_000,
    )
    return frame.with_columns(pl.from_epoch((pl.col("ts") * 1e6).cast(pl.Int64), "us"))


def _layers(folder: Path) -> Any:
    from cybersec_mlops.storage.layers import Layers

    layers = Layers.open(f"file://{folder}/store/{{layer}}")
    layers.ensure()
    return layers


def run_ingestion(folder: Path, _: str) -> int:
    """Hash, recognise, count and store the originals."""
    return _ingest(folder)


def run_transformation(folder: Path, _: str) -> int:
    """Parse, check, compute every feature, store."""
    return _transform(folder, behaviour=True)


def run_transformation_plain(folder: Path, _: str) -> int:
    """Transform without the behaviour features."""
    return _transform(folder, behaviour=False)


def run_both(folder: Path, _: str) -> int:
    """Ingest and transform."""
    return _both(folder, behaviour=True)


def run_both_plain(folder: Path, _: str) -> int:
    """Ingest, and transform without the behaviour features."""
    return _both(folder, behaviour=False)


def _both(folder: Path, *, behaviour: bool) -> int:
    scratch = folder / "scratch"
    scratch.mkdir()
    try:
        _ingest(folder, scratch)  # which parses what it stores, as in a run
        return _transform(folder, behaviour=behaviour, scratch=scratch)
    finally:
        shutil.rmtree(scratch)


def _ingest(folder: Path, scratch: Path | None = None) -> int:
    from cybersec_mlops.pipeline.loading import loading

    with loading():  # as a run does
        from cybersec_mlops.ingestion.ingest import ingest
        from cybersec_mlops.transformation.while_storing import parsing

    raw = _layers(folder).raw
    onlooker = None if scratch is None else parsing(raw, scratch)
    manifest, originals, _found = ingest([str(folder / "logs")], raw, onlooker=onlooker)
    (folder / "raw.json").write_text(json.dumps(manifest.to_dict()))
    return sum(one.lines for one in originals)


def _transform(folder: Path, *, behaviour: bool, scratch: Path | None = None) -> int:
    from cybersec_mlops.pipeline.loading import loading

    with loading():
        from cybersec_mlops.ingestion.originals import read_manifest
        from cybersec_mlops.transformation.spec import TransformationSpec
        from cybersec_mlops.transformation.transform import transform

    layers, manifest = _layers(folder), _reference(folder / "raw.json")
    with tempfile.TemporaryDirectory(dir=folder) as own:
        reference, made = transform(
            read_manifest(manifest, layers.raw),
            manifest,
            layers.raw,
            layers.silver,
            Path(own),
            dataset="benchmark",
            spec=TransformationSpec(behaviour=behaviour),
            parsed=scratch,
        )
    (folder / ("silver.json" if behaviour else "plain.json")).write_text(json.dumps(reference.to_dict()))
    return made.kept


def _reference(path: Path) -> Any:
    from cybersec_mlops.storage.reference import Reference

    return Reference.from_dict(json.loads(path.read_text()))


def run_training(folder: Path, _: str) -> int:
    """Read SILVER, fit, calibrate, store the bundle."""
    from cybersec_mlops.training.spec import TrainingSpec
    from cybersec_mlops.training.train import train

    layers = _layers(folder)
    trained = train(
        _reference(folder / "silver.json"),
        layers.silver,
        layers.models,
        folder,
        spec=TrainingSpec(),
        holdout=True,
        code={"version": "benchmark"},
    )
    (folder / "bundle.json").write_text(json.dumps(trained.bundle.to_dict()))
    return int(trained.report["rows"])


def run_evaluation(folder: Path, _: str) -> int:
    """Score the held-out rows, measure with intervals, audit for leakage, write the report."""
    from cybersec_mlops.evaluation.evaluate import EvaluationJob, assess, score_test
    from cybersec_mlops.evaluation.spec import EvaluationSpec
    from cybersec_mlops.training.spec import TrainingSpec

    job = EvaluationJob(
        bundle=_reference(folder / "bundle.json"),
        version=1,
        train=_reference(folder / "silver.json"),
        test=None,
        champion=None,
        champion_version=None,
        training=TrainingSpec(),
        evaluation=EvaluationSpec(),
        dataset="benchmark",
        run_id="benchmark",
        code={"version": "benchmark"},
    )
    predictions = score_test(job, _layers(folder), folder)
    assess(job, predictions, _layers(folder), folder)
    return predictions.rows or 0


def _print(rows: list[dict[str, Any]], log_format: str, connections: int) -> None:
    print(f"\n{connections:,} simulated connections, {log_format}, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| phase | rows | seconds | rows/s | processor seconds | peak memory | of it anonymous |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        peaks = (f"{row[name] / MIB:,.0f} MiB" for name in ("peak_bytes", "anonymous_bytes"))
        print(
            f"| {row['phase']} | {row['rows']:,} | {row['seconds']:.2f} | {row['rows'] / row['seconds']:,.0f} |"
            f" {row['cpu_seconds']:.2f} | {' | '.join(peaks)} |"
        )
    _print_ratios(rows)


def _print_ratios(rows: list[dict[str, Any]]) -> None:
    of = {row["phase"]: row for row in rows}
    print()
    for script in STRAIGHT:
        told = []
        for unit in ("seconds", "cpu_seconds"):
            ratios = of[script][f"{unit}_ratios"]
            told.append(f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"both-plain: {told[0]} times the rate of {script}, {told[1]} by processor seconds")
    single = (of["polars"][unit] / of["both"][unit] for unit in ("seconds", "cpu_seconds"))
    print("both: {:.2f} times the rate of straight Polars, {:.2f} by processor seconds".format(*single))


def _print_larger(rows: list[dict[str, Any]], more: list[dict[str, Any]], log_format: str, connections: int) -> None:
    print(f"\n{connections:,} simulated connections, {log_format}, and how often what it was for {rows[0]['rows']:,}\n")
    print("| phase | seconds | processor seconds | per row | peak memory | times | of it anonymous | times |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for few, many in zip(rows, more, strict=False):
        times = {name: many[name] / few[name] for name in ("rows", "cpu_seconds", "peak_bytes", "anonymous_bytes")}
        print(
            f"| {many['phase']} | {many['seconds']:.2f} | {many['cpu_seconds']:.2f} |"
            f" {times['cpu_seconds'] / times['rows']:.2f} |"
            f" {many['peak_bytes'] / MIB:,.0f} MiB | {times['peak_bytes']:.2f} |"
            f" {many['anonymous_bytes'] / MIB:,.0f} MiB | {times['anonymous_bytes']:.2f} |"
        )
    _print_ratios(more)


if __name__ == "__main__":
    main()
