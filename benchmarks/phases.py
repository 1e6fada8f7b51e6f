"""Rows per second and peak memory of each phase, beside a straight Polars script that parses the same file.

    .venv/bin/python benchmarks/phases.py [--connections 1000000] [--format zeek-tsv]

Every phase runs in a process of its own, without Prefect, so that its peak memory is its own. The Polars script reads
the same files, casts the same columns and writes Parquet; it checks nothing, counts nothing and computes no feature.
Times are single runs on whatever machine this is: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMATS = ("zeek-tsv", "zeek-json", "cicflowmeter")
PHASES = ("polars", "ingestion", "transformation", "transformation-plain", "training", "evaluation")


def main() -> None:
    """Run every phase in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--format", choices=FORMATS, default="zeek-tsv")
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phase:
        print(json.dumps(_measured(given.phase, given.folder, given.format)))
        return
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-bench-") as name:
        folder = Path(name)
        _simulate(folder / "logs", given.connections, given.format)
        rows = [_in_process(phase, folder, given) for phase in PHASES]
    _print(rows, given)


def _simulate(folder: Path, connections: int, log_format: str) -> None:
    from cybersec_mlops.simulate.simulate import simulate

    simulate(folder, connections=connections, format=log_format, rotate=False)


def _in_process(phase: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--phase", phase, "--folder", str(folder), "--format", given.format]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measured(phase: str, folder: Path, log_format: str) -> dict[str, Any]:
    work: Callable[[Path, str], int] = globals()[f"run_{phase.replace('-', '_')}"]
    prepared, cpu = time.perf_counter(), time.process_time()
    rows = work(folder, log_format)
    seconds, cpu = time.perf_counter() - prepared, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"phase": phase, "rows": rows, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak}


def run_polars(folder: Path, log_format: str) -> int:
    """Parse and write Parquet with Polars alone."""
    import polars as pl

    path = next((folder / "logs").iterdir())
    if log_format == "zeek-json":
        frame = pl.read_ndjson(path)
    elif log_format == "zeek-tsv":
        frame = _straight_tsv(path)
    else:
        frame = pl.read_csv(path, infer_schema_length=10_000, null_values=["NaN", "Infinity"])
    frame.write_parquet(folder / "straight.parquet", compression="zstd", compression_level=1)
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
    from cybersec_mlops.ingestion.ingest import ingest

    manifest, originals, _found = ingest([str(folder / "logs")], _layers(folder).raw)
    (folder / "raw.json").write_text(json.dumps(manifest.to_dict()))
    return sum(one.lines for one in originals)


def run_transformation(folder: Path, _: str) -> int:
    """Parse, check, compute every feature, store."""
    return _transform(folder, behaviour=True, name="silver.json")


def run_transformation_plain(folder: Path, _: str) -> int:
    """Transform without the behaviour features."""
    return _transform(folder, behaviour=False, name="plain.json")


def _transform(folder: Path, *, behaviour: bool, name: str) -> int:
    from cybersec_mlops.ingestion.originals import read_manifest
    from cybersec_mlops.transformation.spec import TransformationSpec
    from cybersec_mlops.transformation.transform import transform

    layers, manifest = _layers(folder), _reference(folder / "raw.json")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        reference, made = transform(
            read_manifest(manifest, layers.raw),
            manifest,
            layers.raw,
            layers.silver,
            Path(scratch),
            dataset="benchmark",
            spec=TransformationSpec(behaviour=behaviour),
        )
    (folder / name).write_text(json.dumps(reference.to_dict()))
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


def _print(rows: list[dict[str, Any]], given: argparse.Namespace) -> None:
    straight = rows[0]["rows"] / rows[0]["seconds"]
    print(f"{given.connections:,} simulated connections, {given.format}, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| phase | rows | seconds | rows/s | of straight Polars | peak memory |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        rate = row["rows"] / row["seconds"]
        print(
            f"| {row['phase']} | {row['rows']:,} | {row['seconds']:.2f} | {rate:,.0f} |"
            f" {rate / straight:.2f} | {row['peak_bytes'] / 2**20:,.0f} MiB |"
        )
    chain = {row["phase"]: row["seconds"] for row in rows}
    for name in ("transformation-plain", "transformation"):
        together = chain["ingestion"] + chain[name]
        print(f"\ningestion + {name}: {chain['polars'] / together:.2f} times the rate of straight Polars")


if __name__ == "__main__":
    main()
