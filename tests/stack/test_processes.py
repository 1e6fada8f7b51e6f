from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.stack.processes import Daemon, Server, free_ports, password, program, unprivileged_account

SLEEP = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]
    except FileNotFoundError:
        return False


def test_a_server_is_started_waited_for_and_ended(tmp_path: Path) -> None:
    server = Server("sleeper", SLEEP, log=tmp_path / "log")
    server.wait_until(lambda: "ready" in server.last_lines())
    assert alive(server.pid)
    server.stop()
    assert server.process.returncode == -signal.SIGTERM
    server.stop()


def test_a_server_that_ends_at_once_is_said_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such disk'); raise SystemExit(3)"]
    server = Server("broken", command, log=tmp_path / "log")
    with pytest.raises(PlatformError, match="broken ended with code 3: no such disk") as caught:
        server.wait_until(lambda: False)
    assert str(tmp_path / "log") in caught.value.hint


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    server = Server("slow", SLEEP, log=tmp_path / "log")
    with pytest.raises(PlatformError, match="slow was not ready within 0 s"):
        server.wait_until(lambda: False, timeout_s=0.2)
    assert not alive(server.pid)


def test_a_server_that_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    server = Server("deaf", [sys.executable, "-c", deaf], log=tmp_path / "log")
    server.wait_until(lambda: "ready" in server.last_lines())
    server.stop(timeout_s=0.1)
    assert server.process.returncode == -signal.SIGKILL


PARENT = """
import sys, time
from pathlib import Path
from cybersec_mlops.stack.processes import Server
command = [sys.executable, "-c", "import time; time.sleep(60)"]
server = Server("child", command, log=Path(sys.argv[1]), tied=sys.argv[2] == "tied")
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
@pytest.mark.parametrize("kind", ["tied", "free"])
def test_what_is_tied_ends_with_a_killed_parent(tmp_path: Path, kind: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log"), kind], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.stdout.close()
    until = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").read_bytes().count(b"launcher.py") and time.monotonic() < until:
        time.sleep(0.01)  # until it has become the command
    parent.kill()
    parent.wait()
    while kind == "tied" and alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert alive(child) == (kind == "free")
    if kind == "free":
        os.kill(child, signal.SIGKILL)


def test_ports_are_free_and_different() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_passwords_are_long_and_never_the_same() -> None:
    assert len({password() for _ in range(100)}) == 100
    assert len(password()) == 48


def test_a_program_that_is_nowhere(tmp_path: Path) -> None:
    assert program(Path(sys.executable).name, "python").exists()
    with pytest.raises(ConfigError, match="'no-such-program' is not installed") as caught:
        program("no-such-program", "its-package")
    assert "pip install" in caught.value.hint
    assert "its-package" in caught.value.hint


def test_only_root_needs_another_account() -> None:
    account = unprivileged_account()
    assert (account is None) == (os.geteuid() != 0)
    assert account is None or account.uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_a_server_can_run_as_another_account(tmp_path: Path) -> None:
    account = unprivileged_account()
    assert account is not None
    server = Server("other", ["/usr/bin/id", "-u"], log=tmp_path / "log", account=account)
    server.process.wait(10)
    assert server.last_lines() == str(account.uid)


def test_a_server_that_is_not_tied_is_found_again_and_ended(tmp_path: Path) -> None:
    server = Server("sleeper", SLEEP, log=tmp_path / "sleeper.log", tied=False)
    server.wait_until(lambda: "ready" in server.last_lines())
    found = Daemon(tmp_path / "sleeper.pid")
    assert (found.pid, found.alive) == (server.pid, True)
    found.ask()
    found.wait_end(10)
    assert not found.alive
    assert not (tmp_path / "sleeper.pid").exists()
    server.stop()


@pytest.mark.parametrize("content", ["", "x", "1", "999999999 5", "{own} 0"])
def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "old.pid"
    file.write_text(content.replace("{own}", str(os.getpid())))
    found = Daemon(file)
    assert not found.alive
    found.ask(signal.SIGKILL)
    found.wait_end(0)
    assert not file.exists()
