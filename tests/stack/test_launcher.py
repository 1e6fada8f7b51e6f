from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cybersec_mlops.stack import launcher


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", launcher.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_it_becomes_the_command() -> None:
    found = launch(
        f"--parent={os.getpid()}", "--", sys.executable, "-c", "import sys; print(sys.argv[1:])", "--uid=7", "x y"
    )
    assert (found.stdout, found.stderr, found.returncode) == ("['--uid=7', 'x y']\n", "", 0)


def test_what_it_makes_is_private() -> None:
    assert launch("--", "/bin/sh", "-c", "umask").stdout == "0077\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_it_ends_when_its_parent_is_already_gone() -> None:
    found = launch("--parent=1", "--", "/bin/echo", "still here")
    assert (found.stdout, found.returncode) == ("", 1)
