"""Becomes a server: takes an account and the parent's fate first, then the command's place. Run as a script.

It is a program of its own, not a ``preexec_fn``, which is unsafe in a process with threads. Standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Change account, tie this process to its parent, and execute the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--parent", type=int, help="end when this process does")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.uid is not None:
        os.setgroups([])
        os.setgid(options.gid)
        os.setuid(options.uid)
    if options.parent is not None:
        _end_with(options.parent)
    os.execv(options.command[0], options.command)  # noqa: S606 - a command of our own, no shell


def _end_with(parent: int) -> None:
    """Ask Linux for SIGKILL when the parent ends; after the change of account, which would clear it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
