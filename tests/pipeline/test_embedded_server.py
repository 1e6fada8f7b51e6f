"""The embedded server answers, ends with its parent however that ends, and says why it does not start."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline.embedded_server import EmbeddedServer, embedded_server

PARENT = """
import sys
from pathlib import Path
from cybersec_mlops.pipeline.embedded_server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.wait()
print(server.api_url, server._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.services
def test_it_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url, child = parent.stdout.readline().split()
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert answer.read() == b"true"
        watched = os.pidfd_open(int(child))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert _ends(watched), "the server is still there after its parent was killed"


def _ends(pidfd: int) -> bool:
    import select

    return bool(select.select([pidfd], [], [], 30)[0])


@pytest.mark.services
def test_a_server_that_cannot_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").mkdir()  # where its database would be
    with pytest.raises(PlatformError, match="ended with code") as caught, embedded_server(tmp_path) as server:
        server.wait()
    assert "server.log" in caught.value.hint


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError, match=r"cannot write to .*: Not a directory") as caught:
        EmbeddedServer(tmp_path / "file" / "prefect")
    assert "CYBERSEC_MLOPS_HOME" in caught.value.hint


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    try:
        assert server.api_url.startswith("http://127.0.0.1:")
        port = int(server.api_url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
    finally:
        server.stop()


def test_another_start_is_waited_for_with_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cybersec_mlops.pipeline.embedded_server.STARTUP_TIMEOUT_S", 0)
    with (tmp_path / "starting.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PlatformError, match="another run has been starting") as caught:
            EmbeddedServer(tmp_path)
    assert "starting.lock" in caught.value.hint


WRITES = """
import asyncio
from cybersec_mlops.pipeline.embedded_server import _lock_before_reading
_lock_before_reading()
from sqlalchemy import text
from prefect.server.database import provide_database_interface

async def add(db, read, wrote):
    async with db.session_context(begin_transaction=True) as session:
        await session.execute(text("SELECT count(*) FROM counted"))
        read.set()
        if wrote is not None:
            await asyncio.wait([asyncio.ensure_future(wrote.wait())], timeout=0.5)
        await session.execute(text("INSERT INTO counted VALUES (1)"))

async def main():
    db = provide_database_interface()
    async with db.session_context(begin_transaction=True) as session:
        await session.execute(text("CREATE TABLE counted (n INTEGER)"))
    read, wrote = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(add(db, read, wrote))
    await read.wait()
    await add(db, asyncio.Event(), None)
    wrote.set()
    await first
    async with db.session_context() as session:
        print((await session.execute(text("SELECT count(*) FROM counted"))).scalar())

asyncio.run(main())
"""


def test_a_transaction_that_reads_first_waits_for_the_writer_before_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", WRITES], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2\n", 0), done.stderr[-2000:]
