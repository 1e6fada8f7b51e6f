"""What Prefect costs a run: `make run`'s command, beside the same data work without Prefect and Prefect's bare start.

    .venv/bin/python benchmarks/overhead.py [--repeats 3] [--connections 60000]

Five commands take turns, each in a process of its own, on files that are in the page cache and on a home whose Prefect
database is there: the run with an empty store; the run again, where everything is reused; the same work as plain
functions (ingest, transform, publish, train, score, assess); the same again (ingest, verify); and a Prefect server as a
run starts it, with a flow of one task. Told are medians of the wall clock and of the processor time of a command and
its server, and what is left of a run without the other two. On a machine that others use as well the wall clock means
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

LIMIT_S: Final = 5.0
"""What a run may cost more than the plain work and Prefect's bare start."""
PARTS: Final = ("run", "run again", "plain", "plain again", "bare Prefect")


class Spent(NamedTuple):
    """Seconds of one command."""

    wall: float
    cpu: float


def main() -> None:
    """Let the commands take turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--connections", type=int, default=60_000)
    parser.add_argument("--part", choices=("plain", "plain again", "bare Prefect"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        {"plain": _plain, "plain again": _plain_again, "bare Prefect": _bare}[given.part](given.folder)
        return
    with tempfile.TemporaryDirectory(prefix="cybersec-mlops-bench-") as name:
        folder = Path(name)
        _simulate(folder / "logs", given.connections)
        _turn(folder)  # so that all is warm
        turns = [_turn(folder) for _ in range(given.repeats)]
    _print(turns, given)


def _simulate(folder: Path, connections: int) -> None:
    from cybersec_mlops.simulate.simulate import simulate

    simulate(folder, connections=connections)


def _turn(folder: Path) -> dict[str, Spent]:
    """Run every part once; the run and the plain work each begin with nothing but the logs."""
    home = folder / "home"
    shutil.rmtree(home / "store", ignore_errors=True)
    for database in home.glob("mlops.db*"):
        database.unlink()
    shutil.rmtree(folder / "plain", ignore_errors=True)
    command = [f"{Path(sys.executable).parent}/cybersec-mlops", "run", str(folder / "logs"), "--dataset", "benchmark"]
    commands = {part: [sys.executable, __file__, "--part", part, "--folder", str(folder)] for part in PARTS}
    commands |= {"run": command, "run again": command}
    return {part: _spend(commands[part], home) for part in PARTS}


def _spend(command: Sequence[str], home: Path) -> Spent:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CYBERSEC_"))}
    environment |= {"CYBERSEC_MLOPS_HOME": str(home), "OMP_WAIT_POLICY": "passive"}
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 5):  # 5: not better than before, and the work was done
        raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}:\n{said.decode()}")
    return Spent(time.perf_counter() - begun, used.ru_utime + used.ru_stime)


def _layers(folder: Path) -> Any:
    from cybersec_mlops.storage.layers import Layers

    layers = Layers.open(f"file://{folder}/plain/store/{{layer}}")
    layers.ensure()
    return layers


def _plain(folder: Path) -> None:
    """Do the data work of a run: the phases' own functions in a row."""
    from cybersec_mlops.evaluation.evaluate import EvaluationJob, assess, score_test
    from cybersec_mlops.evaluation.spec import EvaluationSpec
    from cybersec_mlops.ingestion.ingest import ingest
    from cybersec_mlops.storage.silver import SilverCatalog
    from cybersec_mlops.training.spec import TrainingSpec
    from cybersec_mlops.training.train import train
    from cybersec_mlops.transformation.spec import TransformationSpec
    from cybersec_mlops.transformation.transform import publish, transform

    layers, code = _layers(folder), {"version": "benchmark"}
    raw, originals, _ = ingest([str(folder / "logs")], layers.raw)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        silver, made = transform(
            originals, raw, layers.raw, layers.silver, scratch, dataset="benchmark", spec=TransformationSpec()
        )
        publish(silver, made, SilverCatalog.open(f"sqlite:///{folder}/plain/catalogue.db", layers.silver))
        spec = TrainingSpec()
        trained = train(silver, layers.silver, layers.models, scratch, spec=spec, holdout=True, code=code)
        job = EvaluationJob(
            bundle=trained.bundle,
            version=1,
            train=silver,
            test=None,
            champion=None,
            champion_version=None,
            training=spec,
            evaluation=EvaluationSpec(),
            dataset="benchmark",
            run_id="benchmark",
            code=code,
        )
        assessed = assess(job, score_test(job, layers, scratch), layers, scratch)
    outputs = [one.to_dict() for one in (raw, silver, *made.parts, *made.quarantine, trained.bundle)]
    (folder / "plain" / "made.json").write_text(json.dumps([*outputs, assessed], default=str))


