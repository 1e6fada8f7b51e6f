"""How fast traffic is simulated and written, and in how much memory.

Run: ``python benchmarks/simulate_rate.py [--connections 1000000] [--keep FOLDER]``. Each format runs in a process of
its own, so that the peak memory is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.simulate.traffic import Plan, simulate_traffic
from cybersec_mlops.simulate.writers import FORMATS

ALONE = "generation"


def measure(what: str, connections: int, folder: Path, compress: bool) -> str:
    before, cpu_before = time.perf_counter(), time.process_time()
    size = 0
    if what == ALONE:
        rows = sum(piece.height for piece in simulate_traffic(Plan(connections=connections)))
    else:
        made = simulate(folder, connections=connections, format=what, compress=compress)
        rows, size = made.connections, sum(path.stat().st_size for path in made.files)
    seconds, cpu = time.perf_counter() - before, time.process_time() - cpu_before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    name = f"{what} gz" if compress else what
    timing = f"{seconds:>9.2f} {cpu:>9.2f} {rows / seconds:>12,.0f}"
    return f"{name:<16} {rows:>12,} {timing} {size / 1e6:>10,.1f} {peak:>10,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows per second and peak memory of the simulation.")
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="write here and keep the files")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        what, _, packed = arguments.only.partition("+")
        print(measure(what, arguments.connections, arguments.keep, compress=bool(packed)), flush=True)
        return
    print(f"{'':<16} {'rows':>12} {'seconds':>9} {'CPU s':>9} {'rows/s':>12} {'MB':>10} {'peak MiB':>10}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.keep or Path(scratch)
        for what in (ALONE, *FORMATS, "zeek-tsv+gz"):
            command = [sys.executable, __file__, "--connections", str(arguments.connections), "--only", what]
            subprocess.run([*command, "--keep", str(root / what)], check=True)


if __name__ == "__main__":
    main()
