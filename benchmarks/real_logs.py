"""The table of the README: the whole pipeline on real logs and benchmark tables, honest whatever comes out.

    .venv/bin/python benchmarks/real_logs.py [--data ../shared/data] [--only NAME]

Each line is one `cybersec-mlops run` in a home of its own, with the defaults. Rows and labels are compared with the
collection's manifest before anything is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CTU = "zeek-labeled-ctu/CTU-Malware-Capture-Botnet-4/ground_truth/conn.log.labeled"
STRATO_008 = "zeek-labeled-strato/008-zeek-mixed/data/conn.log.labeled"
STRATO_010 = "zeek-labeled-strato/010-zeek-mixed/data/conn.log.labeled"
CIC = "cicids2017-improved/cicids2017_improved_sample_MonThu.csv"


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    train: str
    test: str | None = None
    prepare: Callable[[Path], tuple[Path, Path]] | None = None


def split_by_day(folder: Path) -> tuple[Path, Path]:
    """Cut the improved CICIDS2017 sample, which is sorted by time: Monday to Wednesday, and Thursday."""
    header, *lines = (folder / CIC).read_text().splitlines(keepends=True)
    column = header.split(",").index("Timestamp")
    thursday = [line.split(",")[column].startswith("2017-07-06") for line in lines]
    paths = folder / "monday-to-wednesday.csv", folder / "thursday.csv"
    for path, wanted in zip(paths, (False, True), strict=True):
        chosen = (line for line, late in zip(lines, thursday, strict=True) if late is wanted)
        path.write_text(header + "".join(chosen))
    return paths


CASES = (
    Case("CTU botnet 4", CTU),
    Case("strato 008, tested on 010", STRATO_008, STRATO_010),
    Case("CTU botnet 4, tested on strato 008 (another network)", CTU, STRATO_008),
    Case("CTU botnet 4, tested on strato 010 (another network)", CTU, STRATO_010),
    Case("CICIDS2017 improved, in time", CIC),
    Case("CICIDS2017 improved, Mon-Wed, tested on Thu", CIC, CIC, split_by_day),
    Case("KDDTrain+", "nsl-kdd/KDDTrain+.txt"),
    Case("UNSW-NB15 partition", "unsw-nb15/UNSW_NB15_training-set.csv"),
)


def main() -> None:
    """Run every case and print the table."""
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--only", help="only the cases whose name holds this")
    given = parser.parse_args()
    manifest = {entry["file"]: entry for entry in json.loads((given.data / "MANIFEST.json").read_text())["files"]}
    print(f"{datetime.now(UTC):%Y-%m-%d}, 95 % intervals in brackets, nominal false-positive rate 1 %\n")
    print("| data | tested on | attacks | detected | false positives | ROC-AUC | average precision | gate |")
    print("|---|---:|---:|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-real-") as name:
        for case in CASES:
            if given.only is None or given.only in case.name:
                print(_line(case, given.data, Path(name), manifest), flush=True)


def _line(case: Case, data: Path, folder: Path, manifest: dict[str, Any]) -> str:
    for path in filter(None, (case.train, case.test)):
        _unpack(data, path.split("/")[0], folder)
    train, test = folder / case.train, folder / case.test if case.test else None
    if case.prepare is not None:
        train, test = case.prepare(folder)
    document, home = _run(case.name, train, test, folder)
    _check(document, home, case, manifest)
    stored = Path(document["phases"]["evaluation"]["uri"].removeprefix("file://"))
    metrics = json.loads(stored.read_text())["metrics"]
    cells = [
        case.name,
        f"{metrics['rows']:,}",
        f"{metrics['attacks']:,}",
        _rate(metrics["detection_rate"]),
        _rate(metrics["false_positive_rate"]),
        _figure(metrics["roc_auc"]),
        _figure(metrics["average_precision"]),
        "promoted" if document["promoted"] else "refused",
    ]
    return f"| {' | '.join(cells)} |"


def _unpack(data: Path, collection: str, folder: Path) -> None:
    if not (folder / collection).exists():
        with tarfile.open(data / f"{collection}.tar.xz") as opened:
            opened.extractall(folder, filter="data")


def _run(name: str, train: Path, test: Path | None, folder: Path) -> tuple[dict[str, Any], Path]:
    home = folder / f"home-{abs(hash(name))}"
    command = [sys.executable, "-m", "cybersec_mlops.cli", "run", str(train), "--dataset", "real", "--json"]
    command += ["--test", str(test)] if test else []
    environment = {**os.environ, "CYBERSEC_MLOPS_HOME": str(home)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 5):
        raise SystemExit(f"{name}: exit code {done.returncode}: {done.stdout}")
    return json.loads(done.stdout), home


def _check(document: dict[str, Any], home: Path, case: Case, manifest: dict[str, Any]) -> None:
    """Compare rows and labels with what the collection says of itself."""
    environment = {**os.environ, "CYBERSEC_MLOPS_HOME": str(home)}
    command = [sys.executable, "-m", "cybersec_mlops.cli", "show", document["run_id"], "--json"]
    shown = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)
    sets = [step["outputs"] for step in shown["lineage"] if step["phase"] == "transformation" and step["outputs"]]
    files = {case.train, case.test or case.train}
    rows = sum(manifest[one]["rows"] for one in files)
    found = sum(one["rows"] + one["quarantined"] for one in sets)
    if rows != found:
        raise SystemExit(f"{case.name}: {found} rows, expected {rows}")
    labelled = sum(sum(one["labels_original"].values()) for one in sets)
    expected = sum(sum((manifest[one]["label_counts"] or {}).values()) for one in files)
    if labelled != expected:
        raise SystemExit(f"{case.name}: {labelled} labels, expected {expected}")


def _rate(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.2f} % [{low:.2f}, {high:.2f}]"


def _figure(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate['value']:.4f} [{estimate['low']:.4f}, {estimate['high']:.4f}]"


if __name__ == "__main__":
    main()
