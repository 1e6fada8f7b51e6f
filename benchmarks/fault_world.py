"""Where faults are done: real servers, a copy of the code, and runs that are watched while they go on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import psycopg

import cybersec_mlops
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.pipeline.platform import prepare_database
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.stack.local import LocalStack
from cybersec_mlops.stack.processes import Daemon
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.silver import SilverCatalog

CONNECTIONS: Final = 8_000
DATASET: Final = "faults"
BUCKET: Final = "faults"
PHASES: Final = ("ingestion", "transformation", "training", "evaluation")
SERVERS: Final = ("postgres", "seaweedfs", "prefect")
LIMIT_S: Final = 900
"""No run may take longer, whatever is done to it."""
CONFIG: Final = f"""
dataset = "{DATASET}"
[training]
trees = 40
epochs = 3
prototypes = 64
[evaluation]
resamples = 100
leakage_rows = 2000
"""


@dataclass
class Ended:
    """How a run ended."""

    code: int | None
    """As a shell tells it; None where it did not end by itself."""
    seconds: float
    after: float
    """Seconds from the fault to the end."""
    document: dict[str, Any]
    stderr: str
    told: list[str]
    """The lines of it that came after the fault."""
    fault: str = ""
    """What was done to this very run, where a case does several things."""
    orphans: list[str] = field(default_factory=list)
    """Processes that it left."""
    scratch: list[str] = field(default_factory=list)
    """What it left on scratch, folders included."""

    @property
    def sees(self) -> str:
        """What a person is told, in the end."""
        error = self.document.get("error")
        if error:
            return str(error["message"])
        return str(self.document.get("status") or "nothing: it is gone")

    @property
    def waiting(self) -> str:
        """What a person is told from the fault on; empty where nothing was waited for."""
        return next((line for line in self.told if "waiting" in line), "")

    @property
    def reused(self) -> list[str]:
        """Phases whose result was used again."""
        return [name for name, one in self.document.get("phases", {}).items() if one["reused"]]


class World:
    """The servers, the data, and a copy of the code that nobody edits meanwhile.

    Parameters
    ----------
    folder : Path
        Holds all of it; others must be able to enter it, since root's PostgreSQL is another account.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = LocalStack(folder / "stack")
        self.access = self.stack.up()
        source = Path(cybersec_mlops.__file__).parent
        shutil.copytree(source, folder / "code" / source.name, ignore=shutil.ignore_patterns("*.pyc"))
        simulate(folder / "day", connections=CONNECTIONS, hours=8.0, seed=11, attack_fraction=0.05)
        simulate(folder / "other", connections=CONNECTIONS // 2, hours=4.0, seed=12, attack_fraction=0.05)
        os.environ.update({name: value for name, value in self.access.environment().items() if name.startswith("AWS_")})
        Layers.open(f"s3://{BUCKET}/{{layer}}").raw.ensure()
        self.baseline: Ended | None = None
        automations = Path(__file__).resolve().parents[1] / "deploy" / "automations.yaml"
        subprocess.run(
            [sys.executable, "-m", "prefect", "automation", "create", "--from-file", str(automations)],
            env={**os.environ, **self.access.environment(), "PREFECT_HOME": str(folder / "prefect")},
            check=True,
            capture_output=True,
        )

    def flow_runs(self, *states: str) -> list[dict[str, Any]]:
        """Return the flow runs that the Prefect server shows in some states (RUNNING, CRASHED)."""
        wanted = {"flow_runs": {"state": {"type": {"any_": list(states)}}}}
        request = urllib.request.Request(
            f"{self.access.environment()['PREFECT_API_URL']}/flow_runs/filter",
            data=json.dumps(wanted).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return list(json.load(answer))

    def left_running(self, timeout_s: float = 180) -> list[str]:
        """Return the flow runs that Prefect still takes for running, some time after the last process ended."""
        until = time.monotonic() + timeout_s
        while (left := self.flow_runs("RUNNING")) and time.monotonic() < until:
            time.sleep(5)
        return [one["name"] for one in left]

    def phase_seconds(self, phase: str) -> float:
        """Return how long a phase takes without a fault."""
        assert self.baseline is not None
        return float(self.baseline.document["phases"][phase]["seconds"])

    def daemon(self, name: str) -> Daemon:
        """Return a server's process."""
        return Daemon(self.stack.folder / name / f"{name}.pid")

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a server, by default like a crash."""
        daemon = self.daemon(name)
        daemon.ask(signal.SIGCONT)
        daemon.ask(number)
        daemon.wait_end(20)

    def restore(self) -> None:
        """Let everything run again."""
        for name in SERVERS:
            self.daemon(name).ask(signal.SIGCONT)
        self.stack.up()


class Case:
    """A place of its own in the store and in the database, and the runs in it."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.folder = world.folder / "cases" / name
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir(parents=True)
        self.config = self.folder / "run.toml"
        self.config.write_text(CONFIG)
        database = f"case_{re.sub(r'[^a-z0-9]', '_', name)}"
        with psycopg.connect(world.access.database_url("mlops", "postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        self.database_url = world.access.database_url("mlops", database)
        prepare_database(self.database_url)
        self.store_url = f"s3://{BUCKET}/{name}/{{layer}}"

    def environment(self) -> dict[str, str]:
        """Return all that a run is told."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.scratch),
            "PYTHONPATH": str(self.world.folder / "code"),
            **self.world.access.environment(),
            "CYBERSEC_MLOPS_STORE_URL": self.store_url,
            "CYBERSEC_MLOPS_DATABASE_URL": self.database_url,
            "CYBERSEC_MLOPS_SCRATCH_DIR": str(self.scratch),
        }

    def start(self, *arguments: str, day: str = "day", within: tuple[str, ...] = (), **more: str) -> Run:
        """Begin a run; by default of the whole pipeline, on a simulated day.

        Parameters
        ----------
        *arguments : str
            Of the command line.
        day : str
            Which logs.
        within : tuple of str
            A command that is given the run's command.
        **more : str
            Variables of its environment.
        """
        given = arguments or ("run", str(self.world.folder / day), "--config", str(self.config))
        command = [*within, sys.executable, "-m", "cybersec_mlops.cli", *given, "--json"]
        return Run(command, {**self.environment(), **more}, self.folder, self.scratch)

    def run(self, *arguments: str, within: tuple[str, ...] = (), **more: str) -> Ended:
        """Do a run to its end."""
        return self.start(*arguments, within=within, **more).wait()

    @property
    def layers(self) -> Layers:
        """The case's part of the store."""
        return Layers.open(self.store_url)

    @cached_property
    def audit(self) -> AuditLog:
        """The case's audit."""
        return AuditLog.open(self.database_url, migrate=False)

    @property
    def catalog(self) -> SilverCatalog:
        """The case's SILVER tables."""
        return SilverCatalog.open(self.database_url, self.layers.silver)


class Run:
    """A run that goes on."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path, scratch: Path) -> None:
        self._folder, self._scratch = folder, scratch
        self._began = self._fault_at = time.monotonic()
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by wait
        (folder / "home").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=self._out, stderr=subprocess.PIPE, text=True
        )
        self._lines: list[str] = []
        self._told_before = 0
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def until(self, phase: str, share: float = 0.0, of_seconds: float = 0.0) -> None:
        """Return when a phase has begun and a share of its usual time is over, or it is done, or the run has ended."""
        self._until(f"{phase} ...", 300)
        self._until(f"{phase}: ", share * of_seconds)

    def _until(self, beginning: str, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: any(line.startswith(beginning) for line in self._lines) or self.process.poll() is not None,
                timeout=timeout_s,
            )

    def fault(self) -> None:
        """Note that it is done now."""
        self._fault_at, self._told_before = time.monotonic(), len(self._lines)

    def wait(self) -> Ended:
        """Return how it ended; one that does not is killed, and has no exit code."""
        try:
            code: int | None = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        now = time.monotonic()
        self._reader.join(5)
        (self._folder / f"{self.process.pid}.stderr").write_text("".join(self._lines))  # for --folder
        self._out.seek(0)
        lines = self._out.read().splitlines()
        self._out.close()
        return Ended(
            code=code if code is None or code >= 0 else 128 - code,
            seconds=now - self._began,
            after=now - self._fault_at,
            document=json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {},
            stderr="".join(self._lines),
            told=[line.rstrip("\n") for line in self._lines[self._told_before :]],
            orphans=list(processes_with(f"CYBERSEC_MLOPS_SCRATCH_DIR={self._scratch}")),
            scratch=sorted(str(path.relative_to(self._scratch)) for path in self._scratch.rglob("*")),
        )


def processes_with(variable: str) -> Iterator[str]:
    """Give the command lines of living processes that were started with a variable (Linux)."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (entry / "environ").read_bytes().split(b"\0"):
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()


def at_once(*starts: Callable[[], Run]) -> list[Ended]:
    """Begin several runs together and return how each ended; what they left is looked at when all have."""
    runs = [start() for start in starts]
    for run in runs:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(LIMIT_S)
    return [run.wait() for run in runs]
