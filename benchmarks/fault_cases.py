"""The faults, each a function that does it to one or more runs and returns how those ended."""

from __future__ import annotations

import random
import re
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fault_world import PHASES, Case, Ended, at_once

POINTS: Final = 3
"""Random points of every phase at which each signal is sent."""
SCRATCH_MB: Final = 1
JUMP_S: Final = 600
DAY_S: Final = 86_400
_CLOCK: Final = Path(__file__).with_name("turned_clock.c")
_PRIVATE_MOUNT: Final = (
    f'mount -t tmpfs -o size={SCRATCH_MB}m tmpfs "$0" && "$@"; code=$?;'
    ' find "$0" -mindepth 1 -printf "left: %P\\n" >&2; exit $code'
)


class NotDoneError(Exception):
    """The fault cannot be done on this machine; the message says why."""


@dataclass(frozen=True)
class Fault:
    """A line of the table."""

    name: str
    title: str
    do: Callable[[Case], list[Ended]]
    waits: bool = False
    """Something that the run needs is away."""
    unwritten: bool = False
    """The audit is away as well: how the run ended cannot be written there."""
    may_redo: bool = False
    """A finished phase is rightly done again, or at the same moment by two."""


FAULTS: Final[dict[str, Fault]] = {}


def _add(fault: Fault) -> None:
    FAULTS[fault.name] = fault


# -- the process ends --------------------------------------------------------------------------------------------------


def _signalled(phase: str, number: signal.Signals) -> Callable[[Case], list[Ended]]:
    """End a run at random points of a phase, the earliest first: each run goes on where the one before was ended.

    On a machine that is less busy than before, the phase may be done at the last of the points, or before it.
    """
    shares = sorted(random.Random(f"{phase} {number.name} {point}").random() for point in range(POINTS))

    def do(case: Case) -> list[Ended]:
        taken = case.world.phase_seconds(phase)
        ended = []
        for share in shares:
            run = case.start()
            run.until(phase, share, taken)
            if run.process.poll() is not None:
                run.wait()
                break
            run.fault()
            run.process.send_signal(number)
            ended.append(replace(run.wait(), fault=f"{share * taken:.1f} s"))
        return ended

    return do


for _number in (signal.SIGTERM, signal.SIGKILL):
    for _phase in PHASES:
        _add(Fault(f"{_number.name.lower()}-{_phase}", f"{_number.name} in the {_phase}", _signalled(_phase, _number)))


# -- a server ends -----------------------------------------------------------------------------------------------------


def _away(server: str, phase: str, seconds: float | None, *, crash: bool = True) -> Callable[[Case], list[Ended]]:
    """End a server in a phase, and start it again after some seconds, or only when the run has ended."""

    def do(case: Case) -> list[Ended]:
        run = case.start()
        run.until(phase, 0.2, case.world.phase_seconds(phase))
        run.fault()
        case.world.end(server, signal.SIGKILL if crash else signal.SIGINT)
        if seconds is not None:
            time.sleep(seconds)
            case.world.restore()
        return [run.wait()]

    return do


def _frozen(server: str, phase: str) -> Callable[[Case], list[Ended]]:
    """Stop a server in a phase without closing its connections, like a host that hangs."""

    def do(case: Case) -> list[Ended]:
        run = case.start()
        run.until(phase, 0.2, case.world.phase_seconds(phase))
        run.fault()
        case.world.daemon(server).ask(signal.SIGSTOP)
        return [run.wait()]

    return do


def _away_at_start(server: str) -> Callable[[Case], list[Ended]]:
    def do(case: Case) -> list[Ended]:
        case.world.end(server)
        return [case.run()]

    return do


for _server, _title, _in in (
    ("seaweedfs", "S3", "transformation"),
    ("postgres", "PostgreSQL (audit, catalogue, Prefect's own)", "training"),
    ("prefect", "the Prefect server", "transformation"),
):
    _name = {"seaweedfs": "s3"}.get(_server, _server)
    _add(Fault(f"{_name}-20s", f"{_title} away for 20 s in the {_in}", _away(_server, _in, 20), waits=True))
    _mute = _server == "postgres"
    _gone, _stiff = _away(_server, _in, None), _frozen(_server, _in)
    _add(Fault(f"{_name}-gone", f"{_title} away for good in the {_in}", _gone, waits=True, unwritten=_mute))
    _add(Fault(f"{_name}-frozen", f"{_title} frozen for good in the {_in}", _stiff, waits=True, unwritten=_mute))
    _add(Fault(f"{_name}-at-start", f"{_title} away at the start", _away_at_start(_server), waits=True))
