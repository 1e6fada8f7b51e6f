"""A Prefect server of our own for as long as one command runs: the default where no PREFECT_API_URL is set.

Prefect has an ephemeral mode as well; its server outlives a killed parent and takes a random port that another
process may hold. This one ends with its parent, whatever happens to it, and inherits a socket that is already bound.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TextIO, cast

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline.loading import loading
from cybersec_mlops.waiting import waiting_for

STARTUP_TIMEOUT_S: Final = 180
USUAL_S: Final = 20.0
"""Nobody is told before, seconds."""
_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 0.05

QUIET: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_PROMPT": "false",
}
"""Nothing is sent to anybody, and no second server is ever started by Prefect itself."""


class EmbeddedServer:
    """A Prefect server on loopback, on the SQLite database of a home folder."""

    def __init__(self, home: Path) -> None:
        """Start it; `wait` tells when it answers, so that imports can go on meanwhile.

        Raises
        ------
        PlatformError
            The home cannot be written, or another start there takes too long.
        """
        self._home = home
        # One at a time: two first starts on one database would both try to create its tables.
        self._lock = _opened(home / "starting.lock", "w")
        with waiting_for(f"another run that starts its Prefect server in {home}"):
            _lock(self._lock)
        self._log = _opened(home / "server.log", "a")
        listening = socket.create_server(("127.0.0.1", 0))
        listening.set_inheritable(True)
        self.api_url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listening.fileno()), str(os.getpid())],
            env={**os.environ, **QUIET, **self._server_environment()},
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        listening.close()

    def _server_environment(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self._home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_UI_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # no flow here uses one, and it imports every collection
            "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",  # which it does as well, to see whether it must
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        }

    def client_environment(self) -> dict[str, str]:
        """Return what Prefect in this process must find in the environment before it is imported."""
        return {
            **QUIET,
            "PREFECT_HOME": str(self._home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",  # it has no browser, and is asked by each client anew
            "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",  # the same installation
        }

    def waiting(self) -> Future[None]:
        """Wait in a thread, so that this one can go on meanwhile; the result raises what `wait` raises."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="server-wait")
        ready = pool.submit(self.wait)
        pool.shutdown(wait=False)
        return ready

    def wait(self) -> None:
        """Return when the server answers.

        Raises
        ------
        PlatformError
            When it ended or did not answer in time; its log says why.
        """
        with waiting_for("the embedded Prefect server", first_s=USUAL_S):
            self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                ended = self._process.poll()
                what = f"ended with code {ended}" if ended is not None else f"did not answer in {STARTUP_TIMEOUT_S} s"
                self.stop()
                raise PlatformError(f"the embedded Prefect server {what}", hint=f"read {self._home / 'server.log'}")
            time.sleep(_POLL_S)
        self._unlock()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api_url}/health", timeout=5) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _unlock(self) -> None:
        self._lock.close()

    def stop(self) -> None:
        """End the server, by force if it takes long."""
        self._unlock()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()


def _opened(path: Path, mode: str) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cast(TextIO, path.open(mode))
    except OSError as error:
        raise PlatformError(
            f"the embedded Prefect server cannot write to {path}: {error.strerror}",
            hint="set CYBERSEC_MLOPS_HOME to a folder that can be written and has room",
        ) from None


def _lock(file: TextIO) -> None:
    """Take a lock that another start gives back when its server answers, or has failed."""
    deadline = time.monotonic() + 2 * STARTUP_TIMEOUT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise PlatformError(
                    f"another run has been starting its Prefect server for {2 * STARTUP_TIMEOUT_S} s",
                    hint=f"look for a process that hangs; it holds {file.name}",
                ) from None
            time.sleep(_POLL_S)
        else:
            return


@contextlib.contextmanager
def embedded_server(home: Path) -> Iterator[EmbeddedServer]:
    """Start a server for the time of a ``with`` block; the block calls `EmbeddedServer.wait` when it needs it."""
    server = EmbeddedServer(home)
    try:
        yield server
    finally:
        server.stop()


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit(0)


def _serve(descriptor: int, parent: int) -> None:
    _end_with_parent(parent)
    with loading():
        import prefect.server.api.server  # noqa: F401
        import uvicorn

    _lock_before_reading()
    uvicorn.run("prefect.server.api.server:create_app", factory=True, fd=descriptor, log_level="error", lifespan="on")


def _lock_before_reading() -> None:
    """Let a transaction take SQLite's lock when it begins, and not at its first write.

    One that read before another wrote cannot write any more: the server answers 503, and its client waits for seconds.
    """
    from prefect.server.database.configurations import AioSqliteConfiguration as Configuration

    begin = Configuration.begin_transaction
    Configuration.begin_transaction = lambda self, session, *_, **__: begin(self, session, True)  # type: ignore[method-assign]


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
