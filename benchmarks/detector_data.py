"""The real collections of ../shared/data as SILVER rows in memory, for the detector benchmarks beside this file.

`python benchmarks/detector_data.py` prints what each holds.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from cybersec_mlops.ingestion.readers import reader_of
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.transformation.behaviour import add_behaviour
from cybersec_mlops.transformation.derived import add_derived

WINDOWS_S = (60, 600)

_STRATO = "zeek-labeled-strato/{}-zeek-mixed/data/conn.log.labeled"
FILES = {
    "nsl-kdd": ("nsl_kdd", "nsl-kdd/KDDTrain+.txt"),
    "unsw-nb15": ("unsw_nb15", "unsw-nb15/UNSW_NB15_training-set.csv"),
    "cicids2017": ("cicflowmeter", "cicids2017-improved/cicids2017_improved_sample_MonThu.csv"),
    "strato-008": ("zeek_conn", _STRATO.format("008")),
    "strato-010": ("zeek_conn", _STRATO.format("010")),
    "ctu-botnet-4": ("zeek_conn", "zeek-labeled-ctu/CTU-Malware-Capture-Botnet-4/ground_truth/conn.log.labeled"),
}


def load(name: str, folder: Path | None = None) -> pl.DataFrame:
    """Read a collection through the project's readers and features, in order of time.

    Parameters
    ----------
    name : str
        One of `FILES`.
    folder : Path, optional
        Where the ``tar.xz`` archives lie; CYBERSEC_MLOPS_TEST_DATA, or ../shared/data.
    """
    archives = folder or Path(os.environ.get("CYBERSEC_MLOPS_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    form, inner = FILES[name]
    reader = reader_of(form)
    with (
        tarfile.open(archives / f"{Path(inner).parts[0]}.tar.xz") as archive,
        tempfile.TemporaryDirectory() as unpacked,
    ):
        archive.extract(inner, unpacked, filter="data")
        with (Path(unpacked) / inner).open("rb") as stream:
            rows = pl.concat([batch.rows for batch in reader.read(stream, source=inner)])
    rows = rows.with_columns(dataset=pl.lit(name), format=pl.lit(form), raw_sha256=pl.lit("")).sort(
        "ts", nulls_last=True
    )
    rows = add_derived(rows)
    return add_behaviour(rows, rows.clear(), WINDOWS_S) if rows["ts"].null_count() < rows.height else rows


def simulated(connections: int, seed: int, *, attack_fraction: float = 0.05, hours: float = 24.0) -> pl.DataFrame:
    """Simulate a labelled network, and read it as `load` reads a collection."""
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        simulate(logs, connections=connections, seed=seed, hours=hours, rotate=False, attack_fraction=attack_fraction)
        rows = [pl.concat([batch.rows for batch in _batches(path)]) for path in sorted(logs.rglob("*.log"))]
    known = pl.concat(rows).with_columns(dataset=pl.lit("s"), format=pl.lit("zeek_conn"), raw_sha256=pl.lit(""))
    frame = add_derived(known.sort("ts"))
    return add_behaviour(frame, frame.clear(), WINDOWS_S)


def _batches(path: Path) -> list[Any]:
    with path.open("rb") as stream:
        return list(reader_of("zeek_conn").read(stream, source=path.name))


def shortcuts(name: str) -> dict[str, str]:
    """Return the shortcut columns of a collection's format, with the reason."""
    return dict(reader_of(FILES[name][0]).shortcut_columns)


def table(header: list[str], rows: list[list[object]], show: Callable[[str], None] = print) -> None:
    """Print a Markdown table."""
    lines: list[list[object]] = [[*header], ["---"] * len(header), *rows]
    for cells in lines:
        show("| " + " | ".join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


if __name__ == "__main__":
    for each in FILES:
        frame = load(each)
        print(each, frame.shape, frame["ts"].min(), frame["ts"].max(), frame["is_attack"].value_counts().rows())