_add(
    Fault(
        "postgres-restarted",
        "PostgreSQL restarted in the transformation",
        _away("postgres", "transformation", 0, crash=False),
    )
)


# -- the surroundings are wrong ----------------------------------------------------------------------------------------


def _wrong_s3_secret(case: Case) -> list[Ended]:
    return [case.run(AWS_SECRET_ACCESS_KEY="wrong")]


def _wrong_database_password(case: Case) -> list[Ended]:
    return [case.run(CYBERSEC_MLOPS_DATABASE_URL=re.sub(r":[^:@/]+@", ":wrong@", case.database_url))]


def _full_scratch(case: Case) -> list[Ended]:
    """Give the run a scratch folder of its own on a tiny file system, in a mount namespace: no right is needed."""
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*private, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode:
        raise NotDoneError("this machine allows no user namespace, so no small file system can be mounted")
    ended = case.run(within=(*private, "sh", "-c", _PRIVATE_MOUNT, str(case.scratch)))
    left = [line.removeprefix("left: ") for line in ended.stderr.splitlines() if line.startswith("left: ")]
    return [replace(ended, scratch=left)]


def _clock_jump(seconds: int) -> Callable[[Case], list[Ended]]:
    """Turn the clock that the run sees, in the transformation; the monotonic clock goes on."""

    def do(case: Case) -> list[Ended]:
        library, clock = case.folder / "turned_clock.so", case.folder / "clock"
        compiler = shutil.which("cc")
        if compiler is None:
            raise NotDoneError("there is no C compiler, with which turned_clock.c is made into a library")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_CLOCK), "-ldl"], check=True)
        clock.write_bytes(struct.pack("=q", 0))
        run = case.start(LD_PRELOAD=str(library), TURNED_CLOCK=str(clock))
        run.until("transformation", 0.3, case.world.phase_seconds("transformation"))
        run.fault()
        with clock.open("r+b") as opened:
            opened.write(struct.pack("=q", seconds))
        return [run.wait()]

    return do


_add(Fault("wrong-s3-secret", "a wrong secret for S3", _wrong_s3_secret))
_add(Fault("wrong-database-password", "a wrong password for PostgreSQL", _wrong_database_password))
_add(Fault("scratch-full", f"the scratch folder full ({SCRATCH_MB} MB)", _full_scratch))
for _name, _seconds, _said in (
    ("forward", JUMP_S, "10 min forward"),
    ("back", -JUMP_S, "10 min back"),
    ("wrong", DAY_S, "a day forward"),
):
    _add(Fault(f"clock-{_name}", f"the clock jumps {_said} in the transformation", _clock_jump(_seconds)))


# -- others, and damage ------------------------------------------------------------------------------------------------


def _same_job_twice(case: Case) -> list[Ended]:
    return at_once(case.start, case.start)


def _two_jobs(case: Case) -> list[Ended]:
    return at_once(case.start, lambda: case.start(day="other"))


def _corrupted(case: Case) -> list[Ended]:
    """Turn a bit of an object of each layer behind the program's back, then train on what is there."""
    sound = case.run()
    for layer, prefix in (("raw", "objects"), ("silver", "data"), ("models", "bundles"), ("eval", "predictions")):
        store = case.layers.stores()[layer]
        key = next(iter(store.list(prefix)))[0]
        data = bytearray(store.get_bytes(key))
        data[len(data) // 2] ^= 1
        store.put_bytes(key, bytes(data), overwrite=True)
    other = case.folder / "other.toml"
    other.write_text(case.config.read_text().replace("trees = 40", "trees = 41"))
    reading = case.run("train", str(sound.document["run_id"]), "--config", str(other))
    return [replace(reading, fault="`train`")]


_add(Fault("same-job-twice", "two runs of the same job at once", _same_job_twice, may_redo=True))
_add(Fault("two-jobs", "two runs of different jobs at once, on one dataset", _two_jobs, may_redo=True))
_add(
    Fault(
        "corrupted",
        "a bit of a RAW, a SILVER, a MODELS and an EVAL object turned over; then `train` with another setting",
        _corrupted,
        may_redo=True,
    )
)
