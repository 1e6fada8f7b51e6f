"""Start a server, wait until it answers, and end it: by its own id, within a limit, with its log at hand."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.stack import launcher

LOOPBACK: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 60
PROBE_INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Account:
    """Who a server runs as."""

    uid: int
    gid: int


def password() -> str:
    """Return a fresh secret of 192 bits, of letters and digits."""
    return secrets.token_hex(24)


def free_ports(number: int) -> list[int]:
    """Return loopback ports that nobody listens on; all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def program(name: str, package: str) -> Path:
    """Find a program that a pip package brought, or that the system has.

    Raises
    ------
    ConfigError
        It is nowhere; the hint names the package.
    """
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ConfigError(f"the program {name!r} is not installed", hint=missing_package(package))
    return Path(found)


def answers(url: str) -> bool:
    """Say whether a server on loopback answers a request with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def missing_package(package: str) -> str:
    """Return what to do when a server's package is missing."""
    return f"pip install 'cybersec-mlops-pipeline[stack]', or {package} alone"


def unprivileged_account() -> Account | None:
    """Return an account for servers that refuse to run as root; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)


class Server:
    """A running server process.

    Parameters
    ----------
    name : str
        For messages.
    command : sequence of str or Path
        The program by its path, and its arguments.
    log : Path
        Where its output goes.
    tied : bool
        End with this process even when that is killed (Linux); more exactly, with the thread that starts it, so start
        it from the main thread. A stack that shall stay is not tied.
    account : Account, optional
        Run as this account instead of one's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        tied: bool = True,
        account: Account | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        prefix = [sys.executable, "-I", "-S", str(launcher.__file__)]
        if account is not None:
            prefix += [f"--uid={account.uid}", f"--gid={account.gid}"]
        if tied:
            prefix += [f"--parent={os.getpid()}"]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*prefix, "--", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=None if env is None else dict(env),
                start_new_session=True,
            )
        if not tied:
            Daemon.note(log.with_suffix(".pid"), self.process.pid)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until `ready` says so.

        Raises
        ------
        PlatformError
            The process ended, or was not ready in time; the message has the end of its log.
        """
        until = time.monotonic() + timeout_s
        while not ready():
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.process.wait(PROBE_INTERVAL_S)
                raise PlatformError(f"{self.name} ended with code {code}: {self.last_lines()}", hint=f"see {self.log}")
            if time.monotonic() > until:
                self.stop(signal.SIGKILL)
                raise PlatformError(
                    f"{self.name} was not ready within {timeout_s:.0f} s: {self.last_lines()}", hint=f"see {self.log}"
                )

    def stop(self, ask: signal.Signals = signal.SIGTERM, *, timeout_s: float = 30) -> None:
        """Ask it to end, and kill it when it has not within the limit."""
        if self.process.poll() is None:
            self.process.send_signal(ask)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def last_lines(self, number: int = 5) -> str:
        """Return the end of its log, in one line."""
        with contextlib.suppress(OSError):
            return " | ".join(self.log.read_text("utf-8", "replace").strip().splitlines()[-number:])
        return ""


class Daemon:
    """A server that an earlier process started, found again by the file that has its id.

    Parameters
    ----------
    file : Path
        What `Server` left beside its log.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.pid: int | None = None
        self._born: str | None = None
        with contextlib.suppress(OSError, ValueError):
            pid, _, birth = file.read_text("ascii").partition(" ")
            self.pid, self._born = int(pid), birth

    @staticmethod
    def note(file: Path, pid: int) -> None:
        """Write down a process, and when it was born: ids are used again."""
        file.write_text(f"{pid} {born(pid) or ''}")

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        if self.pid is None:
            return False
        return self._born != "" and born(self.pid) == self._born

    def ask(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, when it still runs."""
        if self.alive and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait_end(self, timeout_s: float) -> None:
        """Wait until it has ended, kill it when it has not within the limit, and forget it."""
        until = time.monotonic() + timeout_s
        while self.alive:
            if time.monotonic() > until:
                self.ask(signal.SIGKILL)
            time.sleep(PROBE_INTERVAL_S)
        self._file.unlink(missing_ok=True)


def born(pid: int) -> str | None:
    """Return when a process was born, in the system's own words; None where there is no such process, or a dead one."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return None if state == "Z" else fields[18]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return told.stdout.strip() or None
