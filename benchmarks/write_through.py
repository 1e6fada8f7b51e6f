"""Seconds to store a large log in a folder and to read it again, past the page cache and through it.

    .venv/bin/python benchmarks/write_through.py [--mib 4096] [--repeats 3]

Both ways in turn, each time in a process of its own; each is the run with the median of its seconds. The log itself is
in memory. Between two runs the machine is left alone for some seconds: a hypervisor takes back what was freed, so that
every run finds the machine as the first one did. It needs twice the size in TMPDIR, and in memory to spare.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("past", "through")
PIECE = 1 << 20
SETTLING_S = 6.0


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=4096, help="size of the log")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(_measured(given.way, given.folder)))
        return
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-bench-") as name:
        with (Path(name) / "log").open("wb") as log:
            for _ in range(given.mib):
                log.write(os.urandom(PIECE))
        for way in WAYS * given.repeats:
            time.sleep(SETTLING_S)
            command = [sys.executable, __file__, "--way", way, "--folder", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[way].append(json.loads(done.stdout))
    print(f"{given.mib} MiB, medians of {given.repeats}:\n")
    print("| page cache | store, s | processor | read, s | processor |\n|---|---:|---:|---:|---:|")
    for way, found in runs.items():
        one = sorted(found, key=lambda run: run["store"] + run["read"])[len(found) // 2]
        print(f"| {way} | {one['store']:.2f} | {one['store_cpu']:.2f} | {one['read']:.2f} | {one['read_cpu']:.2f} |")


def _measured(way: str, folder: Path) -> dict[str, Any]:
    from cybersec_mlops.native import tune_native
    from cybersec_mlops.storage import page_cache
    from cybersec_mlops.storage.incoming import Incoming
    from cybersec_mlops.storage.objects import ObjectStore
    from cybersec_mlops.storage.streams import file_chunks, sha256_of

    tune_native()
    if way == "through":
        page_cache.LARGE_BYTES = sys.maxsize  # type: ignore[misc]  # so large is no file
    store = ObjectStore.from_url(f"file://{folder}/store")
    begun, cpu = time.perf_counter(), time.process_time()
    with Incoming(folder / "store") as incoming:
        sha256 = sha256_of(incoming.copied(file_chunks(folder / "log", PIECE)))
        incoming.keep(sha256)
    stored, stored_cpu = time.perf_counter(), time.process_time()
    with store.reading(sha256, sha256=sha256) as file:
        while file.read(PIECE):
            pass
    read, read_cpu = time.perf_counter(), time.process_time()
    store.delete(sha256)
    return {
        "store": stored - begun,
        "store_cpu": stored_cpu - cpu,
        "read": read - stored,
        "read_cpu": read_cpu - stored_cpu,
    }


if __name__ == "__main__":
    main()