def _plain_again(folder: Path) -> None:
    """Hash the sources, find them in RAW, and verify what was made of them."""
    from cybersec_mlops.ingestion.ingest import ingest
    from cybersec_mlops.storage.reference import Reference

    layers = _layers(folder)
    raw, originals, _ = ingest([str(folder / "logs")], layers.raw)
    assert not any(one.stored for one in originals), "they are there"
    made = json.loads((folder / "plain" / "made.json").read_text())
    found = [Reference.from_dict(one) for one in _references(made)]
    assert raw in found
    assert all(layers.store_of(one.uri).holds(one) for one in found)


def _references(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, Mapping):
        if {"uri", "sha256", "bytes"} <= set(value):
            return [dict(value)]
        value = list(value.values())
    return [one for inner in value for one in _references(inner)] if isinstance(value, list) else []


def _bare(_: Path) -> None:
    """Start a Prefect server as a run does, run a flow of one task, send what is to be sent, stop the server."""
    from cybersec_mlops.config import Settings
    from cybersec_mlops.pipeline.embedded_server import embedded_server

    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    with embedded_server(Settings.load().home / "prefect") as server:
        os.environ.update(server.client_environment())
        from prefect import flow, task

        from cybersec_mlops.pipeline.compat import flush, no_heartbeat, use_api

        @task(persist_result=False)
        def nothing() -> int:
            return 1

        @flow(persist_result=False)
        def bare() -> int:
            return nothing()

        server.wait()
        with use_api(server.api_url), no_heartbeat():
            assert bare() == 1
            flush(10)


def _print(turns: Sequence[Mapping[str, Spent]], given: argparse.Namespace) -> None:
    load = os.getloadavg()[2]
    print(f"{given.connections:,} simulated connections, {len(turns)} turns, {datetime.now(UTC):%Y-%m-%d};", end=" ")
    print(f"{os.cpu_count()} cores, load average {load:.1f}\n\n| | wall s | CPU s |\n|---|---:|---:|")
    for part in PARTS:
        print(f"| {part} | {_of(turns, part, 'wall'):.1f} | {_of(turns, part, 'cpu'):.1f} |")
    for again in ("", " again"):
        left = [_left(turns, again, kind) for kind in Spent._fields]
        title = f"run{again} - plain{again} - bare Prefect"
        print(f"| **{title}** (at most {LIMIT_S:.0f}) | **{left[0]:.1f}** | **{left[1]:.1f}** |")


def _left(turns: Sequence[Mapping[str, Spent]], again: str, kind: str) -> float:
    """Return what a run spent beyond the plain work and the bare start of the same turn."""
    spent = [{part: float(getattr(one, kind)) for part, one in turn.items()} for turn in turns]
    return median(turn[f"run{again}"] - turn[f"plain{again}"] - turn["bare Prefect"] for turn in spent)


def _of(turns: Sequence[Mapping[str, Spent]], part: str, kind: str) -> float:
    return median(float(getattr(turn[part], kind)) for turn in turns)


if __name__ == "__main__":
    main()
